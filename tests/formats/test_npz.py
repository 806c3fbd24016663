"""npz archives: flat arrays under the names that people use, never unpickled."""

import io
import struct
import zipfile

import numpy as np
import pytest

from awaccli.data.dataset import open_dataset
from awaccli.data.formats.npz import read_npz
from awaccli.data.formats.npz_arrays import is_npz, opened_npz
from awaccli.episode import EndReason
from awaccli.errors import InputError, UsageError

LENGTHS = np.array([3, 5, 2])
ENDS = np.cumsum(LENGTHS)


def flags(*rows):
    return np.isin(np.arange(10), rows)


@pytest.fixture
def basics(rng):
    return {
        "observations": rng.normal(size=(10, 3)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (10, 2)).astype(np.float32),
        "rewards": rng.normal(size=10),
    }


@pytest.mark.parametrize(
    ("index", "reasons"),
    [
        ({"episode_lengths": LENGTHS}, "UNKNOWN UNKNOWN UNKNOWN"),
        ({"episode_starts": np.array([0, 3, 8])}, "UNKNOWN UNKNOWN UNKNOWN"),
        ({"episode_ends": ENDS}, "UNKNOWN UNKNOWN UNKNOWN"),
        ({"dones": flags(2, 7)}, "UNKNOWN UNKNOWN UNKNOWN"),
        ({"terminals": flags(2), "timeouts": flags(7, 9)}, "TERMINATED SEGMENT SEGMENT"),
        ({"terminated": flags(2, 9), "truncated": flags(7)}, "TERMINATED TIME_LIMIT TERMINATED"),
        ({"lengths": LENGTHS, "terminations": flags(7)}, "UNKNOWN TERMINATED UNKNOWN"),
    ],
)
def test_episodes_are_told_apart_by_what_there_is(tmp_path, basics, index, reasons):
    np.savez(tmp_path / "a.npz", **basics, **index)
    episodes = list(read_npz(tmp_path / "a.npz").episodes())
    assert [len(e.actions) for e in episodes] == LENGTHS.tolist()
    assert [e.end_reason for e in episodes] == [EndReason[name] for name in reasons.split()]
    assert np.array_equal(np.concatenate([e.observations for e in episodes]), basics["observations"])


def test_other_names_compression_and_order_of_columns(tmp_path, basics):
    renamed = {"obs": np.asfortranarray(basics["observations"]), "acts": basics["actions"]}
    extra = {
        "infos/force": np.arange(10),
        "success": flags(9),
        "camera": np.zeros(3),
        "traj_lengths": LENGTHS,
    }
    np.savez_compressed(tmp_path / "a.npz", **renamed, **extra, next_obs=basics["observations"] + 1)
    foreign = read_npz(tmp_path / "a.npz")
    assert foreign.losses == ("Arrays that awac has no place for are left out: camera.",)
    last = list(foreign.episodes())[-1]
    assert np.array_equal(last.observations[:-1], basics["observations"][8:])
    assert np.array_equal(last.observations[-1], basics["observations"][9] + 1)
    assert last.infos["force"].tolist() == [8, 9]
    assert last.success.tolist() == [False, True]
    assert last.rewards is None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"actions": None}, InputError, "no observations or no actions"),
        ({"rewards": np.zeros(9)}, InputError, "`rewards` has 9 rows"),
        ({"episode_lengths": np.array([3, 5])}, InputError, "do not add up to 10 rows"),
        ({"episode_lengths": np.array([3, 0, 7])}, InputError, "do not add up"),
        (
            {"episode_lengths": LENGTHS, "final_observations": np.zeros((2, 3))},
            InputError,
            "has 2 rows, there are 3",
        ),
        ({}, UsageError, "does not say where its episodes end"),
        ({"terminals": flags(2)}, UsageError, "does not say where its episodes were truncated"),
        ({"actions": np.array([{}] * 10)}, InputError, "objects are not unpickled"),
        ({"actions": np.array(["a"] * 10)}, InputError, "expected numbers"),
        ({"rewards": np.array(1.0)}, InputError, "`rewards` has 0 rows"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, basics, change, error, message):
    arrays = {name: array for name, array in (basics | change).items() if array is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(error, match=message):
        list(read_npz(tmp_path / "a.npz").episodes())


@pytest.mark.parametrize("shape", [b"(10, 3)", b"(99, 9)", b"(-1, 2)"])
def test_an_array_that_is_not_what_it_declares(tmp_path, basics, shape):
    text = io.BytesIO()
    np.save(text, basics["actions"])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("actions.npy", text.getvalue().replace(b"(10, 2)", shape))
    with opened_npz(tmp_path / "a.npz") as arrays, pytest.raises(InputError, match="not what it stores"):
        arrays.rows("actions")


def test_an_archive_that_unpacks_without_end(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("actions.npy", b"\0" * 1000)
    text = bytearray((tmp_path / "a.npz").read_bytes())
    place = text.index(b"PK\x01\x02")
    text[place + 24 : place + 28] = struct.pack("<I", 1 << 31)
    (tmp_path / "a.npz").write_bytes(text)
    with opened_npz(tmp_path / "a.npz") as arrays, pytest.raises(InputError, match="no array does"):
        arrays.rows("actions")


@pytest.mark.parametrize("damage", [lambda b: b[:-30], lambda b: b[:60] + b"\xff" * 40 + b[100:]])
def test_damage_is_found(tmp_path, basics, damage):
    np.savez(tmp_path / "a.npz", **basics)
    (tmp_path / "a.npz").write_bytes(damage((tmp_path / "a.npz").read_bytes()))
    with pytest.raises(InputError), opened_npz(tmp_path / "a.npz") as arrays:
        arrays.rows("observations")


def test_rows_in_any_order(tmp_path, basics):
    np.savez_compressed(tmp_path / "a.npz", **basics)
    with opened_npz(tmp_path / "a.npz") as arrays:
        for start, stop in ((4, 7), (0, 2), (7, 10), (9, 9), (0, None)):
            assert np.array_equal(arrays.rows("actions", start, stop), basics["actions"][start:stop])
        assert arrays.shape("actions") == (10, 2)


def test_what_is_no_npz(tmp_path):
    (tmp_path / "a").write_bytes(b"PK\x03\x04 and nothing")
    with zipfile.ZipFile(tmp_path / "b", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert not is_npz(tmp_path / "a")
    assert not is_npz(tmp_path / "b")
    assert not is_npz(tmp_path)


@pytest.mark.parametrize(
    "task",
    [("toy_tasks:Toy-v0", "--success-key", "reached"), ("door", "--horizon", 5)],
    ids=["any environment", "hand task with simulator states"],
)
def test_round_trip_gives_the_same_content(awac, tmp_path, task):
    recorded = ("--policy", "random", "-n", 3, "--sim-state", "full", "--workers", 1)
    collected = awac("collect-demos", *task, *recorded, "-o", "a.zarr")
    assert collected.code == 0, collected.err
    assert awac("data", "export", "a.zarr", "-o", "a.npz").out == "a.npz\n"
    again = awac("data", "import", "a.npz", "--task", *task, "-o", "b.h5")
    assert again.code == 0, again.err
    before, after = open_dataset(tmp_path / "a.zarr"), open_dataset(tmp_path / "b.h5")
    assert after.header.fields == before.header.fields
    assert after.id == before.id
    first = (tmp_path / "a.npz").read_bytes()
    assert awac("data", "export", "b.h5", "-o", "a.npz", "--overwrite").code == 0
    assert (tmp_path / "a.npz").read_bytes() == first
