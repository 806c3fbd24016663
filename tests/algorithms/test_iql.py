"""IQL's losses once more in float64, by loops over rows; its expectile; what its critics are never asked."""

import math

import numpy as np
import pytest
import torch

from awaccli.algorithms import losses
from awaccli.algorithms.awac import Awac
from awaccli.algorithms.iql import Iql
from awaccli.algorithms.learner import Setup
from awaccli.config.baselines import IqlSettings
from awaccli.config.section import NetworkSettings
from awaccli.config.settings import AwacSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.3, normalize_observations=True
)


def iql(spaces, **settings):
    return Iql(IqlSettings(network=NETWORK, **settings), Setup(spaces, seed=0))


def reference_losses(known, *, lam, expectile, max_weight):
    rows, std = known.rows, known.std()
    policy, value, squared = [], [], []
    for i in range(known.size):
        here, there, action = known.here(i), known.there(i), rows["actions"][i]
        advantage = min(known.q("target_critic", here, action)) - known.value("value", here)
        value.append((expectile if advantage > 0 else 1 - expectile) * advantage**2)
        target = rows["rewards"][i] + rows["bootstraps"][i] * known.value("value", there)
        squared.append(sum((one - target) ** 2 for one in known.q("critic", here, action)))
        mean = np.tanh(known.head("policy", here))
        density = np.exp(-0.5 * ((action - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
        policy.append(-min(np.exp(advantage / lam), max_weight) * np.log(density).sum())
    return np.mean(policy), np.mean(value), np.mean(squared)


@pytest.mark.parametrize("max_weight", [1.5, 100.0])
def test_losses_are_those_of_the_reference(spaces, shaken, make_batch, reference, max_weight):
    settings = {"lam": 0.7, "expectile": 0.8, "max_weight": max_weight}
    learner = shaken(iql(spaces, **settings))
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    policy, value, critic = reference_losses(reference(learner, batch, {}), **settings)
    found = learner.update(batch, {})
    assert found["loss/policy"].item() == pytest.approx(policy, rel=1e-4)
    assert found["loss/value"].item() == pytest.approx(value, rel=1e-4)
    assert found["loss/critic"].item() == pytest.approx(critic, rel=1e-4)


def test_the_middle_expectile_is_the_mean_and_a_high_one_nears_the_maximum():
    seen = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    error = seen - 1.5
    assert losses.expectile_loss(error, 0.5).item() == pytest.approx(0.5 * error.square().mean().item())
    found = []
    for expectile in (0.5, 0.9, 0.999):
        v = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        for _ in range(100):
            (slope,) = torch.autograd.grad(losses.expectile_loss(seen - v, expectile), v)
            v = (v - 0.5 * slope).detach().requires_grad_()
        found.append(v.item())
    assert found[0] == pytest.approx(2.0)
    assert found[0] < found[1] < found[2]
    assert found[2] == pytest.approx(5.0, abs=0.05)


def test_no_critic_is_asked_about_an_action_that_was_not_logged(spaces, shaken, make_batch):
    # Its critics and values learn the same whatever the policy is; those of AWAC do not.
    batch, noise = make_batch(), {"next": torch.zeros(5, 2)}
    for make, same in (
        (lambda: iql(spaces), True),
        (lambda: Awac(AwacSettings(network=NETWORK), Setup(spaces, seed=0)), False),
    ):
        found = []
        for shift in (0.0, 0.5):
            learner = shaken(make())
            learner._policy.head.bias.data.add_(shift)
            found.append(learner.update(batch, noise)["loss/critic"].item())
        assert (found[0] == found[1]) is same


def test_each_loss_reaches_only_its_own_networks(spaces, shaken, make_batch):
    # Rewards enter the critics' loss alone, the expectile that of V alone, the temperature the policy's.
    batch = make_batch(32)
    base, rewarded, higher, warmer = (
        shaken(iql(spaces, **settings)) for settings in ({}, {}, {"expectile": 0.9}, {"lam": 9.0})
    )
    for learner in (base, higher, warmer):
        learner.update(batch, {})
    rewarded.update(make_batch(32, rewards=batch.rewards - 1), {})
    for other, changed in ((rewarded, "critic"), (higher, "value"), (warmer, "policy")):
        for name in ("critic", "value", "policy"):
            one, two = (getattr(learner, f"_{name}").layers[0].weight.grad for learner in (base, other))
            assert torch.equal(one, two) is (name != changed), (name, changed)


def test_targets_follow_the_critics(spaces, shaken, make_batch):
    learner = shaken(iql(spaces, tau=0.25))
    before = {name: tensor.clone() for name, tensor in learner.tensors().items()}
    learner.update(make_batch(), {})
    after, name = learner.tensors(), "layers.0.weight"
    expected = 0.75 * before[f"target_critic.{name}"] + 0.25 * after[f"critic.{name}"]
    torch.testing.assert_close(after[f"target_critic.{name}"], expected)


def test_it_beats_cloning_on_the_bandit(bandit, make_noise):
    def regret(lam):
        settings = IqlSettings(network=bandit.network, optimiser=bandit.optimiser, lam=lam)
        return task.regret(task.train(Iql(settings, Setup(bandit.spaces, seed=0)), make_noise))

    task = bandit()
    clone, weighted = regret(math.inf), regret(0.03)
    assert clone == pytest.approx(0.4**2, abs=0.05)
    assert weighted < 0.25 * clone


def test_it_resumes_to_the_same_bits_and_diagnoses_without_a_trace(spaces, make_batch):
    whole, resumed = iql(spaces), iql(spaces)
    for number in range(4):
        if number == 2:
            resumed.load({name: tensor.clone() for name, tensor in whole.tensors().items()})
        whole.update(make_batch(seed=number), {})
    for number in (2, 3):
        found = resumed.diagnose(make_batch(), {})
        resumed.update(make_batch(seed=number), {})
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name
    assert {"weights/ess", "q/td_error", "policy/nll", "advantage/std"} <= found.keys()
    assert whole.state_values(make_batch().observations).shape == (5,)
