import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from awaccli.algorithms.awac import Awac
from awaccli.algorithms.bc import BehaviourCloning
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.networks import Spaces
from awaccli.config.section import NetworkSettings, OptimiserSettings
from awaccli.config.settings import AwacSettings, BcSettings
from awaccli.errors import CheckpointError

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.3, normalize_observations=True
)


def awac(spaces, *, seed=0, reward_range=(-1.0, 0.0), **settings):
    return Awac(AwacSettings(network=NETWORK, **settings), Setup(spaces, seed, reward_range))


def copies(learner):
    return {name: tensor.clone() for name, tensor in learner.tensors().items()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


# The reference: AWAC's losses once more, in float64, by loops over rows, without a line of the package.


def reference_heads(known, observation):
    """What each member of the policy says, before the tanh."""
    w = known.weights
    if w["policy.head.weight"].ndim == 2:
        return [known.head("policy", observation)]
    heads = []
    for one, shift, last, bias in zip(
        *(w[f"policy.{name}"] for name in ("layers.0.weight", "layers.0.bias", "head.weight", "head.bias")),
        strict=True,
    ):
        heads.append(np.maximum(observation @ one + shift[0], 0) @ last + bias[0])
    return heads


def reference_losses(known, settings):
    rows, draws, size = known.rows, known.draws, known.size
    std = np.exp(-6 / (1 + np.exp(known.weights["policy.free_log_std"])))
    squared, log_probs, advantages, normalising = 0.0, [], [], []
    for i in range(size):
        here, there = known.here(i), known.there(i)
        next_action = np.tanh(np.mean(reference_heads(known, there), axis=0)) + std * draws["next"][i]
        next_value = min(known.q("target_critic", there, np.clip(next_action, -1, 1)))
        target = rows["rewards"][i] + rows["bootstraps"][i] * next_value
        target = min(max(target, -100.0), 0.0)
        q = known.q("critic", here, rows["actions"][i])
        importance = rows["importance"][i] if settings.critic_weights == "importance" else 1
        squared += importance * sum((one - target) ** 2 for one in q) / size

        judge = "critic" if settings.advantage_critic == "online" else "target_critic"
        q = known.q(judge, here, rows["actions"][i])
        heads = reference_heads(known, here)
        mean = np.tanh(np.mean(heads, axis=0))
        if settings.value == "mean":
            value = min(known.q(judge, here, mean))
        else:
            mirrored = () if settings.value_samples % 2 else -draws["value"]
            sampled = [np.clip(mean + std * draw[i], -1, 1) for draw in (*draws["value"], *mirrored)]
            assert len(sampled) == settings.value_samples
            value = np.mean([min(known.q(judge, here, action)) for action in sampled])
        advantages.append(min(q) - value)
        drawn = draws["normaliser"][:, i] if settings.normaliser_samples else []
        normalising.append(
            [min(known.q(judge, here, np.clip(mean + std * draw, -1, 1))) - value for draw in drawn]
        )
        densities = [
            np.exp(-0.5 * ((rows["actions"][i] - np.tanh(head)) / std) ** 2) / (std * math.sqrt(2 * math.pi))
            for head in heads
        ]
        log_probs.append(np.mean([np.log(density).sum() for density in densities]))

    scale = np.std(advantages) if settings.normalize_advantage else 1
    cap = np.inf if settings.advantage_cap is None else settings.advantage_cap
    shape = np.minimum(np.array(advantages) / scale, cap)
    normalisers = np.ones(size)
    if settings.normaliser_samples:
        normalisers = np.exp(np.minimum(np.array(normalising) / scale, cap) / settings.lam).mean(axis=1)
    if settings.weights == "binary":
        weights = (shape > 0).astype(float)
    else:
        weights = np.exp(shape / settings.lam) / normalisers
        weights = (
            size * weights / weights.sum() if settings.weights == "softmax" else np.minimum(weights, 3.0)
        )
    return -np.mean(weights * log_probs), squared


@pytest.mark.parametrize(("value", "samples"), [("mean", 1), ("sample", 3), ("sample", 4)])
@pytest.mark.parametrize(
    ("weights", "normaliser"), [("softmax", 0), ("exp", 0), ("binary", 0), ("softmax", 4), ("exp", 4)]
)
@pytest.mark.parametrize("cap", [None, 0.2])
@pytest.mark.parametrize(("judge", "members"), [("online", 1), ("target", 1), ("online", 3)])
def test_losses_are_those_of_the_reference(
    spaces,
    shaken,
    make_batch,
    make_noise,
    reference,
    value,
    samples,
    weights,
    normaliser,
    cap,
    judge,
    members,
):
    learner = shaken(
        awac(
            spaces,
            value=value,
            value_samples=samples,
            weights=weights,
            advantage_cap=cap,
            advantage_critic=judge,
            policy_members=members,
            lam=0.7,
            max_weight=3.0,
            normalize_advantage=cap is None,
            normaliser_samples=normaliser,
            critic_weights="uniform" if value == "mean" else "importance",
        )
    )
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    noise = make_noise(learner)
    policy_loss, critic_loss = reference_losses(reference(learner, batch, noise), learner._settings)
    found = learner.update(batch, noise)
    assert found["loss/policy"].item() == pytest.approx(policy_loss, rel=1e-4)
    assert found["loss/critic"].item() == pytest.approx(critic_loss, rel=1e-4)
    assert found["loss/policy"].shape == found["loss/critic"].shape == ()


def test_first_adam_step_is_the_learning_rate_of_its_network(shaken, spaces, make_batch, make_noise):
    # Adam's first step is lr * sign(gradient): its size and direction are known without Adam.
    learner = shaken(
        awac(spaces, optimiser=OptimiserSettings(policy_lr=1e-3, critic_lr=2e-3, weight_decay=0))
    )
    before = copies(learner)
    learner.update(make_batch(64), make_noise(learner, 64))
    after = learner.tensors()
    moved = (after["critic.layers.2.bias"] - before["critic.layers.2.bias"]).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 2e-3), rtol=1e-2, atol=0)
    moved = (after["policy.head.bias"] - before["policy.head.bias"]).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 1e-3), rtol=1e-2, atol=0)


