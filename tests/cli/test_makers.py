"""What the commands that make artifacts share: stdout, names, plans, and outputs that are there already."""

import json
import os

import pytest

from awaccli.artifacts.manifest import read_manifest

COLLECT = ("collect-demos", "TOY", "RANDOM")
PRETRAIN = ("pretrain", "--data", "toy.zarr", "TINY", "--updates", 6)
PLAN_FIELDS = {"stage", "output", "also", "already_there", "recipe_key", "seed", "inputs", "cost", "settings"}


@pytest.fixture
def inputs(linked):
    for name in ("demos.zarr", "toy.zarr", "pretrained.ckpt", "finetuned.ckpt", "finetuned-online.zarr"):
        linked(name)


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (COLLECT, ["toy-demos.zarr"]),
        (
            ("bc-rollout", "--demos", "demos.zarr", "-n", 1, "--updates", 2, "TINY"),
            ["toy.zarr", "toy-bc.ckpt"],
        ),
        (("pretrain", "--data", "toy.zarr", "--updates", 2, "TINY"), ["toy-pretrained.ckpt"]),
        (("pretrain", "--algo", "bc", "--data", "toy.zarr", "--updates", 2, "TINY"), ["toy-bc.ckpt"]),
        (
            ("finetune", "pretrained.ckpt", "--env-steps", 6, "TINY"),
            ["toy-finetuned.ckpt", "toy-finetuned-online.zarr"],
        ),
    ],
)
def test_a_maker_prints_its_path_and_picks_a_plain_name(awac, linked, tmp_path, arguments, made):
    if arguments[0] != "collect-demos":
        linked("demos.zarr" if arguments[0] == "bc-rollout" else "toy.zarr")
    if arguments[0] == "finetune":
        linked("pretrained.ckpt")
    before = set(tmp_path.iterdir())
    awac(*arguments).made(made[0])
    assert sorted(path.name for path in set(tmp_path.iterdir()) - before) == sorted(made)


def test_progress_goes_to_stderr_and_can_be_silenced(awac, inputs):
    loud = awac(*PRETRAIN, "--eval-every", 3, "--eval-episodes", 1, "-o", "a.ckpt").made("a.ckpt")
    assert "6 updates, 0 steps: success" in loud.err
    quiet = awac(*PRETRAIN, "--eval-every", 3, "--eval-episodes", 1, "-q", "-o", "b.ckpt").made("b.ckpt")
    assert quiet.err == ""


def test_verbose_shows_where_an_error_happened(awac):
    assert "Traceback" in awac("pretrain", "--data", "no.zarr", "-v").err


@pytest.mark.parametrize("ending", ["zarr", "h5"])
def test_a_dataset_is_made_in_the_container_of_its_name(awac, shelf, tmp_path, ending):
    awac("collect-demos", "TOY", "--policy", "random", "-n", 4, "--workers", 1, "-o", f"x.{ending}")
    assert (tmp_path / f"x.{ending}").is_dir() == (ending == "zarr")
    assert read_manifest(tmp_path / f"x.{ending}").id == read_manifest(shelf / "demos.zarr").id


def test_worker_count_and_progress_do_not_change_what_is_made(awac, shelf, tmp_path):
    awac("collect-demos", "TOY", "--policy", "random", "-n", 4, "--workers", 2, "-q").made("toy-demos.zarr")
    assert read_manifest(tmp_path / "toy-demos.zarr").id == read_manifest(shelf / "demos.zarr").id


def test_another_seed_makes_another_artifact(awac, tmp_path):
    ids = set()
    for seed in (0, 1):
        awac(*COLLECT, "--seed", seed, "-o", f"{seed}.zarr")
        ids.add(read_manifest(tmp_path / f"{seed}.zarr").id)
    assert len(ids) == 2


# Outputs that are there already


