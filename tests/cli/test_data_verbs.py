"""`awac data VERB`: what is printed where, default names, exit codes; see tests/data for what is made."""

import io
import json
import shlex
import subprocess
import sys

import numpy as np
import pytest

from awaccli.artifacts.manifest import Recipe
from awaccli.data.dataset import open_dataset
from awaccli.reports.verb_arguments import verb_arguments
from awaccli.reports.verify import Verifier

VERBS = {
    "filter": (("filter", "demos.zarr", "index < 2"), "demos-filtered.zarr"),
    "subsample": (("subsample", "demos.zarr", "-n", 2), "demos-subsampled.zarr"),
    "merge": (("merge", "demos.zarr", "demos.h5"), "merged.zarr"),
    "convert": (("convert", "demos.zarr"), "demos.h5"),
    "dedupe": (("dedupe", "twice.h5"), "twice-distinct.h5"),
    "relabel": (("relabel", "demos.zarr", "--horizon", 4, "--reward-scale", 2), "demos-relabelled.zarr"),
}


@pytest.fixture(scope="module")
def twice(shelf, tmp_path_factory):
    """Demonstrations with a copy of each."""
    from awaccli.data.merge import merged

    path = tmp_path_factory.mktemp("twice") / "twice.h5"
    demos = open_dataset(shelf / "demos.zarr")
    merged([demos, demos]).write(path)
    return path


@pytest.fixture
def place(linked, twice, tmp_path):
    """Links to the inputs of all verbs."""
    linked("demos.zarr")
    (tmp_path / "twice.h5").symlink_to(twice)
    return tmp_path


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


def inputs(verb, linked):
    if verb == "merge":
        linked("demos.h5")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_prints_the_path_of_what_it_made(awac, place, linked, verb):
    inputs(verb, linked)
    command, output = VERBS[verb]
    result = awac("data", *command).made(output)
    assert Verifier(deep=False).verify(place / output).ok
    awac("data", *command).failed(4, "already exists", "--overwrite")
    assert awac("data", *command, "--if-changed", "-q").made(output).err.count("\n") == result.err.count(
        "warning"
    )


def test_overwrite_replaces(awac, place):
    awac("data", "filter", "demos.zarr", "index < 2", "-o", "y.zarr")
    awac("data", "filter", "demos.zarr", "index < 3", "-o", "y.zarr", "--overwrite").made("y.zarr")
    assert len(open_dataset(place / "y.zarr")) == 3


@pytest.mark.parametrize("verb", ["filter", "merge", "relabel"])
def test_as_json_it_says_what_info_would(awac, place, linked, verb):
    inputs(verb, linked)
    made = awac("data", *VERBS[verb][0], "--json", "-o", "y.h5").json
    assert made == awac("info", "y.h5", "--json").json
    assert made["recipe"]["stage"] == f"data-{verb}"


@pytest.mark.parametrize("verb", VERBS)
def test_a_dry_run_writes_nothing(awac, place, linked, verb):
    inputs(verb, linked)
    before = names_in(place)
    plan = awac("data", *VERBS[verb][0], "--dry-run", "--json").json
    assert (plan["output"], plan["cost"]["verb"]) == (VERBS[verb][1], f"data {verb}")
    assert names_in(place) == before
    awac("data", *VERBS[verb][0], "--dry-run", "-o", "demos.zarr").failed(4, "already exists")


def test_verbs_form_pipes(awac, place):
    kept = awac("data", "filter", "-", "index < 3", stdin=["demos.zarr"]).made("demos-filtered.zarr").out
    awac("data", "subsample", "-", "-n", 2, "-o", "two.h5", stdin=[kept.strip()]).made("two.h5")
    awac("data", "merge", "-", stdin=["two.h5", "demos.zarr"]).made("merged.zarr")
    awac("data", "filter", "-", "success", stdin=[]).failed(2, "no dataset on stdin")


