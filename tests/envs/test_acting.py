"""Policies in NumPy: against a plain float64 reference, and what does not fit."""

import pickle
import time
from dataclasses import replace

import numpy as np
import pytest

from awaccli.artifacts.tensors import write_policy
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.envs.acting import ActorSpec, load_actor, policy_from_weights
from awaccli.errors import CheckpointError, UsageError
from awaccli.protocols import PolicyWeights


def facts(observation_dim=39, action_dim=30, low=-1.0, high=1.0):
    return TaskFacts(
        spec=TaskSpec(name="test"),
        observation_dim=observation_dim,
        action_dim=action_dim,
        observation_layout=(("observation", observation_dim),),
        action_low=(low,) * action_dim,
        action_high=(high,) * action_dim,
        reward_kind="dense",
        reward_range=None,
        success_rule="",
        held_steps=25,
    )


def weights(hidden=(256, 256), observation_dim=39, action_dim=30, groups=1, **config):
    rng = np.random.default_rng(0)

    def normal(*shape, scale=1.0):
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    widths = [observation_dim, *hidden]
    arrays = {
        "observation.mean": normal(observation_dim),
        "observation.scale": np.abs(normal(observation_dim)) + np.float32(0.1),
        "observation.clip": np.float32(5.0),
        "mean.weight": normal(action_dim, widths[-1], scale=0.1),
        "mean.bias": normal(action_dim),
        "log_std": normal(action_dim),
        "action.center": normal(action_dim),
        "action.half": np.abs(normal(action_dim)),
    }
    for i, (width, height) in enumerate(zip(widths, hidden, strict=False)):
        arrays[f"layers.{i}.weight"] = normal(height, width, scale=width**-0.5)
        arrays[f"layers.{i}.bias"] = normal(height)
        if i and groups > 1:
            shape = (groups, height // groups, width // groups)
            arrays[f"layers.{i}.weight"] = normal(*shape, scale=shape[-1] ** -0.5)
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    return PolicyWeights(
        "gaussian", {"activation": "relu", "mean": "tanh", "layers": len(hidden), **config}, arrays
    )


def reference(policy, observation, eps):
    a = {name: array.astype(np.float64) for name, array in policy.arrays.items()}
    x = np.clip((observation - a["observation.mean"]) / a["observation.scale"], -5, 5)
    for i in range(policy.config["layers"]):
        weight = a[f"layers.{i}.weight"]
        if weight.ndim == 3:
            parts = np.split(x, len(weight))
            x = np.concatenate([one @ part for one, part in zip(weight, parts, strict=True)])
        else:
            x = weight @ x
        x += a[f"layers.{i}.bias"]
        x = np.maximum(x, 0) if policy.config["activation"] == "relu" else np.tanh(x)
    m = a["mean.weight"] @ x + a["mean.bias"]
    m = np.tanh(m) if policy.config["mean"] == "tanh" else m
    return a["action.center"] + a["action.half"] * np.clip(m + np.exp(a["log_std"]) * eps, -1, 1)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("mean", ["tanh", "linear"])
@pytest.mark.parametrize(
    ("hidden", "groups"), [((256, 256), 1), ((300,), 1), ((), 1), ((768, 768, 303), 3), ((64, 12), 2)]
)
def test_acting_equals_a_float64_reference(activation, mean, hidden, groups):
    given = weights(hidden, activation=activation, mean=mean, groups=groups)
    policy = policy_from_weights(given, facts())
    for seed in range(5):
        observation = np.random.default_rng(seed).standard_normal(39).astype(np.float32) * 3
        eps = np.random.default_rng(seed).standard_normal(30, np.float32)
        action = policy.act(observation, None)
        assert action.dtype == np.float32
        np.testing.assert_allclose(action, reference(given, observation, 0), atol=1e-5)
        sampled = policy.act(observation, np.random.default_rng(seed))
        np.testing.assert_allclose(sampled, reference(given, observation, eps), atol=2e-5)


def test_acting_rate(capsys):
    policy, observation = policy_from_weights(weights(), facts()), np.zeros(39, np.float32)
    started = time.perf_counter()
    for _ in range(2000):
        policy.act(observation, None)
    with capsys.disabled():
        print(
            f" [{(time.perf_counter() - started) / 2000 * 1e6:.0f} us per action of a 2x256 policy] ", end=""
        )


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("layers.1.weight", np.zeros((256, 255), np.float32)),
        ("layers.1.weight", np.zeros((3, 85, 85), np.float32)),
        ("log_std", np.zeros(29, np.float32)),
        ("mean.bias", np.zeros(30, np.float64)),
        ("observation.clip", np.zeros(1, np.float32)),
        ("action.half", None),
    ],
)
def test_damaged_weights_name_the_tensor(name, array):
    given = weights()
    arrays = {key: value for key, value in given.arrays.items() if key != name}
    if array is not None:
        arrays[name] = array
    with pytest.raises(CheckpointError, match=name):
        policy_from_weights(replace(given, arrays=arrays), facts())


@pytest.mark.parametrize("config", [{"layers": "2"}, {"activation": "gelu"}, {"mean": "cube"}])
def test_unknown_configuration_is_refused(config):
    with pytest.raises(CheckpointError):
        policy_from_weights(weights(**config), facts())


