"""Squashed Gaussian policies in NumPy: equal to PyTorch's, and refused where they are damaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from awaccli.algorithms.networks import ObservationNormaliser, Spaces
from awaccli.algorithms.policies import SquashedGaussianPolicy
from awaccli.artifacts.tensors import write_policy
from awaccli.config.section import NetworkSettings
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.envs.acting import ActorSpec, load_actor, policy_from_weights
from awaccli.errors import CheckpointError

SPACES = Spaces(5, np.array([0.5, -1.0]), np.array([2.0, 0.5]), (np.full(5, 0.3), np.full(5, 0.7)))
FACTS = TaskFacts.model_construct(
    spec=TaskSpec(name="test"),
    observation_dim=5,
    action_dim=2,
    action_low=(-1.5, -1.5),
    action_high=(2.5, -0.5),
)
F4 = np.float32


def trained(hidden=(16, 16), scale=0.7):
    """A policy of PyTorch's with large weights, its normaliser, and what is exported of them."""
    network = NetworkSettings(policy_hidden=hidden, initial_std=0.5, min_log_std=-4)
    rng = np.random.default_rng(0)
    policy, normaliser = SquashedGaussianPolicy(SPACES, network, rng=rng), ObservationNormaliser(SPACES)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.copy_(torch.from_numpy(rng.normal(0, scale, tuple(weight.shape)).astype(F4)))
    return policy, normaliser, policy.weights(SPACES, normaliser)


def damaged(**changes):
    given = trained()[2]
    arrays = dict(given.arrays) | {name.replace("__", "."): array for name, array in changes.items()}
    return replace(given, arrays={name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize("hidden", [(16, 16), (300,), ()])
def test_acting_equals_the_policy_of_pytorch(hidden):
    policy, normaliser, weights = trained(hidden)
    actor = policy_from_weights(weights, FACTS)
    rng = np.random.default_rng(1)
    for observation in (rng.standard_normal((20, 5)) * 3).astype(F4):
        noise = rng.standard_normal(2, F4)
        with torch.no_grad():
            mean, log_std = (
                one.numpy()[0] for one in policy(normaliser(torch.from_numpy(observation)[None]))
            )
        for drawn in (None, noise):
            raw = mean if drawn is None else mean + np.exp(log_std) * drawn
            expected = SPACES.action_center + SPACES.action_half * np.tanh(raw)
            action = actor.action(observation, drawn)
            assert action.dtype == F4
            np.testing.assert_allclose(action, expected, atol=1e-5)


def test_the_spread_depends_on_the_state():
    actor = policy_from_weights(trained()[2], FACTS)
    states = np.random.default_rng(2).standard_normal((50, 5)).astype(F4)
    small = np.full(2, 1e-3, F4)
    moved = np.array([np.abs(actor.action(s, small) - actor.action(s, None)) for s in states])
    assert moved.max() > 3 * np.median(moved)


def test_a_policy_file_acts_by_mean_or_by_samples(tmp_path):
    weights = trained()[2]
    write_policy(tmp_path / "policy.safetensors", weights)
    observation = np.ones(5, F4)
    mean, sample = (
        load_actor(ActorSpec(f"file:{tmp_path}/policy.safetensors", actions), FACTS).start(
            np.random.default_rng(1)
        )(observation)
        for actions in ("mean", "sample")
    )
    actor = policy_from_weights(weights, FACTS)
    assert mean.tolist() == actor.act(observation, None).tolist()
    assert sample.tolist() == actor.act(observation, np.random.default_rng(1)).tolist()
    assert sample.tolist() != mean.tolist()


def test_an_action_is_not_overwritten_by_the_next():
    actor = policy_from_weights(trained()[2], FACTS)
    observations = np.random.default_rng(0).standard_normal((3, 5)).astype(F4)
    together = [actor.act(observation, np.random.default_rng(0)) for observation in observations]
    alone = [actor.act(observation, np.random.default_rng(0)).tolist() for observation in observations]
    assert [action.tolist() for action in together] == alone


def test_extreme_weights_stay_inside_the_box():
    # The spread of a std head far below zero underflows, far above zero it is 1; neither overflows.
    for shift in (-1e30, 1e30):
        actor = policy_from_weights(damaged(std__bias=np.full(2, shift, F4)), FACTS)
        action = actor.action(np.ones(5, F4), np.full(2, 50, F4))
        assert np.abs((action - SPACES.action_center) / SPACES.action_half).max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("name", "array"),
    [
        *[(name, None) for name in trained()[2].arrays],
        *[(name, array.astype(np.float64)) for name, array in trained()[2].arrays.items()],
        *[(name, np.ones((*array.shape, 2), F4)) for name, array in trained()[2].arrays.items()],
        ("std.weight", np.ones((3, 16), F4)),
        ("std.weight", np.ones((2, 15), F4)),
        ("mean.weight", np.ones((3, 16), F4)),
        ("layers.1.weight", np.ones((16, 15), F4)),
        ("layers.0.weight", np.ones((0, 5), F4)),
        ("observation.scale", np.zeros(5, F4)),
        ("action.half", np.full(2, np.inf, F4)),
    ],
)
def test_damaged_arrays_name_the_tensor(name, array):
    with pytest.raises(CheckpointError, match=r"policy tensor|policy has no tensor"):
        policy_from_weights(damaged(**{name.replace(".", "__"): array}), FACTS)


def test_the_two_heads_are_of_one_length():
    longer = damaged(std__weight=np.ones((3, 16), F4), std__bias=np.ones(3, F4))
    with pytest.raises(CheckpointError, match=r"`std.weight` has 3 rows, `mean.weight` 2"):
        policy_from_weights(longer, FACTS)


@pytest.mark.parametrize(
    "change",
    [
        *[{"min_log_std": value} for value in (None, "x", True, 0, 1.0, -1e31, float("nan"), [], {})],
        *[{"layers": value} for value in (-1, 10**9, 1.0, None)],
        {"activation": "gelu"},
    ],
)
def test_its_config_is_checked(change):
    given = trained()[2]
    with pytest.raises(CheckpointError):
        policy_from_weights(replace(given, config=dict(given.config) | change), FACTS)


def test_a_policy_for_another_task_is_refused():
    with pytest.raises(CheckpointError, match=r"5.*7"):
        policy_from_weights(trained()[2], FACTS.model_copy(update={"observation_dim": 7}))
