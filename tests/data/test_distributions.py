"""The numbers behind pictures of datasets, against plain NumPy on the whole of them."""

from dataclasses import replace

import numpy as np
import pytest
import zarr

from awaccli.artifacts.manifest import MANIFEST, Manifest
from awaccli.data import distributions as module
from awaccli.data.convert import converted
from awaccli.data.dataset import open_dataset
from awaccli.data.distributions import dataset_distributions, principal_components
from awaccli.data.evaluation import wilson
from awaccli.data.schema import Source
from awaccli.data.stats import dataset_stats
from awaccli.errors import DatasetError, UsageError


@pytest.fixture(scope="module")
def data(recorded, make_episode):
    rng = np.random.default_rng(0)
    return recorded("x.zarr", [make_episode(rng, steps=20 + i, source=int(i > 3)) for i in range(7)])


@pytest.fixture(scope="module")
def other(recorded, make_episode):
    rng = np.random.default_rng(1)
    return recorded("y.zarr", [make_episode(rng, steps=300) for _ in range(2)])


def test_one_dataset_is_taken_apart_by_source(data):
    found, episodes = dataset_distributions([data]), list(data)
    assert (found.by, [group.name for group in found.groups]) == ("source", ["a", "b"])
    assert [group.episodes for group in found.groups] == [4, 3]
    assert found.groups[1].success.final == wilson(sum(bool(e.success[-1]) for e in episodes[4:]), 3)
    assert [sum(counts) for counts in found.returns.counts] == [4, 3]
    assert found.lengths.counts == ((1, 1, 1, 1, 0, 0, 0), (0, 0, 0, 0, 1, 1, 1))
    assert found.lengths.edges == (19.5, 20.5, 21.5, 22.5, 23.5, 24.5, 25.5, 26.5)
    assert [len(points) for points in found.coverage.points] == [20 + 21 + 22 + 23, 24 + 25 + 26]


def test_ranges_and_saturation_are_those_of_the_statistics(data):
    [one], stats = dataset_distributions([data]).datasets, dataset_stats(data)
    assert (one.name, one.id, one.n_episodes, one.n_steps) == ("x", data.id, 7, data.n_steps)
    assert one.saturation == stats.saturation
    fields = {field.field: field.dimensions for field in stats.fields}
    for field, ranges in (("steps/actions", one.actions), ("steps/observations", one.observations)):
        expected = [(d.name, d.min, d.p01, d.mean, d.p99, d.max) for d in fields[field]]
        assert [(r.name, r.min, r.p01, r.mean, r.p99, r.max) for r in ranges] == expected
    assert [(r.low, r.high) for r in one.actions] == [(-2.0, 4.0), (-np.inf, np.inf)]
    assert {(r.low, r.high) for r in one.observations} == {(None, None)}


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([3.0, 3.0], [2.5, 3.5]),
        ([0.25], [-0.25, 0.75]),
        ([-2.0, 0.0, 1.0], [-2.5, -1.5, -0.5, 0.5, 1.5]),
        ([0.0, 39.0], np.arange(21) * 2 - 0.5),
        ([0.0, 0.5], np.linspace(0, 0.5, 21)),
    ],
)
def test_bins_are_few_and_do_not_cut_whole_numbers_apart(values, edges):
    found = module._histogram([np.array(values), np.array(values[:1])])
    assert found.edges == pytest.approx(edges)
    assert [sum(counts) for counts in found.counts] == [len(values), 1]


def test_components_are_the_eigenvectors_of_the_correlation_matrix():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)) * [1, 10, 0.1, 1, 1, 1] + 5
    rows[:, 4] = 7.0
    points, explained = principal_components(rows)
    varying = np.delete(rows, 4, axis=1)
    values, vectors = np.linalg.eigh(np.corrcoef(varying.T))
    assert explained == pytest.approx(values[[-1, -2]] / 5, abs=1e-6)
    standard = (varying - varying.mean(axis=0)) / varying.std(axis=0)
    for index in (0, 1):
        vector = vectors[:, -1 - index]
        vector = vector * np.sign(vector[np.abs(vector).argmax()])
        np.testing.assert_allclose(points[:, index], standard @ vector, atol=1e-9)


