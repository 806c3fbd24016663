"""Learners from their names, and a one-step task whose optimum is known."""

import numpy as np
import pytest
import torch

from awaccli.algorithms.awac import Awac
from awaccli.algorithms.bc import BehaviourCloning
from awaccli.algorithms.make import ObservationStatistics, make_learner
from awaccli.config.settings import AwacSettings, BcSettings, NetworkSettings, OptimiserSettings, Settings
from awaccli.errors import UsageError
from awaccli.protocols import Batch

NETWORK = NetworkSettings(
    policy_hidden=(32,), critic_hidden=(32, 32), initial_std=0.3, normalize_observations=True
)
OPTIMISER = OptimiserSettings(policy_lr=3e-3, critic_lr=3e-3, weight_decay=0)
STATISTICS = ObservationStatistics(np.zeros(2), np.full(2, 0.58), -np.ones(2), np.ones(2))


def learner(algo, **changes):
    """Make a learner; ``changes`` are settings of its own section."""
    shared = {"network": NETWORK, "optimiser": OPTIMISER}
    section = AwacSettings if algo == "awac" else BcSettings
    settings = Settings(bc=BcSettings(**shared), awac=AwacSettings(**shared))
    if changes:
        settings = settings.model_copy(update={algo: section(**shared, **changes)})
    return make_learner(
        algo,
        settings,
        observation_dim=2,
        action_dim=1,
        observation_statistics=STATISTICS,
        action_center=np.zeros(1),
        action_half=np.ones(1),
        reward_range=(-4.0, 0.0),
        seed=0,
    )


def test_learners_by_name():
    assert isinstance(learner("awac"), Awac)
    assert isinstance(learner("bc"), BehaviourCloning)
    assert learner("bc").policy().arrays["observation.scale"] == pytest.approx([0.58, 0.58])
    assert learner("bc").noise_shapes(3) == {}


def test_unknown_name_gets_a_suggestion():
    with pytest.raises(UsageError, match="no algorithm `awca`") as error:
        learner("awca")
    assert error.value.hint == "did you mean `awac`?"


def test_statistics_may_follow_with_the_checkpoint():
    saved = learner("bc").tensors()
    fresh = make_learner(
        "bc",
        Settings(bc=BcSettings(network=NETWORK)),
        observation_dim=2,
        action_dim=1,
        observation_statistics=None,
        action_center=np.zeros(1),
        action_half=np.ones(1),
        reward_range=None,
        seed=1,
    )
    fresh.load(saved)
    arrays = fresh.policy().arrays
    assert arrays["observation.scale"] == pytest.approx([0.58, 0.58])
    assert arrays["observation.clip"] == 5


def test_bc_resumes_exactly():
    data, first = logged_bandit(), learner("bc")
    for k in range(3):
        first.update(minibatch(data, k), {})
    second = learner("bc")
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()})
    for one in (first, second):
        one.update(minibatch(data, 9), {})
    assert all(torch.equal(tensor, second.tensors()[name]) for name, tensor in first.tensors().items())


def test_an_averaged_clone_trails_the_plain_one():
    data = logged_bandit()
    plain = learner("bc")
    averaged = learner("bc", average=0.75)
    expected = plain.tensors()["policy.head.bias"].clone()
    for k in range(3):
        for one in (plain, averaged):
            one.update(minibatch(data, k), {})
        expected.lerp_(plain.tensors()["policy.head.bias"], 0.25)
    assert averaged.policy().arrays["mean.bias"] == pytest.approx(expected.numpy(), rel=1e-6)
    assert torch.equal(averaged.tensors()["policy.head.bias"], plain.tensors()["policy.head.bias"])


def best_action(states):
    return 0.6 * np.tanh(2 * states[:, :1] - states[:, 1:])


def logged_bandit(shuffled=False, rows=2000):
    """One-step episodes: a fifth near the best action, the rest half a box too low; reward -(distance^2)."""
    rng = np.random.default_rng(0)
    states = rng.uniform(-1, 1, (rows, 2))
    good = rng.random((rows, 1)) < 0.2
    noise = rng.normal(0, 0.1, (rows, 1))
    actions = np.clip(best_action(states) + np.where(good, 0, -0.5) + noise, -1, 1)
    rewards = -np.square(actions - best_action(states))[:, 0]
    if shuffled:
        rewards = rng.permutation(rewards)
    return states.astype(np.float32), actions.astype(np.float32), rewards.astype(np.float32)


def minibatch(data, k, size=128):
    picked = np.random.default_rng((1, k)).integers(len(data[0]), size=size)
    states, actions, rewards = (torch.from_numpy(column[picked]) for column in data)
    zeros = torch.zeros(size)
    return Batch(states, actions, rewards, zeros, states, rewards, zeros == 0)


def regret(trained, data, updates=250):
    """Mean squared distance of the learned mean from the best action on unseen states."""
    for k in range(updates):
        rng = np.random.default_rng((2, k))
        noise = {
            name: torch.from_numpy(rng.standard_normal(shape).astype(np.float32))
            for name, shape in trained.noise_shapes(128).items()
        }
        trained.update(minibatch(data, k), noise)
    states = np.random.default_rng(3).uniform(-1, 1, (500, 2)).astype(np.float32)
    with torch.no_grad():
        actions = trained._policy.mean(trained._normaliser(torch.from_numpy(states))).numpy()
    return float(np.square(actions - best_action(states)).mean())


def test_awac_beats_cloning_and_shuffled_rewards_do_not():
    clone = regret(learner("bc"), logged_bandit())
    weighted = regret(learner("awac", lam=0.03), logged_bandit())
    shuffled = regret(learner("awac", lam=0.03), logged_bandit(shuffled=True))
    assert clone == pytest.approx(0.4**2, abs=0.05)  # the mean of the data is 0.8 * 0.5 too low
    assert weighted < 0.25 * clone
    assert shuffled > 0.5 * clone
