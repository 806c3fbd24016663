"""An episode that does not fit is refused by name, and nothing of it is kept."""

from __future__ import annotations

import numpy as np
import pytest

from awaccli.artifacts.commit import claimed
from awaccli.data.writer import Writer, commit_dataset
from awaccli.errors import DatasetError


@pytest.mark.parametrize("field", ["observations", "actions", "rewards"])
def test_nan_is_named_on_writing(tmp_path, header, make_episode, field):
    good = make_episode(np.random.default_rng(0), steps=5)
    bad = np.array(getattr(good, field))
    bad[3] = np.inf
    writer = Writer(tmp_path, header)
    writer.append(good)
    with pytest.raises(DatasetError, match=f"steps/{field} is not finite in episode 1, step 3"):
        writer.append(make_episode(np.random.default_rng(0), steps=5, **{field: bad}))
    assert writer.n_episodes == 1


def test_nan_in_the_final_observation(tmp_path, header, make_episode):
    observations = np.zeros((6, 5), np.float32)
    observations[-1] = np.nan
    with pytest.raises(DatasetError, match="final/observations is not finite in episode 0, step 5"):
        Writer(tmp_path, header).append(
            make_episode(np.random.default_rng(0), steps=5, observations=observations)
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"actions": np.zeros((5, 3), np.float32)}, "steps/actions"),
        ({"actions": np.zeros((5, 2), np.float64)}, "steps/actions"),
        ({"infos": {"extra": np.zeros(5)}}, "steps/infos/extra is new"),
        ({"sim_init": np.zeros(2)}, "episodes/sim_init is new"),
        ({"source": 2}, "source 2"),
        ({"source": -1}, "source -1"),
    ],
)
def test_episode_that_does_not_fit(tmp_path, header, make_episode, changes, words):
    writer = Writer(tmp_path, header)
    writer.append(make_episode(np.random.default_rng(0), steps=5))
    with pytest.raises(DatasetError) as caught:
        writer.append(make_episode(np.random.default_rng(1), steps=5, **changes))
    assert "episode 1" in str(caught.value)
    assert words in str(caught.value)
    writer.seal()
    assert len(writer.dataset()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"observations": np.zeros((6, 4), np.float32)},
        {"infos": {"text": np.array(["a"] * 5)}},
        {"infos": {"../up": np.zeros(5)}},
        {"infos": {"empty": np.zeros((5, 0))}},
    ],
)
def test_first_episode_that_cannot_be_stored(tmp_path, header, make_episode, changes):
    writer = Writer(tmp_path, header)
    with pytest.raises(DatasetError, match="episode 0"):
        writer.append(make_episode(np.random.default_rng(0), steps=5, **changes))
    assert list(tmp_path.iterdir()) == []


def test_no_episode_is_no_dataset(tmp_path, header, recipe, clock):
    with (
        pytest.raises(DatasetError, match="no episode"),
        claimed(tmp_path / "x.zarr", recipe) as target,
        Writer(target.payload, header) as writer,
    ):
        commit_dataset(target, writer, recipe=recipe, parents=(), clock=clock)
    assert list(tmp_path.iterdir()) == []
