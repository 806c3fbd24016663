"""What two artifacts share and where they part: recipes, episodes, tensors, rates."""

import shutil

import numpy as np
import pytest

from awaccli.artifacts.manifest import InputRef, read_manifest
from awaccli.errors import InputError
from awaccli.reports.diff import difference
from awaccli.reports.diff_changes import changes
from awaccli.reports.diff_checkpoints import compare_tensors
from awaccli.reports.diff_datasets import compare_episodes
from awaccli.reports.diff_text import sections, verdict_text
from awaccli.reports.spans import spans


def text(found):
    """Return all that a person reads, cells joined by one space."""
    lines = [verdict_text(found)]
    for title, header, rows in sections(found):
        assert all(len(row) == len(header or row) for row in rows)
        lines += [f"[{title}]", *(" ".join(row) for row in rows)]
    return "\n".join(lines)


def named(found):
    return {change.name: (change.a, change.b) for change in found}


def test_an_artifact_is_identical_to_its_copy(workshop, shelf):
    for name in ("data.zarr", "policy.ckpt", "result.json"):
        found = difference(shelf / name, workshop.copy(shelf / name))
        assert (found.verdict, found.content) == ("identical", None)
        assert (found.recipe.settings, found.recipe.inputs, found.run) == ((), (), ())
        assert text(found).startswith("identical: ")


def test_the_container_makes_no_difference(shelf):
    assert difference(shelf / "data.zarr", shelf / "sealed.h5").verdict == "identical"


def test_the_same_content_made_in_another_way(workshop):
    a = workshop.dataset("a.zarr")
    b = workshop.dataset("b.zarr", recipe=workshop.recipe("merge", "data", [a], seed=3))
    found = difference(a, b)
    assert (found.verdict, found.content) == ("same content", None)
    assert named(found.recipe.settings) == {"stage": ("collect-demos", "merge"), "seed": (0, 3)}
    expert, data = found.recipe.inputs
    assert (expert.role, expert.b) == ("expert", None)
    assert (data.role, data.a, data.b.id) == ("data", None, read_manifest(a).id)


def test_the_same_recipe_with_other_content_shows_what_run_it_was(workshop):
    a, b = workshop.dataset("a.zarr"), workshop.dataset("b.zarr", episodes=(0, 1, 9))
    run = read_manifest(b).run
    versions = {**run.versions, "torch": "9.9"}
    workshop.reforge(b, run=run.model_copy(update={"versions": versions, "wall_s": 77.0}))
    found = difference(a, b)
    assert found.verdict == "same recipe"
    assert named(found.run) == {"versions.torch": (run.versions["torch"], "9.9")}
    assert f"versions.torch {run.versions['torch']} 9.9" in text(found)


def test_settings_are_compared_by_dotted_names():
    a = {"algo": "awac", "awac": {"lam": 0.5, "tau": 0.1}, "n": None}
    b = {"algo": "awac", "awac": {"lam": 1.0}, "n": 3, "kwargs": {}}
    found = changes(a, b)
    assert [(change.name, change.a, change.b, change.only) for change in found] == [
        ("awac.lam", 0.5, 1.0, None),
        ("awac.tau", 0.1, None, "a"),
        ("n", None, 3, None),
        ("kwargs", None, {}, "b"),
    ]


