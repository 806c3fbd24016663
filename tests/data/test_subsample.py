"""A random part of a dataset."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awaccli.data.subsample import apportioned, subsampled
from awaccli.errors import DatasetError, UsageError

N = 20


@pytest.fixture(scope="module")
def data(recorded, make_episode):
    flags = [np.full(5, i < 5) for i in range(N)]
    made = [make_episode(np.random.default_rng(i), steps=5, source=i % 2, success=flags[i]) for i in range(N)]
    return recorded("x.h5", made)


def indices(data, **options):
    hashes = [row.tobytes() for row in data.column("episodes/sha256")]
    return [hashes.index(row) for row in subsampled(data, **options).hashes]


def test_as_many_as_asked_for_in_order_and_the_same_again(data):
    found = indices(data, episodes=7)
    assert len(found) == 7
    assert found == sorted(set(found))
    assert indices(data, episodes=7) == found
    assert indices(data, episodes=7, seed=1) != found
    assert len(indices(data, fraction=0.34)) == 7
    assert len(indices(data, fraction=0.001)) == 1
    assert indices(data, episodes=N) == list(range(N))


def test_every_episode_has_the_same_chance(data):
    counts = np.zeros(N)
    for seed in range(300):
        counts[indices(data, episodes=5, seed=seed)] += 1
    assert counts.min() > 40  # expected 75, standard deviation 7.5
    assert counts.max() < 110


def test_strata_keep_their_shares(data):
    for seed in range(5):
        found = indices(data, episodes=8, stratify="success", seed=seed)
        assert sum(index < 5 for index in found) == 2  # a quarter
        halves = indices(data, fraction=0.5, stratify="source", seed=seed)
        assert sum(index % 2 for index in halves) == 5


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.floats(0, 1))
def test_shares_add_up_and_none_is_too_large(sizes, fraction):
    total = round(fraction * sum(sizes))
    shares = apportioned(sizes, total)
    assert sum(shares) == total
    assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
    assert all(abs(share - total * size / sum(sizes)) < 1 for share, size in zip(shares, sizes, strict=True))


def test_what_makes_no_sense_is_refused(data):
    for options in (
        {},
        {"episodes": 3, "fraction": 0.5},
        {"episodes": 0},
        {"fraction": 0.0},
        {"fraction": 1.1},
    ):
        with pytest.raises(UsageError):
            subsampled(data, **options)
    with pytest.raises(DatasetError, match="has 20 episodes, not 21"):
        subsampled(data, episodes=21)
