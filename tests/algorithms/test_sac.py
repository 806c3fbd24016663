"""SAC's losses once more in float64, by loops over rows; its schedule and its variants."""

import math

import numpy as np
import pytest
import torch

from awaccli.algorithms.learner import Setup
from awaccli.algorithms.sac import Sac
from awaccli.algorithms.squashed import log_prob, sampled
from awaccli.config.baselines import SacSettings
from awaccli.config.section import NetworkSettings, OptimiserSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.5, normalize_observations=True
)


def sac(spaces, **settings):
    return Sac(SacSettings(network=NETWORK, **settings), Setup(spaces, seed=0))


def density(raw, mean, std):
    """Of ``tanh(raw)``, by the change of variables."""
    normal = np.exp(-0.5 * ((raw - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
    return np.log(normal / (1 - np.tanh(raw) ** 2)).sum()


def reference_losses(known, *, temperature, bc_weight=0.0, entropy_in_target=True):
    def policy(observation):
        share = 1 / (1 + np.exp(known.head("policy", observation, "std_head")))
        return known.head("policy", observation), np.exp(NETWORK.min_log_std * share)

    squared, policy_losses, densities = 0.0, [], []
    for i in range(known.size):
        here, there = known.here(i), known.there(i)
        mean, std = policy(there)
        raw = mean + std * known.draws["next"][i]
        bonus = -temperature * density(raw, mean, std) * entropy_in_target
        soft = min(known.q("target_critic", there, np.tanh(raw))) + bonus
        target = known.rows["rewards"][i] + known.rows["bootstraps"][i] * soft
        logged = known.rows["actions"][i]
        squared += sum((one - target) ** 2 for one in known.q("critic", here, logged)) / known.size

        mean, std = policy(here)
        raw = mean + std * known.draws["here"][i]
        densities.append(density(raw, mean, std))
        climb = temperature * densities[-1] - min(known.q("critic", here, np.tanh(raw)))
        clone = -density(np.arctanh(np.clip(logged, -0.999, 0.999)), mean, std)
        policy_losses.append(climb + bc_weight * known.rows["offline"][i] * clone)
    return np.mean(policy_losses), squared, -temperature * (np.mean(densities) - 2)


@pytest.mark.parametrize("settings", [{}, {"bc_weight": 0.3}, {"entropy_in_target": False}])
def test_losses_are_those_of_the_reference(spaces, shaken, make_batch, make_noise, reference, settings):
    learner = shaken(sac(spaces, initial_temperature=0.4, **settings))
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    noise = make_noise(learner)
    known = reference(learner, batch, noise)
    policy, critic, temperature = reference_losses(known, temperature=0.4, **settings)
    found = learner.update(batch, noise)
    assert found["loss/policy"].item() == pytest.approx(policy, rel=1e-4)
    assert found["loss/critic"].item() == pytest.approx(critic, rel=1e-4)
    assert found["loss/temperature"].item() == pytest.approx(temperature, rel=1e-4)


def test_the_policys_loss_leaves_the_critics_alone(spaces, shaken, make_batch, make_noise):
    # With a weight on cloning the policy's loss is another, the critics' is not.
    learners = [shaken(sac(spaces, bc_weight=weight)) for weight in (0.0, 5.0)]
    for learner in learners:
        learner.update(make_batch(), make_noise(learner))
    one, two = (learner.tensors() for learner in learners)
    assert torch.equal(one["critic.layers.0.weight"], two["critic.layers.0.weight"])
    assert not torch.equal(one["policy.head.weight"], two["policy.head.weight"])


def test_first_it_clones_then_it_climbs(spaces, shaken, make_batch, make_noise):
    learner = shaken(sac(spaces, bc_updates=1))
    batch, noise = make_batch(), make_noise(learner)
    mean, log_std = learner._policy(learner._normaliser(batch.observations))
    expected = -log_prob(batch.actions, mean, log_std).mean()
    assert learner.update(batch, noise)["loss/policy"].item() == pytest.approx(expected.item(), rel=1e-5)
    after = learner.update(batch, noise)["loss/policy"].item()
    assert after != pytest.approx(expected.item(), rel=0.1)


def test_while_it_clones_the_critics_value_the_clone_and_the_temperature_waits(
    spaces, shaken, make_batch, make_noise, reference
):
    learner = shaken(sac(spaces, bc_updates=1, initial_temperature=0.4))
    batch, noise = make_batch(), make_noise(learner)
    known = reference(learner, batch, noise)
    critic = reference_losses(known, temperature=0.4, entropy_in_target=False)[1]
    assert learner.update(batch, noise)["loss/critic"].item() == pytest.approx(critic, rel=1e-4)
    assert learner.diagnose(batch, noise)["temperature"] == pytest.approx(0.4)
    learner.update(batch, noise)
    assert learner.diagnose(batch, noise)["temperature"] != pytest.approx(0.4, abs=1e-5)


def test_a_resting_policy_is_left_as_it_is_and_the_critics_learn(spaces, shaken, make_batch, make_noise):
    learner = shaken(sac(spaces, policy_every=3))
    moved = []
    for number in range(6):
        before = {name: tensor.clone() for name, tensor in learner.tensors().items()}
        found = learner.update(make_batch(seed=number), make_noise(learner, seed=number))
        changed = {
            name for name, tensor in learner.tensors().items() if not torch.equal(tensor, before[name])
        }
        moved.append({name.split(".")[-2] if "adam" in name else name.split(".")[0] for name in changed})
        assert list(found) == ["loss/policy", "loss/critic", "loss/temperature", "q/largest"]
        assert (found["loss/policy"].item() == 0) == (number % 3 != 2)
    critics = {"critic", "target_critic", "updates"}
    assert moved == [critics, critics, critics | {"policy", "temperature"}] * 2


def test_it_finds_the_best_action_where_there_are_data_everywhere(bandit, make_noise):
    network = NetworkSettings(policy_hidden=(32,), critic_hidden=(32, 32), initial_std=0.9, min_log_std=-10)
    optimiser = OptimiserSettings(policy_lr=3e-3, critic_lr=3e-3)
    settings = SacSettings(network=network, optimiser=optimiser, initial_temperature=0.1)
    learner = Sac(settings, Setup(bandit.spaces, seed=0))
    task = bandit(everywhere=True)
    assert task.regret(learner) > 0.1
    assert task.regret(task.train(learner, make_noise)) < 0.015


def test_the_temperature_falls_while_there_is_entropy_to_spare(spaces, make_batch, make_noise):
    before = {}
    for target in (-50.0, 50.0):
        learner = sac(spaces, target_entropy=target)
        for number in range(5):
            learner.update(make_batch(seed=number), make_noise(learner, seed=number))
        before[target] = learner.diagnose(make_batch(), make_noise(learner))["temperature"]
    assert before[-50.0] < 1 < before[50.0]


def test_densities_survive_extreme_values():
    mean, log_std = torch.tensor([[40.0, -40.0]], requires_grad=True), torch.zeros(1, 2)
    actions, found = sampled(mean, log_std, torch.zeros(1, 2))
    found.sum().backward()
    assert actions.tolist() == [[1, -1]]
    assert torch.isfinite(found).all()
    assert torch.isfinite(mean.grad).all()
    assert torch.isfinite(log_prob(torch.tensor([[1.0, -1.0]]), torch.zeros(1, 2), log_std)).all()


def test_it_resumes_to_the_same_bits(spaces, assert_resumes):
    assert_resumes(lambda: sac(spaces, bc_updates=2))