def test_an_output_that_exists_is_kept(awac, inputs, tmp_path):
    before = (tmp_path / "toy.zarr" / "manifest.json").stat().st_mtime_ns
    awac(*COLLECT, "-o", "toy.zarr").failed(4, "`toy.zarr` already exists", "--overwrite")
    assert (tmp_path / "toy.zarr" / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("is_link", [False, True])
def test_overwrite_replaces(awac, artifact, linked, shelf, tmp_path, is_link):
    (linked if is_link else artifact)("toy.zarr")
    old = read_manifest(tmp_path / "toy.zarr").id
    awac(*COLLECT, "-o", "toy.zarr", "--overwrite").made("toy.zarr")
    assert read_manifest(tmp_path / "toy.zarr").id != old == read_manifest(shelf / "toy.zarr").id
    assert [path.name for path in tmp_path.iterdir()] == ["toy.zarr"]


def test_an_overwrite_that_fails_keeps_the_old_one(awac, inputs, tmp_path):
    old = read_manifest(tmp_path / "toy.zarr").id
    failing = ("collect-demos", "TOY", "--policy", "toy_tasks:failing", "-n", 1, "--workers", 1)
    awac(*failing, "-o", "toy.zarr", "--overwrite").failed(5, "KeyError")
    assert read_manifest(tmp_path / "toy.zarr").id == old


def test_resume_starts_what_was_never_begun_and_leaves_alone_what_is_finished(awac, tmp_path):
    awac(*COLLECT, "--resume").made("toy-demos.zarr")
    before = (tmp_path / "toy-demos.zarr").stat().st_mtime_ns
    awac(*COLLECT, "--resume").made("toy-demos.zarr")
    assert (tmp_path / "toy-demos.zarr").stat().st_mtime_ns == before
    awac(*COLLECT, "--seed", 1, "--resume").failed(4, "other settings or inputs", "--overwrite")


def test_if_changed_touches_what_is_still_right_and_remakes_what_is_not(awac, inputs, tmp_path):
    for output, command, change in (
        ("toy-demos.zarr", COLLECT, ("--seed", 1)),
        ("toy-pretrained.ckpt", PRETRAIN, ("--lam", 0.25)),
    ):
        awac(*command, "--if-changed").made(output)
        made = read_manifest(tmp_path / output)
        os.utime(tmp_path / output, (0, 0))
        awac(*command, "--if-changed", "--dry-run")
        assert (tmp_path / output).stat().st_mtime == 0
        awac(*command, "--if-changed").made(output)
        assert read_manifest(tmp_path / output) == made
        assert (tmp_path / output).stat().st_mtime > 0
        awac(*command, *change, "--if-changed").made(output)
        assert read_manifest(tmp_path / output).id != made.id


def test_evaluations_are_artifacts_too(awac, inputs, tmp_path):
    command = ("eval", "finetuned.ckpt", "-n", 2, "--workers", 1, "-o", "new.json")
    first = awac(*command)
    assert "2 episodes, mean actions, seed 0" in first.out
    awac(*command).failed(4, "`new.json` already exists", "--if-changed")
    assert awac(*command, "--if-changed").out == first.out
    assert json.loads((tmp_path / "new.json").read_text())["kind"] == "evaluation"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (COLLECT, "demos"),
        (COLLECT, "demos.ckpt"),
        (COLLECT, "."),
        (COLLECT, ".."),
        (PRETRAIN, "policy.zarr"),
        (("finetune", "pretrained.ckpt", "--env-steps", 5, "TINY"), "policy.pt"),
        (("eval", "finetuned.ckpt", "-n", 1), "result.txt"),
    ],
)
def test_an_output_whose_name_says_something_else_is_refused(awac, inputs, tmp_path, arguments, name):
    before = sorted(tmp_path.rglob("*"))
    awac(*arguments, "-o", name).failed(2, "its name must end in", "e.g. -o ")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_online_dataset_must_be_free_before_anything_is_run(awac, inputs, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    command = ("finetune", "pretrained.ckpt", "--env-steps", 5, "TINY", "-o", "new.ckpt")
    for mode in ((), ("--dry-run",)):
        taken = (*command, "--save-online", "finetuned-online.zarr", *mode)
        awac(*taken).failed(4, "`finetuned-online.zarr` already exists")
        awac(*command, "--save-online", "new.pkl", *mode).failed(2, "must end in .zarr")
        awac(*command, "--save-online", "no/x.zarr", *mode).failed(2, "does not exist", "mkdir -p")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_folder_that_cannot_take_the_output_is_named(awac, inputs, tmp_path, dry):
    (tmp_path / "file").write_text("in the way")
    awac(*COLLECT, "-o", "no/such/x.zarr", *dry).failed(2, "does not exist", "mkdir -p")
    awac(*PRETRAIN, "-o", "file/x.ckpt", *dry).failed(2, "does not exist")
    if not dry:
        awac(*COLLECT, "-o", "/proc/x.zarr").failed(2, "`/proc` cannot be written", "-o")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(awac, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    awac(*COLLECT, "-o", "closed/x.zarr").failed(2, "cannot be written")


# Dry runs


@pytest.mark.parametrize(
    ("arguments", "output", "also", "cost"),
    [
        (COLLECT, "toy-demos.zarr", [], {"episodes": 2}),
        (
            ("bc-rollout", "--demos", "demos.zarr", "TINY", "--bc-seeds", 2, "-o", "x.zarr"),
            "x.zarr",
            ["x-bc.ckpt", "x-bc-1.ckpt"],
            {"episodes": 4, "updates": 80},
        ),
        (PRETRAIN, "toy-pretrained.ckpt", [], {"updates": 6}),
        (
            ("finetune", "pretrained.ckpt", "--env-steps", 50, "TINY"),
            "toy-finetuned.ckpt",
            ["toy-finetuned-online.zarr"],
            {"env_steps": 50, "updates": 5},
        ),
        (
            ("finetune", "pretrained.ckpt", "--env-steps", 0, "--updates", 3, "TINY"),
            "toy-finetuned.ckpt",
            [],
            {},
        ),
        (("eval", "finetuned.ckpt", "-n", 7), None, [], {"episodes": 7}),
    ],
)
def test_a_dry_run_says_what_would_be_made_and_writes_nothing(
    awac, inputs, tmp_path, arguments, output, also, cost
):
    before = sorted(tmp_path.rglob("*"))
    plan = awac(*arguments, "--dry-run", "--json").json
    assert plan.keys() >= PLAN_FIELDS
    assert (plan["output"], plan["also"], plan["already_there"]) == (output, also, False)
    assert plan["cost"].items() >= cost.items()
    text = awac(*arguments, "--dry-run")
    assert text.code == 0
    assert text.out.startswith(f"would make {output} by" if output else "would run eval, keeping no file")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_recipe_of_a_dry_run_is_that_of_the_run(awac, inputs, tmp_path):
    for command, output in (
        (COLLECT, "new.zarr"),
        (PRETRAIN, "new.ckpt"),
        (("eval", "finetuned.ckpt", "-n", 2, "--workers", 1), "new.json"),
    ):
        plan = awac(*command, "-o", output, "--dry-run", "--json").json
        assert awac(*command, "-o", output).code == 0
        assert read_manifest(tmp_path / output).recipe.key == plan["recipe_key"]
        assert awac(*command, "-o", output, "--if-changed", "--dry-run", "--json").json["already_there"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("collect-demos", "TOY", "--policy", "nothing"), 2),
        (("collect-demos", "TOY", "--policy", "expert"), 2),
        (("collect-demos", "TOY", "--policy", "missing.ckpt"), 3),
        ((*COLLECT, "-o", "toy.zarr"), 4),
        ((*PRETRAIN, "-o", "finetuned.ckpt"), 4),
        (("pretrain", "--data", "pretrained.ckpt"), 3),
        (("eval", "finetuned.ckpt", "--task", "cli_toys:cli/Wide-v0"), 3),
        (("eval", "finetuned.ckpt", "--task", "no-task"), 2),
        (("bc-rollout", "--demos", "demos.zarr", "TINY", "-o", "toy.zarr"), 4),
    ],
)
def test_a_dry_run_fails_as_the_run_would(awac, inputs, arguments, code):
    dry, real = awac(*arguments, "--dry-run"), awac(*arguments)
    assert (dry.code, dry.err) == (code, real.err)
    assert real.code == code


