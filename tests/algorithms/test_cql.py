"""The penalty of CQL and Cal-QL once more in float64, by loops; its limit, and what only it can do."""

import math

import numpy as np
import pytest
import torch

from awaccli.algorithms.cql import Cql
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.sac import Sac
from awaccli.config.baselines import CqlSettings, SacSettings
from awaccli.config.section import NetworkSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.5, normalize_observations=True
)


def cql(spaces, **settings):
    given = {"network": NETWORK, "samples": 3, "conservative_weight": 0.7} | settings
    return Cql(CqlSettings(**given), Setup(spaces, seed=0))


def reference_gap(known, *, calibrated):
    def acted(observation, draw):
        share = 1 / (1 + np.exp(known.head("policy", observation, "std_head")))
        mean, std = known.head("policy", observation), np.exp(NETWORK.min_log_std * share)
        raw = mean + std * draw
        normal = np.exp(-0.5 * draw**2) / (std * np.sqrt(2 * np.pi))
        return np.tanh(raw), np.prod(normal / (1 - np.tanh(raw) ** 2))

    draws, gaps = known.draws["proposals"], []
    for i in range(known.size):
        here, sums = known.here(i), np.zeros(2)
        for n in range(3):
            uniform = np.array([2 * (0.5 + 0.5 * math.erf(z / math.sqrt(2))) - 1 for z in draws[0, n, i]])
            proposals = [
                (uniform, 0.5**2),
                acted(here, draws[1, n, i]),
                acted(known.there(i), draws[2, n, i]),
            ]
            for kind, (action, density) in enumerate(proposals):
                q = np.array(known.q("critic", here, action))
                if calibrated and kind > 0:
                    q = np.maximum(q, known.rows["returns"][i])
                sums += np.exp(q) / density / 9
        gaps.append(np.log(sums) - known.q("critic", here, known.rows["actions"][i]))
    return np.mean(gaps, axis=0).sum()


@pytest.mark.parametrize("calibrated", [False, True])
def test_the_penalty_is_that_of_the_reference(spaces, shaken, make_batch, make_noise, reference, calibrated):
    learner = shaken(cql(spaces, calibrated=calibrated))
    batch, noise = make_batch(returns=torch.tensor([0.0, -2.0, 1.0, 3.0, -8.0])), make_noise(learner)
    expected = reference_gap(reference(learner, batch, noise), calibrated=calibrated)
    found = learner.update(batch, noise)
    assert found["q/gap"].item() == pytest.approx(expected, rel=1e-4)
    assert found["loss/conservative"].item() == pytest.approx(0.7 * expected, rel=1e-4)


def test_calibration_makes_a_difference(spaces, shaken, make_batch, make_noise):
    gaps = []
    for calibrated in (False, True):
        learner = shaken(cql(spaces, calibrated=calibrated))
        batch = make_batch(returns=torch.full((5,), 20.0))
        gaps.append(learner.update(batch, make_noise(learner))["q/gap"].item())
    assert gaps[1] > gaps[0] + 1


@pytest.mark.parametrize("settings", [{}, {"entropy_in_target": True, "bc_weight": 0.5, "policy_every": 2}])
def test_without_a_penalty_it_is_sac(spaces, shaken, make_batch, make_noise, settings):
    sac = SacSettings(network=NETWORK, **{"entropy_in_target": False} | settings)
    one = shaken(Sac(sac, Setup(spaces, seed=0)))
    two = shaken(cql(spaces, conservative_weight=0.0, **settings))
    for number in range(4):
        noise = make_noise(two, seed=number)
        for learner in (one, two):
            learner.update(make_batch(seed=number), noise)
    assert one.tensors().keys() == two.tensors().keys()
    for name, tensor in one.tensors().items():
        assert torch.equal(tensor, two.tensors()[name]), name


def test_the_penalty_moves_no_policy(spaces, shaken, make_batch, make_noise):
    learners = [shaken(cql(spaces, conservative_weight=weight)) for weight in (0.0, 5.0)]
    for learner in learners:
        learner.update(make_batch(), make_noise(learner))
    one, two = (learner.tensors() for learner in learners)
    for name, tensor in one.items():
        kept = name.split(".")[0] in ("policy", "temperature")
        assert not kept or torch.equal(tensor, two[name]), name
    assert not torch.equal(one["critic.layers.0.weight"], two["critic.layers.0.weight"])


@pytest.fixture
def trained(bandit, make_noise):
    """Make a learner of the bandit."""

    def train(**settings):
        shared = {"network": bandit.network, "optimiser": bandit.optimiser, "initial_temperature": 0.1}
        learner = Cql(CqlSettings(samples=4, **shared, **settings), Setup(bandit.spaces, seed=0))
        return bandit().train(learner, make_noise)

    return train


def test_it_lowers_the_values_of_unseen_actions_and_finds_the_best_seen_one(bandit, trained):
    """Only it can: SAC trusts values above the data, where nobody was, and goes there."""
    sac, conservative = trained(conservative_weight=0.0), trained(conservative_weight=0.05)
    task = bandit()
    states = torch.from_numpy(task.states[:200])
    best = torch.from_numpy(task.best(states.numpy()))
    unseen = torch.where(best < 0.3, best + 0.7, best - 1.3)
    excess = []
    for learner in (sac, conservative):
        with torch.no_grad():
            q = [learner._critic(learner._normaliser(states), actions).mean() for actions in (unseen, best)]
        excess.append((q[0] - q[1]).item())
    assert excess[1] < excess[0] - 0.1
    assert task.regret(sac) > 0.2
    assert task.regret(conservative) < 0.05


def test_calibrated_values_stay_above_those_that_are_only_conservative(bandit, trained):
    """Only Cal-QL can: the policy's values are not pushed below the logged returns."""
    values = []
    for calibrated in (False, True):
        learner = trained(conservative_weight=1.0, calibrated=calibrated)
        states = torch.from_numpy(bandit().states)
        values.append(learner.state_values(states).mean().item())
    assert values[1] > values[0] + 0.02


def test_it_resumes_to_the_same_bits(spaces, assert_resumes):
    assert_resumes(lambda: cql(spaces))
