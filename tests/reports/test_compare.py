"""Training runs side by side: what a run is, which ones belong together, what stands for each."""

import csv
import io
import json
import math

import numpy as np
import pytest

from awaccli.artifacts.checkpoint import CheckpointContent, write_checkpoint
from awaccli.artifacts.commit import claimed
from awaccli.artifacts.manifest import Ancestor, Clock, InputRef, Recipe, read_manifest
from awaccli.config.settings import Execution
from awaccli.errors import CheckpointError, InputError, UsageError
from awaccli.protocols import PolicyWeights
from awaccli.reports.comparison import compare, read_all
from awaccli.reports.comparison_text import latex_text, notes, sheets, tidy_csv
from awaccli.reports.grouping import grouped
from awaccli.reports.runs import read_run


def evaluated(updates, env_steps, success, *, episodes=20, wall_s=None, phase=None, return_mean=-1.0):
    """Return the line of an evaluation that training made."""
    rates = {f"eval/success_{rule}": success for rule in ("any", "final", "held")}
    counters = {"updates": updates, "env_steps": env_steps, "wall_s": wall_s or updates / 10}
    place = {"phase": phase or ("online" if env_steps else "offline"), "robot_min": env_steps / 1000}
    return place | counters | {"eval/episodes": episodes, "eval/return_mean": return_mean} | rates


class Lab:
    """Makes checkpoints that were trained nowhere, with logs of one's own."""

    def __init__(self, workshop):
        self.folder, self.workshop = workshop.folder, workshop
        self.made = 0

    def recipe(self, parents, *, seed, lam=0.5, stage="pretrain", algo="awac"):
        roles = {"dataset": "data", "checkpoint": "checkpoint"}
        manifests = [read_manifest(parent) for parent in parents]
        inputs = tuple(manifest.reference(roles[manifest.kind]) for manifest in manifests)
        settings = {"algo": algo, algo: {"lam": lam}}
        return Recipe(stage=stage, version=1, settings=settings, seed=seed, inputs=inputs)

    def run(self, name, lines, *, parents=(), seed=0, updates=100, env_steps=0, algo="awac", **recipe):
        path = self.folder / name
        path.mkdir(parents=True)
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.made += 1
        made = self.recipe(parents, seed=seed, algo=algo, **recipe)
        write_checkpoint(
            path,
            policy=PolicyWeights("gaussian", {}, {}),
            trainer={"mark": np.array(self.made)},
            content=CheckpointContent(
                algo=algo,
                settings=made.settings,
                updates=updates,
                env_steps=env_steps,
                observation_dim=3,
                action_dim=2,
                data=(),
            ),
            task=self.workshop.facts.spec,
            recipe=made,
            parents=[(parent, read_manifest(parent)) for parent in parents],
            clock=Clock(Execution()),
            target=path,
        )
        return path

    def seeds(self, name, successes, **options):
        """Make a run for each success rate, with seeds from 0."""
        return [
            self.run(f"{name}-{seed}.ckpt", [evaluated(100, 0, success)], seed=seed, **options)
            for seed, success in enumerate(successes)
        ]


@pytest.fixture
def lab(workshop):
    return Lab(workshop)


def compared(paths, **options):
    return compare(read_all(paths, **options))


def test_a_run_has_the_log_of_the_checkpoints_it_went_on_from(lab):
    start = lab.run("start.ckpt", [evaluated(50, 0, 0.1), evaluated(100, 0, 0.2)])
    lines = [evaluated(100, 0, 0.2, wall_s=1.0, phase="online"), evaluated(300, 200, 0.6, wall_s=7.0)]
    middle = lab.run("middle.ckpt", lines, parents=[start], stage="finetune", updates=300, env_steps=200)
    end = lab.run("end.ckpt", [evaluated(400, 300, 0.7, wall_s=2.0)], parents=[middle], stage="finetune")
    run = read_run(end)
    assert [line["updates"] for line in run.log] == [50, 100, 100, 300, 400]
    assert (len(run.lines), run.whole) == (1, True)
    assert run.wall_s == 10.0 + 7.0 + 2.0
    assert run.robot_min == 0.3
    start.rename(lab.folder / "renamed.ckpt")
    assert read_run(end).whole  # found beside, by its id
    (lab.folder / "away").mkdir()
    (lab.folder / "renamed.ckpt").rename(lab.folder / "away" / "start.ckpt")
    assert ([line["updates"] for line in read_run(end).earlier], read_run(end).whole) == ([100, 300], False)
    (row,) = sheets(compared([end]))[1].rows
    assert row[3] == "> 0.1 min"