def test_components_of_what_hardly_varies():
    line = np.stack([np.arange(5.0), 2 * np.arange(5.0), np.full(5, 1e5)], axis=1)
    points, explained = principal_components(line)
    assert explained == (1.0, 0.0)
    assert points[:, 1] == pytest.approx(0)
    for still in (np.full((4, 3), 2.5), np.ones((1, 1))):
        points, explained = principal_components(still)
        assert (points.any(), explained) == (False, (0.0, 0.0))


def test_container_and_blocks_do_not_matter(data, tmp_path, monkeypatch):
    expected = dataset_distributions([data])
    copy = converted(data).write(tmp_path / "x.h5")
    assert dataset_distributions([copy]) == expected
    monkeypatch.setattr(module, "chunk_rows", lambda row_bytes: 7)
    assert dataset_distributions([open_dataset(copy.path)]).coverage == expected.coverage


def test_the_sample_is_bounded_and_the_same_every_time(other, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE_ROWS", 100)
    found = dataset_distributions([other])
    assert sum(map(len, found.coverage.points)) == 100
    assert found == dataset_distributions([open_dataset(other.path)])
    monkeypatch.setattr(module, "_SAMPLE_BYTES", 10 * 4 * 5)
    assert sum(map(len, dataset_distributions([other]).coverage.points)) == 10


def test_several_datasets_side_by_side(data, other, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE_ROWS", 200)
    found = dataset_distributions([data, other])
    assert (found.by, [group.name for group in found.groups]) == ("dataset", ["x", "y"])
    assert [group.episodes for group in found.groups] == [7, 2]
    assert [len(points) for points in found.coverage.points] == [100, 100]
    assert [one.id for one in found.datasets] == [data.id, other.id]
    assert found.lengths.edges[0] == 19.5
    assert (found.lengths.counts[1][-1], sum(found.lengths.counts[0])) == (2, 7)


def test_datasets_of_one_name_are_told_apart(data, tmp_path):
    copy, same = (converted(data).write(tmp_path / name) for name in ("x.h5", "x.zarr"))
    assert [one.name for one in dataset_distributions([data, copy]).datasets] == ["x.zarr", "x.h5"]
    assert [one.name for one in dataset_distributions([data, same]).datasets] == [
        str(data.path),
        str(same.path),
    ]


def test_many_sources_and_sources_of_one_name(recorded, make_episode):
    rng = np.random.default_rng(5)
    sources = tuple(Source(kind="policy", name=f"p{i}") for i in range(9))
    acted = [0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6, 7, 8]
    made = [make_episode(rng, steps=3, source=source) for source in acted]
    found = dataset_distributions([recorded("many.zarr", made, sources=sources)])
    assert [group.name for group in found.groups] == ["p0", "p1", "p2", "p3", "p5", "p6", "3 other sources"]
    assert [group.episodes for group in found.groups] == [2, 2, 2, 2, 2, 2, 3]
    twins = (
        Source(kind="policy", name="bc", actions="mean"),
        Source(kind="policy", name="bc", actions="sample"),
        Source(kind="human", name="me"),
        Source(kind="human", name="me"),
    )
    made = [replace(episode, source=index) for index, episode in enumerate(made[:4])]
    names = [
        group.name for group in dataset_distributions([recorded("twins.zarr", made, sources=twins)]).groups
    ]
    assert names == ["bc, mean", "bc, sample", "me, human, source 2", "me, human, source 3"]


def test_what_cannot_be_compared_is_refused(data, recorded, make_episode, make_task):
    narrow = make_task(observation_layout=(("position", 2), ("goal", 3)))
    strange = recorded("z.zarr", [make_episode(np.random.default_rng(2))], task=narrow)
    with pytest.raises(DatasetError, match=r"z\.zarr` has observations of .* and 2 actions"):
        dataset_distributions([data, strange])
    for count in (0, 7):
        with pytest.raises(UsageError, match=f"{count} datasets"):
            dataset_distributions([data] * count)


def test_a_table_that_lies_is_an_error_of_the_input(data, tmp_path):
    path = converted(data).write(tmp_path / "lies.zarr").path
    zarr.open_array(path, path="episodes/return", mode="r+")[2] = np.nan
    manifest = Manifest.from_bytes((path / MANIFEST).read_bytes(), origin="x")
    (path / MANIFEST).write_bytes(manifest.model_copy(update={"files": ()}).to_bytes())
    with pytest.raises(DatasetError, match="episodes/return is not finite in episode 2"):
        dataset_distributions([open_dataset(path)])
