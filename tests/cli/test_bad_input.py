"""Inputs that are missing, damaged or of the wrong kind: a clear error, and nothing lost or half-written."""

import json
import resource
import shutil
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
import zarr

from awaccli.artifacts.manifest import MANIFEST, inventory, read_manifest
from awaccli.data.dataset import open_dataset
from awaccli.data.schema import dataset_id

DATA_READERS = {
    "bc-rollout": ("bc-rollout", "--demos", "BAD", "-o", "new.zarr", "TINY"),
    "pretrain": ("pretrain", "--data", "toy.zarr", "--data", "BAD", "-o", "new.ckpt", "TINY"),
    "finetune --data": ("finetune", "start.ckpt", "--data", "BAD", "-o", "new.ckpt", "TINY"),
    "finetune --add-data": ("finetune", "start.ckpt", "--add-data", "BAD", "-o", "new.ckpt", "TINY"),
    "info": ("info", "BAD"),
    "compare": ("compare", "BAD"),
}
CHECKPOINT_READERS = {
    "finetune": ("finetune", "BAD", "-o", "new.ckpt", "TINY"),
    "eval": ("eval", "BAD", "-o", "new.json", "--workers", 1),
    "info": ("info", "BAD"),
}


def resealed(path, content_id=None):
    """Make the manifest agree with files that were tampered with."""
    old = read_manifest(path)
    changes = {"files": inventory(path), "id": content_id or old.id}
    (path / MANIFEST).write_bytes(old.model_copy(update=changes).to_bytes())
    return path


def a_file(path, content):
    path.write_bytes(content)
    return path


def a_folder(path):
    path.mkdir()
    return path


REWARDS = "steps/rewards/c/0"


def without(path, name):
    (path / name).unlink()
    return path


def cut(path, name=""):
    """Truncate a file, or a file inside an artifact, to half."""
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    return path


def with_nan(path):
    rewards = zarr.open_array(path, path="steps/observations", mode="r+")
    rewards[7, 1] = np.nan
    return resealed(path)


def without_episodes(path):
    attributes = json.loads((path / "zarr.json").read_text())
    attributes["attributes"]["awac"]["commit"] |= {"n_episodes": 0, "n_steps": 0}
    (path / "zarr.json").write_text(json.dumps(attributes))
    header = open_dataset(without(path, MANIFEST), unfinished=True).header
    return dataset_id(header, [])


def foreign_hdf5(path):
    with h5py.File(path, "w") as file:
        file["observations"] = [1.0, 2.0]
    return path


def foreign_zarr(path):
    zarr.open_group(path, mode="w")
    return path


BAD_DATASETS = {
    # kind: (how to make one in a folder, given a way to take good ones, what the error says)
    "missing": (lambda folder, take: "no-such.zarr", "does not exist"),
    "empty file": (lambda folder, take: a_file(folder / "bad.h5", b""), "is not"),
    "random bytes": (lambda folder, take: a_file(folder / "bad.h5", b"\x93\xf0" * 2500), "is not"),
    "foreign HDF5": (lambda folder, take: foreign_hdf5(folder / "bad.h5"), "is not"),
    "truncated HDF5": (lambda folder, take: cut(take("demos.h5", "bad.h5")), "truncated"),
    "text": (lambda folder, take: a_file(folder / "bad.zarr", b"hello"), "is not an awac artifact"),
    "JSON": (lambda folder, take: a_file(folder / "bad.json", b'{"a": 42}'), "is not an awac artifact"),
    "list as JSON": (lambda folder, take: a_file(folder / "bad.json", b"[1]"), "is not an awac artifact"),
    "empty folder": (lambda folder, take: a_folder(folder / "bad.zarr"), "is not an awac artifact"),
    "foreign Zarr": (lambda folder, take: foreign_zarr(folder / "bad.zarr"), "no dataset of awac"),
    "no manifest": (lambda folder, take: without(take("demos.zarr"), MANIFEST), "unfinished dataset"),
    "torn manifest": (lambda folder, take: cut(take("demos.zarr"), MANIFEST), "manifest of `demos.zarr` is"),
    "no root": (lambda folder, take: without(take("demos.zarr"), "zarr.json"), "its arrays are missing"),
    "part missing": (lambda folder, take: without(take("demos.zarr"), REWARDS), f"{REWARDS} is missing"),
    "part changed": (lambda folder, take: cut(take("demos.zarr"), REWARDS), f"{REWARDS} has changed"),
    "checkpoint": (lambda folder, take: take("toy-bc.ckpt"), "is not a dataset, it is: checkpoint"),
    "evaluation": (lambda folder, take: take("result.json"), "is not a dataset, it is: evaluation"),
}


