"""What is written is what is read, in any container, and has one identity."""

from __future__ import annotations

from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from awaccli.artifacts.commit import claimed
from awaccli.artifacts.manifest import Clock, Recipe, read_manifest
from awaccli.config.settings import Execution
from awaccli.data import stores
from awaccli.data.dataset import open_dataset
from awaccli.data.schema import Credits, Header, Source, dataset_id, episode_sha256
from awaccli.data.stores.hdf5 import write_hdf5
from awaccli.data.writer import Writer, commit_dataset
from awaccli.episode import Episode
from awaccli.errors import DatasetError

PROPERTY = settings(
    deadline=None,
    max_examples=4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def write(path, header, episodes, *, groups=()):
    recipe, clock = Recipe(stage="collect", version=1, settings={}, seed=0), Clock(Execution())
    with claimed(path, recipe) as target:
        with Writer(target.payload, header) as writer:
            for index, episode in enumerate(episodes):
                writer.append(episode)
                if index in groups:
                    writer.flush()
        commit_dataset(target, writer, recipe=recipe, parents=(), clock=clock)
    return open_dataset(path)


def assert_same(found: Episode, expected: Episode):
    for field in fields(Episode):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(b, dict):
            assert a.keys() == b.keys()
            for name in b:
                assert a[name].dtype == b[name].dtype
                np.testing.assert_array_equal(a[name], b[name])
        elif isinstance(b, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b, field.name


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
@pytest.mark.parametrize("rich", [False, True])
def test_episodes_come_back(tmp_path, header, make_episode, suffix, rich):
    rng = np.random.default_rng(0)
    episodes = [make_episode(rng, rich=rich) for _ in range(6)]
    episodes[2] = replace(episodes[2], seed=None)
    dataset = write(tmp_path / f"x.{suffix}", header, episodes)
    assert len(dataset) == dataset.n_episodes == 6
    assert dataset.n_steps == sum(map(len, episodes))
    assert dataset.task == header.task
    for found, expected in zip(dataset, episodes, strict=True):
        assert_same(found, expected)
    assert dataset.id == dataset.manifest.id == dataset_id(dataset.header, map(episode_sha256, episodes))
    assert read_manifest(dataset.path) == dataset.manifest
    assert dataset.header.clipped == sum(episode.clipped for episode in episodes)
    assert dataset.header.commit.sealed
    assert dataset.altered_episodes() == []
    assert list(tmp_path.iterdir()) == [dataset.path]


@PROPERTY
@given(seed=st.integers(0, 9), groups=st.sets(st.integers(0, 3)), chunk=st.sampled_from([7, 40]))
def test_id_knows_no_container_chunks_or_groups(
    tmp_path_factory, header, make_episode, monkeypatch, seed, groups, chunk
):
    episodes = [make_episode(np.random.default_rng([seed, i]), rich=True) for i in range(4)]
    folder = tmp_path_factory.mktemp("ids")
    plain = write(folder / "plain.h5", header, episodes)
    with monkeypatch.context() as patch:
        patch.setattr("awaccli.data.stores.zarr.chunk_rows", lambda *_: chunk)
        other = write(folder / "other.zarr", header, episodes, groups=groups)
    assert plain.id == other.id
    for name in plain.header.fields:
        np.testing.assert_array_equal(plain.column(name), other.column(name))


def test_id_covers_content_and_not_provenance(header, make_episode):
    episode = make_episode(np.random.default_rng(0), rich=True)
    bent = np.array(episode.rewards)
    bent[-1] += 1
    for change in (
        {"rewards": bent},
        {"seed": None},
        {"seed": 0},
        {"sim_init": episode.sim_init + 1},
        {"model": {"goal_pos": episode.model["goal_pos"] + 1}},
        {"infos": {"distance": episode.infos["distance"]}},
        {"truncated": True, "terminated": not episode.terminated},
    ):
        assert episode_sha256(replace(episode, **change)) != episode_sha256(episode)
    for change in ({"source": 1 - episode.source}, {"clipped": 9}):
        assert episode_sha256(replace(episode, **change)) == episode_sha256(episode)
    relabelled = header.model_copy(
        update={
            "sources": (Source(kind="human", name="z"),),
            "credits": (Credits(authors="z", licence="MIT"),),
        }
    )
    assert dataset_id(relabelled, [b"x"]) == dataset_id(header, [b"x"])
    shorter = header.task.model_copy(update={"spec": header.task.spec.model_copy(update={"horizon": 9})})
    assert dataset_id(header.model_copy(update={"task": shorter}), [b"x"]) != dataset_id(header, [b"x"])


def test_equal_content_gives_equal_hdf5_bytes(tmp_path, header, make_episode):
    dataset = write(tmp_path / "x.h5", header, [make_episode(np.random.default_rng(0), rich=True)])
    for copy in "ab":
        write_hdf5(tmp_path / copy, dataset.header.to_json(), dataset.layout(), dataset.rows, b"{}")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_header_longer_than_an_hdf5_attribute(tmp_path, header, make_episode):
    long = header.model_copy(
        update={"sources": tuple(Source(kind="policy", name=f"clone {i}", id="f" * 64) for i in range(2000))}
    )
    dataset = write(tmp_path / "x.h5", long, [make_episode(np.random.default_rng(0))])
    assert dataset.header.sources == long.sources
    with h5py.File(dataset.path) as file:
        assert file["awac"].size > 1 << 17


def test_header_round_trip_keeps_infinite_bounds(header):
    assert Header.from_json(header.to_json(), origin="x") == header
    assert header.to_json()["task"]["action_high"] == [4.0, "inf"]


def test_episode_table(tmp_path, header, make_episode):
    rng = np.random.default_rng(0)
    reached = np.array([False, True, True, False])
    episodes = [make_episode(rng, steps=4, success=reached), make_episode(rng, steps=4, success=~reached)]
    table = write(tmp_path / "x.zarr", header, episodes).episodes
    assert table.start.tolist() == [0, 4]
    assert table.success.tolist() == [False, True]
    assert table.success_any.tolist() == [True, True]
    assert table.held(1).tolist() == [True, True]
    assert table.held(2).tolist() == [False, False]
    assert table.return_.tolist() == [episode.return_ for episode in episodes]


def test_statistics_are_those_of_numpy_in_float64(tmp_path, header, make_episode):
    episodes = [make_episode(np.random.default_rng(i)) for i in range(3)]
    rows = np.concatenate([episode.observations[:-1] for episode in episodes]).astype(np.float64)
    found = write(tmp_path / "x.zarr", header, episodes).statistics()
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, rows.std(axis=0), rtol=1e-12)
    np.testing.assert_array_equal([found.min, found.max], [rows.min(axis=0), rows.max(axis=0)])


def test_columns_are_read_only_and_named(tmp_path, header, make_episode):
    dataset = write(tmp_path / "x.zarr", header, [make_episode(np.random.default_rng(0))])
    with pytest.raises(ValueError, match="read-only"):
        dataset.column("steps/rewards")[0] = 1
    with pytest.raises(DatasetError, match="no field steps/nothing"):
        dataset.column("steps/nothing")
    with pytest.raises(IndexError):
        dataset.episode(1)


def test_limits_are_checked_before_reading():
    for info in (
        stores.FieldInfo("<f4", (1 << 60, 4), (10, 4)),
        stores.FieldInfo("<f4", (10, 4), (1 << 40, 4)),
        stores.FieldInfo("|O", (10,), (10,)),
        stores.FieldInfo("<f4", (-1,), (10,)),
    ):
        with pytest.raises(DatasetError):
            stores.require_within_limits("x", "steps/rewards", info)


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
@pytest.mark.parametrize("window_bytes", [1, 5_000, 1 << 30])
def test_episodes_are_the_same_through_any_window(tmp_path, header, make_episode, suffix, window_bytes):
    episodes = [make_episode(np.random.default_rng(seed), rich=True) for seed in range(7)]
    dataset = write(tmp_path / f"x.{suffix}", header, episodes)
    hashes = [episode_sha256(episode) for episode in episodes]
    dataset.window_bytes = window_bytes
    assert [episode_sha256(episode) for episode in dataset] == hashes
    assert [episode_sha256(episode) for episode in dataset.between(2, 5)] == hashes[2:5]
    assert episode_sha256(dataset.episode(-1)) == hashes[-1]
    assert list(dataset.between(3, 3)) == []


def test_reading_episodes_holds_one_window_at_a_time(tmp_path, header, make_episode, monkeypatch):
    dataset = write(tmp_path / "x.zarr", header, [make_episode(np.random.default_rng(i)) for i in range(9)])
    dataset.window_bytes, read = 1, []
    rows = dataset.rows
    monkeypatch.setattr(dataset, "rows", lambda name, *where: read.append(where) or rows(name, *where))
    for episode, length in zip(dataset, dataset.episodes.length, strict=True):
        assert len(episode) == length
        assert max(stop - start for start, stop in read) == length
        read.clear()