def test_time_before_a_resume_counts(lab):
    lines = [evaluated(10, 0, 0.1, wall_s=30.0), evaluated(20, 0, 0.1, wall_s=4.0)]
    assert read_run(lab.run("a.ckpt", lines)).wall_s == 34.0


@pytest.mark.parametrize(
    "damage",
    [{"phase": "later"}, {"updates": "7"}, {"env_steps": -1}, {"wall_s": None}, {"updates": True}],
)
def test_a_log_that_makes_no_sense_is_refused(lab, damage):
    path = lab.run("a.ckpt", [evaluated(50, 0, 0.1), evaluated(100, 0, 0.2) | damage])
    with pytest.raises(CheckpointError, match=r"line 2 of `.*metrics.jsonl`"):
        read_run(path)


def test_an_unfinished_run_is_read_where_it_grows(lab):
    start = lab.run("start.ckpt", [evaluated(100, 0, 0.2)], seed=3)
    recipe = lab.recipe([start], seed=3, stage="finetune")
    with claimed(lab.folder / "end.ckpt", recipe, ancestors=read_manifest(start).lineage()) as target:
        target.payload.mkdir()
        line = json.dumps(evaluated(300, 200, 0.6))
        (target.payload / "metrics.jsonl").write_text(f"{line}\n{line[:20]}")
    run = read_run(lab.folder / "end.ckpt.part")
    assert (run.name, run.id, run.algo, run.seed) == ("end", None, "awac", 3)
    assert (run.updates, run.env_steps, len(run.log)) == (300, 200, 2)
    assert run.facts["checkpoint.awac.lam"] == 0.5
    with pytest.raises(InputError):
        compared([lab.folder / "end.ckpt.part"])


def names(groups):
    return {label: [run.name for run in runs] for label, runs in groups.items()}


def test_seeds_of_equal_settings_are_one_group_whatever_their_data(lab, workshop):
    data = [workshop.dataset(f"data-{seed}.zarr", episodes=(seed,)) for seed in (1, 2)]
    paths = [lab.run(f"a-{n}.ckpt", [], parents=[data[n]], seed=n) for n in (0, 1)]
    online = [
        lab.run(f"b-{n}.ckpt", [], parents=[paths[n], data[n]], seed=n, stage="finetune") for n in (0, 1)
    ]
    runs = [read_run(path) for path in (*paths, *online)]
    assert names(grouped(runs, "settings")) == {"a": ["a-0", "a-1"], "b": ["b-0", "b-1"]}


def test_settings_of_parents_count_too_and_name_the_groups(lab):
    starts = [lab.run(f"start-{lam}.ckpt", [], lam=lam) for lam in (0.3, 0.5)]
    runs = [read_run(lab.run(f"x-{i}.ckpt", [], parents=[s], seed=i)) for i, s in enumerate(starts)]
    assert names(grouped(runs, "settings")) == {
        "awac, checkpoint.awac.lam=0.3": ["x-0"],
        "awac, checkpoint.awac.lam=0.5": ["x-1"],
    }
    assert names(grouped(runs, "name")) == {"x": ["x-0", "x-1"]}
    assert names(grouped(runs, "algo")) == {"awac": ["x-0", "x-1"]}
    assert names(grouped(runs, "awac.lam")) == {"awac.lam=0.5": ["x-0", "x-1"]}
    with pytest.raises(UsageError, match=r"awac\.lamb") as error:
        grouped(runs, "awac.lamb")
    assert "`awac.lam`" in error.value.hint


def test_runs_without_the_setting_are_a_group_of_their_own(lab):
    paths = [lab.run("a.ckpt", []), lab.run("b.ckpt", [], algo="bc")]
    runs = [read_run(path) for path in paths]
    assert list(grouped(runs, "awac.lam")) == ["awac.lam=0.5", "no awac.lam"]


