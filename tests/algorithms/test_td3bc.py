"""TD3+BC's losses once more in float64, by loops over rows; its rests, its limit and its normaliser."""

import numpy as np
import pytest
import torch

from awaccli.algorithms.learner import Setup
from awaccli.algorithms.td3bc import Td3Bc
from awaccli.config.baselines import Td3BcSettings
from awaccli.config.section import NetworkSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.1, normalize_observations=True
)


def td3bc(spaces, **settings):
    return Td3Bc(Td3BcSettings(**{"network": NETWORK, "policy_every": 1} | settings), Setup(spaces, seed=0))


def reference_losses(known, *, q_weight):
    squared, values, errors = 0.0, [], []
    for i in range(known.size):
        here, there = known.here(i), known.there(i)
        disturbance = np.clip(0.2 * known.draws["next"][i], -0.5, 0.5)
        action = np.clip(np.tanh(known.head("target_policy", there)) + disturbance, -1, 1)
        value = min(known.q("target_critic", there, action))
        target = known.rows["rewards"][i] + known.rows["bootstraps"][i] * value
        logged = known.rows["actions"][i]
        squared += sum((one - target) ** 2 for one in known.q("critic", here, logged)) / known.size
        action = np.tanh(known.head("policy", here))
        values.append(known.q("critic", here, action)[0])
        errors.append(((action - logged) ** 2).mean())
    return np.mean(errors) - q_weight / np.mean(np.abs(values)) * np.mean(values), squared


@pytest.mark.parametrize("q_weight", [0.0, 2.5])
def test_losses_are_those_of_the_reference(spaces, shaken, make_batch, make_noise, reference, q_weight):
    learner = shaken(td3bc(spaces, q_weight=q_weight))
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    noise = make_noise(learner)
    noise["next"][0, 0] = 4.0  # is clipped
    policy, critic = reference_losses(reference(learner, batch, noise), q_weight=q_weight)
    found = learner.update(batch, noise)
    assert found["loss/policy"].item() == pytest.approx(policy, rel=1e-4)
    assert found["loss/critic"].item() == pytest.approx(critic, rel=1e-4)


def test_the_policy_learns_every_second_update(spaces, shaken, make_batch, make_noise):
    learner = shaken(td3bc(spaces, policy_every=2))
    moved = []
    for number in range(4):
        before = {name: tensor.clone() for name, tensor in learner.tensors().items()}
        learner.update(make_batch(seed=number), make_noise(learner, seed=number))
        changed = [
            name for name, tensor in learner.tensors().items() if not torch.equal(tensor, before[name])
        ]
        moved.append({name.split(".")[0] for name in changed} - {"adam"})
        assert any(name.startswith("adam.policy") for name in changed) == (number % 2 == 1)
    critics = {"updates", "critic", "target_critic"}
    assert moved[2] == critics | {"target_policy"}  # which still follows
    assert moved[1] == moved[3] == critics | {"policy", "target_policy"}


def test_exploration_is_a_setting_and_is_not_learned(spaces, shaken, make_batch, make_noise):
    learner = shaken(td3bc(spaces))
    for number in range(3):
        learner.update(make_batch(seed=number), make_noise(learner, seed=number))
    assert np.exp(learner.policy().arrays["log_std"]) == pytest.approx([0.1, 0.1], rel=1e-5)


def test_the_policys_loss_leaves_the_critics_alone(spaces, shaken, make_batch, make_noise):
    learners = [shaken(td3bc(spaces, q_weight=weight)) for weight in (0.0, 5.0)]
    for learner in learners:
        learner.update(make_batch(), make_noise(learner))
    one, two = (learner.tensors() for learner in learners)
    assert torch.equal(one["critic.layers.0.weight"], two["critic.layers.0.weight"])
    assert not torch.equal(one["policy.head.weight"], two["policy.head.weight"])


def test_the_scale_of_rewards_does_not_matter(spaces, shaken, make_batch, make_noise):
    """Only it can: values count by their share of their mean size, so ten times the values change nothing."""
    plain, scaled = (shaken(td3bc(spaces)) for _ in range(2))
    for layer in ("weight", "bias"):
        scaled.tensors()[f"critic.layers.2.{layer}"].mul_(10)
    losses = [learner.update(make_batch(), make_noise(learner)) for learner in (plain, scaled)]
    assert losses[0]["loss/policy"].item() == pytest.approx(losses[1]["loss/policy"].item(), rel=1e-5)
    one, two = (learner.tensors()["policy.head.weight"] for learner in (plain, scaled))
    torch.testing.assert_close(one, two)


def test_without_values_it_clones_and_with_some_it_beats_the_clone(bandit, make_noise):
    shared, task = {"network": bandit.network, "optimiser": bandit.optimiser}, bandit()

    def regret(q_weight):
        learner = Td3Bc(Td3BcSettings(q_weight=q_weight, **shared), Setup(bandit.spaces, seed=0))
        return task.regret(task.train(learner, make_noise))

    clone = regret(0.0)
    assert clone == pytest.approx(0.4**2, abs=0.05)  # the mean of the data is 0.8 * 0.5 too low
    assert regret(0.1) < 0.5 * clone


def test_it_resumes_to_the_same_bits(spaces, assert_resumes):
    assert_resumes(lambda: td3bc(spaces, policy_every=2))
