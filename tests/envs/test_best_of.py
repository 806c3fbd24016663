"""Policies that take the best of several actions: as in PyTorch, always the same, checked."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from awaccli.algorithms.candidates import q_of_samples
from awaccli.algorithms.make import make_learner
from awaccli.artifacts.tensors import write_policy
from awaccli.config.baselines import BcqSettings, BearSettings
from awaccli.config.section import NetworkSettings
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.config.tree import Settings
from awaccli.envs.acting import ActorSpec, load_actor, policy_from_weights
from awaccli.errors import CheckpointError

OBSERVATION_DIM, ACTION_DIM = 5, 3
FACTS = TaskFacts(
    spec=TaskSpec(name="test"),
    observation_dim=OBSERVATION_DIM,
    action_dim=ACTION_DIM,
    observation_layout=(("observation", OBSERVATION_DIM),),
    action_low=(-1.0,) * ACTION_DIM,
    action_high=(3.0,) * ACTION_DIM,
    reward_kind="dense",
    reward_range=None,
    success_rule="",
    held_steps=25,
)


def shaken(algo, hidden=(40, 30), layer_norm=False, samples=6):
    """A learner with large weights everywhere."""
    network = NetworkSettings(
        policy_hidden=hidden, critic_hidden=hidden, layer_norm=layer_norm, normalize_observations=True
    )
    settings = Settings(
        bear=BearSettings(network=network, samples=samples), bcq=BcqSettings(network=network, samples=samples)
    )
    rng = np.random.default_rng(0)
    ones = np.ones(OBSERVATION_DIM)
    learner = make_learner(
        algo,
        settings,
        observation_dim=OBSERVATION_DIM,
        action_dim=ACTION_DIM,
        observation_statistics=(0.5 * ones, 0.8 * ones, -2 * ones, 2 * ones),
        action_center=np.ones(ACTION_DIM),
        action_half=np.full(ACTION_DIM, 2.0),
        reward_range=None,
        seed=0,
    )
    for name, tensor in learner.tensors().items():
        if name.startswith(("policy", "critic", "decoder")):
            scale = 1.5 / np.sqrt(tensor.shape[-1] if "policy" in name else max(tensor.shape))
            tensor.copy_(torch.from_numpy(rng.normal(0, scale, tuple(tensor.shape)).astype(np.float32)))
    return learner


def in_torch(learner, algo, observation, draws):
    """Candidates in [-1, 1] and the first critic's value of each, by the learner."""
    seen = learner._normaliser(torch.from_numpy(observation)[None])
    noise = torch.from_numpy(draws).unsqueeze(1)
    with torch.no_grad():
        if algo == "bear":
            mean, log_std = learner._policy(seen)
            actions = torch.tanh(mean + log_std.exp() * noise)
        else:
            actions = learner._candidates(learner._policy, seen, noise)
        return actions[:, 0].numpy(), q_of_samples(learner._critic, seen, actions)[0, :, 0].numpy()


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("hidden", [(40, 30), (300,), ()])
@pytest.mark.parametrize("algo", ["bear", "bcq"])
def test_acting_equals_pytorch(algo, hidden, layer_norm):
    learner = shaken(algo, hidden, layer_norm)
    policy = policy_from_weights(learner.policy(), FACTS)
    width = learner._draws.shape[1]
    picked = set()
    for seed in range(8):
        observation = np.random.default_rng(seed).standard_normal(OBSERVATION_DIM).astype(np.float32)
        for rng in (None, np.random.default_rng(seed)):
            action = policy.act(observation, rng)
            drawn = np.random.default_rng(seed).standard_normal((6, width), np.float32)
            draws = learner._draws.numpy() if rng is None else drawn
            actions, q = in_torch(learner, algo, observation, draws)
            assert action.dtype == np.float32
            np.testing.assert_allclose(action, 1 + 2 * actions[q.argmax()], atol=2e-5)
            picked.add(int(q.argmax()))
    assert len(picked) > 2


