"""Learners from their names, and a one-step task whose optimum is known."""

import numpy as np
import pytest
import torch

from awaccli.algorithms.awac import Awac
from awaccli.algorithms.bc import BehaviourCloning
from awaccli.algorithms.make import ObservationStatistics, make_learner
from awaccli.config.algorithms import ALGORITHMS, section_of
from awaccli.config.section import NetworkSettings, OptimiserSettings
from awaccli.config.settings import AwacSettings, BcSettings
from awaccli.config.tree import Settings
from awaccli.errors import UsageError

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
    return made(algo, settings)


def made(algo, settings):
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


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_whatever_learns_at_the_policys_rate_learns_at_a_falling_one(algo):
    section, falling = section_of(algo), OptimiserSettings(policy_lr=3e-3, critic_lr=2e-3, decay_updates=7)
    settings = Settings()
    own = getattr(settings, section).model_copy(update={"optimiser": falling})
    one = made(algo, settings.model_copy(update={section: own}))
    groups = one._optimiser._groups.values()
    assert {group.decay_steps for group in groups if group.lr == 3e-3} == {7}
    assert {group.decay_steps for group in groups if group.lr != 3e-3} <= {0}


def test_unknown_name_gets_a_suggestion():
    with pytest.raises(UsageError, match="no algorithm `td3`") as error:
        learner("td3")
    assert error.value.hint == "did you mean `td3bc`?"


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


def test_bc_resumes_exactly(bandit):
    task, first = bandit(), learner("bc")
    for k in range(3):
        first.update(task.batch(k), {})
    second = learner("bc")
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()})
    for one in (first, second):
        one.update(task.batch(9), {})
    assert all(torch.equal(tensor, second.tensors()[name]) for name, tensor in first.tensors().items())


def test_an_averaged_clone_trails_the_plain_one(bandit):
    task = bandit()
    plain = learner("bc")
    averaged = learner("bc", average=0.75)
    expected = plain.tensors()["policy.head.bias"].clone()
    for k in range(3):
        for one in (plain, averaged):
            one.update(task.batch(k), {})
        expected.lerp_(plain.tensors()["policy.head.bias"], 0.25)
    assert averaged.policy().arrays["mean.bias"] == pytest.approx(expected.numpy(), rel=1e-6)
    assert torch.equal(averaged.tensors()["policy.head.bias"], plain.tensors()["policy.head.bias"])


def test_awac_beats_cloning_and_shuffled_rewards_do_not(bandit, make_noise):
    def regret(trained, **changes):
        task = bandit(**changes)
        return task.regret(task.train(trained, make_noise))

    clone = regret(learner("bc"))
    weighted = regret(learner("awac", lam=0.03))
    shuffled = regret(learner("awac", lam=0.03), shuffled=True)
    assert clone == pytest.approx(0.4**2, abs=0.05)  # the mean of the data is 0.8 * 0.5 too low
    assert weighted < 0.25 * clone
    assert shuffled > 0.5 * clone