@pytest.mark.parametrize(
    ("name", "group"),
    [("a-12", "a"), ("a_3", "a"), ("a-seed-3", "a"), ("a-seed3", "a"), ("utd2", "utd2"), ("7", "7")],
)
def test_the_seed_at_the_end_is_no_part_of_a_name(lab, name, group):
    assert list(grouped([read_run(lab.run(f"{name}.ckpt", []))], "name")) == [group]


def test_the_last_evaluation_counts_not_the_best(lab):
    lines = [evaluated(50, 0, 0.9), evaluated(80, 0, 0.4, episodes=10)]
    ((run,),) = [group.runs for group in compared([lab.run("a.ckpt", lines)]).groups]
    final = run.final
    assert (final.by, final.episodes, final.updates, final.success.final.rate) == ("training", 10, 80, 0.4)
    cost = sheets(compared([lab.folder / "a.ckpt"]))[1]
    assert cost.rows[0][-1] == "training, 10 episodes, mean actions, of update 80, step 0"


def test_an_evaluation_of_the_checkpoint_takes_its_place(lab):
    a, b = lab.seeds("a", [0.9, 0.9])
    result = lab.workshop.evaluation("result.json", checkpoint=b, successes=1)
    other = lab.workshop.evaluation("other.json", checkpoint=lab.workshop.checkpoint(), successes=4)
    found = compared([a, result, b, other])
    (group,) = found.groups
    assert [run.final.by for run in group.runs] == ["training", "awac eval"]
    assert [run.final.success.final.rate for run in group.runs] == [0.9, 0.25]
    assert group.success["final"].mean.value == pytest.approx(0.575)
    assert group.runs[1].final.file == str(result)
    assert [row.name for row in found.rows] == ["other"]
    cost = sheets(found)[2].rows[0]
    assert "training, 20 episodes, mean actions; awac eval, 4 episodes, mean actions" in cost[-1]


def test_evaluations_that_cannot_be_told_apart_are_refused(lab):
    (a,) = lab.seeds("a", [0.9])
    results = [lab.workshop.evaluation(f"{n}.json", checkpoint=a, successes=n) for n in (1, 2)]
    with pytest.raises(UsageError, match="measured the same checkpoint"):
        compared([a, *results])
    lab.workshop.copy(a, "copy.ckpt")
    with pytest.raises(InputError, match="are the same checkpoint"):
        compared([a, lab.folder / "copy.ckpt"])


def test_a_run_that_was_never_evaluated_is_refused(lab):
    start = lab.run("start.ckpt", [evaluated(100, 0, 0.2)])
    path = lab.run(
        "a.ckpt", [{"phase": "online", "updates": 1, "env_steps": 1, "wall_s": 1}], parents=[start]
    )
    with pytest.raises(InputError, match="is a checkpoint without any evaluation") as error:
        compared([path])
    assert f"awac eval {path}" in error.value.hint
    assert compared([path, lab.workshop.evaluation(checkpoint=path)]).groups[0].runs[0].final.episodes == 4


def test_a_group_in_numbers(lab):
    paths = lab.seeds("a", [0.2, 0.4, 0.6, 1.0])
    paths += lab.seeds("b", [0.2, 0.3], lam=0.3)
    found = compared(paths)
    final = found.groups[0].success["final"]
    assert (final.mean.value, final.iqm.value) == pytest.approx((0.55, 0.5))
    assert (final.worst, final.worst_seed, final.worst_value) == ("a-0", 0, 0.2)
    (improvement,) = found.improvements
    assert improvement.over == "b"
    assert improvement.probability.value == pytest.approx((0.5 + 0 + 6) / 8)
    success, cost, better = sheets(found)
    assert success.rows[0][:3] == ["a", "4", "last step"]
    assert success.rows[0][-1] == "20 % (seed 0)"
    assert [row[2] for row in success.rows[4:]] == ["last step", "any step", "held", "return"]
    assert success.rows[3][2:] == ["return", "-1.0 [-1.0, -1.0]", "-1.0 [-1.0, -1.0]", "-1.0 (seed 0)"]
    assert cost.rows[0][1:5] == ["0", "100", "0.2 min", "0.0"]
    assert better.rows[0][0] == "b"
    assert better.rows[0][1].startswith("0.81 [")


