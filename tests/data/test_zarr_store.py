"""Our reader of Zarr against the zarr library, on arrays that our writer made."""

import numpy as np
import pytest
import zarr

from awaccli.data.schema import FieldSpec
from awaccli.data.stores import chunk_rows
from awaccli.data.stores.zarr import ZarrArrays
from awaccli.data.stores.zarr_store import ZarrStore
from awaccli.errors import DatasetError

DTYPES = ["|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 70_000)])
def test_rows_are_those_of_the_library(tmp_path, dtype, shape):
    spec = FieldSpec(dtype=dtype, shape=shape)
    values = (np.random.default_rng(0).normal(size=(11, *shape)) * 3).astype(dtype)
    arrays = ZarrArrays(tmp_path / "x.zarr")
    arrays.create({"steps/x": spec})
    for start in (0, 4, 8):
        arrays.write("steps/x", start, values[start : start + 4])
    store = ZarrStore(tmp_path / "x.zarr")
    info = store.info("steps/x")
    assert (info.dtype, info.shape, info.chunks[0]) == (dtype, values.shape, chunk_rows(spec.row_bytes))
    library = zarr.open_array(tmp_path / "x.zarr", path="steps/x", mode="r")
    for start, stop in ((0, 11), (0, 1), (3, 9), (10, 11), (5, 5)):
        rows = store.read("steps/x", start, stop)
        assert rows.dtype == values.dtype
        assert np.array_equal(rows, values[start:stop])
        assert np.array_equal(rows, library[start:stop])
    with pytest.raises(DatasetError, match="steps/x has 11 rows, 12 are committed"):
        store.read("steps/x", 0, 12)
