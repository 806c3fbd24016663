"""D4RL's HDF5: files laid out as its published scripts write them, with h5py, as those do.

Sources: `scripts/generation/mujoco/collect_data.py` (with next_observations) and
`scripts/generation/hand_dapg_demos.py` (without) of github.com/Farama-Foundation/D4RL.
"""

import h5py
import numpy as np
import pytest

from awaccli.data.dataset import open_dataset
from awaccli.data.formats.d4rl import read_d4rl
from awaccli.episode import EndReason
from awaccli.errors import InputError, UsageError


def flat(rng, ends, *, observations=3, actions=2):
    """Return the arrays of episodes; ``ends``: (length, how it ended) each."""
    rows = sum(length for length, _ in ends)
    stops = np.cumsum([length for length, _ in ends]) - 1
    flags = {what: np.zeros(rows, bool) for what in ("terminals", "timeouts")}
    for stop, (_, how) in zip(stops, ends, strict=True):
        if how:
            flags[how][stop] = True
    return {
        "observations": rng.normal(size=(rows, observations)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (rows, actions)).astype(np.float32),
        "rewards": rng.normal(size=rows).astype(np.float32),
        **flags,
    }


def write(path, arrays, **metadata):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip")
        for name, value in metadata.items():
            file[f"metadata/{name}"] = value
    return path


@pytest.fixture
def with_next(tmp_path, rng):
    """As `collect_data.py` writes: terminations, timeouts after 5 steps, and a cut tail."""
    arrays = flat(rng, [(3, "terminals"), (5, "timeouts"), (5, "timeouts"), (2, None)])
    arrays["next_observations"] = rng.normal(size=arrays["observations"].shape).astype(np.float32)
    arrays["infos/qpos"] = rng.normal(size=(15, 4)).astype(np.float32)
    arrays["infos/action_log_probs"] = rng.normal(size=15).astype(np.float32)
    policy = {"policy/nonlinearity": np.bytes_("relu"), "policy/fc0/weight": rng.normal(size=(2, 3))}
    return write(tmp_path / "a.hdf5", arrays, algorithm=np.bytes_("SAC"), **policy), arrays


def test_every_row_with_the_true_observation_after_the_last_action(with_next):
    path, arrays = with_next
    foreign = read_d4rl(path)
    episodes = list(foreign.episodes())
    assert foreign.n_episodes == len(episodes) == 4
    assert foreign.horizon == 5
    start = 0
    for episode in episodes:
        stop = start + len(episode.actions)
        assert np.array_equal(episode.observations[:-1], arrays["observations"][start:stop])
        assert np.array_equal(episode.observations[-1], arrays["next_observations"][stop - 1])
        assert np.array_equal(episode.actions, arrays["actions"][start:stop])
        assert np.array_equal(episode.rewards, arrays["rewards"][start:stop])
        assert np.array_equal(episode.infos["qpos"], arrays["infos/qpos"][start:stop])
        start = stop
    assert [episode.end_reason.name for episode in episodes] == [
        *("TERMINATED", "TIME_LIMIT", "TIME_LIMIT", "UNKNOWN"),
    ]
    assert (foreign.sources[0].kind, foreign.sources[0].name) == ("policy", "SAC")


def test_what_could_not_be_taken_over_is_said(with_next):
    report = " ".join(read_d4rl(with_next[0]).losses)
    assert "The last 2 rows have no end" in report
    assert "weights of the policy that acted" in report
    assert "Simulator states (qpos) are float32" in report


def test_without_next_observations_the_last_transition_goes(awac, tmp_path, rng):
    write(
        tmp_path / "demos.hdf5",
        flat(rng, [(4, "timeouts"), (6, "timeouts"), (1, "timeouts"), (3, "terminals")]),
    )
    found = awac("data", "import", "demos.hdf5", "-o", "demos.zarr", "--json").json
    report = " ".join(found["losses"])
    assert "not recorded in 3 of 3 episodes" in report
    assert "1 of these were terminations" in report
    assert "1 recordings without a complete transition are left out" in report
    assert "3 timeouts come after 1 to 6 steps: they are taken for ends of segments" in report
    dataset = open_dataset(tmp_path / "demos.zarr")
    assert dataset.episodes.length.tolist() == [3, 5, 2]
    assert set(dataset.episodes.end_reason) == {EndReason.SEGMENT}
    assert not dataset.column("steps/terminations").any()


