"""The log of a training for other tools; a logger that fails costs nothing but its own lines."""

import shutil
import struct
import sys
from pathlib import Path

import pytest

from awaccli.artifacts.event_file import EventFile
from awaccli.artifacts.manifest import read_manifest
from awaccli.artifacts.metrics import MetricsLog, read_metrics
from awaccli.protocols import _Silent

PRETRAIN = ("pretrain", "--data", "toy.zarr", "--updates", 6, "-o", "x.ckpt", "TINY")
PRETRAIN += ("--eval-every", 2, "--eval-episodes", 2)
_GOLDEN = (
    "1800000000000000a37f4b22090000000000408f401a0d627261696e2e4576656e743a3273ae6b56"
    "0d000000000000003c37b834090000000000408f403a02080127c9a265"
    "1d00000000000000602fdf23090000000000548f4010ac022a0f0a0d0a06712f6d65616e150000c0bfa32cc8c1"
)
"""What tensorboardX 2.6.5 writes: the file's version, the start of a session, q/mean = -1.5 at step 300."""


class Heard(_Silent):
    def __init__(self):
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


def row(updates, **values):
    return {"phase": "offline", "updates": updates, "env_steps": 0, "wall_s": updates / 120} | values


def scalars(folder):
    """Return (step, name, value) of every scalar in the one event file of a folder that is not empty."""
    (file,) = [file for file in folder.iterdir() if file.stat().st_size]
    assert "tfevents" in file.name
    data, found = file.read_bytes(), []
    while data:
        (length,) = struct.unpack_from("<Q", data)
        found += list(_values(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def _values(event):
    fields = dict(_fields(event))
    for _, value in _fields(fields.get(5, b"")):
        parts = dict(_fields(value))
        yield fields.get(2, 0), parts[1].decode(), parts[2]


def _fields(data):
    while data:
        tag, data = data[0], data[1:]
        if tag & 7 in (0, 2):
            number, data = _whole(data)
            content, data = (data[:number], data[number:]) if tag & 7 == 2 else (number, data)
        else:
            form = "<d" if tag & 7 == 1 else "<f"
            (content,), data = struct.unpack_from(form, data), data[struct.calcsize(form) :]
        yield tag >> 3, content


def _whole(data):
    size = next(i for i, byte in enumerate(data) if byte < 128) + 1
    return sum((byte & 127) << 7 * i for i, byte in enumerate(data[:size])), data[size:]


def logged(checkpoint, axis="updates"):
    """Return what the event file of a checkpoint should hold."""
    counters = {"phase", "updates", "env_steps", "wall_s", "robot_min"}
    return [
        (line[axis], name, pytest.approx(value, rel=1e-6))
        for line in read_metrics(Path(checkpoint) / "metrics.jsonl")
        for name, value in line.items()
        if name not in counters and isinstance(value, int | float)
    ]


def test_an_event_file_is_what_other_writers_make(tmp_path):
    EventFile(tmp_path / "x", "updates", began_s=1000.0).write(
        [row(300, **{"q/mean": -1.5, "policy/std": [1.0]})]
    )
    (file,) = (tmp_path / "x").iterdir()
    assert file.read_bytes().hex() == _GOLDEN


def test_a_training_logs_for_tensorboard_and_makes_the_same_checkpoint(awac, artifact, shelf):
    artifact("toy.zarr")
    awac(*PRETRAIN, "--log", "tensorboard").made("x.ckpt")
    found = scalars(Path("x-tensorboard"))
    assert found == logged("x.ckpt")
    assert {step for step, name, _ in found if name == "eval/success_final"} == {2, 4, 6}
    assert read_manifest(Path("x.ckpt")).id == read_manifest(shelf / "pretrained.ckpt").id


def test_a_resumed_training_logs_no_line_twice(awac, artifact, monkeypatch):
    artifact("toy.zarr")
    monkeypatch.setenv("STOP_AT", "3")
    monkeypatch.setenv("STOP_WITH", "SIGTERM")
    assert awac(*PRETRAIN, "--log", "tensorboard").code == 143
    assert scalars(Path("x-tensorboard"))
    monkeypatch.delenv("STOP_AT")
    assert awac(*PRETRAIN, "--log", "tensorboard", "--resume").code == 0
    assert scalars(Path("x-tensorboard")) == logged("x.ckpt")


def test_a_fine_tuning_logs_over_environment_steps(awac, artifact):
    for name in ("toy.zarr", "pretrained.ckpt"):
        artifact(name)
    tiny = ("TINY", "--eval-every", 10, "--eval-episodes", 2, "--log", "tensorboard")
    awac("finetune", "pretrained.ckpt", "--env-steps", 25, "--utd", 1, "-o", "f.ckpt", *tiny).made("f.ckpt")
    found = scalars(Path("f-tensorboard"))
    assert found == logged("f.ckpt", "env_steps")
    assert len({step for step, _, _ in found}) > 1


def test_a_logger_that_cannot_write_does_not_stop_a_training(awac, artifact, shelf):
    artifact("toy.zarr")
    Path("x-tensorboard").write_text("a file where the folder should be")
    result = awac(*PRETRAIN, "--log", "tensorboard").made("x.ckpt")
    assert result.err.count("warning: no more lines are logged beside metrics.jsonl: ") == 1
    assert "x-tensorboard" in result.err
    assert read_manifest(Path("x.ckpt")).id == read_manifest(shelf / "pretrained.ckpt").id
    assert len(read_metrics(Path("x.ckpt/metrics.jsonl"))) == 3


def test_a_folder_that_goes_away_on_the_way_is_said_once(tmp_path):
    heard, log = Heard(), MetricsLog(tmp_path / "metrics.jsonl")
    log.write(row(1, loss=1.0))
    log.follow(EventFile(tmp_path / "x", "updates").write, heard)
    log.write(row(2, loss=float("nan")))
    log.write(row(3, loss=3.0))
    assert scalars(tmp_path / "x") == [(1, "loss", 1.0), (3, "loss", 3.0)]
    shutil.rmtree(tmp_path / "x")
    for updates in (4, 5):
        log.write(row(updates, loss=1.0))
    assert len(heard.warnings) == 1
    assert "No such file or directory" in heard.warnings[0]
    assert [line["updates"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4, 5]
    assert not (tmp_path / "x").exists()


def test_logs_are_exported_afterwards(awac, artifact):
    artifact("toy.zarr")
    assert awac(*PRETRAIN).code == 0
    result = awac("log-export", "x.ckpt").made("x-tensorboard")
    assert "3 lines of metrics; look at them: tensorboard --logdir x-tensorboard" in result.err
    assert scalars(Path("x-tensorboard")) == logged("x.ckpt")
    awac("log-export", "-", "-o", "other", stdin=["x.ckpt"]).made("other")
    awac("log-export", "x.ckpt").failed(4, "`x-tensorboard` already exists", "another -o")


def test_what_cannot_be_exported(awac, linked):
    linked("pretrained.ckpt")
    linked("demos.zarr")
    awac("log-export", "pretrained.ckpt").failed(3, "`pretrained.ckpt` has no line of metrics")
    awac("log-export", "demos.zarr").failed(3, "no training made it")
    awac("log-export", "pretrained.ckpt", "--to", "tensorbord").failed(2, "--to tensorbord", "`tensorboard`")
    linked("toy.zarr")
    awac(*PRETRAIN, "--log", "wandb").failed(2, "--log wandb is unknown")
    assert not Path("pretrained-tensorboard").exists()


def test_weights_and_biases_has_to_be_installed(awac, artifact, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    path = artifact("pretrained.ckpt")
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"phase": "offline", "updates": 1, "env_steps": 0, "wall_s": 1.0}\n')
    awac("log-export", path, "--to", "wandb").failed(2, "needs the package wandb", "pip install wandb")
    assert not Path("pretrained-wandb").exists()