def test_inputs_are_paired_in_their_role_and_order(workshop):
    def made(name, *inputs):
        references = tuple(InputRef(role=role, id=letter * 64, key=key * 64) for role, letter, key in inputs)
        recipe = workshop.recipe("finetune", "data", ()).model_copy(update={"inputs": references})
        return workshop.dataset(name, recipe=recipe)

    a = made("a.zarr", ("checkpoint", "a", "1"), ("data", "b", "2"), ("data", "c", "3"))
    b = made("b.zarr", ("checkpoint", "a", "1"), ("data", "b", "4"))
    first, second = difference(a, b).recipe.inputs
    assert (first.role, first.a.id, first.b.id) == ("data", "b" * 64, "b" * 64)
    assert (first.a.key, first.b.key) == ("2" * 64, "4" * 64)
    assert (second.a.id, second.b) == ("c" * 64, None)
    assert f"data {'b' * 12} (recipe {'2' * 12}) {'b' * 12} (recipe {'4' * 12})" in text(difference(a, b))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("xyz", "xyz", (3, "", "", True, "", "")),
        ("xyz", "zxy", (3, "", "", False, "", "")),
        ("xyz", "xz", (2, "1", "", True, "", "")),
        ("xy", "axyb", (2, "", "03", True, "", "")),
        ("xy", "ab", (0, "01", "01", True, "", "")),
        ("xyxx", "x", (1, "123", "", True, "023", "")),
        ("xx", "xxx", (2, "", "2", True, "01", "012")),
        ("xyx", "yxx", (3, "", "", False, "02", "12")),
    ],
)
def test_episodes_are_matched_by_their_hashes(a, b, expected):
    found = compare_episodes(*([letter.encode() for letter in word] for word in (a, b)))
    joined = ["".join(map(str, group)) for group in (found.only_a, found.only_b)]
    repeated = ["".join(map(str, sum(groups, ()))) for groups in (found.repeated_a, found.repeated_b)]
    assert (found.both, *joined, found.same_order, *repeated) == expected


def test_two_datasets_in_numbers(workshop):
    shared = [workshop.episode(seed) for seed in range(3)]
    shifted = workshop.episode(8, steps=20, success=True)
    observations = shifted.observations.copy()
    observations[:, 2] += 50
    more = workshop.episode(8, steps=20, success=True, observations=observations)
    found = difference(
        workshop.dataset("a.zarr", episodes=shared), workshop.dataset("b.zarr", episodes=[*shared, more])
    )
    content = found.content
    assert (content.episodes.both, content.episodes.only_b) == (3, (3,))
    assert (content.steps_a, content.steps_b) == (30, 50)
    assert content.outcome_b.success.final.rate > content.outcome_a.success.final.rate
    furthest = content.dimensions[0]
    assert (furthest.field, furthest.index) == ("observations", 2)
    assert furthest.mean_b - furthest.mean_a == pytest.approx(20, abs=1)
    assert {row.field for row in content.dimensions} == {"observations", "actions"}
    lines = text(found)
    assert "in both    3\nonly in B  1: 3\n" in lines
    assert "\nsteps 30 50\n" in lines
    assert "\nobservations 2 " in lines


def test_episodes_that_only_changed_places(workshop):
    found = difference(
        workshop.dataset("a.zarr", episodes=(0, 1, 1)), workshop.dataset("b.zarr", episodes=(1, 0, 1))
    )
    assert found.verdict == "same recipe"
    assert not found.content.dimensions
    assert "in both    3, in another order\nmore than once in A: 1 to 2\nmore than once in B: 0, 2" in text(
        found
    )


def test_datasets_of_two_tasks(workshop):
    a = workshop.dataset("a.zarr")
    wider = workshop.facts.model_copy(
        update={
            "observation_dim": 4,
            "observation_layout": (("position", 4),),
            "success_rule": "elsewhere",
        }
    )
    episode = workshop.episode(0, observations=np.zeros((11, 4), np.float32))
    found = difference(a, workshop.dataset("b.zarr", episodes=[episode], facts=wider))
    described = named(found.content.described)
    assert described["task.observation_dim"] == (3, 4)
    assert described["task.success_rule"] == ("near the goal", "elsewhere")
    assert described["fields.steps/observations.shape"] == ([3], [4])
    assert {row.field for row in found.content.dimensions} == {"actions"}


def test_two_checkpoints(workshop):
    data, more = workshop.dataset("a.zarr"), workshop.dataset("b.zarr", episodes=(5,))
    rows = [{"updates": n, "env_steps": 0, "eval/success_final": n / 10} for n in (1, 2, 3)]
    a = workshop.checkpoint("a.ckpt", data=[data], metrics=rows[:2])
    b = workshop.checkpoint("b.ckpt", data=[data, more], seed=1, updates=9, metrics=[*rows[1:], {"loss": 1}])
    content = difference(a, b).content
    assert named(content.counters) == {"updates": (5, 9)}
    assert [reference.id for reference in content.data_both] == [read_manifest(data).id]
    assert [reference.id for reference in content.data_only_b] == [read_manifest(more).id]
    assert content.data_only_a == ()
    largest = content.tensors.changed[0]
    assert (largest.name, largest.max_abs, largest.changed, largest.size) == ("trainer/step", 4.0, 1, 1)
    assert content.tensors.changed[1].name == "trainer/critic.weight"
    assert content.evaluation.model_dump() == {
        "updates": 2,
        "env_steps": 0,
        "a": {"eval/success_final": 0.2},
        "b": {"eval/success_final": 0.2},
    }
    lines = text(difference(a, b))
    assert "\nupdates 5 9\n" in lines
    assert f"\noffline {read_manifest(more).id[:12]} B\n" in lines
    assert "\ntrainer/step 4 1 1\n" in lines
    assert "[evaluation at 2 updates, 0 environment steps]\neval/success_final 0.2 0.2" in lines


