"""BCQ's losses once more in float64, by loops over rows and samples; its limits, and what only it can do."""

import math

import numpy as np
import pytest
import torch

from awaccli.algorithms.bc import BehaviourCloning
from awaccli.algorithms.bcq import Bcq
from awaccli.algorithms.learner import Setup
from awaccli.config.baselines import BcqSettings
from awaccli.config.section import NetworkSettings, OptimiserSettings
from awaccli.config.settings import BcSettings

NETWORK = NetworkSettings(policy_hidden=(8,), critic_hidden=(8,), normalize_observations=True)
CODE = 3


def bcq(spaces, **settings):
    chosen = {"samples": 4, "latent_dim": CODE, "network": NETWORK} | settings
    return Bcq(BcqSettings(**chosen), Setup(spaces, seed=0))


class Vae:
    """Coding, decoding and perturbing one row in float64."""

    def __init__(self, known, perturbation=0.05):
        self.known, self.perturbation = known, perturbation

    def decoded(self, observation, code):
        return np.tanh(self.known.head("decoder", np.concatenate([observation, code])))

    def candidate(self, prefix, observation, draw):
        action = self.decoded(observation, np.clip(draw, -0.5, 0.5))
        change = np.tanh(self.known.head(prefix, np.concatenate([observation, action])))
        return np.clip(action + self.perturbation * change, -1, 1)

    def coded(self, observation, action, draw):
        found = self.known.head("encoder", np.concatenate([observation, action]))
        mean, std = found[:CODE], np.exp(np.clip(found[CODE:], -4, 15))
        error = np.square(self.decoded(observation, mean + std * draw) - action)
        divergence = [0.5 * (m**2 + s**2 - 1) - math.log(s) for m, s in zip(mean, std, strict=True)]
        return error, divergence


def reference_losses(known, vae):
    squared, policy_losses, vae_losses = 0.0, [], []
    for i in range(known.size):
        here, there, logged = known.here(i), known.there(i), known.rows["actions"][i]
        values = []
        for draw in known.draws["next"][:, i]:
            q = known.q("target_critic", there, vae.candidate("target_policy", there, draw))
            values.append(0.75 * min(q) + 0.25 * max(q))
        target = known.rows["rewards"][i] + known.rows["bootstraps"][i] * max(values)
        squared += sum((one - target) ** 2 for one in known.q("critic", here, logged)) / known.size
        action = vae.candidate("policy", here, known.draws["here"][i])
        policy_losses.append(-known.q("critic", here, action)[0])
        error, divergence = vae.coded(here, logged, known.draws["code"][i])
        vae_losses.append(np.mean(error) + 0.5 * np.mean(divergence))
    return np.mean(policy_losses), squared, np.mean(vae_losses)


def test_losses_are_those_of_the_reference(spaces, shaken, make_batch, make_noise, reference):
    learner = shaken(bcq(spaces))
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    noise = make_noise(learner)
    known = reference(learner, batch, noise)
    policy, critic, vae = reference_losses(known, Vae(known))
    found = learner.update(batch, noise)
    assert found["loss/policy"].item() == pytest.approx(policy, rel=1e-4)
    assert found["loss/critic"].item() == pytest.approx(critic, rel=1e-4)
    assert found["loss/behaviour"].item() == pytest.approx(vae, rel=1e-4)


def test_the_likelihood_is_the_evidence_bound_of_the_decoder(
    spaces, shaken, make_batch, make_noise, reference
):
    learner = shaken(bcq(spaces, kl_weight=0.3))
    batch, noise = make_batch(), make_noise(learner)
    known = reference(learner, batch, noise)
    variance = 0.3 * 2 / (2 * CODE)
    bounds = []
    for i in range(known.size):
        error, divergence = Vae(known).coded(known.here(i), known.rows["actions"][i], known.draws["code"][i])
        fit = -0.5 * np.sum(error / variance + math.log(2 * math.pi * variance))
        bounds.append(fit - np.sum(divergence))
    found = learner.diagnose(batch, noise)
    assert found["behaviour/nll"] == found["policy/nll"] == pytest.approx(-np.mean(bounds), rel=1e-4)


