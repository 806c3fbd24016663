"""AWR's losses once more in float64, by loops over rows; whose returns they are of."""

import math

import numpy as np
import pytest
import torch

from awaccli.algorithms.awr import Awr
from awaccli.algorithms.learner import Setup
from awaccli.config.baselines import AwrSettings
from awaccli.config.section import NetworkSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.3, normalize_observations=True
)


def awr(spaces, **settings):
    return Awr(AwrSettings(network=NETWORK, **settings), Setup(spaces, seed=0, reward_range=(-1.0, 0.0)))


def reference_losses(known, *, lam, max_weight):
    rows, std = known.rows, known.std()
    advantages = np.array(
        [rows["returns"][i] - known.value("value", known.here(i)) for i in range(known.size)]
    )
    standardised = (advantages - advantages.mean()) / advantages.std()
    weights = np.minimum(np.exp(standardised / lam), max_weight)
    policy = []
    for i in range(known.size):
        mean = np.tanh(known.head("policy", known.here(i)))
        density = np.exp(-0.5 * ((rows["actions"][i] - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
        policy.append(-weights[i] * np.log(density).sum())
    return np.mean(policy), np.mean(advantages**2)


@pytest.mark.parametrize(("lam", "max_weight"), [(0.7, 1.5), (1.0, 20.0)])
def test_losses_are_those_of_the_reference(spaces, shaken, make_batch, reference, lam, max_weight):
    learner = shaken(awr(spaces, lam=lam, max_weight=max_weight))
    batch = make_batch()
    policy, value = reference_losses(reference(learner, batch, {}), lam=lam, max_weight=max_weight)
    found = learner.update(batch, {})
    assert found["loss/policy"].item() == pytest.approx(policy, rel=1e-4)
    assert found["loss/value"].item() == pytest.approx(value, rel=1e-4)


def test_it_learns_from_returns_and_from_nothing_that_bootstraps(spaces, shaken, make_batch):
    batch = make_batch()
    changed = {
        "rewards": batch.rewards - 1,
        "bootstraps": 0 * batch.bootstraps,
        "next_observations": -batch.next_observations,
    }
    learners = [shaken(awr(spaces)) for _ in range(3)]
    batches = batch, make_batch(**changed), make_batch(returns=batch.returns * torch.arange(5))
    for learner, its_batch in zip(learners, batches, strict=True):
        learner.update(its_batch, {})
    first, same, other = (learner.tensors() for learner in learners)
    for name in ("value.layers.0.weight", "policy.layers.0.weight"):
        assert torch.equal(first[name], same[name])
        assert not torch.equal(first[name], other[name])


def test_weights_know_neither_the_scale_nor_the_level_of_returns(spaces):
    advantage = torch.tensor([-3.0, 0.5, 1.0, 7.0])
    learner = awr(spaces)
    torch.testing.assert_close(learner._weights(advantage), learner._weights(40 * advantage - 100))
    assert awr(spaces, max_weight=2.0)._weights(advantage).max().item() == pytest.approx(2.0)
    assert awr(spaces, lam="inf")._weights(advantage).tolist() == [1, 1, 1, 1]


def test_the_policys_loss_leaves_the_value_alone(spaces, shaken, make_batch):
    cold, warm = (shaken(awr(spaces, lam=lam)) for lam in (0.1, 10.0))
    for learner in (cold, warm):
        learner.update(make_batch(), {})
    one, two = cold.tensors(), warm.tensors()
    assert torch.equal(one["value.layers.0.weight"], two["value.layers.0.weight"])
    assert not torch.equal(one["policy.head.weight"], two["policy.head.weight"])


def test_it_beats_cloning_on_the_bandit(bandit, make_noise):
    def regret(lam):
        settings = AwrSettings(network=bandit.network, optimiser=bandit.optimiser, lam=lam)
        return task.regret(task.train(Awr(settings, Setup(bandit.spaces, seed=0)), make_noise))

    task = bandit()
    clone, weighted = regret(math.inf), regret(0.3)
    assert clone == pytest.approx(0.4**2, abs=0.05)
    assert weighted < 0.25 * clone


def test_it_resumes_to_the_same_bits_and_diagnoses_without_a_trace(spaces, make_batch):
    whole, resumed = awr(spaces), awr(spaces)
    for number in range(4):
        if number == 2:
            resumed.load({name: tensor.clone() for name, tensor in whole.tensors().items()})
        whole.update(make_batch(seed=number), {})
    for number in (2, 3):
        found = resumed.diagnose(make_batch(), {})
        resumed.update(make_batch(seed=number), {})
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name
    assert {"weights/ess", "q/return_share", "policy/nll", "advantage/std"} <= found.keys()
    assert whole.state_values(make_batch().observations).shape == (5,)
