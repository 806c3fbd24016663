"""Several datasets of one task as one."""

from dataclasses import replace

import numpy as np
import pytest

from awaccli.data.merge import merged
from awaccli.data.schema import Credits, Import, Source
from awaccli.errors import DatasetError, UsageError

ANN, BOB, NET = (
    Source(kind="human", name="ann"),
    Source(kind="human", name="bob"),
    Source(kind="policy", name="net"),
)
LAB, ORG = Credits(authors="lab", licence="MIT"), Credits(authors="org", licence="CC-BY-4.0")
FILE = Import(format="npz", file="a.npz", sha256="0" * 64)


def made(make_episode, seeds, **changes):
    return [
        make_episode(np.random.default_rng(seed), steps=5, source=i % 2, **changes)
        for i, seed in enumerate(seeds)
    ]


@pytest.fixture(scope="module")
def first(recorded, make_episode):
    return recorded(
        "one.zarr",
        made(make_episode, [1, 2, 3], rich=True),
        sources=(ANN, NET),
        credits=(LAB,),
        imports=(FILE,),
        splits={"train": (0, 2), "val": (1,)},
    )


@pytest.fixture(scope="module")
def second(recorded, make_episode):
    return recorded(
        "two.h5",
        made(make_episode, [4, 5], rich=True),
        sources=(NET, BOB),
        credits=(ORG, LAB),
        imports=(FILE,),
        splits={"train": (1,), "new": (0,)},
    )


def test_everything_known_of_each_is_kept(first, second):
    derivation = merged([first, second])
    header = derivation.header
    assert header.sources == (ANN, NET, BOB)
    assert (header.credits, header.imports) == ((LAB, ORG), (FILE,))
    assert header.splits == {"train": (0, 2, 4), "val": (1,), "new": (3,)}
    episodes = list(derivation.episodes())
    assert [header.sources[e.source] for e in episodes] == [ANN, NET, ANN, NET, BOB]
    assert [e.seed for e in episodes] == [e.seed for data in (first, second) for e in data]
    assert (derivation.notes, derivation.warnings) == ((), ())
    assert derivation.recipe.inputs == tuple(data.manifest.reference("data") for data in (first, second))


def test_the_order_of_the_inputs_is_that_of_the_episodes(first, second):
    parts = [[row.tobytes() for row in data.column("episodes/sha256")] for data in (first, second)]
    assert merged([first, second]).hashes == parts[0] + parts[1]
    assert merged([second, first]).hashes == parts[1] + parts[0]
    assert merged([second, first]).id != merged([first, second]).id


def test_fields_that_not_all_have_are_dropped_and_named(first, recorded, make_episode, tmp_path):
    plain = [
        replace(e, infos={"distance": np.arange(5.0), "contact": np.zeros(5)})
        for e in made(make_episode, [6, 7])
    ]
    derivation = merged([first, recorded("plain.zarr", plain)])
    assert {note.partition(":")[0]: note.partition(": ")[2] for note in derivation.notes} == {
        "dropped steps/infos/contact": "it is not stored alike",
        "dropped steps/sim/qpos": "`plain.zarr` does not have it",
        "dropped final/sim/qpos": "`plain.zarr` does not have it",
        "dropped episodes/model/goal_pos": "`plain.zarr` does not have it",
        "dropped episodes/sim_init": "`plain.zarr` does not have it",
    }
    result = derivation.write(tmp_path / "y.zarr")
    assert result.id == derivation.id
    assert result.below("steps/infos/") == ["steps/infos/distance"]
    np.testing.assert_array_equal(result.episode(0).infos["distance"], first.episode(0).infos["distance"])
    np.testing.assert_array_equal(result.episode(-1).infos["distance"], np.arange(5.0))


def test_copies_are_counted(first, second):
    assert "3 episodes are copies of others" in merged([first, second, first]).warnings[0]


def spec(task, **changes):
    return task.model_copy(update={"spec": task.spec.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("change", "fact", "hint"),
    [
        (lambda task: task.model_copy(update={"reward_kind": "dense"}), "reward_kind is 'dense'", "--binary"),
        (lambda task: task.model_copy(update={"success_rule": "far"}), "success_rule is 'far'", "--success"),
        (lambda task: task.model_copy(update={"held_steps": 3}), "held_steps is 3", "one task"),
        (lambda task: task.model_copy(update={"control_dt": 0.5}), "control_dt is 0.5", "one task"),
        (lambda task: task.model_copy(update={"action_low": (-3.0, -9.0)}), "action_low", "one task"),
        (
            lambda task: task.model_copy(update={"observation_layout": (("all", 5),)}),
            "observation_layout",
            "one task",
        ),
        (lambda task: spec(task, horizon=100), "horizon is 100", "--horizon"),
        (lambda task: spec(task, env_id="Other-v0"), "env_id is 'Other-v0'", "one task"),
        (lambda task: spec(task, kwargs={"goal": 1}), "kwargs is {'goal': 1}", "one task"),
    ],
)
def test_another_task_is_refused_by_name(first, change, fact, hint):
    other = Like(first, task=change(first.task))
    with pytest.raises(DatasetError, match="not of one task") as error:
        merged([first, other])
    assert fact in str(error.value)
    assert hint in error.value.hint


class Like:
    """A dataset with another header."""

    def __init__(self, data, **changes):
        self._data = data
        self.header = data.header.model_copy(update=changes)
        self.task = self.header.task

    def __getattr__(self, name):
        return getattr(self._data, name)

    def __len__(self):
        return len(self._data)


def test_versions_ranges_and_models_may_differ_with_a_word(first):
    facts = (
        {"versions": {"mujoco": "3.3", "robots": "1.0"}, "mjcf_sha256": "a", "reward_range": (-1.0, 0.0)},
        {"versions": {"mujoco": "4.0", "robots": "1.0"}, "mjcf_sha256": "b", "reward_range": (-2.0, -1.0)},
        {"versions": {"robots": "1.0"}, "mjcf_sha256": None, "reward_range": (-1.0, 3.0)},
    )
    datasets = [Like(first, task=first.task.model_copy(update=changes)) for changes in facts]
    derivation = merged(datasets)
    assert derivation.warnings == (
        "recorded with several versions of mujoco: 3.3, 4.0, unknown",
        "recorded in different compiled MuJoCo models",
        "6 episodes are copies of others: `awac data dedupe` keeps one of each",
    )
    task = derivation.header.task
    assert task.versions == {"mujoco": "3.3 or 4.0 or unknown", "robots": "1.0"}
    assert (task.mjcf_sha256, task.reward_range) == (None, (-2.0, 3.0))
    assert merged(datasets[:1] * 2).header.task == datasets[0].task


def test_units_must_fit(first):
    fields = first.header.fields
    other = fields | {"steps/actions": fields["steps/actions"].model_copy(update={"unit": "rad"})}
    with pytest.raises(DatasetError, match=r"steps/actions has the units '' and 'rad'"):
        merged([first, Like(first, fields=other)])


def test_one_dataset_is_not_merged(first):
    with pytest.raises(UsageError, match="nothing to merge"):
        merged([first])