def test_timeouts_of_one_length_are_the_clock_and_others_are_segments(tmp_path, rng):
    path = write(tmp_path / "a.hdf5", flat(rng, [(4, "timeouts"), (4, "timeouts"), (2, "terminals")]))
    assert [e.end_reason for e in read_d4rl(path).episodes()] == [
        *(EndReason.TIME_LIMIT, EndReason.TIME_LIMIT, EndReason.TERMINATED)
    ]
    # maze2d: a timeout wherever a waypoint was reached (Farama-Foundation/D4RL#85)
    path = write(tmp_path / "b.hdf5", flat(rng, [(4, "timeouts"), (9, "timeouts"), (5, "timeouts")]))
    assert {e.end_reason for e in read_d4rl(path).episodes()} == {EndReason.SEGMENT}
    reasons = [e.end_reason for e in read_d4rl(path, horizon=9).episodes()]
    assert reasons == [EndReason.SEGMENT, EndReason.TIME_LIMIT, EndReason.SEGMENT]


def test_a_file_without_timeouts_needs_the_clock(tmp_path, rng):
    arrays = flat(rng, [(2, "terminals"), (4, None), (4, None), (3, "terminals"), (1, None)])
    del arrays["timeouts"]
    path = write(tmp_path / "old.hdf5", arrays)
    with pytest.raises(UsageError, match="does not say where its episodes were truncated"):
        read_d4rl(path)
    foreign = read_d4rl(path, horizon=4)
    episodes = list(foreign.episodes())
    assert [len(e.actions) for e in episodes] == [2, 4, 4, 3, 1]
    assert [e.end_reason.name for e in episodes] == [
        *("TERMINATED", "TIME_LIMIT", "TIME_LIMIT", "TERMINATED", "UNKNOWN")
    ]
    assert "The file has no timeouts" in foreign.losses[0]


def test_columns_of_one_number_may_be_matrices_and_flags_numbers(tmp_path, rng, awac):
    arrays = flat(rng, [(3, "timeouts"), (3, "timeouts")])
    arrays |= {name: arrays[name].reshape(-1, 1) for name in ("rewards", "terminals")}
    arrays["timeouts"] = arrays["timeouts"].astype(np.float32)
    write(tmp_path / "a.hdf5", arrays)
    assert awac("data", "import", "a.hdf5", "-o", "a.zarr").code == 0
    kept = open_dataset(tmp_path / "a.zarr").column("steps/rewards")
    assert np.array_equal(kept, arrays["rewards"][[0, 1, 3, 4], 0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.pop("rewards"), "has no array `rewards`"),
        (lambda a: a.update(rewards=a["rewards"][1:]), "`rewards` has 5 rows, `observations` has 6"),
        (lambda a: a.update({name: array[:0] for name, array in a.items()}), "has no rows"),
        (lambda a: a.update(terminals=np.array([b"x"] * 6)), "expected rows of numbers"),
    ],
)
def test_arrays_that_are_missing_or_do_not_fit(tmp_path, rng, spoil, message):
    arrays = flat(rng, [(3, "timeouts"), (3, "timeouts")])
    spoil(arrays)
    with pytest.raises(InputError, match=message):
        read_d4rl(write(tmp_path / "a.hdf5", arrays))


def test_round_trip_keeps_what_the_format_holds(awac, tmp_path):
    made = awac("data", "import", tmp_path / "nothing.hdf5", "-o", "x.zarr")
    made.failed(3, "does not exist")
    toy = ("toy_tasks:Toy-v0", "--success-key", "reached")
    collected = awac("collect-demos", *toy, "--policy", "random", "-n", 5, "-o", "a.zarr", "--workers", 1)
    assert collected.code == 0, collected.err
    exported = awac("data", "export", "a.zarr", "--format", "d4rl", "-o", "a.hdf5", "--json").json
    assert "Who acted is left out: random (scripted)." in exported["losses"]
    assert "5 seeds of resets are left out." in exported["losses"]
    assert not any("observation after the last" in loss for loss in exported["losses"])
    again = awac("data", "import", "a.hdf5", "-o", "b.zarr", "--task", toy[0], *toy[1:])
    assert again.code == 0, again.err
    before, after = open_dataset(tmp_path / "a.zarr"), open_dataset(tmp_path / "b.zarr")
    assert after.task == before.task
    for name in ("observations", "actions", "rewards", "success", "terminations", "truncations"):
        assert np.array_equal(before.column(f"steps/{name}"), after.column(f"steps/{name}")), name
    assert np.array_equal(before.column("final/observations"), after.column("final/observations"))