@pytest.fixture
def start(linked, tmp_path):
    """A good dataset and a good checkpoint beside the bad input."""
    linked("toy.zarr")
    (tmp_path / "start.ckpt").symlink_to(linked("pretrained.ckpt"))


@pytest.mark.parametrize("kind", BAD_DATASETS)
def test_what_is_no_sound_dataset_is_refused_by_every_reader(awac, start, artifact, tmp_path, kind):
    make, message = BAD_DATASETS[kind]
    bad = make(tmp_path, artifact)
    before = sorted(tmp_path.rglob("*"))
    for name, command in DATA_READERS.items():
        if (kind, name) in {("evaluation", "info"), ("evaluation", "compare"), ("checkpoint", "info")}:
            continue  # what these can show
        expected = "is a checkpoint" if (kind, name) == ("checkpoint", "compare") else message
        awac(*[bad if word == "BAD" else word for word in command]).failed(3, expected)
    assert sorted(tmp_path.rglob("*")) == before


POLICY, TRAINER = "policy.safetensors", "trainer.safetensors"
FOREIGN = ("is not an awac artifact", "made by awac")
WRONG_KIND = ("is not a checkpoint, it is: ", "expected a .ckpt")
BAD_CHECKPOINTS = {
    "missing": (lambda folder, take: "pretrain.ckpt", "does not exist", "did you mean `pretrained.ckpt`?"),
    "file": (lambda folder, take: a_file(folder / "bad.ckpt", b"weights"), *FOREIGN),
    "empty folder": (lambda folder, take: a_folder(folder / "bad.ckpt"), *FOREIGN),
    "dataset": (lambda folder, take: take("demos.zarr"), *WRONG_KIND),
    "HDF5 dataset": (lambda folder, take: take("demos.h5"), *WRONG_KIND),
    "evaluation": (lambda folder, take: take("result.json"), *WRONG_KIND),
    "cut policy": (lambda folder, take: cut(take("toy-bc.ckpt"), POLICY), f"{POLICY} has changed", "restore"),
    "no policy": (lambda folder, take: without(take("toy-bc.ckpt"), POLICY), f"{POLICY} is miss", "restore"),
    "no trainer": (lambda folder, take: without(take("toy-bc.ckpt"), TRAINER), f"{TRAINER} is mi", "restore"),
    "cut manifest": (lambda folder, take: cut(take("toy-bc.ckpt"), MANIFEST), "is damaged", "restore"),
    "no manifest": (lambda folder, take: without(take("toy-bc.ckpt"), MANIFEST), *FOREIGN),
}


@pytest.mark.parametrize("kind", BAD_CHECKPOINTS)
def test_what_is_no_sound_checkpoint_is_refused_by_every_reader(awac, start, artifact, tmp_path, kind):
    make, *expected = BAD_CHECKPOINTS[kind]
    bad = make(tmp_path, artifact)
    before = sorted(tmp_path.rglob("*"))
    for name, command in CHECKPOINT_READERS.items():
        if name != "info" or tuple(expected) != WRONG_KIND:
            awac(*[bad if word == "BAD" else word for word in command]).failed(3, *expected)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_policy_file_that_only_looks_right_is_refused(awac, artifact):
    bad = artifact("pretrained.ckpt")
    resealed(cut(bad, POLICY))
    awac("eval", bad, "-n", 1, "--workers", 1).failed(3, "is not a readable safetensors file", "truncated")


@pytest.mark.parametrize("command", ["bc-rollout", "pretrain"])
def test_data_with_nan_are_refused_and_the_place_is_named(awac, start, artifact, tmp_path, command):
    with_nan(tmp_path / artifact("demos.zarr", "bad.zarr"))
    arguments = ["bad.zarr" if word == "BAD" else word for word in DATA_READERS[command]]
    awac(*arguments).failed(3, "steps/observations is not finite in episode 1, step ", "")
    assert not list(tmp_path.glob("new*"))


