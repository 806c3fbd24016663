"""Choosing episodes by a condition on their columns."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaccli.data.filter import episode_columns, filtered
from awaccli.data.schema import Source
from awaccli.episode import EndReason
from awaccli.errors import DatasetError, UsageError

N = 6


@pytest.fixture(scope="module")
def episodes(make_episode):
    steps = np.arange(30)
    flags = [steps < 6 * i if i % 2 else steps >= 30 - 5 * i for i in range(N)]  # odd ones do not last
    made = [
        make_episode(
            np.random.default_rng(i),
            steps=30,
            source=i % 2,
            seed=100 + i,
            success=flags[i],
            rewards=flags[i].astype(np.float32) - 1,
            clipped=i // 2,
        )
        for i in range(N)
    ]
    made[2] = replace(made[2], seed=None, end_reason=EndReason.STOPPED)
    return made


@pytest.fixture(scope="module")
def data(recorded, episodes):
    sources = (Source(kind="human", name="ann"), Source(kind="policy", name="bc.ckpt"))
    return recorded("x.zarr", episodes, sources=sources, splits={"train": (0, 1, 2, 3), "tiny": (1,)})


def kept(data, where):
    derivation = filtered(data, where)
    found = [episode.actions.tobytes() for episode in derivation.episodes()]
    return [i for i, episode in enumerate(data) if episode.actions.tobytes() in found]


def test_every_column(data, episodes):
    for where, expected in {
        "index in [0, 5]": [0, 5],
        "length == 30 and index > 3": [4, 5],
        "seed == 103": [3],
        "seed != 103 and index < 4": [0, 1, 2],
        "seed > 0": [0, 1, 3, 4, 5],
        "source == 'ann'": [0, 2, 4],
        "kind == 'policy'": [1, 3, 5],
        "end_reason == 'stopped'": [2],
        "split == 'train' and split != 'tiny'": [0, 2, 3],
        "split in ['tiny', 'train']": [0, 1, 2, 3],
        "success": [2, 4, 5],
        "success_any": [1, 2, 3, 4, 5],
        "success_steps > 14": [3, 4, 5],
        "success_held": [5],
        "clipped >= 1": [2, 3, 4, 5],
        "return > -16 or return == -30": [0, 3, 4, 5],
    }.items():
        assert kept(data, where) == expected, where
    assert episode_columns(data).keys() >= {"return", "split"}


def test_nothing_left_says_how_many_each_part_leaves(data):
    with pytest.raises(DatasetError, match="holds for 0 of 6") as error:
        filtered(data, "index < 2 and source == 'ann' and seed == 7")
    assert (
        error.value.hint == "`index < 2` holds for 2; `source == 'ann'` holds for 3; `seed == 7` holds for 0"
    )


def test_words_that_cannot_occur_are_slips(data):
    for where in ("end_reason == 'stoped'", "kind == 'humn'", "split == 'trian'"):
        with pytest.raises(UsageError, match="there is no"):
            filtered(data, where)
    with pytest.raises(DatasetError, match="0 of 6"):
        filtered(data, "source == 'bob'")


def test_sources_without_episodes_go_and_splits_point_to_where_episodes_are(data):
    header = filtered(data, "kind == 'policy'").header
    assert [source.name for source in header.sources] == ["bc.ckpt"]
    assert header.splits == {"train": (0, 1), "tiny": (0,)}
    assert filtered(data, "index > 2").header.splits == {"train": (0,)}
    assert {episode.source for episode in filtered(data, "kind == 'policy'").episodes()} == {0}


def test_a_condition_and_its_opposite_share_the_episodes_out(data):
    """Whatever the condition: what it keeps and what it drops are all episodes, in order."""
    hashes = [row.tobytes() for row in data.column("episodes/sha256")]
    numbers = st.tuples(
        st.sampled_from(["index", "return", "success_steps"]), st.sampled_from("<>"), st.integers(-30, 30)
    )

    @given(numbers.map(lambda t: f"{t[0]} {t[1]} {t[2]}"))
    @settings(deadline=None, max_examples=40)
    def check(where):
        parts = []
        for condition in (where, f"not ({where})"):
            try:
                parts.append(filtered(data, condition).hashes)
            except DatasetError:
                parts.append([])
        assert sorted(parts[0] + parts[1]) == sorted(hashes)
        assert all(part == [row for row in hashes if row in part] for part in parts)

    check()