def test_split_prints_a_path_for_each_part(awac, place):
    result = awac("data", "split", "demos.zarr", "--ratio", 0.5, "-o", "part.h5")
    assert result.out == "part-train.h5\npart-val.h5\n"
    assert "no part holds an episode of another" in result.err
    assert sum(len(open_dataset(place / name)) for name in result.out.split()) == 4
    awac("data", "split", "demos.zarr", "--ratio", 0.5, "-o", "part.h5").failed(4, "part-train.h5")
    again = awac(
        "data", "split", "demos.zarr", "--ratio", 0.5, "-o", "part.h5", "--if-changed", "--json"
    ).json
    assert list(again["parts"]) == ["train", "val"]
    assert again["parts"]["val"]["path"] == "part-val.h5"
    assert awac("data", "split", "demos.zarr", "--by", "source").out == "demos-random.zarr\n"
    plan = awac("data", "split", "demos.zarr", "--ratio", 0.75, "--names", "a,b", "--dry-run", "--json").json
    assert (plan["output"], plan["also"]) == ("demos-a.zarr", ["demos-b.zarr"])
    assert (plan["cost"]["a"], plan["cost"]["b"]) == (3, 1)


def test_dedupe_can_only_look(awac, place):
    result = awac("data", "dedupe", "twice.h5", "--check")
    assert (result.code, result.out.splitlines()[0]) == (6, "episode 4 is a copy of episode 0")
    assert "4 of 8 episodes are copies" in result.err
    found = awac("data", "dedupe", "twice.h5", "--check", "--json").json
    assert (found["ok"], found["duplicates"][3]) == (False, {"episode": 7, "copy_of": 3})
    assert awac("data", "dedupe", "demos.zarr", "--check").code == 0
    awac("data", "dedupe", "demos.zarr", "--check", "-o", "x.zarr").failed(2, "--check makes nothing")


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (("filter", "demos.zarr", "lengith > 3"), 2, "`lengith` is not known here, at character 1", "length"),
        (("filter", "demos.zarr", "length > 1000"), 3, "holds for 0 of 4", "`length > 1000` holds for 0"),
        (("filter", "gone.zarr", "success"), 3, "does not exist", ""),
        (("filter", "demos.zarr", "success", "-o", "x.csv"), 2, "cannot be the output", ".zarr"),
        (("subsample", "demos.zarr"), 2, "how many", "-n 100"),
        (("subsample", "demos.zarr", "-n", 5), 3, "has 4 episodes, not 5", ""),
        (("subsample", "demos.zarr", "-n", 2, "--stratify", "sources"), 2, "--stratify sources", "source"),
        (("split", "demos.zarr"), 2, "how to split", "--ratio"),
        (("split", "demos.zarr", "--ratio", "most"), 2, "no list of shares", "0.8"),
        (("split", "demos.zarr", "--by", "split"), 3, "stores no splits", "--ratio"),
        (("split", "demos.zarr", "--by", "source", "--names", "a"), 2, "--names with --by source", ""),
        (("merge", "demos.zarr"), 2, "nothing to merge", ""),
        (("merge", "demos.zarr", "wide.zarr"), 3, "not of one task: observation_layout", ""),
        (("convert", "demos.zarr", "--chunk-bytes", 5), 2, "--chunk-bytes 5", "1024"),
        (("relabel", "demos.zarr"), 2, "nothing to relabel", "--binary"),
        (("relabel", "demos.zarr", "--success", "success", "--task", "door"), 2, "two rules", ""),
        (("relabel", "demos.zarr", "--task", "door"), 3, "task `door` has 39", "awac info"),
        (
            ("relabel", "demos.zarr", "--success", "obsrvation[0] > 1"),
            2,
            "`obsrvation` is not known",
            "observation",
        ),
        (("relabel", "demos.zarr", "--hindsight", "final"), 2, "--goal-threshold", ""),
        (
            ("relabel", "demos.zarr", "--hindsight", "final", "--goal-threshold", 1),
            2,
            "final is unknown",
            "future:4",
        ),
        (
            ("relabel", "demos.zarr", "--hindsight", "future:1", "--goal-threshold", 1),
            2,
            "no part `achieved_goal`",
            "",
        ),
        (("relabel", "demos.zarr", "--hindsight", "future:1", "--binary"), 2, "stands alone", "twice"),
        (("relabel", "demos.zarr", "--binary", "--goal-threshold", 1), 2, "for --hindsight", ""),
        (
            ("relabel", "demos.zarr", "--hindsight", "future:1", "--goal-reward", "env"),
            3,
            "cli_toys",
            "--trust-env",
        ),
        (("head", "demos.zarr", "--episode", 4), 2, "--episode 4", "from 0"),
        (("head", "demos.zarr", "--episode", 0, "--steps", "5"), 2, "no range", "0:10"),
        (("head", "demos.zarr", "--episode", 0, "--steps", "50:"), 2, "the episode has", ""),
        (("head", "demos.zarr", "--steps", "0:1"), 2, "--steps of which episode", "--episode 0"),
        (("head", "demos.zarr", "--json", "--ndjson"), 2, "exclude each other", ""),
        (("card", "pretrained.ckpt"), 3, "not a dataset", ""),
    ],
)
def test_what_cannot_be_done_is_said_with_a_hint(awac, place, linked, arguments, code, message, hint):
    for name in ("wide.zarr", "pretrained.ckpt"):
        linked(name)
    if hint:
        awac("data", *arguments).failed(code, message, hint)
    else:
        result = awac("data", *arguments)
        assert (result.code, result.out) == (code, "")
        assert message in result.err
    assert names_in(place) == ["demos.zarr", "pretrained.ckpt", "twice.h5", "wide.zarr"]


