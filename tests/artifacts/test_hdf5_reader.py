"""What the HDF5 library writes with awac's options is read back by our own reader, value for value."""

import h5py
import numpy as np
import pytest

from awaccli.artifacts.hdf5_pieces import ForeignError
from awaccli.artifacts.hdf5_reader import USER_BLOCK_BYTES, Hdf5File

OURS = {"compression": "gzip", "shuffle": True}


@pytest.fixture
def written(tmp_path):
    """Return a function that writes arrays as awac does and opens the file with the reader."""

    def write(**arrays):
        path = tmp_path / "x.h5"
        with h5py.File(path, "w", libver=("v110", "v110"), userblock_size=USER_BLOCK_BYTES) as file:
            for name, (array, rows) in arrays.items():
                chunks = (rows, *array.shape[1:])
                file.create_dataset(name.replace("__", "/"), data=array, chunks=chunks, **OURS)
        return Hdf5File(path)

    return write


@pytest.mark.parametrize("dtype", ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(17,), (17, 3), (17, 2, 5)])
def test_every_dtype(written, dtype, shape):
    values = (np.random.default_rng(0).normal(size=shape) * 3).astype(dtype)
    file = written(x=(values, 4))
    found = file.find("x")
    assert (found.dtype, found.shape, found.chunks) == (values.dtype.str, shape, (4, *shape[1:]))
    read = file.read(found, 0, 17)
    assert read.dtype == values.dtype
    assert np.array_equal(read, values)


@pytest.mark.parametrize(
    ("rows", "chunk"), [(1, 1), (5, 5), (6, 5), (1024, 1), (1025, 1), (3000, 1), (10_000, 3)]
)
def test_every_way_to_list_chunks(written, rows, chunk):
    """One chunk, a list of them, and from 1025 on a list in pages."""
    values = np.arange(rows, dtype=np.float32)
    file = written(x=(values, chunk))
    found = file.find("x")
    assert len(found.pieces) == -(-rows // chunk)
    assert np.array_equal(file.read(found, 0, rows), values)
    for start, stop in ((0, 1), (rows // 2, rows // 2 + 1), (rows // 3, rows), (rows - 1, rows)):
        assert np.array_equal(file.read(found, start, stop), values[start:stop])


@pytest.mark.parametrize("count", [1, 8, 9, 22, 23, 60, 500])
def test_every_way_to_list_fields(written, count):
    """In the group's header, in one block beside it, in many."""
    arrays = {f"steps__infos__field_{k}": (np.full(2, k), 2) for k in range(count)}
    file = written(**arrays)
    for k in range(count):
        found = file.find(f"steps/infos/field_{k}")
        assert file.read(found, 0, 2).tolist() == [k, k]
    for absent in ("steps/infos/field_x", "steps/other/field_1", "infos", "x/y/z"):
        assert file.find(absent) is None


def test_a_group_is_no_array(written):
    file = written(steps__x=(np.zeros(2), 2))
    with pytest.raises(ForeignError, match="message"):
        file.find("steps")
    with pytest.raises(ForeignError, match="message"):
        file.find("steps/x/y")


def test_a_text_in_one_piece(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver=("v110", "v110"), userblock_size=USER_BLOCK_BYTES) as file:
        file["x"] = np.frombuffer(b"hello", np.uint8)
    file = Hdf5File(path)
    found = file.find("x")
    assert (found.chunks, len(found.pieces)) == (None, 1)
    assert file.read(found, 0, 5).tobytes() == b"hello"
    assert file.read(found, 1, 3).tobytes() == b"el"
