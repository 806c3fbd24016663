"""Formats are told apart by what is in a file, not by what it is called."""

import json
import pickle

import h5py
import numpy as np
import pytest

from awaccli.data.formats.detect import detect
from awaccli.data.formats.registry import READ, WRITTEN, export_of
from awaccli.errors import InputError, UsageError


def dapg(path):
    path.write_bytes(pickle.dumps([{}]))


def d4rl(path):
    with h5py.File(path, "w") as file:
        for name in ("observations", "actions", "rewards", "terminals"):
            file[name] = np.zeros((3, 1))


def robomimic(path):
    with h5py.File(path, "w", userblock_size=1024) as file:
        file["data/demo_0/actions"] = np.zeros((3, 1))


def npz(path):
    with path.open("wb") as file:
        np.savez(file, actions=np.zeros((3, 1)))


def minari(path):
    (path / "data").mkdir(parents=True)
    (path / "data" / "metadata.json").write_text(json.dumps({}))


def lerobot(path):
    (path / "meta").mkdir(parents=True)
    (path / "meta" / "info.json").write_text(json.dumps({}))


@pytest.mark.parametrize(
    "make", [dapg, d4rl, robomimic, npz, minari, lerobot], ids=lambda make: make.__name__
)
def test_by_content(tmp_path, make):
    make(tmp_path / "recording.bin")
    assert detect(tmp_path / "recording.bin") == make.__name__


def other_hdf5(path):
    with h5py.File(path, "w") as file:
        file["observations"] = np.zeros(3)


def text(path):
    path.write_text("hello")


@pytest.mark.parametrize(
    ("make", "tried"),
    [
        (
            other_hdf5,
            ["d4rl: no actions, rewards, terminals in it", "robomimic: no data/demo_*/actions in it"],
        ),
        (text, ["d4rl: no HDF5 file", "dapg: no pickle", "npz: no zip archive of arrays"]),
        (
            lambda path: path.mkdir(),
            ["lerobot: no meta/info.json in it", "minari: no data/metadata.json in it"],
        ),
        (lambda path: path.write_bytes(b""), ["dapg: no pickle"]),
    ],
)
def test_an_unknown_file_is_told_what_was_looked_for(tmp_path, make, tried):
    make(tmp_path / "x")
    with pytest.raises(InputError, match="has no format that awac knows") as caught:
        detect(tmp_path / "x")
    assert all(miss in str(caught.value) for miss in tried)
    assert "--map robot.toml" in caught.value.hint


def test_a_dataset_of_awac_is_nothing_to_import(awac, tmp_path):
    np.savez(
        tmp_path / "a.npz",
        observations=np.ones((3, 1)),
        actions=np.zeros((3, 1)),
        rewards=np.ones(3),
        ends=[3],
    )
    for out in ("a.zarr", "a.h5"):
        assert awac("data", "import", "a.npz", "-o", out).code == 0
        awac("data", "import", out, "-o", "b.zarr").failed(3, "is a dataset of awac already")


def test_every_written_format_has_an_export_and_others_have_none():
    for form in WRITTEN:
        assert export_of(form).write
    with pytest.raises(UsageError, match="unknown format `npx`") as caught:
        export_of("npx")
    assert "did you mean `npz`" in caught.value.hint
    assert set(READ) - set(WRITTEN) == {"map"}
