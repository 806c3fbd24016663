"""What holds for every verb that makes a dataset: one id in any container, nothing known is lost."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from awaccli.artifacts.commit import Existing, part_of
from awaccli.artifacts.manifest import read_manifest
from awaccli.data.convert import converted
from awaccli.data.dataset import open_dataset
from awaccli.data.dedupe import deduplicated
from awaccli.data.filter import filtered
from awaccli.data.hindsight import GoalRule, with_hindsight
from awaccli.data.merge import merged
from awaccli.data.relabel import Relabelling, relabelled
from awaccli.data.schema import Credits, Import
from awaccli.data.split import split_by_ratio, split_by_source
from awaccli.data.subsample import subsampled
from awaccli.errors import DatasetError, InterruptedRunError, OutputExistsError
from awaccli.protocols import SILENT
from awaccli.reports.lineage import lineage
from awaccli.reports.verify import Verifier

N = 8
CREDITS = (Credits(authors="our lab", licence="CC-BY-4.0"),)
IMPORTS = (Import(format="npz", file="a.npz", sha256="0" * 64, losses=("no seeds",)),)
SPLITS = {"train": (0, 2, 4, 6), "val": (1, 5), "rare": (7,)}
AS_RECORDED = GoalRule(lambda achieved, _: (np.zeros(len(achieved), np.float32), achieved[:, 0] > 0), "any")
VERBS = {
    "filter": lambda data: filtered(data, "index != 3 and length < 80"),
    "split": lambda data: split_by_ratio(data, [0.7], seed=1)["train"],
    "dedupe": deduplicated,
    "convert": converted,
    "merge": lambda data: merged([data, data]),
    "relabel": lambda data: relabelled(data, Relabelling(horizon=40, scale=0.5)),
    "hindsight": lambda data: with_hindsight(
        data, AS_RECORDED, passes=2, achieved=["position"], desired=["aim"]
    ),
}
SELECTING = ["filter", "split", "dedupe", "convert"]


@pytest.fixture(scope="module")
def episodes(make_episode):
    """Eight episodes, one of them twice, by two sources."""
    made = [make_episode(np.random.default_rng(i), rich=True, steps=20 + 10 * i) for i in range(N)]
    made[5] = replace(made[5], seed=None)
    made[6] = replace(made[1], source=1 - made[1].source)
    return [replace(episode, rewards=np.zeros(len(episode), np.float32)) for episode in made]


@pytest.fixture(scope="module")
def task(make_task):
    layout = (("position", 2), ("aim", 2), ("rest", 1))
    return make_task(observation_layout=layout, reward_kind="dense", reward_range=None)


@pytest.fixture(scope="module")
def data(recorded, episodes, task):
    return recorded("x.zarr", episodes, task=task, credits=CREDITS, imports=IMPORTS, splits=SPLITS)


@pytest.fixture(scope="module")
def shelf(recorded, tmp_path_factory):
    return tmp_path_factory.mktemp("derived")


@pytest.fixture(scope="module")
def twin(shelf, data):
    return converted(data).write(shelf / "x.h5")


@pytest.fixture(scope="module")
def made(shelf, twin):
    """What every verb makes of the HDF5 form, as Zarr and HDF5 in turn."""
    return {
        name: verb(twin).write(shelf / f"{name}.{('zarr', 'h5')[number % 2]}")
        for number, (name, verb) in enumerate(VERBS.items())
    }


@dataclass
class Stopping:
    """Sends a signal after so many episodes."""

    after: int
    phase: Callable = SILENT.phase

    def interrupted(self):
        self.after -= 1
        return 15 if self.after == 0 else 0


def facts(dataset):
    """What is known of each episode, by its hash; the last of equal ones."""
    header, table = dataset.header, dataset.episodes
    rows = [row.tobytes() for row in dataset.column("episodes/sha256")]
    splits = [{name for name, members in header.splits.items() if i in members} for i in range(len(rows))]
    names = [header.sources[source].name for source in table.source]
    return dict(zip(rows, zip(table.seed, table.has_seed, names, splits, strict=True), strict=True))


@pytest.mark.parametrize("name", VERBS)
def test_one_id_in_any_container(name, data, made):
    planned = VERBS[name](data)
    assert made[name].id == planned.id == made[name].manifest.id
    assert made[name].manifest.recipe.key == planned.recipe.key
    assert made[name].altered_episodes() == []
    assert len(made[name]) == planned.total


def test_random_choices_do_not_depend_on_the_container(data, twin):
    for choose in (
        lambda d: subsampled(d, episodes=5, stratify="source"),
        lambda d: subsampled(d, fraction=0.4),
    ):
        assert choose(data).id == choose(twin).id
        assert choose(data).recipe.key == choose(twin).recipe.key


@pytest.mark.parametrize("name", VERBS)
def test_it_verifies_and_knows_where_it_comes_from(name, data, made):
    path = made[name].path
    assert Verifier(deep=True).verify(path).ok
    root = lineage(path).nodes[-1]
    assert (root.id, root.stage, root.seed) == (data.id, "collect-demos", 7)


@pytest.mark.parametrize("name", VERBS)
def test_credits_and_imports_survive(name, made):
    assert (made[name].header.credits, made[name].header.imports) == (CREDITS, IMPORTS)


@pytest.mark.parametrize("name", SELECTING)
def test_episodes_keep_their_seeds_sources_and_splits(name, data, made):
    before, after = facts(data), facts(made[name])
    copy = data.column("episodes/sha256")[6].tobytes()
    kept = after.keys() - {copy}
    assert after.keys() <= before.keys()
    assert {row: after[row] for row in kept} == {row: before[row] for row in kept}
    assert {source.name for source in made[name].header.sources} <= {"a", "b"}
    assert set(made[name].episodes.source) == set(range(len(made[name].header.sources)))
    assert all(made[name].header.splits.values())
    first = made[name].episode(0)
    same = next(episode for episode in data if np.array_equal(episode.actions, first.actions))
    np.testing.assert_array_equal(first.sim_init, same.sim_init)
    np.testing.assert_array_equal(first.model["goal_pos"], same.model["goal_pos"])


def test_interrupted_it_goes_on(data, made, tmp_path):
    verb, out = VERBS["hindsight"], tmp_path / "y.h5"
    with pytest.raises(InterruptedRunError, match="after 3 episodes"):
        verb(data).write(out, report=Stopping(3))
    with pytest.raises(OutputExistsError, match="unfinished"):
        verb(data).write(out)
    assert open_dataset(part_of(out), unfinished=True).n_episodes == 3
    assert verb(data).write(out, existing=Existing.RESUME).id == made["hindsight"].id
    assert not part_of(out).exists()


def test_made_once_it_is_not_made_again(data, made):
    for name in ("filter", "split", "convert", "relabel"):
        out, before = made[name].path, read_manifest(made[name].path)
        with pytest.raises(OutputExistsError):
            VERBS[name](data).write(out)
        for existing in (Existing.IF_CHANGED, Existing.RESUME):
            VERBS[name](data).write(out, existing=existing)
            assert read_manifest(out) == before


def test_another_setting_makes_it_anew(data, tmp_path):
    out = tmp_path / "y.zarr"
    filtered(data, "length < 30").write(out)
    assert len(filtered(data, "length <= 30").write(out, existing=Existing.IF_CHANGED)) == 3


def test_units_of_fields_survive(recorded, episodes, data, tmp_path):
    spec = data.header.fields["steps/actions"].model_copy(update={"unit": "rad", "doc": "joints"})
    fields = data.header.fields | {"steps/actions": spec}
    measured = recorded("measured.zarr", episodes[:2], task=data.task, fields=fields)
    copy = converted(measured).write(tmp_path / "y.h5")
    assert copy.header.fields["steps/actions"] == spec
    assert copy.id == measured.id


@pytest.mark.parametrize(
    "same",
    [
        lambda data: filtered(data, "length > 0"),
        lambda data: subsampled(data, fraction=1.0),
        lambda data: relabelled(data, Relabelling(horizon=200)),
        converted,
    ],
)
def test_what_changes_nothing_has_the_recipe_of_its_content(same, data):
    """An id has one recipe in a lineage, and nothing comes from itself."""
    derivation = same(data)
    assert derivation.id == data.id
    assert derivation.recipe == data.manifest.recipe


def test_a_copy_tells_of_the_run_that_made_its_content(data, twin, made, tmp_path):
    for original, copy in (
        (data, twin),
        (made["filter"], converted(made["filter"]).write(tmp_path / "y.h5")),
    ):
        assert copy.id == original.id
        assert copy.manifest.ancestors == original.manifest.ancestors
        known = {"started", "wall_s", "versions", "execution"}
        assert copy.manifest.run.model_dump(include=known) == original.manifest.run.model_dump(include=known)
        assert Verifier(deep=True).verify(copy.path).ok
    assert (tmp_path / copy.manifest.run.paths[data.id]).resolve() == twin.path


def test_copies_and_originals_go_together(data, twin, made, tmp_path):
    below = merged([twin, made["filter"]]).write(tmp_path / "below.zarr")
    assert Verifier(deep=True).verify(below.path).ok
    assert {node.id for node in lineage(below.path).nodes} == {below.id, data.id, made["filter"].id}


def test_parts_that_are_merged_again_are_the_dataset_itself(recorded, episodes, task, tmp_path):
    plain = [replace(e, infos={}, sim={}, sim_init=None, model={}) for e in episodes[:4]]
    one = recorded("one.zarr", [replace(e, source=0) for e in plain[:2]], task=task)
    two = recorded("two.zarr", [replace(e, source=1) for e in plain[2:]], task=task)
    both = merged([one, two]).write(tmp_path / "both.zarr")
    parts = [part.write(tmp_path / f"{name}.h5") for name, part in split_by_source(both).items()]
    assert [part.id for part in parts] == [one.id, two.id]
    assert [part.manifest.recipe for part in parts] == [one.manifest.recipe, two.manifest.recipe]
    again = merged(parts).write(tmp_path / "again.h5")
    assert again.id == both.id
    for path in (parts[0].path, again.path):
        assert Verifier(deep=True).verify(path).ok
        assert lineage(path).nodes[-1].stage == "collect-demos"


def test_kept_episodes_are_the_same_in_small_windows(data):
    small = open_dataset(data.path)
    small.window_bytes = 1  # an episode at a time
    where = "index in [1, 4]"
    for found, expected in zip(
        filtered(small, where).episodes(), filtered(data, where).episodes(), strict=True
    ):
        np.testing.assert_array_equal(found.observations, expected.observations)


def test_an_unfinished_dataset_is_no_parent(data, tmp_path):
    with pytest.raises(InterruptedRunError):
        converted(data).write(tmp_path / "y.zarr", report=Stopping(2))
    part = open_dataset(tmp_path / "y.zarr.part", unfinished=True)
    with pytest.raises(DatasetError, match="unfinished"):
        filtered(part, "length > 0").write(tmp_path / "z.zarr")
