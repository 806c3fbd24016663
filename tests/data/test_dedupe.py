"""Episodes that are there more than once."""

import numpy as np
import pytest

from awaccli.data.dedupe import deduplicated, duplicates


@pytest.fixture(scope="module")
def data(recorded, make_episode):
    origins = [0, 1, 0, 2, 1, 0]
    made = [make_episode(np.random.default_rng(i), steps=4, clipped=place) for place, i in enumerate(origins)]
    return recorded("x.zarr", made)


def test_copies_are_found_whoever_acted(data):
    assert duplicates(data) == {2: 0, 4: 1, 5: 0}


def test_the_first_of_each_is_kept(data):
    derivation = deduplicated(data)
    assert [episode.clipped for episode in derivation.episodes()] == [0, 1, 3]
    assert len(derivation.notes) == 3
    assert derivation.notes[1] == "dropped episode 4: the same as episode 1"
    assert len(set(derivation.hashes)) == derivation.total == 3


def test_done_again_nothing_changes(data, tmp_path):
    once = deduplicated(data).write(tmp_path / "y.zarr")
    assert duplicates(once) == {}
    assert deduplicated(once).id == once.id
    assert deduplicated(once).notes == ("no episode is there twice",)
