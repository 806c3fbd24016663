"""Parts of a dataset that share no episode."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaccli.data.schema import Source
from awaccli.data.split import _sizes, split_as_stored, split_by_ratio, split_by_source
from awaccli.errors import DatasetError, UsageError

N = 12
COPIES = {7: 2, 11: 2, 9: 0}
"""Indices of episodes that are copies, and of what."""
STORED = {"train": (0, 1, 2, 3, 4), "val": (4, 5, 7), "unused": (6,)}


@pytest.fixture(scope="module")
def data(recorded, make_episode):
    made = [make_episode(np.random.default_rng(COPIES.get(i, i)), steps=5, source=i // 4) for i in range(N)]
    names = ("ann", "bob / arm", "ann")
    sources = tuple(Source(kind="human", name=name, noise=number) for number, name in enumerate(names))
    return recorded("x.zarr", made, sources=sources, splits=STORED)


def hashes(parts):
    return {name: part.hashes for name, part in parts.items()}


def all_of(data):
    return Counter(row.tobytes() for row in data.column("episodes/sha256"))


def test_no_episode_is_lost_and_copies_stay_together(data):
    @given(st.integers(0, 1000), st.sampled_from([(0.5,), (0.8,), (0.6, 0.2), (0.2, 0.3, 0.5)]))
    @settings(deadline=None, max_examples=40)
    def check(seed, ratios):
        parts = split_by_ratio(data, ratios, seed=seed)
        assert sum((Counter(part) for part in hashes(parts).values()), Counter()) == all_of(data)
        distinct = [set(part) for part in hashes(parts).values()]
        assert sum(map(len, distinct)) == len(set.union(*distinct)) == N - len(COPIES)
        assert [len(part) for part in distinct] == _sizes([*ratios, 1 - sum(ratios)][: len(distinct)], 9)

    check()


def test_the_ratio_counts_distinct_episodes_and_copies_are_named(data):
    parts = split_by_ratio(data, [0.67])
    assert [len(set(part)) for part in hashes(parts).values()] == [6, 3]
    assert list(parts) == ["train", "val"]
    assert "3 episodes are copies of others" in parts["train"].notes[1]
    assert list(split_by_ratio(data, [0.5, 0.25], names=["a", "b", "c"])) == ["a", "b", "c"]


def test_the_order_of_the_episodes_does_not_matter(data, recorded):
    again = recorded("y.zarr", list(reversed(list(data))), sources=data.header.sources)
    for seed in range(3):
        first, second = (hashes(split_by_ratio(d, [0.5], seed=seed)) for d in (data, again))
        assert {name: set(part) for name, part in first.items()} == {
            name: set(part) for name, part in second.items()
        }
    assert hashes(split_by_ratio(data, [0.5], seed=0)) != hashes(split_by_ratio(data, [0.5], seed=1))


@given(st.integers(2, 40), st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_every_part_gets_something(total, weights):
    if total < len(weights):
        return
    shares = [weight / sum(weights) for weight in weights]
    sizes = _sizes(shares, total)
    assert sum(sizes) == total
    assert min(sizes) >= 1


def test_by_source(data):
    parts = split_by_source(data)
    assert list(parts) == ["ann", "bob-arm", "ann-2"]
    assert sum((Counter(part) for part in hashes(parts).values()), Counter()) == all_of(data)
    places = [row.tobytes() for row in data.column("episodes/sha256")]
    assert parts["ann"].hashes == [places[i] for i in (0, 1, 2, 3, 7, 9, 11)]  # where the first of them is
    assert parts["ann-2"].header.sources[0].noise == 2


def test_as_stored(data):
    places = [row.tobytes() for row in data.column("episodes/sha256")]
    parts = split_as_stored(data)
    assert hashes(parts) == {
        "train": [places[i] for i in (0, 1, 2, 3, 4, 7)],  # 7 is a copy of 2, 4 is in both
        "val": [places[5]],
        "unused": [places[6]],
    }
    assert list(split_as_stored(data, names=["val", "unused"])) == ["val", "unused"]
    assert split_as_stored(data, names=["val"])["val"].hashes == [places[i] for i in (4, 5, 7)]


def test_what_makes_no_sense_is_refused(data, recorded, make_episode):
    for ratios in ([], [1.0], [0.0], [0.5, 0.6], [-0.1, 0.2], [float("nan")]):
        with pytest.raises(UsageError, match="--ratio"):
            split_by_ratio(data, ratios)
    for names in (["train"], ["a", "a"], ["a", "../b"], ["a", "b", "c"]):
        with pytest.raises(UsageError, match="2 parts are named"):
            split_by_ratio(data, [0.5], names=names)
    with pytest.raises(UsageError, match="no split `test`"):
        split_as_stored(data, names=["test"])
    tiny = recorded("tiny.h5", [make_episode(np.random.default_rng(0), steps=3)] * 2)
    with pytest.raises(DatasetError, match="1 distinct episodes, too few for 2 parts"):
        split_by_ratio(tiny, [0.5])
    with pytest.raises(DatasetError, match="stores no splits"):
        split_as_stored(tiny)
