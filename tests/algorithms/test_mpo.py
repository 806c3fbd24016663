"""MPO's losses once more in float64, by loops over rows; its limits; the temperature as a dual."""

import math

import numpy as np
import pytest
import torch

from awaccli.algorithms.learner import Setup
from awaccli.algorithms.mpo import Dual, Mpo, temperature_loss
from awaccli.config.baselines import MpoSettings
from awaccli.config.section import NetworkSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.3, normalize_observations=True
)


def mpo(spaces, **settings):
    settings = {"bc_updates": 0, "samples": 3} | settings
    return Mpo(MpoSettings(network=NETWORK, **settings), Setup(spaces, seed=0))


def log_normal(action, mean, std):
    return np.log(np.exp(-0.5 * ((action - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))).sum()


def kl(mean, std, other_mean, other_std):
    ratio = (std / other_std) ** 2
    return 0.5 * (ratio - 1 - np.log(ratio) + ((mean - other_mean) / other_std) ** 2).sum()


def reference_losses(known, settings):
    """Temperature 1, multipliers 10 and 1000: those of the first update."""
    std, old_std = known.std("policy"), known.std("target_policy")
    policy, squared, duals, moved, spread = [], [], [], [], []
    for i in range(known.size):
        here, there = known.here(i), known.there(i)
        old_mean, mean = (np.tanh(known.head(name, here)) for name in ("target_policy", "policy"))
        drawn = [old_mean + old_std * draw[i] for draw in known.draws["samples"]]
        values = np.array([min(known.q("target_critic", here, np.clip(a, -1, 1))) for a in drawn])
        weights = np.exp(values) / np.exp(values).sum()
        fits = [log_normal(a, mean, old_std) + log_normal(a, old_mean, std) for a in drawn]
        moved.append(kl(old_mean, old_std, mean, old_std))
        spread.append(kl(old_mean, old_std, old_mean, std))
        policy.append(-(weights * fits).sum() + 10 * moved[-1] + 1000 * spread[-1])
        duals.append(np.log(np.exp(values).mean()))
        next_action = np.tanh(known.head("target_policy", there)) + old_std * known.draws["next"][i]
        next_value = min(known.q("target_critic", there, np.clip(next_action, -1, 1)))
        target = known.rows["rewards"][i] + known.rows["bootstraps"][i] * next_value
        squared.append(sum((one - target) ** 2 for one in known.q("critic", here, known.rows["actions"][i])))
    over_mean, over_std = np.mean(moved) - settings.mean_limit, np.mean(spread) - settings.std_limit
    return {
        "loss/policy": np.mean(policy),
        "loss/critic": np.mean(squared),
        "loss/temperature": settings.kl_limit + np.mean(duals),
        "loss/multipliers": -10 * over_mean - 1000 * over_std,
    }


def test_losses_are_those_of_the_reference(spaces, shaken, make_batch, make_noise, reference):
    learner = shaken(mpo(spaces, kl_limit=0.2, mean_limit=0.3, std_limit=0.4))
    learner._target_policy.free_log_std.data.add_(0.3)
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    noise = make_noise(learner)
    expected = reference_losses(reference(learner, batch, noise), learner._settings)
    found = learner.update(batch, noise)
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, rel=1e-4), name


def test_the_step_respects_its_limits(bandit, make_noise):
    def divergences(**limits):
        fast = bandit.optimiser.model_copy(update={"policy_lr": 5e-3})
        settings = MpoSettings(
            network=bandit.network,
            optimiser=fast,
            bc_updates=0,
            target_period=10,
            samples=8,
            dual_lr=10.0,
            **limits,
        )
        learner, task, found = Mpo(settings, Setup(bandit.spaces, seed=0)), bandit(everywhere=True), []
        for number in range(200):
            batch, noise = task.batch(number, size=64), make_noise(learner, size=64, seed=number)
            losses = learner.update(batch, noise)
            found.append([losses[f"policy/kl_{of}"].item() for of in ("mean", "std")])
        return np.mean(found[100:], axis=0)

    loose_mean, loose_std = divergences(mean_limit=10.0, std_limit=10.0)
    mean, std = divergences(mean_limit=1e-4, std_limit=1e-6)
    assert mean < 2e-4 < 0.2 * loose_mean
    assert std < 2e-6 < 0.1 * loose_std


def test_a_multiplier_does_not_run_away_while_its_limit_is_exceeded():
    dual = Dual(10.0)
    adam = torch.optim.Adam(dual.parameters(), lr=1e-2)
    for number in range(1500):
        excess = 0.0 if number < 1000 else 1.0  # nothing while cloning, as in Mpo
        adam.zero_grad()
        (-dual() * excess).backward()
        adam.step()
    assert 14 < dual().item() < 30


