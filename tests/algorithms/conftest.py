"""Small spaces and batches, and networks once more: in float64, row by row, without a line of the package."""

import numpy as np
import pytest
import torch

from awaccli.algorithms.networks import Spaces
from awaccli.config.section import NetworkSettings, OptimiserSettings
from awaccli.config.task import TaskFacts
from awaccli.envs.acting import policy_from_weights
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
            "importance": torch.from_numpy(rng.uniform(0.5, 2, size).astype(np.float32)),
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


@pytest.fixture
def assert_resumes(make_batch, make_noise):
    """Check that five updates end in the same bits where another learner takes over after three."""

    def check(make):
        whole, resumed = make(), make()
        for number in range(5):
            batch, noise = make_batch(seed=number), make_noise(whole, seed=number)
            whole.update(batch, noise)
            if number == 2:
                resumed.load({name: tensor.clone() for name, tensor in whole.tensors().items()})
            if number > 2:
                resumed.update(batch, noise)
        for name, tensor in whole.tensors().items():
            assert torch.equal(tensor, resumed.tensors()[name]), name

    return check


@pytest.fixture
def shaken():
    """Give a learner large weights everywhere, so that nothing is near zero."""

    def shake(learner, seed=0):
        rng = np.random.default_rng(seed)
        for name, tensor in learner.tensors().items():
            trained = name.startswith(
                ("policy", "critic", "target_", "value", "behaviour", "encoder", "decoder")
            )
            if trained and "log_std" not in name and "std_head" not in name:
                tensor.copy_(torch.from_numpy(rng.normal(0, 0.7, tuple(tensor.shape)).astype(np.float32)))
        return learner

    return shake


class Reference:
    """A learner's tensors, a batch and its noise in float64, and networks of one hidden layer."""

    def __init__(self, learner, batch, noise):
        self.weights = {name: tensor.double().numpy() for name, tensor in learner.tensors().items()}
        self.rows = {name: getattr(batch, name).double().numpy() for name in batch.__slots__}
        self.draws = {name: tensor.double().numpy() for name, tensor in noise.items()}
        self.size = len(batch.rewards)

    def seen(self, observation):
        w = self.weights
        return np.clip((observation - w["normaliser.mean"]) / w["normaliser.scale"], -5, 5)

    def here(self, row):
        return self.seen(self.rows["observations"][row])

    def there(self, row):
        return self.seen(self.rows["next_observations"][row])

    def head(self, prefix, observation, head="head"):
        w = self.weights
        hidden = np.maximum(w[f"{prefix}.layers.0.weight"] @ observation + w[f"{prefix}.layers.0.bias"], 0)
        return w[f"{prefix}.{head}.weight"] @ hidden + w[f"{prefix}.{head}.bias"]

    def q(self, prefix, observation, action):
        return [self.value(prefix, np.concatenate([observation, action]), member) for member in range(2)]

    def value(self, prefix, inputs, member=0):
        hidden = inputs
        for layer, last in ((0, False), (2, True)):
            weight, bias = (self.weights[f"{prefix}.layers.{layer}.{name}"] for name in ("weight", "bias"))
            hidden = hidden @ weight[member] + bias[member, 0]
            hidden = hidden if last else np.maximum(hidden, 0)
        return hidden[0]

    def std(self, prefix="policy"):
        return np.exp(-6 / (1 + np.exp(self.weights[f"{prefix}.free_log_std"])))


@pytest.fixture
def reference():
    return Reference


class Bandit:
    """Episodes of one step with a known best action; logged are most half a box too low, or anywhere."""

    spaces = Spaces(2, np.zeros(1), np.ones(1), (np.zeros(2), np.full(2, 0.58)))
    network = NetworkSettings(
        policy_hidden=(32,), critic_hidden=(32, 32), initial_std=0.3, normalize_observations=True
    )
    optimiser = OptimiserSettings(policy_lr=3e-3, critic_lr=3e-3, weight_decay=0)

    def __init__(self, *, everywhere=False, shuffled=False, rows=2000):
        rng = np.random.default_rng(0)
        self.states = rng.uniform(-1, 1, (rows, 2)).astype(np.float32)
        near = self.best(self.states) + np.where(rng.random((rows, 1)) < 0.2, 0, -0.5)
        drawn = rng.uniform(-1, 1, (rows, 1)) if everywhere else near + rng.normal(0, 0.1, (rows, 1))
        self.actions = np.clip(drawn, -1, 1).astype(np.float32)
        self.rewards = -np.square(self.actions - self.best(self.states))[:, 0]
        if shuffled:
            self.rewards = rng.permutation(self.rewards)

    @staticmethod
    def best(states):
        return 0.6 * np.tanh(2 * states[:, :1] - states[:, 1:])

    def batch(self, number, size=128):
        rows = np.random.default_rng((1, number)).integers(len(self.states), size=size)
        columns = (torch.from_numpy(column[rows]) for column in (self.states, self.actions, self.rewards))
        states, actions, rewards = columns
        zeros = torch.zeros(size)
        return Batch(states, actions, rewards, zeros, states, rewards, zeros == 0, zeros + 1)

    def train(self, learner, make_noise, updates=250):
        for number in range(updates):
            learner.update(self.batch(number), make_noise(learner, size=128, seed=number))
        return learner

    def regret(self, learner):
        """Mean squared distance of what acts, without noise, from the best action on unseen states."""
        facts = TaskFacts.model_construct(observation_dim=2, action_dim=1)
        policy = policy_from_weights(learner.policy(), facts)
        states = np.random.default_rng(3).uniform(-1, 1, (500, 2)).astype(np.float32)
        actions = np.stack([policy.act(state, None) for state in states])
        return float(np.square(actions - self.best(states)).mean())


@pytest.fixture
def bandit():
    return Bandit