def test_gradients_reach_only_their_networks(spaces, shaken, make_batch, make_noise):
    learner = shaken(bcq(spaces))
    found = learner._losses(make_batch(), make_noise(learner), None)
    reached = {
        "loss/policy": {"policy"},
        "loss/behaviour": {"encoder", "decoder"},
        "loss/critic": {"critic"},
    }
    for loss, expected in reached.items():
        for block in learner._blocks.values():
            block.gradients.zero_()
        found[loss].backward()
        moved = {name for name, net in learner._networks.items() if learner._blocks[net].gradients.any()}
        assert moved == expected


def test_without_perturbation_it_takes_decoded_actions(spaces, shaken, make_batch):
    learner = shaken(bcq(spaces, perturbation=0.0))
    observations, draws = learner._normaliser(make_batch().observations), torch.randn(4, 5, CODE)
    found = learner._candidates(learner._policy, observations, draws)
    assert torch.equal(found, learner._decoded(observations.expand(4, -1, -1), draws))


def test_candidates_stay_within_reach_of_the_decoded_actions_and_in_the_box(spaces, shaken, make_batch):
    learner = shaken(bcq(spaces, perturbation=0.2))
    observations, draws = learner._normaliser(make_batch().observations), 5 * torch.randn(50, 5, CODE)
    found = learner._candidates(learner._policy, observations, draws)
    change = (found - learner._decoded(observations.expand(50, -1, -1), draws)).abs()
    assert 0.1 < change.max() <= 0.2 + 1e-6
    assert found.abs().max() <= 1


def test_the_vae_keeps_two_modes_that_a_clone_averages_away(spaces, make_batch, make_noise):
    network = NetworkSettings(policy_hidden=(32, 32), critic_hidden=(8,))
    optimiser = OptimiserSettings(policy_lr=1e-2, weight_decay=0)
    setup = Setup(spaces, seed=0)
    vae = Bcq(BcqSettings(network=network, optimiser=optimiser, samples=2), setup)
    clone = BehaviourCloning(BcSettings(network=network, optimiser=optimiser), setup)
    for number in range(200):
        batch = make_batch(size=64, seed=number)
        batch.actions.copy_(0.8 * torch.sign(batch.actions[:, :1]) + 0.05 * batch.actions)
        for learner in (vae, clone):
            learner.update(batch, make_noise(learner, size=64, seed=number))
    draws = torch.from_numpy(np.random.default_rng(0).standard_normal((200, 1, 4)).astype(np.float32))
    decoded = vae._candidates(vae._policy, batch.observations, draws).detach()
    near = (decoded.abs() - 0.8).abs() < 0.3
    assert near.float().mean() > 0.7
    assert 0.3 < (decoded > 0).float().mean() < 0.7
    means = clone._policy.mean(batch.observations).detach()
    assert means.abs().mean() < 0.3


def test_its_value_is_that_of_the_action_it_takes(spaces, shaken, make_batch, reference, make_noise):
    learner = shaken(bcq(spaces))
    batch = make_batch()
    known = reference(learner, batch, make_noise(learner))
    vae, draws = Vae(known), learner._draws.double().numpy()
    for i, value in enumerate(learner.state_values(batch.observations).tolist()):
        here = known.here(i)
        values = [known.q("critic", here, vae.candidate("policy", here, draw)) for draw in draws]
        assert value == pytest.approx(min(max(values, key=lambda q: q[0])), rel=1e-4)


def test_it_resumes_to_the_same_bits(spaces, make_batch, make_noise):
    whole = bcq(spaces)
    for number in range(4):
        if number == 2:
            resumed = bcq(spaces)
            resumed.load({name: tensor.clone() for name, tensor in whole.tensors().items()})
        whole.update(make_batch(seed=number), make_noise(whole, seed=number))
    for number in (2, 3):
        resumed.update(make_batch(seed=number), make_noise(resumed, seed=number))
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name
