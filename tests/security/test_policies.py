"""A policy file from a stranger acts as arrays and a few words say, or not at all."""

import json

import numpy as np
import pytest
import specimens

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.tensors import read_policy, write_arrays
from awaccli.envs.acting import ActorSpec, load_actor
from awaccli.errors import CheckpointError
from awaccli.reports.info import info
from awaccli.reports.verify import Verifier
from awaccli.seeding import stream

SOUND = specimens.policy()


def acted(path):
    """Load and act once."""
    act = load_actor(ActorSpec(policy=f"file:{path}", actions="sample"), specimens.FACTS).start(stream(0))
    return act(np.full(3, 100, np.float32))


def written(path, *, kind="gaussian", config=None, **arrays):
    changed = {name.replace("__", "."): array for name, array in arrays.items()}
    kept = {name: array for name, array in (SOUND.arrays | changed).items() if array is not None}
    write_arrays(path, kept, {"kind": kind, "config": SOUND.config if config is None else config})
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "policy.safetensors"


def test_the_sound_policy_acts_inside_the_box(file):
    assert np.abs(acted(written(file))).max() <= 2 + abs(float(SOUND.arrays["action.center"][0]))


@pytest.mark.parametrize(
    "kind",
    ["os:system", "evil", "", None, 3, ["gaussian"], {"a": 1}, "gaussian\0"],
)
def test_its_kind_is_one_word(file, kind):
    with pytest.raises(CheckpointError) as caught:
        acted(written(file, kind=kind))
    assert "policy.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        *[{"layers": value} for value in (-1, 2, 10**9, 1.0, "1", True, None, [1], {})],
        *[{"activation": value} for value in ("os.system", "", None, 1, [], {}, ["relu"])],
        *[{"mean": value} for value in ("exp", None, [], {"tanh": 1})],
    ],
)
def test_its_config_is_checked(file, change):
    with pytest.raises(CheckpointError) as caught:
        acted(written(file, config=SOUND.config | change))
    assert "policy.safetensors" in str(caught.value)


@pytest.mark.parametrize("config", [None, [], "x", 3])
def test_its_config_is_an_object(file, config):
    write_arrays(file, SOUND.arrays, {"kind": "gaussian", "config": config})
    with pytest.raises(CheckpointError, match="holds no policy"):
        read_policy(file)


F4 = np.float32


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("layers.0.weight", np.ones((8, 4), F4)),
        ("layers.0.weight", np.ones((9, 3), F4)),
        ("layers.0.weight", np.ones((0, 3), F4)),
        ("layers.0.weight", np.ones(24, F4)),
        ("layers.0.weight", np.ones((8, 3))),
        ("layers.0.weight", None),
        ("layers.0.bias", np.ones((8, 1), F4)),
        ("mean.weight", np.ones((1, 9), F4)),
        ("mean.weight", np.ones((2, 8), F4)),
        ("mean.bias", np.ones(2, F4)),
        ("log_std", np.full(1, 1000, F4)),
        ("log_std", np.full(1, np.nan, F4)),
        ("observation.mean", np.ones(4, F4)),
        ("observation.mean", np.ones((1, 3), F4)),
        ("observation.scale", np.zeros(3, F4)),
        ("observation.scale", -np.ones(3, F4)),
        ("observation.scale", np.full(3, 1e-40, F4)),
        ("observation.clip", np.array(-1, F4)),
        ("observation.clip", np.ones(1, F4)),
        ("action.half", np.zeros(1, F4)),
        ("action.half", np.full(1, np.inf, F4)),
        ("action.center", np.ones(1, np.int64)),
    ],
)
def test_its_arrays_fit_each_other_and_the_task(file, name, array):
    with pytest.raises(CheckpointError) as caught:
        acted(written(file, **{name.replace(".", "__"): array}))
    assert "policy.safetensors" in str(caught.value)


def test_arrays_that_nobody_asked_for_change_nothing(file):
    plain = acted(written(file))
    assert np.array_equal(
        acted(written(file, evil=np.ones(3, F4), layers__1__weight=np.ones((2, 2), F4))), plain
    )


CONTENT = {
    "no algorithm": lambda content: content.update(algo="nope"),
    "another section": lambda content: content.update(algo="algo"),
    "no settings": lambda content: content.update(settings={}),
    "negative updates": lambda content: content.update(updates=-1),
    "updates of another type": lambda content: content.update(updates="many"),
    "no size": lambda content: content.update(observation_dim=0),
    "an odd role": lambda content: content["data"][0].update(role="evil"),
    "something else": lambda content: content.update(evil="os:system"),
}


@pytest.mark.parametrize("what", CONTENT)
def test_what_a_checkpoint_says_of_itself_is_checked(awac, take, what):
    path = take("x.ckpt")
    specimens.reseal_folder(path, lambda record: CONTENT[what](record["content"]))
    for command in (("info", path), ("eval", path), ("finetune", path)):
        awac(*command).refused("x.ckpt", "content.")


@pytest.mark.parametrize("kind", ["dataset", "evaluation", "evil", None])
def test_a_checkpoint_that_claims_to_be_something_else(awac, take, kind):
    path = take("x.ckpt")
    specimens.reseal_folder(path, lambda record: record.update(kind=kind))
    for command in (("eval", path), ("finetune", path)):
        awac(*command).refused("x.ckpt")


@pytest.mark.parametrize("kind", ["checkpoint", "evaluation", "evil", []])
@pytest.mark.parametrize("name", ["x.zarr", "x.ckpt", "x.json"])
def test_no_kind_is_taken_at_its_word(take, tries, name, kind):
    """Whatever a manifest claims, an artifact is opened as what it is, or refused."""
    path = take(name)
    if name == "x.json":
        record = json.loads(path.read_text())
        body = {key: value for key, value in record.items() if key != "manifest"}
        specimens.reseal_json(path, body, lambda manifest: manifest.update(kind=kind))
    else:
        specimens.reseal_folder(path, lambda record: record.update(kind=kind))
    for read in (info, lambda path: Verifier(deep=True).verify(path)):
        own = {"x.zarr": "dataset", "x.ckpt": "checkpoint", "x.json": "evaluation"}[name]
        found = tries(read, path)
        assert found is None or getattr(found, "ok", None) is False or found.kind == own


def test_settings_of_a_stranger_that_no_memory_holds(awac, take):
    path = take("x.ckpt")
    take("x.zarr")
    wide = {"network": {"critic_hidden": [10**9, 10**9]}}
    specimens.reseal_folder(path, lambda record: record["content"]["settings"]["awac"].update(wide))
    result = awac("finetune", path, "--env-steps", 1, "--workers", 1, "-o", "new.ckpt")
    result.refused("x.ckpt` has settings", "awac.network.critic_hidden.0")


def test_the_trainer_of_another_shape(awac, take):
    path = take("x.ckpt")
    take("x.zarr")
    awac("finetune", path, "--env-steps", 1, "--workers", 1, "-o", "new.ckpt").refused("the checkpoint lacks")
    opened = open_checkpoint(path)
    assert set(opened.trainer()) == {"policy.w", "updates"}
