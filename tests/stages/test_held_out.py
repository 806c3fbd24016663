"""Held-out episodes are measured, and change nothing."""

import numpy as np
import pytest

from awaccli.artifacts.commit import Existing
from awaccli.artifacts.metrics import read_metrics
from awaccli.config.task import TaskSpec
from awaccli.data.derive import derive, derived_recipe
from awaccli.errors import DatasetError, InterruptedRunError
from awaccli.stages.offline_evaluation import evaluate_offline


@pytest.fixture
def data(chain):
    """Return what is trained on, and what is held out: both of a robot without a simulator."""
    made = chain("held-out")
    return _robot(made, made.collect(seed=0), "train"), _robot(made, _other(chain), "held")


def _other(chain):
    return chain("held-out-other").collect(seed=9)


def _robot(made, dataset, name):
    header = dataset.header
    task = header.task.model_copy(update={"spec": TaskSpec(name="robot")})
    recipe = derived_recipe("anonymous", [dataset], {})
    header = header.model_copy(update={"task": task})
    return derive(made.path(name), recipe, header, iter(dataset), parents=[dataset])


def measured(made, data, held, *, eval_every=0, **options):
    made.execution = made.execution.model_copy(update={"eval_every": eval_every})
    checkpoint = made.pretrain(data, held_out=held, **options)
    rows = read_metrics(checkpoint.path / "metrics.jsonl")
    return checkpoint, [row for row in rows if "held_out/episodes" in row], rows


@pytest.mark.parametrize("algo", ["awac", "bc"])
def test_numbers_at_intervals_and_at_the_end_are_those_of_an_offline_evaluation(chain, data, algo):
    train, held = data
    checkpoint, rows, _ = measured(chain(f"measured-{algo}"), train, held, eval_every=4, algo=algo)
    assert [row["updates"] for row in rows] == ([4, 8, 10] if algo == "awac" else [4, 8, 12])
    found = evaluate_offline(checkpoint, [held], fqe_updates=0)
    last = rows[-1]
    assert last["held_out/log_likelihood"] == -found.nll.mean
    assert last.get("held_out/td_error") == (found.td_error and found.td_error.mean)
    assert (last["held_out/episodes"], last["held_out/dataset"]) == (len(held), held.id)
    assert rows[0]["held_out/log_likelihood"] != last["held_out/log_likelihood"]


def test_the_checkpoint_and_all_other_numbers_are_the_same_without(chain, data):
    train, held = data
    plain, none, before = measured(chain("plain"), train, None, eval_every=3)
    watched, some, after = measured(chain("watched"), train, held, eval_every=3)
    assert (watched.id, watched.manifest.recipe.key) == (plain.id, plain.manifest.recipe.key)
    assert watched.manifest.ancestors == plain.manifest.ancestors
    assert (len(none), len(some)) == (0, 4)
    for name, array in plain.trainer().items():
        np.testing.assert_array_equal(array, watched.trainer()[name])
    rest = [row for row in after if "held_out/episodes" not in row]
    assert [_timeless(row) for row in rest] == [_timeless(row) for row in before]


def _timeless(row):
    return {name: value for name, value in row.items() if name != "wall_s"}


def test_without_an_interval_there_is_one_line_at_the_end(chain, data):
    _, rows, _ = measured(chain("once"), *data)
    assert [row["updates"] for row in rows] == [10]


def test_a_stopped_run_measures_each_interval_once(chain, data, stop_after):
    train, held = data
    made = chain("stopped")
    for looks in (3, 9, 6):
        with pytest.raises(InterruptedRunError):
            measured(made, train, held, eval_every=2, existing=Existing.RESUME, report=stop_after(looks))
    _, rows, _ = measured(made, train, held, eval_every=2, existing=Existing.RESUME)
    _, expected, _ = measured(chain("unstopped"), train, held, eval_every=2)
    assert [_timeless(row) for row in rows] == [_timeless(row) for row in expected]


def test_episodes_that_are_trained_on_are_not_held_out(chain, data):
    train, _ = data
    made = chain("leak")
    part = derive(
        made.path("some"), derived_recipe("some", [train], {}), train.header, list(train)[:2], parents=[train]
    )
    with pytest.raises(DatasetError, match=r"2 of 2 episodes of .* are also in the training data"):
        made.pretrain(train, held_out=part)
    assert not made.path("pretrained", "ckpt").exists()


def test_data_of_another_task_cannot_be_held_out(chain, data):
    train, held = data
    task = held.task.model_copy(update={"reward_kind": "binary"})
    header = held.header.model_copy(update={"task": task})
    made = chain("unlike")
    other = derive(made.path("other"), derived_recipe("other", [held], {}), header, iter(held))
    with pytest.raises(DatasetError, match="reward_kind is binary"):
        made.pretrain(train, held_out=other)