def test_gradient_of_the_policy_is_the_finite_difference_of_its_loss(shaken, spaces, make_batch, make_noise):
    # The weights are constants: their dependence on the policy (through V) must not enter.
    learner = shaken(awac(spaces, lam=0.7))
    batch, noise = make_batch(), make_noise(learner)
    learner.update(batch, noise)
    gradient = learner._policy.head.bias.grad.clone()

    learner = shaken(awac(spaces, lam=0.7))
    observations = learner._normaliser(batch.observations)
    with torch.no_grad():
        q, mean = learner._critic(observations, batch.actions), learner._policy.mean(observations)
        weights = learner._weights(learner._advantage(observations, q, mean, noise))
        bias, found = learner._policy.head.bias, []
        for i in range(2):
            sides = []
            for step in (1e-2, -1e-2):
                bias[i] += step
                mean, std = learner._policy.mean(observations), learner._policy.log_std().exp()
                log_prob = torch.distributions.Normal(mean, std).log_prob(batch.actions).sum(dim=1)
                sides.append((-weights * log_prob).double().mean())
                bias[i] -= step
            found.append(float(sides[0] - sides[1]) / 2e-2)
    assert gradient.tolist() == pytest.approx(found, rel=2e-2)


def test_each_loss_reaches_only_its_own_networks(shaken, spaces, make_batch, make_noise):
    # Critic rewards change critics alone; actions' likelihood with all weights 1 changes the policy alone.
    batch = make_batch()
    other = make_batch(rewards=batch.rewards - 1)
    first, second = (shaken(awac(spaces, lam=math.inf)) for _ in range(2))
    noise = make_noise(first)
    first.update(batch, noise)
    second.update(other, noise)
    one, two = first.tensors(), second.tensors()
    for name, tensor in one.items():
        if name.startswith("policy"):
            assert torch.equal(tensor, two[name]), name
    assert not torch.equal(one["critic.layers.0.weight"], two["critic.layers.0.weight"])
    for frozen in (first._target_critic, first._average, first._clone):
        assert all(parameter.grad is None for parameter in frozen.parameters())


