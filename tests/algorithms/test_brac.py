"""BRAC's losses once more in float64, by loops over rows; its limits, and what only it can do."""

import math

import numpy as np
import pytest
import torch

from awaccli.algorithms.brac import Brac
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.sac import Sac
from awaccli.config.baselines import BracSettings, SacSettings
from awaccli.config.section import NetworkSettings, OptimiserSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.5, min_log_std=-3, normalize_observations=True
)


def brac(spaces, **settings):
    return Brac(BracSettings(network=NETWORK, **{"bc_updates": 0} | settings), Setup(spaces, seed=0))


def normal_log_density(x, mean, std):
    return (-0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * math.log(2 * math.pi)).sum()


def reference_losses(known, *, price, value_penalty=True, following=False):
    def gaussian(prefix, observation):
        share = 1 / (1 + np.exp(known.head(prefix, observation, "std_head")))
        return known.head(prefix, observation), np.exp(NETWORK.min_log_std * share)

    def acted(observation, draw):
        """An action, and its ``log pi - log b``, both densities of the action itself."""
        mean, std = gaussian("policy", observation)
        raw = mean + std * draw
        slope = np.log(1 - np.tanh(raw) ** 2).sum()
        own = normal_log_density(raw, mean, std) - slope
        other = normal_log_density(raw, *gaussian("behaviour", observation)) - slope
        return np.tanh(raw), own - other

    squared, policy_losses, behaviour_losses = 0.0, [], []
    for i in range(known.size):
        here, there, logged = known.here(i), known.there(i), known.rows["actions"][i]
        action, divergence = acted(there, known.draws["next"][i])
        value = min(known.q("target_critic", there, action)) - value_penalty * price * divergence
        target = known.rows["rewards"][i] + known.rows["bootstraps"][i] * value
        squared += sum((one - target) ** 2 for one in known.q("critic", here, logged)) / known.size

        action, divergence = acted(here, known.draws["here"][i])
        climb = price * divergence - min(known.q("critic", here, action))
        policy_losses.append(divergence if following else climb)
        raw = np.arctanh(np.clip(logged, -0.999, 0.999))
        density = normal_log_density(raw, *gaussian("behaviour", here)) - np.log(1 - np.tanh(raw) ** 2).sum()
        behaviour_losses.append(-density)
    return np.mean(policy_losses), squared, np.mean(behaviour_losses)


@pytest.mark.parametrize("settings", [{}, {"value_penalty": False}, {"bc_updates": 1}])
def test_losses_are_those_of_the_reference(spaces, shaken, make_batch, make_noise, reference, settings):
    learner = shaken(brac(spaces, divergence_weight=0.3, **settings))
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    noise = make_noise(learner)
    policy, critic, behaviour = reference_losses(
        reference(learner, batch, noise),
        price=0.3,
        value_penalty=settings.get("value_penalty", True),
        following="bc_updates" in settings,
    )
    found = learner.update(batch, noise)
    assert found["loss/policy"].item() == pytest.approx(policy, rel=1e-4)
    assert found["loss/critic"].item() == pytest.approx(critic, rel=1e-4)
    assert found["loss/behaviour"].item() == pytest.approx(behaviour, rel=1e-4)


def test_gradients_reach_only_their_networks(spaces, shaken, make_batch, make_noise):
    # With another price the policy's loss is another; those of the model and of unpenalised critics are not.
    learners = [shaken(brac(spaces, divergence_weight=price, value_penalty=False)) for price in (0.0, 5.0)]
    for learner in learners:
        learner.update(make_batch(), make_noise(learner))
    one, two = (learner.tensors() for learner in learners)
    for name in ("critic.layers.0.weight", "behaviour.head.weight", "behaviour.std_head.weight"):
        assert torch.equal(one[name], two[name]), name
    assert not torch.equal(one["policy.head.weight"], two["policy.head.weight"])


def test_without_a_price_it_is_sac_without_entropy(spaces, shaken, make_batch, make_noise):
    free = shaken(brac(spaces, divergence_weight=0.0))
    cold = Sac(SacSettings(network=NETWORK, initial_temperature=1e-12), Setup(spaces, seed=0))
    shared = {name: free.tensors().get(name, tensor) for name, tensor in cold.tensors().items()}
    cold.load({name: tensor.clone() for name, tensor in shared.items()})
    for number in range(3):
        for learner in (free, cold):
            learner.update(make_batch(seed=number), make_noise(learner, seed=number))
    for name, tensor in free.tensors().items():
        if name.startswith(("policy", "critic", "target_critic")):
            assert torch.allclose(cold.tensors()[name], tensor, rtol=1e-4, atol=1e-5), name


def test_a_high_price_brings_the_policy_to_the_behaviour_model(spaces, make_batch, make_noise):
    found = {}
    for price in (0.0, 100.0):
        optimiser = OptimiserSettings(policy_lr=1e-2, weight_decay=0)
        learner = brac(spaces, divergence_weight=price, optimiser=optimiser)
        for number in range(100):
            batch = make_batch(size=64, seed=number)
            batch.actions.copy_(0.7 + 0.05 * batch.actions)
            learner.update(batch, make_noise(learner, size=64, seed=number))
        found[price] = learner.diagnose(batch, make_noise(learner, size=64))["behaviour/kl"]
    assert abs(found[100.0]) < 0.2 * found[0.0]
    assert found[0.0] > 5


def test_it_resumes_to_the_same_bits(spaces, assert_resumes):
    assert_resumes(lambda: brac(spaces, bc_updates=2))
