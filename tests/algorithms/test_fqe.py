"""Fitted Q evaluation on a problem whose answer is known."""

import numpy as np
import pytest
import torch

from awaccli.algorithms.fqe import FittedQ
from awaccli.algorithms.networks import Spaces
from awaccli.config.section import NetworkSettings
from awaccli.protocols import Batch

DISCOUNT = 0.5
SPACES = Spaces(2, np.zeros(1, np.float32), np.ones(1, np.float32))


def transitions(rng, count=256):
    """An action is its own reward, and states do not matter."""
    actions = rng.uniform(-1, 1, (count, 1)).astype(np.float32)
    tensors = {
        "observations": torch.from_numpy(rng.normal(size=(count, 2)).astype(np.float32)),
        "actions": torch.from_numpy(actions),
        "rewards": torch.from_numpy(actions[:, 0]),
        "bootstraps": torch.full((count,), DISCOUNT),
        "next_observations": torch.from_numpy(rng.normal(size=(count, 2)).astype(np.float32)),
        "returns": torch.zeros(count),
        "offline": torch.ones(count, dtype=torch.bool),
        "importance": torch.ones(count),
    }
    return Batch(**tensors)


@pytest.mark.parametrize("action", [-0.5, 0.5])
def test_a_policy_that_always_does_the_same_is_worth_what_that_pays_forever(action):
    rng = np.random.default_rng(0)
    network = NetworkSettings(critic_hidden=(32, 32))
    model = FittedQ(SPACES, network, bounds=None, seed=0)
    chosen = torch.full((256, 1), action)
    for update in range(700):
        batch = transitions(rng)
        model.start(batch) if update < 100 else model.update(batch, chosen)
    states = torch.from_numpy(rng.normal(size=(256, 2)).astype(np.float32))
    value = model.values(states, chosen).mean().item()
    assert value == pytest.approx(action / (1 - DISCOUNT), abs=0.1)
    # Another first action changes the first reward only.
    assert model.values(states, chosen + 0.3).mean().item() - value == pytest.approx(0.3, abs=0.1)


def test_targets_stay_within_what_rewards_can_reach():
    rng = np.random.default_rng(0)
    model = FittedQ(SPACES, NetworkSettings(critic_hidden=(32, 32)), bounds=(-0.1, 0.1), seed=0)
    for _ in range(300):
        model.update(transitions(rng), torch.full((256, 1), 0.9))
    assert model.values(torch.zeros(8, 2), torch.full((8, 1), 0.9)).abs().max().item() < 0.2