def test_critics_do_not_feel_the_temperature(shaken, spaces, make_batch, make_noise):
    learners = [shaken(awac(spaces, lam=lam, advantage_cap=None)) for lam in (0.1, 10.0)]
    for learner in learners:
        learner.update(make_batch(), make_noise(learner))
    one, two = (learner.tensors() for learner in learners)
    for name, tensor in one.items():
        if name.startswith(("critic", "target_critic")):
            assert torch.equal(tensor, two[name]), name
    assert not torch.equal(one["policy.head.weight"], two["policy.head.weight"])


def test_infinite_temperature_is_behaviour_cloning(spaces, make_batch, make_noise):
    optimiser = OptimiserSettings(policy_lr=1e-3)
    settings = AwacSettings(network=NETWORK, optimiser=optimiser, lam=math.inf)
    settings = AwacSettings.model_validate_json(settings.model_dump_json())
    learner = Awac(settings, Setup(spaces, seed=4))
    clone = BehaviourCloning(BcSettings(network=NETWORK, optimiser=optimiser), Setup(spaces, seed=4))
    for k in range(5):
        batch = make_batch(seed=k)
        learner.update(batch, make_noise(learner, seed=k))
        clone.update(batch, {})
    mine = learner.tensors()
    assert_equal({name: mine[name] for name in clone.tensors()}, clone.tensors())


def test_divided_by_the_normaliser_a_weight_knows_no_value(shaken, spaces, make_batch, make_noise):
    for cap, same in ((None, True), (0.1, False)):
        settings = {"weights": "exp", "advantage_cap": cap, "normaliser_samples": 4, "lam": 2.0}
        learners = [shaken(awac(spaces, value=value, **settings)) for value in ("sample", "mean")]
        batch, noise = make_batch(), make_noise(learners[0])
        one, other = (learner.update(batch, noise)["loss/policy"].item() for learner in learners)
        assert (one == pytest.approx(other, rel=1e-5)) == same


def test_binary_weights_have_nothing_to_normalise():
    with pytest.raises(ValidationError, match="binary weights have no"):
        AwacSettings(weights="binary", normaliser_samples=4)


def test_schedules_start_with_cloning_and_with_logged_returns(shaken, spaces, make_batch, make_noise):
    scheduled = shaken(awac(spaces, bc_updates=2, return_updates=1, lam=0.2))
    cloning = shaken(awac(spaces, bc_updates=0, lam=math.inf))
    batch, noise = make_batch(), make_noise(scheduled)
    q = scheduled._critic(scheduled._normaliser(batch.observations), batch.actions)
    expected = (q - batch.returns).square().mean(dim=1).sum()
    assert scheduled.update(batch, noise)["loss/critic"].item() == pytest.approx(expected.item(), rel=1e-5)
    cloning.update(batch, noise)
    assert torch.equal(scheduled._policy.head.weight, cloning._policy.head.weight)

    td_loss, _ = scheduled.update(batch, noise), cloning.update(batch, noise)
    assert torch.equal(scheduled._policy.head.weight, cloning._policy.head.weight)
    q = scheduled._critic(scheduled._normaliser(batch.observations), batch.actions)
    assert td_loss["loss/critic"].item() != pytest.approx((q - batch.returns).square().mean(1).sum().item())

    scheduled.update(batch, noise), cloning.update(batch, noise)
    assert not torch.equal(scheduled._policy.head.weight, cloning._policy.head.weight)
    assert scheduled.updates == 3


def test_targets_are_hard_copies_that_move_by_tau(spaces, make_batch, make_noise):
    learner = awac(spaces, tau=0.1, return_updates=1)
    before = copies(learner)
    name = "layers.0.weight"
    assert torch.equal(before[f"critic.{name}"], before[f"target_critic.{name}"])
    learner.update(make_batch(), make_noise(learner))
    after = learner.tensors()
    expected = 0.9 * before[f"critic.{name}"] + 0.1 * after[f"critic.{name}"]
    torch.testing.assert_close(after[f"target_critic.{name}"], expected)


