"""A training seen from another terminal, and its bars at its own: real processes, and logs made by hand."""

import io
import json
import os
import signal
import sys
import time
from contextlib import suppress

import pytest

from awaccli.artifacts.commit import Begun
from awaccli.artifacts.disk import locked
from awaccli.artifacts.manifest import Ancestor, InputRef, Recipe
from awaccli.cli.console import reporter
from awaccli.cli.live import _RichProgress
from awaccli.config.tree import Settings
from awaccli.reports.live import ASCII, BLOCKS, details, duration, levels_for, rate, sparkline

SETTINGS = Settings().model_dump(mode="json")
PRETRAIN = Recipe(
    stage="pretrain",
    version=1,
    settings={"algo": "awac", "awac": SETTINGS["awac"], "pretrain": SETTINGS["pretrain"] | {"updates": 9000}},
    seed=0,
)
FINETUNE = Recipe(
    stage="finetune",
    version=1,
    settings={
        "algo": "awac",
        "awac": SETTINGS["awac"],
        "finetune": SETTINGS["finetune"] | {"env_steps": 400},
    },
    seed=0,
    inputs=(InputRef(role="checkpoint", id="c" * 64, key="k" * 64),),
)
PARENT = {"c" * 64: Ancestor(kind="checkpoint", recipe=PRETRAIN)}