def test_head_of_the_episodes(awac, linked):
    data = open_dataset(linked("demos.zarr"))
    lines = awac("data", "head", "demos.zarr", "-n", 2).out.splitlines()
    assert lines[0].split() == ["episode", "steps", "return", "success", "end", "seed", "hash", "source"]
    assert len(lines) == 4
    rows = awac("data", "head", "demos.zarr", "--json").json["episodes"]
    assert len(rows) == 4
    assert [row["return"] for row in rows] == data.episodes.return_.tolist()
    assert rows[0]["sha256"] == data.column("episodes/sha256")[0].tobytes().hex()
    assert rows[0]["source"] == "random"
    assert rows[0]["end_reason"] in ("terminated", "time_limit")
    text = awac("data", "head", linked("demos.h5"), "--ndjson").out
    assert [json.loads(line) for line in text.splitlines()] == rows


def test_head_of_an_episode(awac, linked):
    episode = open_dataset(linked("demos.zarr")).episode(1)
    rows = awac("data", "head", "demos.zarr", "--episode", 1, "--steps", "1:", "--json").json["steps"]
    assert [row["step"] for row in rows] == list(range(1, len(episode)))
    np.testing.assert_array_equal(rows[0]["observation"]["observation"], episode.observations[1])
    np.testing.assert_array_equal(rows[-1]["final_observation"]["observation"], episode.observations[-1])
    assert (rows[-1]["terminated"], rows[-1]["truncated"]) == (episode.terminated, episode.truncated)
    assert rows[0]["reward"] == episode.rewards[1]
    text = awac("data", "head", "demos.zarr", "--episode", -3, "-n", 1).out
    assert text.startswith("step 0  reward ")
    assert len(text.splitlines()) == 3


def test_head_as_arrays(awac, linked, shelf):
    data = open_dataset(linked("demos.zarr"))
    awac("data", "head", "demos.zarr", "-n", 2, "--npz", "two.npz").made("two.npz")
    with np.load("two.npz") as arrays:  # noqa: TID251 - our own
        assert set(arrays) == set(data.header.fields)
        steps = data.episodes.length[:2].sum()
        np.testing.assert_array_equal(arrays["steps/actions"], data.column("steps/actions")[:steps])
    awac("data", "head", "demos.zarr", "--npz", "two.npz").failed(4, "already exists", "another name")
    command = [
        sys.executable,
        "-m",
        "awaccli",
        "data",
        "head",
        shelf / "demos.h5",
        "--episode",
        "0",
        "--npz",
        "-",
    ]
    piped = subprocess.run(command, capture_output=True, check=True)
    with np.load(io.BytesIO(piped.stdout)) as arrays:  # noqa: TID251 - our own
        np.testing.assert_array_equal(arrays["observations"], data.episode(0).observations[:6])


def test_head_and_stats_of_an_unfinished_dataset(awac, place):
    awac(
        "collect-demos",
        "TOY",
        "--policy",
        "random",
        "-n",
        3,
        "--workers",
        1,
        "--success-only",
        "--max-attempts",
        4,
    )
    part = "toy-demos.zarr.part"
    rows = awac("data", "head", part, "--json").json["episodes"]
    assert 0 < len(rows) < 3
    assert awac("data", "stats", part, "--json").json["n_episodes"] == len(rows)
    awac("data", "card", part).failed(3, "unfinished")


def test_stats(awac, linked):
    found = awac("data", "stats", linked("toy.zarr"), "--json").json
    assert [source["source"] for source in found["sources"]] == ["random", "toy-bc.ckpt"]
    assert sum(source["episodes"] for source in found["sources"]) == found["n_episodes"]
    assert len(found["saturation"]) == 2
    text = awac("data", "stats", "toy.zarr").out
    names = [one["name"] for field in found["fields"] for one in field["dimensions"]]
    assert names[:2] == ["actions[0]", "actions[1]"]
    assert all(f"\n{name} " in text for name in names)


