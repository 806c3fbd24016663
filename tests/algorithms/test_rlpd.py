"""RLPD: the target of a random few, the mean that the policy climbs, and critics that stay in bounds."""

import numpy as np
import pytest
import torch

from awaccli.algorithms.learner import Setup
from awaccli.algorithms.rlpd import Rlpd
from awaccli.algorithms.sac import Sac
from awaccli.config.baselines import RlpdSettings, SacSettings
from awaccli.config.section import NetworkSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.5, normalize_observations=True, layer_norm=True
)
CRITICS = 5


def rlpd(spaces, **settings):
    given = {"network": NETWORK, "critics": CRITICS, "initial_temperature": 0.4} | settings
    return Rlpd(RlpdSettings(**given), Setup(spaces, seed=0))


def values(known, prefix, observation, action):
    """One hidden layer with LayerNorm, a critic at a time."""
    w, found = known.weights, []
    for member in range(CRITICS):
        hidden = np.concatenate([observation, action]) @ w[f"{prefix}.layers.0.weight"][member]
        hidden = hidden + w[f"{prefix}.layers.0.bias"][member, 0]
        hidden = (hidden - hidden.mean()) / np.sqrt(hidden.var() + 1e-5)
        hidden = hidden * w[f"{prefix}.layers.1.gain"][member, 0] + w[f"{prefix}.layers.1.shift"][member, 0]
        q = np.maximum(hidden, 0) @ w[f"{prefix}.layers.3.weight"][member]
        found.append((q + w[f"{prefix}.layers.3.bias"][member, 0])[0])
    return np.array(found)


def reference_losses(known, *, trusted):
    def acted(observation, draw):
        share = 1 / (1 + np.exp(known.head("policy", observation, "std_head")))
        mean, std = known.head("policy", observation), np.exp(NETWORK.min_log_std * share)
        raw = mean + std * draw
        normal = np.exp(-0.5 * draw**2) / (std * np.sqrt(2 * np.pi))
        return np.tanh(raw), np.log(normal / (1 - np.tanh(raw) ** 2)).sum()

    largest = np.argsort(known.draws["critics"])[-trusted:]
    squared, policy_losses = 0.0, []
    for i in range(known.size):
        here, there = known.here(i), known.there(i)
        action, _ = acted(there, known.draws["next"][i])
        value = values(known, "target_critic", there, action)[largest].min()
        target = known.rows["rewards"][i] + known.rows["bootstraps"][i] * value
        logged = values(known, "critic", here, known.rows["actions"][i])
        squared += ((logged - target) ** 2).sum() / known.size
        action, density = acted(here, known.draws["here"][i])
        policy_losses.append(0.4 * density - values(known, "critic", here, action).mean())
    return np.mean(policy_losses), squared


@pytest.mark.parametrize("trusted", [1, 2, CRITICS])
def test_losses_are_those_of_the_reference(spaces, shaken, make_batch, make_noise, reference, trusted):
    learner = shaken(rlpd(spaces, target_critics=trusted))
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    noise = make_noise(learner)
    policy, critic = reference_losses(reference(learner, batch, noise), trusted=trusted)
    found = learner.update(batch, noise)
    assert found["loss/policy"].item() == pytest.approx(policy, rel=1e-4)
    assert found["loss/critic"].item() == pytest.approx(critic, rel=1e-4)


def test_every_pair_of_critics_makes_the_target_at_times(spaces, shaken, make_batch, make_noise):
    learner = shaken(rlpd(spaces, optimiser={"policy_lr": 1e-12, "critic_lr": 1e-12}, tau=1e-12))
    found = {
        round(learner.update(make_batch(), make_noise(learner) | {"critics": draw})["loss/critic"].item(), 4)
        for draw in torch.randn(200, CRITICS, generator=torch.Generator().manual_seed(0))
    }
    assert 4 <= len(found) <= 10  # of ten pairs; some have the same smallest value


def test_critics_do_not_run_away_outside_the_data(bandit, make_noise):
    """Only it can: with LayerNorm values far outside of the data are bounded by the last layer's weights."""
    shared = {"optimiser": bandit.optimiser}
    norm = bandit.network.model_copy(update={"layer_norm": True})
    setup = Setup(bandit.spaces, seed=0)
    plain = Sac(SacSettings(network=bandit.network, **shared), setup)
    bounded = Rlpd(RlpdSettings(network=norm, critics=3, **shared), setup)
    far, farther = {}, {}
    for learner in (plain, bounded):
        bandit().train(learner, make_noise, updates=100)
        for found, distance in ((far, 10), (farther, 1000)):
            actions = torch.full((50, 1), float(distance))
            with torch.no_grad():
                found[learner] = learner._critic(torch.zeros(50, 2), actions).abs().max().item()
    assert farther[plain] > 50 * far[plain]
    assert farther[bounded] < 2 * far[bounded]


def test_it_finds_the_best_action_where_there_are_data_everywhere(bandit, make_noise):
    network = bandit.network.model_copy(update={"layer_norm": True})
    settings = RlpdSettings(
        network=network, optimiser=bandit.optimiser, critics=4, initial_temperature=0.1, policy_every=2
    )
    learner, task = Rlpd(settings, Setup(bandit.spaces, seed=0)), bandit(everywhere=True)
    assert task.regret(task.train(learner, make_noise)) < 0.02


def test_it_resumes_to_the_same_bits(spaces, assert_resumes):
    assert_resumes(lambda: rlpd(spaces, policy_every=2))