def test_at_the_best_temperature_the_weights_are_the_limit_away_from_uniform():
    q = torch.from_numpy(np.random.default_rng(0).normal(-40, 3, (50, 7)))
    log_temperature = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for _ in range(300):
        loss = temperature_loss(q, log_temperature.exp().squeeze(), 0.1)
        (slope,) = torch.autograd.grad(loss, log_temperature)
        log_temperature = (log_temperature - 0.5 * slope).detach().requires_grad_()
    weights = torch.softmax(q / log_temperature.exp(), dim=0)
    divergence = (weights * (weights * len(q)).log()).sum(dim=0).mean()
    assert divergence.item() == pytest.approx(0.1, rel=1e-3)


def test_while_it_clones_it_has_no_limits_and_then_it_starts_from_the_clone(
    spaces, shaken, make_batch, make_noise
):
    learner = shaken(mpo(spaces, bc_updates=2, target_period=100))
    batch, noise = make_batch(), make_noise(learner)
    mean, log_std = learner._policy.mean(learner._normaliser(batch.observations)), learner._policy.log_std()
    log_prob = torch.distributions.Normal(mean, log_std.exp()).log_prob(batch.actions).sum(dim=1)
    first = learner.update(batch, noise)
    assert first["loss/policy"].item() == pytest.approx(-log_prob.mean().item(), rel=1e-5)
    assert first["loss/multipliers"] == 0
    assert learner._duals["mean_multiplier"]().item() == pytest.approx(10)
    assert not torch.equal(learner._target_policy.head.weight, learner._policy.head.weight)
    learner.update(batch, noise)
    assert torch.equal(learner._target_policy.head.weight, learner._policy.head.weight)
    third = learner.update(batch, noise)
    assert third.keys() == first.keys()
    assert third["loss/multipliers"] != 0


def test_the_copy_is_renewed_once_in_a_period(spaces, make_batch, make_noise):
    learner, same = mpo(spaces, target_period=3), []
    for number in range(6):
        learner.update(make_batch(seed=number), make_noise(learner, seed=number))
        same.append(torch.equal(learner._target_policy.head.weight, learner._policy.head.weight))
    assert same == [False, False, True, False, False, True]


def test_each_loss_reaches_only_its_own_networks(spaces, shaken, make_batch, make_noise):
    # Rewards enter the critics' loss alone; the limit of the weights that of the temperature alone.
    batch = make_batch(32)
    base, rewarded, limited = (shaken(mpo(spaces, kl_limit=limit)) for limit in (0.1, 0.1, 5.0))
    for learner, rewards in ((base, batch.rewards), (rewarded, batch.rewards - 1), (limited, batch.rewards)):
        learner.update(make_batch(32, rewards=rewards), make_noise(learner, 32))
    gradients = [
        {
            "critic": learner._critic.layers[0].weight.grad,
            "policy": learner._policy.head.weight.grad,
            "temperature": learner._duals["temperature"].raw.grad,
            "multiplier": learner._duals["mean_multiplier"].raw.grad,
        }
        for learner in (base, rewarded, limited)
    ]
    for other, changed in ((gradients[1], "critic"), (gradients[2], "temperature")):
        for name, gradient in gradients[0].items():
            assert torch.equal(gradient, other[name]) is (name != changed), (name, changed)


def test_flat_values_leave_a_temperature_that_can_be_divided_by(spaces, make_batch, make_noise):
    learner = mpo(spaces, dual_lr=3.0)
    for name, tensor in learner.tensors().items():
        if "critic" in name:
            tensor.zero_()
    raw = learner.tensors()["temperature.raw"]
    raw.fill_(-17.9)
    for number in range(20):
        learner.update(make_batch(rewards=torch.zeros(5)), make_noise(learner, seed=number))
    assert raw.item() == -18
    assert all(torch.isfinite(tensor).all() for tensor in learner.tensors().values())


def test_it_finds_the_best_action_where_there_are_data_everywhere(bandit, make_noise):
    fast = bandit.optimiser.model_copy(update={"policy_lr": 5e-3})
    settings = {"bc_updates": 0, "target_period": 10, "samples": 5, "dual_lr": 0.1}
    learner = Mpo(
        MpoSettings(network=bandit.network, optimiser=fast, **settings), Setup(bandit.spaces, seed=0)
    )
    task = bandit(everywhere=True)
    before = task.regret(learner)
    assert task.regret(task.train(learner, make_noise, updates=150)) < 0.2 * before


def test_it_resumes_to_the_same_bits_and_diagnoses_without_a_trace(spaces, make_batch, make_noise):
    settings = {"bc_updates": 1, "target_period": 3}
    whole, resumed = mpo(spaces, **settings), mpo(spaces, **settings)
    for number in range(5):
        if number == 2:
            resumed.load({name: tensor.clone() for name, tensor in whole.tensors().items()})
        whole.update(make_batch(seed=number), make_noise(whole, seed=number))
    for number in (2, 3, 4):
        found = resumed.diagnose(make_batch(), make_noise(resumed))
        resumed.update(make_batch(seed=number), make_noise(resumed, seed=number))
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name
    assert {"weights/ess", "mean_multiplier", "policy/nll", "temperature", "q/td_error"} <= found.keys()
    assert 1 / 3 <= found["weights/ess"] < 1.001
    assert whole.state_values(make_batch().observations).shape == (5,)
