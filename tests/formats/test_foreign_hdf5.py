"""HDF5 files from strangers: nothing outside the file is read, and nothing that is not there."""

import re

import h5py
import numpy as np
import pytest

from awaccli.data.formats.hdf5 import is_hdf5, opened
from awaccli.errors import InputError

SECRET = np.arange(6.0)


def external_link(file, folder):
    with h5py.File(folder / "secret.h5", "w") as other:
        other["x"] = SECRET
    file["x"] = h5py.ExternalLink("secret.h5", "x")


def soft_link(file, folder):
    file["y"] = SECRET
    file["x"] = h5py.SoftLink("/y")


def external_storage(file, folder):
    SECRET.tofile(folder / "secret.bin")
    file.create_dataset("x", (6,), "f8", external=[(str(folder / "secret.bin"), 0, 48)])


def virtual(file, folder):
    with h5py.File(folder / "secret.h5", "w") as other:
        other["x"] = SECRET
    layout = h5py.VirtualLayout((6,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "x", (6,))
    file.create_virtual_dataset("x", layout)


def other_filter(file, folder):
    file.create_dataset("x", data=SECRET, chunks=(6,), scaleoffset=3)


def declared_only(file, folder):
    file.create_dataset("x", (1 << 40,), "f8")


def missing_chunk(file, folder):
    file.create_dataset("x", (6,), "f8", chunks=(2,))[:2] = 1


def texts(file, folder):
    file["x"] = [b"a", b"b"]


def scalar(file, folder):
    file["x"] = 3.0


def records(file, folder):
    file["x"] = np.zeros(2, [("a", "f8")])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (external_link, "x is a link to elsewhere"),
        (soft_link, "x is a link to elsewhere"),
        (external_storage, "has its values in another file"),
        (virtual, "has its values in another file"),
        (other_filter, "uses HDF5 filters [6]"),
        (declared_only, "declares 8796093022208 bytes, and only a part of them is stored"),
        (missing_chunk, "only a part of them is stored"),
        (texts, "expected rows of numbers"),
        (scalar, "expected rows of numbers"),
        (records, "expected rows of numbers"),
    ],
)
def test_what_leads_elsewhere_or_nowhere_is_refused(tmp_path, make, message):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        make(file, tmp_path)
    with pytest.raises(InputError, match=re.escape(message)), opened(tmp_path / "x.h5") as arrays:
        arrays.rows("x")


def test_zeros_that_unpack_without_end_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=np.zeros(1 << 22, np.uint8), chunks=(1 << 22,), compression="gzip")
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((1 << 22,))
        plan.set_deflate(9)
        plan.set_deflate(9)
        space, kind = h5py.h5s.create_simple((1 << 22,)), h5py.h5t.NATIVE_UINT8
        h5py.h5d.create(file.id, b"y", kind, space, plan).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(1 << 22, "u1")
        )
    with opened(tmp_path / "x.h5") as arrays:
        assert not arrays.rows("x").any()
        with pytest.raises(InputError, match="no file does that"):
            arrays.rows("y")


def test_a_group_inside_itself_is_not_walked_for_ever(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("a")
        file["a/again"] = file["a"]
    with opened(tmp_path / "x.h5") as arrays, pytest.raises(InputError, match="nested deeper than 16 groups"):
        arrays.arrays()


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:600], lambda b: b"\x89HDF\r\n\x1a\n", lambda b: b"PK\x03\x04"]
)
def test_damaged_files_are_errors_of_the_user(tmp_path, spoil):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = SECRET
    (tmp_path / "x.h5").write_bytes(spoil((tmp_path / "x.h5").read_bytes()))
    with pytest.raises(InputError, match="cannot be read as HDF5"), opened(tmp_path / "x.h5") as arrays:
        arrays.rows("x")


def test_what_is_there_is_read(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=512) as file:
        file.create_dataset("a/x", data=SECRET, chunks=(2,), compression="lzf", shuffle=True, fletcher32=True)
        file["a/flags"] = np.array([True, False])
        file["name"] = np.bytes_("robot")
        file["a"].attrs["rate"] = 20.0
        file["a"].attrs["who"] = "me"
    assert is_hdf5(tmp_path / "x.h5")
    with opened(tmp_path / "x.h5") as arrays:
        assert arrays.arrays() == ["a/flags", "a/x"]
        assert arrays.members() == ["a", "name"]
        assert np.array_equal(arrays.rows("a/x", 1, 4), SECRET[1:4])
        assert arrays.rows("a/flags").dtype == bool
        assert arrays.text("name") == "robot"
        assert arrays.text("a/x") is None
        assert arrays.attribute("a", "rate") == 20.0
        assert arrays.attribute("a", "who") == "me"
        assert arrays.attribute("a", "none") is None
        assert "a/x" in arrays
        assert "a" not in arrays
        assert arrays.members("a/x") == []
        with pytest.raises(InputError, match="has no array `b`"):
            arrays.rows("b")
