"""Commands that read artifacts, and the JSON that others rely on."""

import math

import pytest

from awaccli.cli.console import emit_json

RECIPE = {"stage", "config", "seed", "inputs"}


def test_info_of_a_dataset(awac, linked):
    zarr = awac("info", linked("demos.zarr"), "--json").json
    hdf5 = awac("info", linked("demos.h5"), "--json").json
    assert zarr.keys() >= {"size_bytes", "path"}
    assert (zarr["kind"], zarr["n_episodes"], zarr["task"], zarr["sealed"]) == ("dataset", 4, "toy", True)
    assert (zarr["observation_dim"], zarr["action_dim"]) == (3, 2)
    assert 0 <= zarr["success_rate"] <= 1
    assert zarr["return"]["min"] <= zarr["return"]["mean"] <= zarr["return"]["max"]
    assert [source["name"] for source in zarr["sources"]] == ["random"]
    assert zarr["recipe"].keys() >= RECIPE
    different = {"path", "size_bytes"}
    assert {key: zarr[key] for key in zarr.keys() - different} == {
        key: hdf5[key] for key in hdf5.keys() - different
    }


def test_info_of_a_checkpoint(awac, linked):
    found = awac("info", linked("finetuned.ckpt"), "--json").json
    assert (found["kind"], found["algo"], found["env_steps"]) == ("checkpoint", "awac", 25)
    assert found["updates"] > 0
    assert [reference["role"] for reference in found["data"]] == ["offline", "online"]
    assert found["recipe"].keys() >= RECIPE


def test_info_of_an_evaluation(awac, linked):
    found = awac("info", linked("result.json"), "--json").json
    assert (found["kind"], found["recipe"]["stage"]) == ("evaluation", "eval")
    assert found["evaluation"]["outcome"]["episodes"] == 3


@pytest.mark.parametrize("name", ["demos.zarr", "demos.h5", "toy-bc.ckpt", "finetuned.ckpt", "result.json"])
def test_info_says_kind_identity_and_origin(awac, linked, name):
    text = awac("info", linked(name)).out
    found = awac("info", name, "--json").json
    assert text.startswith(f"{found['kind']}  {name}\n")
    assert found["id"] in text
    assert f"made by    {found['recipe']['stage']}, seed 0" in text


def test_info_of_an_unfinished_dataset(awac, tmp_path):
    limit = ("--success-only", "--max-attempts", 3)
    awac("collect-demos", "TOY", "--policy", "random", "-n", 4, "--workers", 1, *limit).failed(
        5, "episodes succeeded in 3 attempts", "--all"
    )
    found = awac("info", "toy-demos.zarr.part", "--json").json
    assert (found["sealed"], found["recipe"]) == (False, None)
    assert "unfinished" in awac("info", "toy-demos.zarr.part").out
    awac("info", "toy-demos.zarr").failed(3, "does not exist", "--resume")
    awac("pretrain", "--data", "toy-demos.zarr.part").failed(3, "unfinished dataset", "--resume")


def test_info_of_an_unfinished_checkpoint(awac, linked, tmp_path):
    (tmp_path / "x.ckpt.part").mkdir()
    awac("info", "x.ckpt.part").failed(3, "unfinished run without episodes", "--resume")


def test_eval_json(awac, linked):
    found = awac("eval", linked("finetuned.ckpt"), "-n", 3, "--workers", 1, "--json").json
    assert (found["episodes"], found["deterministic"], len(found["seeds"])) == (3, True, 3)
    for rule in ("any", "final", "held"):
        assert (
            found["success"][rule]["low"] <= found["success"][rule]["rate"] <= found["success"][rule]["high"]
        )
    assert found["return"].keys() >= {"mean", "std"}
    assert found["checkpoint"] == awac("info", "finetuned.ckpt", "--json").json["id"]
    sampled = awac("eval", "finetuned.ckpt", "-n", 3, "--workers", 1, "--json", "--actions", "sample").json
    assert not sampled["deterministic"]


@pytest.mark.parametrize("rule", ["final", "any", "held"])
def test_a_success_rate_below_the_wanted_one_is_exit_6_after_the_report(awac, linked, rule):
    command = ("eval", linked("finetuned.ckpt"), "-n", 3, "--workers", 1, "--success", rule, "--json")
    rate = awac(*command).json["success"][rule]["rate"]
    assert awac(*command, "--min-success", rate).code == 0
    if rate < 1:
        below = awac(*command, "--min-success", 1)
        assert below.code == 6
        assert below.json["success"][rule]["rate"] == rate
        assert f"error: success ({rule}) is {rate:.2f}, below 1.00\n" in below.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("collect-demos", "TOY", "RANDOM"),
        ("bc-rollout", "--demos", "demos.zarr", "-n", 1, "--updates", 1, "-o", "x.zarr", "TINY"),
        ("pretrain", "--data", "toy.zarr", "--updates", 1, "TINY"),
        ("finetune", "pretrained.ckpt", "--env-steps", 3, "TINY"),
    ],
)
def test_a_maker_says_as_json_what_info_would(awac, linked, arguments):
    for name in ("demos.zarr", "toy.zarr", "pretrained.ckpt"):
        linked(name)
    made = awac(*arguments, "--json").json
    assert made == awac("info", made["path"], "--json").json


def test_compare_puts_evaluations_and_datasets_side_by_side(awac, linked):
    names = (linked("demos.zarr"), linked("result.json"))
    rows = awac("compare", *names, "--json").json["rows"]
    assert [(row["name"], row["actions"]) for row in rows] == [("demos", "as recorded"), ("result", "mean")]
    lines = awac("compare", *names).out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].startswith("demos ")
    acted = awac("compare", linked("toy.zarr"), "--json").json["rows"]
    assert [(row["name"], row["actions"]) for row in acted] == [
        ("toy: random", "as recorded"),
        ("toy: toy-bc.ckpt", "sample"),
    ]
    assert (
        sum(row["outcome"]["episodes"] for row in acted)
        == awac("info", "toy.zarr", "--json").json["n_episodes"]
    )
    awac("compare", linked("finetuned.ckpt")).failed(3, "is a checkpoint", "awac eval finetuned.ckpt")


def test_tasks_are_listed(awac):
    known = awac("tasks", "--json").json["tasks"]
    assert {"pen", "door", "relocate", "hammer", "half-cheetah"} <= {task["name"] for task in known}
    text = awac("tasks").out
    assert all(task["env_id"] in text and task["about"] in text for task in known)


def test_json_has_no_nan(capsys):
    emit_json({"schema_version": 1, "rate": math.nan, "range": [-math.inf, 1.0]})
    assert capsys.readouterr().out == '{"schema_version": 1, "rate": null, "range": [null, 1.0]}\n'


def test_eval_on_data_alone(awac, linked):
    checkpoint, data = linked("finetuned.ckpt"), linked("demos.zarr")
    given = ("--offline", "--data", data, "--fqe-updates", 20, "--threads", 1)
    found = awac("eval", checkpoint, *given, "--json").json
    assert (found["episodes"], found["seen"], found["fitted_q"]["updates"]) == (4, False, 20)
    text = awac("eval", checkpoint, *given).out
    assert "negative log likelihood" in text
    assert "extrapolates" in text
    seen = awac("eval", linked("toy-bc.ckpt"), "--offline", "--data", data, "--fqe-updates", 0, "--json")
    assert seen.json["td_error"] is None
    assert "nothing here is held out" in seen.err
    awac("eval", checkpoint, "--data", data).failed(2, "--offline goes with --data", "--offline --data")
    awac("eval", checkpoint, "--offline").failed(2, "--offline goes with --data", "--offline --data")
