"""Learners that stay near the data, on a one-step task whose optimum is known and lies in the data."""

import numpy as np
import pytest
import torch

from awaccli.algorithms.make import make_learner
from awaccli.config.baselines import BcqSettings, BearSettings, BracSettings
from awaccli.config.section import NetworkSettings, OptimiserSettings
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.config.tree import Settings
from awaccli.envs.acting import policy_from_weights
from awaccli.protocols import Batch

FACTS = TaskFacts.model_construct(spec=TaskSpec(name="bandit"), observation_dim=2, action_dim=1)
SHARED = {
    "network": NetworkSettings(policy_hidden=(32,), critic_hidden=(32, 32), initial_std=0.5, min_log_std=-3),
    "optimiser": OptimiserSettings(policy_lr=3e-3, critic_lr=3e-3, weight_decay=0),
}
SETTINGS = Settings(
    brac=BracSettings(**SHARED, divergence_weight=0.03, bc_updates=100),
    bear=BearSettings(**SHARED, threshold=0.6, kernel_width=0.5, samples=5, bc_updates=100),
    bcq=BcqSettings(**SHARED, samples=10, perturbation=0.1),
)


def best_action(states):
    return 0.6 * np.tanh(2 * states[:, :1] - states[:, 1:])


def logged(k, size=128):
    """One-step episodes: half of them 0.8 too low, a fifth 0.4 too high; what pays is to be near the best."""
    rng = np.random.default_rng((1, k))
    states = rng.uniform(-1, 1, (size, 2))
    offsets = rng.choice([-0.8, 0, 0.4], (size, 1), p=[0.5, 0.3, 0.2])
    actions = np.clip(best_action(states) + offsets + rng.normal(0, 0.05, (size, 1)), -1, 1)
    rewards = -2 * np.abs(actions - best_action(states))[:, 0]
    states, actions, rewards = (
        torch.from_numpy(column.astype(np.float32)) for column in (states, actions, rewards)
    )
    zeros = torch.zeros(size)
    return Batch(states, actions, rewards, zeros, states, rewards, zeros == 0, zeros + 1)


def trained(algo, updates):
    learner = make_learner(
        algo,
        SETTINGS,
        observation_dim=2,
        action_dim=1,
        observation_statistics=None,
        action_center=np.zeros(1),
        action_half=np.ones(1),
        reward_range=None,
        seed=0,
    )
    for k in range(updates):
        rng = np.random.default_rng((2, k))
        shapes = learner.noise_shapes(128)
        noise = {
            name: torch.from_numpy(rng.standard_normal(shape, np.float32)) for name, shape in shapes.items()
        }
        learner.update(logged(k), noise)
    return learner


@pytest.mark.parametrize("algo", ["brac", "bear", "bcq"])
def test_it_learns_the_best_of_the_data(algo):
    policy = policy_from_weights(trained(algo, updates=300).policy(), FACTS)
    states = np.random.default_rng(3).uniform(-1, 1, (200, 2)).astype(np.float32)
    actions = np.stack([policy.act(state, None) for state in states])
    regret = float(np.square(actions - best_action(states)).mean())
    assert regret < 0.03  # a clone's is 0.1, that of the data 0.35