@pytest.mark.parametrize("command", ["bc-rollout", "pretrain", "info", "compare"])
def test_a_dataset_of_no_episodes_is_refused(awac, start, artifact, tmp_path, command):
    manifest = (artifact("demos.zarr", "bad.zarr") / MANIFEST).read_bytes()
    content_id = without_episodes(tmp_path / "bad.zarr")
    (tmp_path / "bad.zarr" / MANIFEST).write_bytes(manifest)
    resealed(tmp_path / "bad.zarr", content_id)
    arguments = ["bad.zarr" if word == "BAD" else word for word in DATA_READERS[command]]
    awac(*arguments).failed(3, "holds no episode")
    assert not list(tmp_path.glob("new*"))


# Things that do not fit each other


def test_sizes_that_do_not_fit_are_named(awac, linked, tmp_path):
    for name in ("wide.zarr", "toy.zarr", "pretrained.ckpt", "toy-bc.ckpt"):
        linked(name)
    before = sorted(tmp_path.rglob("*"))
    wide = ("--task", "cli_toys:cli/Wide-v0")
    awac("eval", "pretrained.ckpt", *wide).failed(3, "observations of size 3, task `wide`", "another task")
    awac("collect-demos", "cli_toys:cli/Wide-v0", "--policy", "toy-bc.ckpt").failed(
        3, "of size 3, task `wide`"
    )
    awac("pretrain", "--data", "toy.zarr", "--data", "wide.zarr", "TINY").failed(
        3, "`wide.zarr` does not fit the other data", "one task"
    )
    awac("finetune", "pretrained.ckpt", "--data", "wide.zarr", "TINY").failed(
        3, "`wide.zarr` has observation_dim 4, `pretrained.ckpt` was trained with 3", "the checkpoint's task"
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_clone_cannot_be_fine_tuned(awac, linked):
    linked("demos.zarr")
    awac("finetune", linked("toy-bc.ckpt"), "TINY").failed(2, "no critic", "awac pretrain")


def test_a_checkpoint_whose_data_are_gone_says_where_they_were(awac, artifact, linked, tmp_path):
    linked("pretrained.ckpt")
    command = ("finetune", "pretrained.ckpt", "--env-steps", 5, "TINY")
    awac(*command).failed(3, "is gone; it was at `toy.zarr`", "--data-dir")
    (tmp_path / "store").mkdir()
    shutil.move(tmp_path / artifact("toy.zarr"), tmp_path / "store" / "renamed.zarr")
    assert awac(*command, "--data-dir", "store", "--dry-run").code == 0


# Tasks, environments and policies


@pytest.mark.parametrize(
    ("task", "message", "hint"),
    [
        ("relocat", "unknown task `relocat`", "did you mean `relocate`?"),
        ("cli_toys:cli/Toi-v0", "unknown task `cli_toys:cli/Toi-v0`", "did you mean `cli_toys:cli/Toy-v0`"),
        ("no_such_package:X-v0", "no module named `no_such_package`", "expected an installed package"),
        ("toy_tasks:DictToy-v0", "has Dict observations: goal, mode, pose", "--obs-keys goal,mode,pose"),
        ("toy_tasks:DiscreteToy-v0", "actions are Discrete(2)", "a Box"),
    ],
)
def test_a_task_that_cannot_be_used(awac, task, message, hint):
    awac("collect-demos", task, "RANDOM").failed(2, message, hint)


@pytest.mark.parametrize(
    ("policy", "code", "message"),
    [
        ("toy_tasks:wrong_shape", 5, "gave float64 [3] (task `toy`, episode 0, step 0)"),
        ("toy_tasks:not_a_number", 5, "gave [nan, 0.0]"),
        ("toy_tasks:failing", 5, "raised KeyError: 'gripper'"),
        ("toy_tasks:no_such", 2, "`toy_tasks` has no function or class `no_such`"),
        ("toy_tasks:not_callable", 2, "`toy_tasks` has no function or class `not_callable`"),
        ("no_such_module:act", 2, "no module named `no_such_module`"),
        ("nobody", 2, "unknown policy `nobody`"),
        ("expert", 2, "has no built-in expert"),
    ],
)
def test_a_policy_that_cannot_act(awac, tmp_path, policy, code, message):
    for workers in (1, 2) if code == 5 else (1,):
        command = ("collect-demos", "TOY", "--policy", policy, "-n", 2, "--workers", workers)
        awac(*command).failed(code, message)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ('{"raise_at": 2}', "episode 0, step 1: the environment raised RuntimeError: motor 3 is on fire"),
        ('{"nan_at": 1}', "observation is not finite in entries [0, 1, 2]"),
    ],
)
def test_an_environment_that_fails(awac, tmp_path, fault, message, workers):
    arguments = ("collect-demos", "TOY", "--policy", "random", "--workers", workers, "--env-kwargs", fault)
    awac(*arguments).failed(5, message, "env.reset(seed=")
    assert not list(tmp_path.iterdir())