@pytest.mark.parametrize("algo", ["bear", "bcq"])
def test_the_action_without_noise_is_worth_what_the_learner_says(algo):
    learner = shaken(algo)
    policy = policy_from_weights(learner.policy(), FACTS)
    observations = np.random.default_rng(0).standard_normal((4, OBSERVATION_DIM)).astype(np.float32)
    actions = np.stack([policy.act(row, None) for row in observations])
    seen = learner._normaliser(torch.from_numpy(observations))
    with torch.no_grad():
        q = learner._critic(seen, torch.from_numpy((actions - 1) / 2)).amin(dim=0)
    np.testing.assert_allclose(learner.state_values(torch.from_numpy(observations)), q, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("algo", ["bear", "bcq"])
def test_a_policy_file_acts_by_its_own_draws_or_by_new_ones(algo, tmp_path):
    path = tmp_path / "policy.safetensors"
    weights = shaken(algo).policy()
    write_policy(path, weights)
    policy, observation = policy_from_weights(weights, FACTS), np.ones(OBSERVATION_DIM, np.float32)

    def acted(seed, **spec):
        act = load_actor(ActorSpec(f"file:{path}", **spec), FACTS).start(np.random.default_rng(seed))
        return [act(observation).tolist() for _ in range(3)]

    mean = policy.act(observation, None).tolist()
    assert acted(1) == acted(2) == [mean] * 3
    rng = np.random.default_rng(1)
    assert acted(1, actions="sample") == [policy.act(observation, rng).tolist() for _ in range(3)]
    assert len({str(action) for action in acted(1, actions="sample")}) > 1
    disturbed = np.array(acted(1, noise=0.1)) - mean
    assert 0.02 < disturbed.std() < 0.6


def test_an_action_is_not_overwritten_by_the_next():
    policy = policy_from_weights(shaken("bcq").policy(), FACTS)
    observations = np.random.default_rng(0).standard_normal((5, OBSERVATION_DIM)).astype(np.float32)
    alone = [policy.act(row, None).tolist() for row in observations]
    assert [action.tolist() for action in [policy.act(row, None) for row in observations]] == alone


_ACT = """
import sys
import numpy as np
from awaccli.artifacts.tensors import read_policy
from awaccli.envs.best_of import BestOfPolicy
policy = BestOfPolicy(read_policy(__import__("pathlib").Path(sys.argv[1])))
rng = np.random.default_rng(0)
rows = rng.standard_normal((20, policy.observation_dim)).astype(np.float32)
print(b"".join(policy.act(row, rng).tobytes() for row in rows).hex())
"""


def test_more_threads_give_the_same_bits(tmp_path):
    path = tmp_path / "policy.safetensors"
    write_policy(path, shaken("bcq", hidden=(256, 256), samples=40).policy())
    found = [
        subprocess.run(
            [sys.executable, "-c", _ACT, path],
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "8")
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("algo", "name", "shape"),
    [
        ("bear", "draws", (6, ACTION_DIM + 1)),
        ("bear", "draws", (0, ACTION_DIM)),
        ("bear", "draws", None),
        ("bear", "std.weight", (ACTION_DIM, 31)),
        ("bear", "critic.0.weight", (40, OBSERVATION_DIM)),
        ("bear", "critic.0.gain", (41,)),
        ("bear", "critic.1.shift", None),
        ("bear", "critic.2.weight", (2, 30)),
        ("bcq", "draws", (6, 5)),
        ("bcq", "layers.0.weight", (40, OBSERVATION_DIM)),
        ("bcq", "mean.bias", (ACTION_DIM + 1,)),
        ("bcq", "perturbation.layers.1.weight", None),
        ("bcq", "perturbation.mean.weight", (ACTION_DIM + 1, 30)),
        ("bcq", "critic.1.bias", (30, 1)),
        ("bcq", "action.half", (ACTION_DIM - 1,)),
    ],
)
def test_damaged_weights_name_the_tensor(algo, name, shape):
    given = shaken(algo, layer_norm=True).policy()
    arrays = dict(given.arrays)
    del arrays[name]
    if shape is not None:
        arrays[name] = np.ones(shape, np.float32)
        if name == "perturbation.mean.weight":
            arrays["perturbation.mean.bias"] = np.ones(shape[0], np.float32)
        if name == "critic.2.weight":
            arrays["critic.2.bias"] = np.ones(shape[0], np.float32)
    tensor = "layers.0.weight" if (name, shape) == ("draws", (6, 5)) else name
    with pytest.raises(CheckpointError, match=tensor):
        policy_from_weights(replace(given, arrays=arrays), FACTS)


def test_draws_that_no_normal_generator_makes_are_refused():
    given = shaken("bear").policy()
    arrays = dict(given.arrays) | {"draws": np.full((6, ACTION_DIM), 1e30, np.float32)}
    with pytest.raises(CheckpointError, match=r"draws.*outside -100 to 100"):
        policy_from_weights(replace(given, arrays=arrays), FACTS)


@pytest.mark.parametrize(
    "change",
    [
        *[{"generator": value} for value in ("gaussian", "os:system", None, [], {})],
        *[{"layers": value} for value in (-1, 3, 10**9, 2.0, True, None)],
        *[{"critic_layers": value} for value in (-1, 3, 10**9, "2", True, None)],
        *[{"perturbation_layers": value} for value in (-1, 3, None)],
        *[{"critic_norm": value} for value in (1, "true", None, True)],
        *[{"perturbation": value} for value in (-0.1, 1.1, True, None, "0", float("nan"))],
        *[{"code_limit": value} for value in (0, -1, float("inf"), None)],
    ],
)
def test_unknown_configuration_is_refused(change):
    given = shaken("bcq").policy()
    with pytest.raises(CheckpointError, match="policy"):
        policy_from_weights(replace(given, config=given.config | change), FACTS)