def test_a_single_run_has_the_interval_within_it(lab):
    found = compared(lab.seeds("a", [0.5]))
    final = found.groups[0].success["final"]
    assert final.mean.low is None
    assert (final.within.low, final.within.high) == pytest.approx((0.299, 0.701), abs=1e-3)
    assert sheets(found)[0].rows[0][3:] == ["50 % [30, 70]", "", ""]


def test_where_nobody_succeeds_returns_are_compared(lab):
    def run(name, seed, value, **options):
        lines = [evaluated(100, 0, 0.0, return_mean=value)]
        return lab.run(f"{name}-{seed}.ckpt", lines, seed=seed, **options)

    found = compared(
        [run("a", 0, 10.0), run("a", 1, 30.0), run("b", 0, 20.0, lam=0.3), run("b", 1, 5.0, lam=0.3)]
    )
    assert found.ranked_by == "return"
    assert found.improvements[0].probability.value == 0.75
    scores, _, _ = sheets(found)
    assert [row[:4] + row[5:] for row in scores.rows] == [
        ["a", "2", "return", "20.0 [10.0, 30.0]", "10.0 (seed 0)"],
        ["b", "2", "return", "12.5 [5.0, 20.0]", "5.0 (seed 1)"],
    ]
    assert any("compared by their returns" in note for note in notes(found))
    assert compared([]).ranked_by == "final"


def test_latex_escapes_names_and_has_all_cells(lab):
    lab.folder = lab.folder / "50%_of_$x"
    text = latex_text(sheets(compared(lab.seeds("a_b&c", [0.5, 0.6]))), ["of 95 %"])
    assert text.count(r"\toprule") == text.count(r"\end{tabular}") == 2
    assert r"a\_b\&c & 2 & last step & 55 \% [50, 60] & " in text
    assert text.endswith("\n\n% of 95 %")
    assert notes(compared([])) == []


def test_csv_is_tidy(lab):
    start = lab.run("start.ckpt", [evaluated(100, 0, 0.2) | {"q_gap": 3.5, "policy/std": [1, 2]}])
    loss = {"phase": "online", "updates": 150, "env_steps": 50, "wall_s": 1.0, "loss/policy": 2.0}
    end = lab.run("end, 1.ckpt", [loss, evaluated(200, 100, 0.4)], parents=[start], stage="finetune", seed=7)
    result = lab.workshop.evaluation(checkpoint=end, successes=3)
    rows = list(csv.DictReader(io.StringIO(tidy_csv(read_all([end, result])))))
    assert [row["measured_by"] for row in rows] == ["training", "training", "awac eval"]
    assert [(row["phase"], row["updates"], row["env_steps"]) for row in rows[:2]] == [
        ("offline", "100", "0"),
        ("online", "200", "100"),
    ]
    assert [float(row["eval/success_final"]) for row in rows] == [0.2, 0.4, 0.75]
    assert [row["q_gap"] for row in rows] == ["3.5", "", ""]
    facts = ("group", "run", "id", "seed")
    assert {tuple(row[name] for name in facts) for row in rows} == {
        ("end, 1", "end, 1", read_manifest(end).id, "7")
    }
    assert "loss/policy" not in rows[0]


def test_runs_of_one_name_are_told_apart_by_their_folders(lab):
    paths = [lab.run(f"seed-{seed}/x.ckpt", [evaluated(100, 0, seed / 10)], seed=seed) for seed in (1, 2)]
    (group,) = compared(paths).groups
    assert [run.name for run in group.runs] == [str(path)[: -len(".ckpt")] for path in paths]
    assert group.name == "x"


def test_a_circle_of_ancestors_ends(lab, workshop):
    path = lab.run("a.ckpt", [evaluated(100, 0, 0.2)])
    manifest = read_manifest(path)
    own = InputRef(role="checkpoint", id=manifest.id, key=manifest.recipe.key)
    recipe = manifest.recipe.model_copy(update={"inputs": (own,)})
    ancestors = {manifest.id: Ancestor(kind="checkpoint", recipe=recipe)}
    workshop.reforge(path, recipe=recipe, ancestors=ancestors)
    run = read_run(path)
    assert not run.whole
    assert math.isfinite(run.wall_s)