def test_an_environment_that_fails_late_costs_only_its_episode(awac, tmp_path):
    arguments = ("collect-demos", "TOY", "--policy", "random", "-n", 9, "--workers", 1, "--seed", 1)
    awac(*arguments, "--env-kwargs", '{"raise_at": 6}').failed(5, "motor 3 is on fire", "--resume")
    assert awac("info", "toy-demos.zarr.part", "--json").json["n_episodes"] == 5


def test_a_critic_that_blows_up_stops_the_run(awac, start, tmp_path):
    wild = ("--set", "awac.optimiser.critic_lr=1e30", "--set", "awac.clamp_target=false")
    awac("pretrain", "--data", "toy.zarr", "--updates", 600, *wild, "TINY").failed(
        5, "update 2: loss/policy is nan", "learning"
    )
    assert not (tmp_path / "toy-pretrained.ckpt").exists()


# The machine says no


@contextmanager
def largest_file(size):
    """Let no file grow beyond ``size`` bytes: the writes fail as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("collect-demos", "TOY", "RANDOM"), "toy-demos.zarr"),
        (("collect-demos", "TOY", "RANDOM", "-o", "x.h5"), "x.h5"),
        (
            ("bc-rollout", "--demos", "demos.zarr", "-n", 2, "--updates", 2, "-o", "x.zarr", "TINY"),
            "x-bc.ckpt",
        ),
        (("pretrain", "--data", "toy.zarr", "--updates", 2, "TINY"), "toy-pretrained.ckpt"),
        (("finetune", "pretrained.ckpt", "--env-steps", 3, "-o", "y.ckpt", "TINY"), "y.ckpt"),
        (("eval", "toy-bc.ckpt", "-n", 40, "-o", "z.json", "--workers", 1), "z.json"),
    ],
)
def test_a_full_disk_ends_the_run_with_a_clear_error_and_resume_goes_on(
    awac, linked, tmp_path, arguments, output
):
    for name in ("demos.zarr", "toy.zarr", "pretrained.ckpt", "toy-bc.ckpt"):
        linked(name)
    with largest_file(1000):
        awac(*arguments).failed(5, "File too large", "--resume")
    assert not (tmp_path / output).exists()
    assert awac(*arguments, "--resume").code == 0
    assert awac("info", output).code == 0


def test_a_full_disk_keeps_the_episodes_that_were_committed(awac, tmp_path, monkeypatch):
    arguments = ("collect-demos", "TOY", "--policy", "random", "-n", 200, "--workers", 1)
    monkeypatch.setattr("awaccli.data.writer._COMMIT_BYTES", 10_000)
    with largest_file(5_500):
        awac(*arguments).failed(5, "File too large", "--resume")
    assert 0 < awac("info", "toy-demos.zarr.part", "--json").json["n_episodes"] < 200
    awac(*arguments, "--resume").made("toy-demos.zarr")
    awac(*arguments, "-o", "again.zarr").made("again.zarr")
    assert len({awac("info", name, "--json").json["id"] for name in ("toy-demos.zarr", "again.zarr")}) == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device", "x.zarr"), "`x.zarr`: No space left on device"),
        (PermissionError(13, "Permission denied", "x.zarr"), "`x.zarr`: Permission denied"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (MemoryError(), "out of memory"),
    ],
)
def test_what_the_system_refuses_is_no_bug(awac, monkeypatch, error, message):
    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr("awaccli.stages.collect_demos.collect_demos", refuse)
    awac("collect-demos", "TOY", "RANDOM").failed(5, message)


@pytest.mark.parametrize(
    "error", [KeyError("length"), FileNotFoundError(2, "No such file", "x"), OSError("odd")]
)
def test_what_nobody_expected_is_a_bug_and_shows_where(awac, monkeypatch, error):
    def stumble(*arguments, **options):
        raise error

    monkeypatch.setattr("awaccli.stages.collect_demos.collect_demos", stumble)
    result = awac("collect-demos", "TOY", "RANDOM")
    assert (result.code, result.out) == (1, "")
    assert "in stumble" in result.err
    assert result.err.endswith(
        "error: this is a bug in awac, not in what you did\n"
        "hint: please report it with the lines above, the command, and `awac --version`\n"
    )