# Standard input


def test_a_path_on_stdin(awac, inputs):
    awac("pretrain", "--data", "-", "TINY", "--updates", 2, stdin=["toy.zarr\n"]).made("toy-pretrained.ckpt")
    assert awac("eval", "-", "-n", 1, "--workers", 1, stdin=["finetuned.ckpt\n"]).code == 0
    assert awac("info", "-", stdin=["toy.zarr\n", "\n"]).out.startswith("dataset  toy.zarr\n")


def test_several_paths_on_stdin(awac, inputs):
    plan = awac(
        "pretrain", "--data", "-", "TINY", "--dry-run", "--json", stdin=["demos.zarr\n", "toy.zarr\n"]
    ).json
    assert len(plan["inputs"]) == 2
    rows = awac("compare", "-", "--json", stdin=["toy.zarr\n", "demos.zarr\n"]).json["rows"]
    assert [row["name"].split(":")[0] for row in rows] == ["toy", "toy", "demos"]
    awac("eval", "-", stdin=["a.ckpt\n", "b.ckpt\n"]).failed(2, "names 2 artifacts, expected one checkpoint")


@pytest.mark.parametrize("stdin", [[], ["\n"], None])
@pytest.mark.parametrize(
    "arguments",
    [
        ("bc-rollout", "--demos", "-"),
        ("pretrain", "--data", "-"),
        ("finetune", "-"),
        ("eval", "-"),
        ("info", "-"),
        ("compare", "-"),
    ],
)
def test_nothing_on_stdin_is_an_error_and_never_a_hang(awac, arguments, stdin):
    awac(*arguments, stdin=stdin).failed(2, "on stdin", "pipefail")