def test_a_policy_for_another_task_is_refused_with_both_sizes():
    with pytest.raises(CheckpointError, match=r"39.*45"):
        policy_from_weights(weights(), facts(observation_dim=45))
    with pytest.raises(CheckpointError, match=r"30.*24"):
        policy_from_weights(weights(), facts(action_dim=24))
    with pytest.raises(CheckpointError, match="bcq"):
        policy_from_weights(replace(weights(), kind="bcq"), facts())


def test_a_policy_file_acts_by_mean_or_by_samples(tmp_path):
    path = tmp_path / "policy.safetensors"
    given = weights()
    write_policy(path, given)
    observation = np.ones(39, np.float32)
    mean, sample = (
        load_actor(ActorSpec(f"file:{path}", actions=actions), facts()).start(np.random.default_rng(1))(
            observation
        )
        for actions in ("mean", "sample")
    )
    np.testing.assert_allclose(mean, reference(given, observation, 0), atol=1e-5)
    assert np.abs(sample - mean).max() > 0.1
    with pytest.raises(CheckpointError, match=r"policy\.safetensors.*45"):
        load_actor(ActorSpec(f"file:{path}"), facts(observation_dim=45))
    with pytest.raises(CheckpointError, match="does not exist"):
        load_actor(ActorSpec(f"file:{tmp_path / 'none'}"), facts())


@pytest.mark.parametrize(("actions", "std"), [("sample", 0.0), ("sample", 0.1), ("mean", 0.1)])
def test_noise_drawn_in_blocks_is_the_noise_drawn_step_by_step(actions, std, tmp_path):
    given, rho = weights(), 0.6
    write_policy(tmp_path / "policy.safetensors", given)
    spec = ActorSpec(f"file:{tmp_path}/policy.safetensors", actions, noise=std, noise_correlation=rho)
    act = load_actor(spec, facts()).start(np.random.default_rng(3))
    policy, rng = policy_from_weights(given, facts()), np.random.default_rng(3)

    def draw():
        return rng.standard_normal(30, np.float32)

    noise = np.float32(std) * draw() if std else np.zeros(30, np.float32)
    for observation in np.random.default_rng(0).standard_normal((150, 39)).astype(np.float32):
        expected = policy.act(observation, rng if actions == "sample" else None) + noise
        if std:
            noise = np.float32(rho) * noise + np.float32(std * (1 - rho**2) ** 0.5) * draw()
        assert act(observation).tolist() == expected.tolist()


def test_an_action_is_not_overwritten_by_the_next():
    policy, rng = policy_from_weights(weights(), facts()), np.random.default_rng(0)
    observations = rng.standard_normal((5, 39)).astype(np.float32)
    alone = [policy.act(observation, None).tolist() for observation in observations]
    together = [policy.act(observation, None) for observation in observations]
    assert [action.tolist() for action in together] == alone
    assert alone[0] != alone[1]


def test_noise_has_the_requested_spread_and_correlation(toy):
    toy()  # puts toy_tasks within reach
    spec = ActorSpec("toy_tasks:forward", noise=0.1, noise_correlation=0.8)
    act = load_actor(spec, facts(3, 2, -2, 2)).start(np.random.default_rng(0))
    noise = np.array([act(np.zeros(3, np.float32)) for _ in range(20_000)])[:, 1] / 2
    assert noise.std() == pytest.approx(0.1, rel=0.05)
    assert np.corrcoef(noise[1:], noise[:-1])[0, 1] == pytest.approx(0.8, abs=0.02)


def test_random_actions_fill_the_box():
    act = load_actor(ActorSpec("random"), facts(low=-3, high=1)).start(np.random.default_rng(0))
    actions = np.array([act(np.zeros(39, np.float32)) for _ in range(100)])
    assert actions.dtype == np.float32
    assert (actions.min() >= -3, actions.max() <= 1) == (True, True)
    assert actions.mean() == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    ("policy", "message", "hint"),
    [
        ("toy_task:forward", "no module named `toy_task`", "toy_task.py"),
        ("toy_tasks:forwrd", "no function or class `forwrd`", "`forward`"),
        ("toy_tasks:not_callable", "no function or class", None),
        ("toy_tasks:needs_two", "2 required parameters", "factory"),
        ("expertt", "unknown policy `expertt`", "module:attribute"),
    ],
)
def test_policies_that_cannot_be_found_are_usage_errors(policy, message, hint, toy):
    toy()
    with pytest.raises(UsageError, match=message) as caught:
        load_actor(ActorSpec(policy), facts())
    assert hint is None or hint in caught.value.hint


def test_modules_of_the_current_folder_can_be_named(tmp_path, monkeypatch):
    (tmp_path / "my_robot_policy.py").write_text("def act(o):\n    return o[:2]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere", *__import__("sys").path])
    act = load_actor(ActorSpec("my_robot_policy:act"), facts(3, 2)).start(np.random.default_rng(0))
    assert act(np.arange(3)).tolist() == [0, 1]
    with pytest.raises(UsageError, match="my_robot_polic`") as caught:
        load_actor(ActorSpec("my_robot_polic:act"), facts(3, 2))
    assert "my_robot_policy" in caught.value.hint


def test_an_actor_spec_travels():
    spec = ActorSpec("random", actions="sample", noise=0.1)
    assert pickle.loads(pickle.dumps(spec)) == spec
