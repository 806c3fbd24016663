"""A control of AWAC: the same weights on other actions must be worth no more than cloning."""

import pytest
import torch

from awaccli.algorithms.awac import Awac
from awaccli.algorithms.learner import Setup
from awaccli.config.section import NetworkSettings
from awaccli.config.settings import AwacSettings

NETWORK = NetworkSettings(policy_hidden=(8,), critic_hidden=(8,), initial_std=0.3)


def awac(spaces, **settings):
    settings = {"network": NETWORK, "lam": 0.5} | settings
    return Awac(AwacSettings(**settings), Setup(spaces, seed=0, reward_range=(-4.0, 0.0)))


def weights(learner, batch, noise):
    observations = learner._normaliser(batch.observations)
    q, mean = learner._critic(observations, batch.actions), learner._policy.mean(observations)
    return learner._weights(learner._advantage(observations, q, mean, noise))


@pytest.mark.parametrize("value", ["mean", "sample"])
def test_the_weights_are_a_permutation_that_the_noise_decides(spaces, shaken, make_batch, make_noise, value):
    plain, shuffled = (
        shaken(awac(spaces, value=value, shuffle_advantages=control)) for control in (False, True)
    )
    batch, noise = make_batch(9), make_noise(shuffled, 9)
    assert plain.noise_shapes(9).items() < shuffled.noise_shapes(9).items()
    expected, found = weights(plain, batch, noise), weights(shuffled, batch, noise)
    assert torch.equal(found, expected[noise["shuffle"].argsort()])
    assert not torch.equal(found, expected)
    assert len(expected.unique()) == 9
    seen, control = (learner.diagnose(batch, noise) for learner in (plain, shuffled))
    assert control["weights/ess"] == pytest.approx(seen["weights/ess"])
    assert control["weights/max"] == seen["weights/max"]

    losses = [learner.update(batch, noise) for learner in (plain, shuffled)]
    assert torch.equal(losses[0]["loss/critic"], losses[1]["loss/critic"])
    assert not torch.equal(losses[0]["loss/policy"], losses[1]["loss/policy"])


def test_shuffled_it_does_no_better_than_cloning(bandit, make_noise):
    settings = {"network": bandit.network, "optimiser": bandit.optimiser, "lam": 0.03}
    learner = awac(bandit.spaces, **settings, shuffle_advantages=True)
    task = bandit()
    assert task.regret(task.train(learner, make_noise)) > 0.8 * 0.4**2  # a clone is 0.8 * 0.5 too low