@pytest.fixture
def unfinished(tmp_path):
    """Return a function that makes the folder of a training which no process goes on with."""

    def make(rows, recipe=PRETRAIN, ancestors=None, tail=""):
        payload = tmp_path / "x.ckpt.part" / "payload"
        payload.mkdir(parents=True, exist_ok=True)
        begun = Begun(recipe=recipe, ancestors=ancestors or {})
        (payload.parent / "begun.json").write_text(begun.model_dump_json())
        (payload / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
        return tmp_path / "x.ckpt"

    return make


def line(updates, wall_s, *, env_steps=0, phase="offline", **values):
    return {"phase": phase, "updates": updates, "env_steps": env_steps, "wall_s": wall_s} | values


def test_a_real_training_is_watched_to_its_end(awac, script, tmp_path):
    log = tmp_path / "log"
    options = ("--policy", "random", "-n", 3, "--workers", 1, "--env-kwargs", json.dumps({"log": str(log)}))
    assert awac("collect-demos", "TOY", *options, "-o", "d.zarr").code == 0
    log.unlink()
    os.mkfifo(log)  # from now on the end of an episode waits until somebody reads
    tiny = "--preset smoke --workers 1 --threads 1 --trust-env --eval-every 5 --eval-episodes 1"
    training = script(f"exec awac pretrain --data d.zarr --updates 20 -o x.ckpt {tiny}", tmp_path)
    log.read_text()
    watching = script("exec awac watch x.ckpt", tmp_path)
    leaving = script("exec awac watch x.ckpt.part", tmp_path)
    assert any(said.startswith("5 updates, 0 steps: success ") for said in iter(watching.stdout.readline, ""))

    assert leaving.stdout.readline()
    os.kill(leaving.pid, signal.SIGINT)
    assert leaving.communicate(timeout=60)[1] == "error: interrupted\n"
    assert leaving.returncode == 130
    found = awac("watch", "x.ckpt", "--once", "--json").json
    assert (found["state"], found["goal"], found["stage"]) == ("running", 20, "pretrain")
    assert found["done"] >= 5
    assert found["evaluations"][0]["values"]["eval/episodes"] == 1

    reader = os.open(log, os.O_RDWR)
    out, err = training.communicate(timeout=60)
    assert (training.returncode, out) == (0, "x.ckpt\n"), err
    told, err = watching.communicate(timeout=60)
    os.close(reader)
    assert (watching.returncode, err) == (0, "")
    *evaluations, last = told.splitlines()
    assert [said.split()[0] for said in evaluations if "success" in said] == ["10", "15", "20"]
    assert last.startswith("finished: pretrain awac: 20/20 updates, ")
    assert "x.ckpt: finished\n" in awac("watch", "x.ckpt.part", "--once").out


def test_a_training_that_stopped_is_exit_5_and_says_how_to_go_on(awac, artifact, monkeypatch):
    artifact("toy.zarr")
    command = ("pretrain", "--data", "toy.zarr", "--updates", 6, "-o", "x.ckpt", "TINY")
    command += ("--eval-every", 2, "--eval-episodes", 2)
    monkeypatch.setenv("STOP_AT", "3")
    monkeypatch.setenv("STOP_WITH", "SIGTERM")
    assert awac(*command).code == 143
    result = awac("watch", "x.ckpt")
    assert result.code == 5
    assert result.out.splitlines()[-1].startswith("stopped: pretrain awac: 2/6 updates")
    assert result.err.splitlines() == [
        "error: the training of `x.ckpt` has stopped; its log ends at 2 of 6 updates",
        "hint: repeat its command with --resume to go on",
    ]
    assert awac("watch", "x.ckpt.part", "--once").out.startswith("x.ckpt: stopped\n")
    monkeypatch.delenv("STOP_AT")
    assert awac(*command, "--resume").code == 0
    found = awac("watch", "x.ckpt", "--once", "--json").json
    assert (found["state"], found["done"], found["goal"]) == ("finished", 6, 6)
    assert [one["updates"] for one in found["evaluations"]] == [2, 4, 6]


def test_the_view_of_a_running_training(awac, unfinished):
    signs = {"weights/ess": 0.99, "q/mean": -3.0, "q/range_share": 0.25}
    rows = [line(500 * i, 5.0 * i, **signs) for i in range(1, 5)]
    rows += [line(2500, 1.0, **signs), line(3000, 3.0, **signs)]  # resumed: the clock begins again
    success = {"eval/episodes": 20, "eval/success_final": 0.8, "eval/return_mean": -7.0}
    rows += [line(3000, 3.0, **success), line(3000, 3.0, **{"held_out/log_likelihood": 1.5})]
    path = unfinished(rows, tail='{"phase": "off')
    with locked(path):
        found = awac("watch", "x.ckpt", "--once", "--json").json
        text = awac("watch", "x.ckpt", "--once").out
    assert (found["state"], found["done"], found["goal"]) == ("running", 3000, 9000)
    assert found["rate"] == pytest.approx(250)
    assert found["left_s"] == pytest.approx(24, abs=20)
    assert found["latest"] == signs
    assert [words.split(":")[0] for words in found["remarks"]] == [
        "the weights are nearly uniform (effective sample size 99% of the batch)"
    ]
    assert "pretrain awac: 3000/9000 updates, 250/s, " in text
    assert "Q -3.0 (25% of its range), ESS 0.99" in text
    assert "3000 updates, 0 steps: success 80 % [58, 92], return -7.00 (20 episodes)" in text
    assert "held-out log likelihood 1.5" in text
    assert "note: the weights are nearly uniform" in text


def test_a_fine_tuning_counts_its_own_steps(awac, unfinished):
    rows = [line(9000 + i, i / 10, env_steps=i, phase="online", **{"q/mean": 1.0}) for i in (100, 200)]
    unfinished(rows, FINETUNE, PARENT)
    found = awac("watch", "x.ckpt", "--once", "--json").json
    assert (found["counts"], found["done"], found["goal"]) == ("env_steps", 200, 400)
    assert (found["updates"], found["rate"], found["left_s"]) == (9200, pytest.approx(10), None)
    later = FINETUNE.model_copy(update={"inputs": (InputRef(role="checkpoint", id="d" * 64, key="k" * 64),)})
    chain = PARENT | {"d" * 64: Ancestor(kind="checkpoint", recipe=FINETUNE)}
    unfinished([row | {"env_steps": row["env_steps"] + 400} for row in rows], later, chain)
    assert awac("watch", "x.ckpt", "--once", "--json").json["done"] == 200
    unfinished(rows, FINETUNE)  # whose parent nobody knows
    assert awac("watch", "x.ckpt", "--once", "--json").json["goal"] is None


@pytest.mark.parametrize(
    "damage",
    [
        {"updates": "many"},
        {"updates": -1},
        {"phase": None},
        {"wall_s": None},
        {"eval/success_final": 7.0},
        {"eval/episodes": 0},
    ],
    ids=str,
)
def test_a_line_that_no_training_writes_is_named(awac, unfinished, damage):
    unfinished([line(1, 1.0), line(2, 2.0) | damage])
    awac("watch", "x.ckpt", "--once").failed(
        3, f"line 2 of `x.ckpt.part/payload/metrics.jsonl`: {next(iter(damage))}"
    )


def test_odd_values_in_a_log_are_left_out(awac, unfinished):
    odd = {"a": None, "b": "text", "c": [1.0], "d": True, "e": 10**60, "f": 0.5, "weights/ess": None}
    unfinished([line(i, 1.0 * i, **odd) for i in range(1, 9)])
    assert awac("watch", "x.ckpt", "--once", "--json").json["latest"] == {"f": 0.5}


def test_what_is_no_training_is_exit_3(awac, linked, unfinished):
    linked("demos.zarr")
    awac("watch", "nothing.ckpt").failed(3, "`nothing.ckpt` does not exist, and no run makes it", "--output")
    awac("watch", "demos.zarr").failed(3, "`demos.zarr` is a dataset: no training made it")
    unfinished([], PRETRAIN.model_copy(update={"stage": "collect-demos"}))
    awac("watch", "x.ckpt.part").failed(3, "made by collect-demos")
    awac("watch", "https://host/x.ckpt").failed(3, "`https://host/x.ckpt` is not on this machine")
    awac("watch", "x.ckpt", "--json").failed(2, "--json prints one object", "--once")


def test_sparklines():
    assert sparkline([0.0, 0.5, 1.0], low=0, high=1) == "▁▅█"
    assert sparkline([0.0, 0.5, 1.0], ASCII, low=0, high=1) == "_=#"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([]) == ""
    assert sparkline([i // 10 for i in range(200)]) == sparkline(range(20))
    assert len(sparkline(range(33))) == 20
    assert levels_for(io.TextIOWrapper(io.BytesIO(), encoding="ascii")) == ASCII
    assert levels_for(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) == BLOCKS


def test_numbers_in_words():
    shown = {"eval/success_final": [0.2, 0.8], "q/mean": -3.04, "q/range_share": 0.31, "weights/ess": 0.4}
    assert details(shown) == ["success 80%", "Q -3.0 (31% of its range)", "ESS 0.40"]
    assert details(shown, ASCII)[0] == "success 80% .*"
    assert details({"eval/success_final": [], "success": 0.5}) == ["success 50%"]
    assert [duration(s) for s in (None, 59.6, 61, 7260)] == ["?", "1 min 0 s", "1 min 1 s", "2 h 1 min"]
    assert [rate(s) for s in (1234.5, 0.312)] == ["1234/s", "0.31/s"]


@pytest.mark.parametrize(("encoding", "picture"), [("utf-8", "▂▇"), ("ascii", ".*")])
def test_bars_at_a_terminal_show_what_matters(awac, monkeypatch, encoding, picture):
    monkeypatch.setenv("TERM", "xterm")
    screen, terminal = os.openpty()
    with os.fdopen(terminal, "w", encoding=encoding) as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        report = reporter(quiet=False, verbose=False)
        with report.phase("pretrain awac", 100, "updates") as outer:
            outer.update(40, **{"eval/success_final": [0.2, 0.8], "q/mean": -3.0, "q/range_share": 0.25})
            with report.phase("evaluate", 10, "episodes"):  # opening it draws both
                pass
    drawn = b""
    with suppress(OSError):  # the other end is closed
        while part := os.read(screen, 1 << 16):
            drawn += part
    os.close(screen)
    found = drawn.decode()
    assert "pretrain awac" in found
    assert "40/100" in found
    assert f"  success 80% {picture}  Q -3.0 (25% of its range)" in found
    assert "evaluate" in found


def test_a_loop_that_says_much_is_listened_to_now_and_then():
    class Display:
        heard = 0

        def update(self, task, **what):
            self.heard += 1

    progress = _RichProgress(Display(), 0)
    began = time.monotonic()
    for done in range(20_000):
        progress.update(done, **{"q/mean": 1.0})
    assert 1 <= progress._display.heard <= 1 + (time.monotonic() - began) / 0.1
