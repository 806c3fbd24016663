"""ABM's model and advantages once more in float64, by loops over rows; what it is that MPO is not."""

import math

import numpy as np
import pytest
import torch

from awaccli.algorithms.abm import Abm
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.mpo import Mpo
from awaccli.config.baselines import AbmSettings, MpoSettings
from awaccli.config.section import NetworkSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.3, normalize_observations=True
)


def abm(spaces, **settings):
    settings = {"bc_updates": 0, "samples": 3, "value_samples": 2} | settings
    return Abm(AbmSettings(network=NETWORK, **settings), Setup(spaces, seed=0))


def reference_model(known):
    """Return the model's loss, the share of rows that it learns from, and the values of its own actions."""
    rows, old_std, std = known.rows, known.std("target_policy"), known.std("behaviour")
    losses, kept, duals = [], [], []
    for i in range(known.size):
        here, there, action = known.here(i), known.there(i), rows["actions"][i]
        old_mean, mean = (np.tanh(known.head(name, here)) for name in ("target_policy", "behaviour"))
        own = [np.clip(old_mean + old_std * draw[i], -1, 1) for draw in known.draws["value"]]
        value = np.mean([min(known.q("target_critic", here, a)) for a in own])
        next_action = np.tanh(known.head("target_policy", there)) + old_std * known.draws["next"][i]
        next_value = min(known.q("target_critic", there, np.clip(next_action, -1, 1)))
        kept.append(rows["rewards"][i] + rows["bootstraps"][i] * next_value > value)
        density = np.exp(-0.5 * ((action - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
        losses.append(-np.log(density).sum() * kept[-1])
        drawn = [np.clip(mean + std * draw[i], -1, 1) for draw in known.draws["samples"]]
        values = np.array([min(known.q("target_critic", here, a)) for a in drawn])
        duals.append(np.log(np.exp(values).mean()))
    return np.mean(losses), np.mean(kept), np.mean(duals)


def test_the_model_and_its_draws_are_those_of_the_reference(
    spaces, shaken, make_batch, make_noise, reference
):
    learner = shaken(abm(spaces))
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    noise = make_noise(learner)
    loss, kept, duals = reference_model(reference(learner, batch, noise))
    assert 0 < kept < 1
    assert learner.diagnose(batch, noise)["behaviour/kept"] == pytest.approx(kept)
    found = learner.update(batch, noise)
    assert found["loss/behaviour"].item() == pytest.approx(loss, rel=1e-4)
    # Temperature 1: this loss knows who drew the actions, and nothing else.
    assert found["loss/temperature"].item() == pytest.approx(0.1 + duals, rel=1e-4)


def test_the_models_loss_leaves_the_others_alone(spaces, shaken, make_batch, make_noise):
    batch = make_batch(32)
    one, two = (shaken(abm(spaces)) for _ in range(2))
    one.update(batch, make_noise(one, 32))
    two.update(batch, {**make_noise(two, 32), "value": 3 * make_noise(two, 32)["value"]})
    for name in ("policy", "critic"):
        assert torch.equal(
            one._blocks[getattr(one, f"_{name}")].gradients, two._blocks[getattr(two, f"_{name}")].gradients
        )
    assert not torch.equal(one._behaviour.head.weight.grad, two._behaviour.head.weight.grad)


def test_on_narrow_data_it_stays_with_what_worked_and_mpo_leaves_them(bandit, make_noise):
    fast = bandit.optimiser.model_copy(update={"policy_lr": 5e-3})
    shared = {"network": bandit.network, "optimiser": fast, "bc_updates": 0, "target_period": 10}
    shared |= {"samples": 5, "dual_lr": 0.1}
    task, setup, clone = bandit(), Setup(bandit.spaces, seed=0), 0.4**2
    kept, free = (
        task.train(learner, make_noise, updates=150)
        for learner in (Abm(AbmSettings(**shared, value_samples=2), setup), Mpo(MpoSettings(**shared), setup))
    )
    assert task.regret(kept) < 0.25 * clone
    assert task.regret(free) > 2 * clone
    found = kept.diagnose(task.batch(0), make_noise(kept, 128))
    assert 0.1 < found["behaviour/kept"] < 0.4  # a fifth of the data is near the best action


def test_the_likelihood_under_the_model_is_told_for_offline_and_online_rows(spaces, make_batch, make_noise):
    learner = abm(spaces)
    batch, noise = make_batch(), make_noise(learner)
    found = learner.diagnose(batch, noise)
    mean, std = (
        learner._behaviour.mean(learner._normaliser(batch.observations)),
        learner._behaviour.log_std().exp(),
    )
    nll = -torch.distributions.Normal(mean, std).log_prob(batch.actions).sum(dim=1)
    assert found["behaviour/nll"] == pytest.approx(nll.mean().item(), rel=1e-5)
    assert found["behaviour/nll_offline"] == pytest.approx(nll[::2].mean().item(), rel=1e-5)
    assert found["behaviour/nll_online"] == pytest.approx(nll[1::2].mean().item(), rel=1e-5)


def test_it_resumes_to_the_same_bits(spaces, make_batch, make_noise):
    settings = {"bc_updates": 1, "target_period": 3}
    whole, resumed = abm(spaces, **settings), abm(spaces, **settings)
    for number in range(5):
        if number == 2:
            resumed.load({name: tensor.clone() for name, tensor in whole.tensors().items()})
        whole.update(make_batch(seed=number), make_noise(whole, seed=number))
    for number in (2, 3, 4):
        resumed.diagnose(make_batch(), make_noise(resumed))
        resumed.update(make_batch(seed=number), make_noise(resumed, seed=number))
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name