def test_averaged_policy_acts(shaken, spaces, make_batch, make_noise):
    learner = shaken(awac(spaces, average=0.75))
    start = learner.tensors()["average.head.bias"].clone()
    learner.update(make_batch(), make_noise(learner))
    expected = 0.75 * start + 0.25 * learner._policy.head.bias.detach()
    np.testing.assert_allclose(learner.policy().arrays["mean.bias"], expected.numpy(), rtol=1e-5)


def test_the_horizon_of_the_average_grows_with_the_updates(shaken, spaces, make_batch, make_noise):
    learner = shaken(awac(spaces, average=0.5, average_share=1.0))
    expected = learner.tensors()["average.head.bias"].clone()
    for step in (0.5, 0.5, 1 / 3, 1 / 4):
        learner.update(make_batch(), make_noise(learner))
        expected += step * (learner._policy.head.bias.detach() - expected)
        torch.testing.assert_close(learner.tensors()["average.head.bias"], expected)


def test_a_horizon_needs_an_average():
    with pytest.raises(ValidationError, match="average must be above 0"):
        AwacSettings(average_share=0.1)


def test_weight_decay_leaves_log_std_alone(shaken, spaces, make_batch, make_noise):
    learners = [
        shaken(awac(spaces, optimiser=OptimiserSettings(weight_decay=decay))) for decay in (0.0, 100.0)
    ]
    for learner in learners:
        learner.update(make_batch(), make_noise(learner))
    light, heavy = (learner.tensors() for learner in learners)
    assert torch.equal(light["policy.free_log_std"], heavy["policy.free_log_std"])
    assert torch.equal(light["critic.layers.0.weight"], heavy["critic.layers.0.weight"])
    assert not torch.equal(light["adam.policy.exp_avg"], heavy["adam.policy.exp_avg"])


def test_target_actions_stay_in_the_box_unless_told_otherwise(shaken, spaces, make_batch):
    noise = {"next": torch.full((5, 2), 50.0)}
    inside = shaken(awac(spaces, reward_range=None))
    outside = shaken(awac(spaces, reward_range=None, clip_target_actions=False))
    bounded = {"next": torch.full((5, 2), 500.0)}
    targets = [
        [learner._target(make_batch(), far, learner._phase()) for far in (noise, bounded)]
        for learner in (inside, outside)
    ]
    assert torch.equal(*targets[0])
    assert not torch.equal(*targets[1])


def test_target_clamp_needs_the_rewards_range(spaces, make_batch, make_noise):
    batch = make_batch(rewards=torch.full((5,), 1e4))
    for learner, expected in (
        (awac(spaces), 0.0),
        (awac(spaces, reward_range=None), 1e4),
        (awac(spaces, clamp_target=False), 1e4),
    ):
        target = learner._target(batch, make_noise(learner), learner._phase())
        assert target.tolist() == pytest.approx([expected] * 5, abs=1)


def test_update_is_a_function_of_seed_and_data(spaces, make_batch, make_noise):
    learners = [awac(spaces, seed=3) for _ in range(2)]
    for learner in learners:
        for k in range(4):
            torch.rand(k + 1)
            learner.update(make_batch(seed=k), make_noise(learner, seed=k))
    assert_equal(learners[0].tensors(), learners[1].tensors())
    assert not torch.equal(
        learners[0]._critic.layers[0].weight, awac(spaces, seed=4)._critic.layers[0].weight
    )