def test_checkpoints_that_were_never_evaluated_at_the_same_point(workshop):
    rows = [{"updates": n, "env_steps": 0, "eval/success_final": 1.0} for n in (1, 2)]
    a = workshop.checkpoint("a.ckpt", metrics=rows[:1])
    b = workshop.checkpoint("b.ckpt", metrics=rows[1:], seed=1)
    assert difference(a, b).content.evaluation is None


def test_tensors_are_compared_by_name_shape_and_value():
    a = {
        "same": np.array([1.0, np.nan], np.float32),
        "other": np.array([[1, 2], [3, 4]], np.int64),
        "broken": np.array([1.0, 2.0], np.float32),
        "wide": np.zeros(3, np.float32),
        "typed": np.zeros(3, np.float32),
        "left": np.array(True),
    }
    b = {
        "same": np.array([1.0, np.nan], np.float32),
        "other": np.array([[1, 2], [0, 5]], np.int64),
        "broken": np.array([np.nan, 2.0], np.float32),
        "wide": np.zeros(4, np.float32),
        "typed": np.zeros(3, np.float64),
        "right": np.array(True),
    }
    found = compare_tensors(a, b)
    assert (found.equal, found.only_a, found.only_b) == (1, ("left",), ("right",))
    assert named(found.reshaped) == {
        "wide": ("float32 [3]", "float32 [4]"),
        "typed": ("float32 [3]", "float64 [3]"),
    }
    assert [(tensor.name, tensor.changed, tensor.size) for tensor in found.changed] == [
        ("broken", 1, 2),
        ("other", 2, 4),
    ]
    assert np.isnan(found.changed[0].max_abs)
    assert found.changed[1].max_abs == 3


def test_two_evaluations(workshop):
    checkpoint = workshop.checkpoint("a.ckpt")
    a = workshop.evaluation("a.json", checkpoint=checkpoint, successes=1)
    b = workshop.evaluation("b.json", checkpoint=checkpoint, successes=3)
    found = difference(a, b)
    assert found.content.same_seeds
    assert found.content.measured == ()
    assert "\nsuccess final 25 % [5, 70] 75 % [30, 95]\n" in text(found)
    assert text(found).endswith("[seeds]\nthe same")
    other = difference(a, workshop.evaluation("c.json", checkpoint=checkpoint, seed=7))
    assert not other.content.same_seeds
    assert named(other.content.measured) == {"seed": (0, 7)}


def test_different_kinds_are_refused(shelf):
    with pytest.raises(
        InputError, match=r"data\.zarr` is a dataset, .*policy\.ckpt` is: checkpoint"
    ) as caught:
        difference(shelf / "data.zarr", shelf / "policy.ckpt")
    assert "two datasets" in caught.value.hint


def test_damaged_artifacts_are_refused(shelf, workshop):
    broken = workshop.copy(shelf / "data.zarr")
    shutil.rmtree(broken / "steps/rewards/c")
    with pytest.raises(InputError, match="steps/rewards/c/0 is missing"):
        difference(shelf / "data.zarr", broken)


@pytest.mark.parametrize(
    ("indices", "limit", "expected"),
    [
        ([], None, ""),
        ([4], None, "4"),
        ([0, 1, 2, 5, 7, 8], None, "0 to 2, 5, 7 to 8"),
        ([0, 1, 2, 5, 7, 8], 2, "0 to 2, 5 and 2 more"),
        ([0, 2], 2, "0, 2"),
    ],
)
def test_indices_as_people_read_them(indices, limit, expected):
    assert spans(indices, limit=limit) == expected
