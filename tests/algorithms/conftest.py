"""Small spaces and batches."""

import numpy as np
import pytest
import torch

from awaccli.algorithms.networks import Spaces
from awaccli.protocols import Batch

OBSERVATION_DIM, ACTION_DIM = 3, 2


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def spaces():
    normaliser = np.array([1.0, -2.0, 0.0]), np.array([0.5, 2.0, 1.0])
    return Spaces(OBSERVATION_DIM, np.array([0.5, -1.0]), np.array([2.0, 1.0]), normaliser)


@pytest.fixture
def make_batch():
    def make(size=5, seed=0, **replaced):
        rng = np.random.default_rng(seed)

        def draw(*shape):
            return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))

        fields = {
            "observations": draw(size, OBSERVATION_DIM),
            "actions": draw(size, ACTION_DIM).clamp(-1, 1),
            "rewards": -torch.from_numpy(rng.uniform(size=size).astype(np.float32)),
            "bootstraps": torch.full((size,), 0.99),
            "next_observations": draw(size, OBSERVATION_DIM),
            "returns": draw(size) - 3,
            "offline": torch.arange(size) % 2 == 0,
        }
        return Batch(**(fields | replaced))

    return make


@pytest.fixture
def make_noise():
    def make(learner, size=5, seed=0):
        rng = np.random.default_rng((seed, 1))
        shapes = learner.noise_shapes(size)
        return {
            name: torch.from_numpy(rng.standard_normal(shape).astype(np.float32))
            for name, shape in shapes.items()
        }

    return make