def test_a_resumed_learner_never_stopped(spaces, make_batch, make_noise):
    settings = {"average": 0.9, "bc_updates": 2, "return_updates": 5, "tau": 0.05}
    settings |= {"average_share": 0.5, "policy_members": 2, "advantage_critic": "target"}
    settings["critic_weights"] = "importance"
    settings["optimiser"] = OptimiserSettings(decay_updates=6)
    learner, saved = awac(spaces, **settings), {}
    for k in range(8):
        if k == 4:
            saved = copies(learner)
        learner.update(make_batch(seed=k), make_noise(learner, seed=k))

    # Without statistics and from another seed: all that matters must come from the saved tensors.
    bare = Spaces(3, spaces.action_center, spaces.action_half, (np.zeros(3), np.ones(3)))
    resumed = awac(bare, seed=99, **settings)
    resumed.load({name: torch.from_numpy(tensor.numpy()) for name, tensor in saved.items()})
    assert resumed.updates == 4
    for k in range(4, 8):
        resumed.update(make_batch(seed=k), make_noise(resumed, seed=k))
    assert_equal(resumed.tensors(), learner.tensors())
    for name, array in learner.policy().arrays.items():
        np.testing.assert_array_equal(resumed.policy().arrays[name], array)


def test_scalars_may_come_back_as_arrays_of_one(spaces):
    learner = awac(spaces)
    learner.load(
        {name: tensor.clone().reshape(tensor.shape or (1,)) for name, tensor in learner.tensors().items()}
    )


def test_tensors_of_another_learner_are_refused_and_nothing_changes(spaces):
    learner = awac(spaces)
    before = copies(learner)
    other = awac(spaces, seed=1).tensors()
    del other["policy.head.bias"]
    with pytest.raises(CheckpointError, match=r"lacks `policy\.head\.bias`"):
        learner.load(other)
    wide = NETWORK.model_copy(update={"critic_hidden": (9,)})
    wider = Awac(AwacSettings(network=wide), Setup(spaces, seed=1))
    with pytest.raises(CheckpointError, match=r"\(2, 5, 9\), expected \(2, 5, 8\)"):
        learner.load(wider.tensors())
    assert_equal(learner.tensors(), before)


def test_noise_shapes(spaces):
    assert awac(spaces).noise_shapes(7) == {"next": (7, 2)}
    assert awac(spaces, normaliser_samples=3).noise_shapes(7) == {"next": (7, 2), "normaliser": (3, 7, 2)}
    assert awac(spaces, value="sample", value_samples=4).noise_shapes(7) == {
        "next": (7, 2),
        "value": (2, 7, 2),
    }
    assert awac(spaces, value="sample", value_samples=3).noise_shapes(7)["value"] == (3, 7, 2)


def test_diagnose_changes_nothing_and_names_what_it_sees(shaken, spaces, make_batch, make_noise):
    learner = shaken(awac(spaces, bc_updates=1, weights="exp", advantage_cap=None, max_weight=1.0))
    batch, noise = make_batch(), make_noise(learner)
    assert "policy/kl_bc" not in learner.diagnose(batch, noise)
    learner.update(batch, noise)
    before = copies(learner)
    found = learner.diagnose(batch, noise)
    assert_equal(learner.tensors(), before)
    assert found["policy/kl_bc"] == 0
    assert found["batch/offline_share"] == pytest.approx(0.6)
    assert found["weights/max"] == 1
    assert 0 < found["weights/capped"] < 1
    assert 0.2 <= found["weights/ess"] <= 1
    assert 0 <= found["q/range_share"] <= 1
    assert found["q/min"] < found["q/mean"] < found["q/max"]
    spread = found.pop("policy/std")
    assert (min(spread), max(spread)) == (found["policy/std_min"], found["policy/std_max"])
    assert all(isinstance(value, float) for value in found.values())
    values = learner.state_values(batch.observations)
    assert values.shape == batch.rewards.shape
    learner.update(batch, noise)
    assert learner.diagnose(batch, noise)["policy/kl_bc"] > 0


def test_range_share_counts_from_zero_to_the_farthest_value(spaces, make_batch, make_noise):
    learner = awac(spaces)
    batch, noise = make_batch(), make_noise(learner)
    assert learner.diagnose(batch, noise)["q/range_share"] == pytest.approx(0, abs=1e-3)
    learner.tensors()["critic.layers.2.bias"].fill_(-40.0)
    assert learner.diagnose(batch, noise)["q/range_share"] == pytest.approx(0.4, abs=1e-3)
