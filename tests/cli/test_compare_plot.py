"""`awac compare` and `awac plot` on real runs of a toy: outputs, exit codes, and what they load."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EVALUATED = ("--eval-every", 5, "--eval-episodes", 2, "TINY")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the first test of this file keeps what it trained, for the others."""
    return tmp_path_factory.mktemp("runs") / "all"


@pytest.fixture
def runs(awac, linked, kept, tmp_path):
    """Two seeds, offline and online, evaluated on the way."""
    linked("toy.zarr")
    if not kept.exists():
        for seed in (0, 1):
            start, end = f"start-{seed}.ckpt", f"run-{seed}.ckpt"
            begin = ("pretrain", "--data", "toy.zarr", "--updates", 5, "--seed", seed)
            awac(*begin, "-o", start, *EVALUATED).made(start)
            online = ("--env-steps", 20, "--set", "finetune.utd=1", "--seed", seed)
            awac("finetune", start, *online, "-o", end, *EVALUATED).made(end)
        shutil.copytree(tmp_path, kept, symlinks=True)
    shutil.copytree(kept, tmp_path, symlinks=True, dirs_exist_ok=True, ignore=lambda *_: ["toy.zarr"])
    return ("run-0.ckpt", "run-1.ckpt")


def test_runs_side_by_side(awac, linked, runs, tmp_path):
    awac("eval", "run-1.ckpt", "-n", 3, "-o", "measured.json", "--workers", 1)
    given = (*runs, "measured.json", linked("result.json"), "start-0.ckpt")
    found = awac("compare", *given, "--json").json
    assert [group["name"] for group in found["groups"]] == ["run", "start"]
    first, second = found["groups"][0]["runs"]
    assert (first["final"]["by"], first["final"]["episodes"]) == ("training", 2)
    assert (second["final"]["by"], second["final"]["episodes"]) == ("awac eval", 3)
    assert (first["env_steps"], first["whole"]) == (20, True)
    assert [row["name"] for row in found["rows"]] == ["result"]
    assert [item["over"] for item in found["improvements"]] == ["start"]
    text = awac("compare", *given).out
    for words in ("\nrun ", "last step", "worst seed", "awac eval, 3 episodes", "better than one of", "IQM"):
        assert words in text
    assert [line.count("{tabular}") for line in awac("compare", *runs, "--latex").out.splitlines()].count(
        1
    ) == 4
    (group,) = awac("compare", *runs, "--group-by", "finetune.utd", "--json").json["groups"]
    assert (group["name"], len(group["runs"])) == ("finetune.utd=1.0", 2)


def test_files_of_a_comparison(awac, runs):
    result = awac("compare", *runs, "-o", "curves.png", "--csv", "curves.csv")
    assert result.code == 0
    assert result.out.startswith("group ")
    assert result.err == "made curves.png\nmade curves.csv\n"
    with Image.open("curves.png") as picture:
        assert picture.format == "PNG"
    rows = list(csv.DictReader(Path("curves.csv").read_text().splitlines()))
    assert {(row["run"], row["phase"]) for row in rows} == {
        (name, phase) for name in ("run-0", "run-1") for phase in ("offline", "online")
    }
    awac("compare", *runs, "-o", "curves.png").failed(4, "`curves.png` already exists", "--overwrite")
    awac("compare", *runs, "--csv", "curves.csv").failed(4, "`curves.csv` already exists", "--overwrite")
    awac("compare", *runs, "-o", "x.svg", "--metric", "eval/success").failed(
        2, "no run logged it", "eval/suc"
    )
    assert awac("compare", *runs, "-o", "curves.png", "--overwrite", "--metric", "q_gap").code == 0


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--group-by", "awac.lamm"), "no run has such a setting", "awac.lam"),
        (("-o", "x.svg", "--aggregate", "total"), "--aggregate total", "mean, iqm"),
        (("-o", "x.jpg"), "must end in .png or .svg or .pdf", ""),
        (("--csv", "x.txt"), "must end in .csv", ""),
        (("--latex", "--json"), "exclude each other", ""),
    ],
)
def test_comparisons_that_make_no_sense(awac, shelf, tmp_path, arguments, message, hint):
    shutil.copytree(shelf / "finetuned.ckpt", "x.ckpt")
    shutil.copy(shelf / "result.json", "x.json")
    awac("compare", "x.ckpt", "x.json", *arguments).failed(2, message, hint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.ckpt", "x.json"]


def test_only_runs_have_curves(awac, linked):
    awac("compare", linked("result.json"), "-o", "x.png").failed(2, "no checkpoint is given", "awac compare")


def test_a_plot_of_real_runs(awac, runs):
    result = awac("plot", *runs)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("A run-0: awac, seed 0, ")
    assert "\nsuccess at the last step (eval/success_final)\n" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    awac("plot", "-", "-o", "x.svg", stdin=["run-0.ckpt\n"]).made("x.svg")
    awac("plot", "run-0.ckpt", "-o", "x.svg").failed(4, "already exists", "--overwrite")
    awac("plot", "run-0.ckpt", "--metric", "eval/succes_any").failed(
        2, "no run logged it", "eval/success_any"
    )
    found = awac("plot", "run-0.ckpt", "--metric", "eval/return_mean", "--json").json
    curve = found["runs"][0]["curves"]["eval/return_mean"]
    assert [point["at"] for point in curve["offline"]] == [5]
    assert curve["online"][0]["at"] == 0
    assert curve["online"][-1]["at"] > 0


def test_a_run_that_is_still_going(awac, linked, monkeypatch):
    linked("toy.zarr")
    monkeypatch.setenv("STOP_AT", "5")
    monkeypatch.setenv("STOP_WITH", "SIGTERM")
    awac("pretrain", "--data", "toy.zarr", "--updates", 50, "-o", "x.ckpt", *EVALUATED)
    found = awac("plot", "x.ckpt.part", "--json").json["runs"][0]
    assert (found["name"], found["unfinished"]) == ("x", True)
    assert [point["at"] for point in found["curves"]["eval/success_final"]["offline"]] == [5, 10]
    assert ", unfinished\n" in awac("plot", "x.ckpt.part").out
    awac("compare", "x.ckpt.part").failed(3, "is not an awac artifact")


def test_nothing_logged_and_no_run(awac, linked):
    awac("plot", linked("demos.zarr")).failed(3, "is not a checkpoint")
    awac("plot", linked("finetuned.ckpt")).failed(3, "`finetuned.ckpt` has no metrics yet")
    awac("plot", "nothing.ckpt").failed(3, "`nothing.ckpt` does not exist")
    awac("plot", "-", stdin=[]).failed(2, "no run on stdin")


def test_tables_and_text_need_neither_matplotlib_nor_torch(awac, runs, tmp_path):
    for command in (["plot", *runs], ["compare", *runs]):
        program = (
            f"import sys; sys.argv[1:] = {json.dumps(command)}\n"
            "from awaccli.cli.app import main\n"
            "try: main()\n"
            "finally: print(*({'matplotlib', 'torch', 'gymnasium'} & set(sys.modules)), file=sys.stderr)"
        )
        words = [sys.executable, "-c", program]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "\n")