def test_a_card_says_what_it_is_how_it_was_made_and_how_to_check_it(awac, place):
    awac("data", "filter", "demos.zarr", "index < 3", "-o", "few.zarr")
    awac("data", "subsample", "few.zarr", "-n", 2, "--seed", 5, "-o", "two.h5")
    text = awac("data", "card", "two.h5").out
    identity = open_dataset(place / "two.h5").id
    assert text.startswith("# two.h5\n")
    for line in (
        "awac collect-demos cli_toys:cli/Toy-v0 --horizon 6 --success-key reached -n 4 --policy random",
        "awac data filter demos.zarr 'index < 3' -o few.zarr",
        "awac data subsample few.zarr -n 2 --seed 5 -o two.h5",
        f"| content id | `{identity}` |",
        "| random | 2 |",
        "None recorded",
        "awac verify --deep two.h5",
    ):
        assert line in text, line
    awac("data", "card", "two.h5", "-o", "CARD.md").made("CARD.md")
    assert (place / "CARD.md").read_text() == text
    awac("data", "card", "two.h5", "-o", "CARD.md").failed(4, "already exists", "--overwrite")


@pytest.mark.parametrize(
    "command",
    [
        "filter 'index < 2 and source == \"random\"'",
        "split --ratio 0.5,0.25 --names a,b,c --seed 3",
        "subsample -n 2 --seed 1",
        "subsample --fraction 0.4 --stratify success",
        "relabel --success 'observation[0] > 0.5' --binary --drop-before",
        "relabel --horizon 5 --reward-shift -1.5 --reward-scale 2",
    ],
)
def test_a_recipe_can_be_told_as_a_command_again(awac, linked, command):
    linked("toy.zarr")
    verb, *rest = shlex.split(command)
    plan = awac("data", verb, "toy.zarr", *rest, "--dry-run", "--json").json
    recipe = Recipe(stage=plan["stage"], version=1, settings=plan["settings"], seed=plan["seed"])
    told = awac("data", verb, "toy.zarr", *verb_arguments(recipe), "--dry-run", "--json").json
    assert told["recipe_key"] == plan["recipe_key"]
    assert plan["stage"] == f"data-{verb}"


def test_info_of_a_folder_has_a_row_for_each_artifact(awac, artifact, place):
    for name in ("finetuned.ckpt", "result.json"):
        artifact(name)
    awac(
        "collect-demos",
        "TOY",
        "--policy",
        "random",
        "-n",
        3,
        "--workers",
        1,
        "--success-only",
        "--max-attempts",
        4,
    )
    (place / "broken.ckpt").mkdir()
    (place / "notes.json").write_text("{}")
    rows = {row["name"]: row for row in awac("info", ".", "--json").json["artifacts"]}
    assert {name: (row["kind"], row["holds"]) for name, row in rows.items() if row["id"]} == {
        "demos.zarr": ("dataset", "4 episodes"),
        "twice.h5": ("dataset", "8 episodes"),
        "finetuned.ckpt": (
            "checkpoint",
            f"{awac('info', 'finetuned.ckpt', '--json').json['updates']} updates",
        ),
        "result.json": ("evaluation", "3 episodes"),
    }
    assert (rows["broken.ckpt"]["kind"], rows["toy-demos.zarr.part"]["kind"]) == ("damaged", "unfinished")
    assert "notes.json" not in rows
    demos = awac("info", "demos.zarr", "--json").json
    assert rows["demos.zarr"]["success"] == demos["success"]["final"]
    assert (rows["demos.zarr"]["id"], rows["demos.zarr"]["size_bytes"]) == (demos["id"], demos["size_bytes"])
    lines = awac("info", ".").out.splitlines()
    assert len(lines) == 2 + len(rows)
    (place / "empty").mkdir()
    awac("info", "empty").failed(3, "holds no artifact", ".zarr")


def test_the_verbs_load_no_torch():
    program = (
        "import sys, awaccli.data as d; [getattr(d, n) for n in d.__all__]; import awaccli.reports.card, "
    )
    program += "awaccli.reports.folder, awaccli.stages.relabel; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "mujoco", "gymnasium_robotics"} & set(found.stdout.split())
