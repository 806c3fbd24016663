"""The same dataset in another container, or in pieces of another size."""

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from awaccli.data.convert import converted
from awaccli.data.dataset import open_dataset
from awaccli.errors import UsageError
from awaccli.reports.verify import Verifier


@pytest.fixture(scope="module")
def data(recorded, make_episode):
    return recorded("x.zarr", [make_episode(np.random.default_rng(i), rich=True) for i in range(3)])


@given(
    endings=st.lists(st.sampled_from(["zarr", "h5"]), min_size=2, max_size=2), chunk=st.integers(1024, 9000)
)
@settings(deadline=None, max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_there_and_back_the_id_stays(data, tmp_path_factory, endings, chunk):
    folder, copy = tmp_path_factory.mktemp("round"), data
    for number, ending in enumerate(endings):
        copy = converted(copy, chunk_bytes=chunk).write(folder / f"{number}.{ending}")
    assert copy.id == copy.manifest.id == data.id
    assert copy.header.to_json() | {"commit": None} == data.header.to_json() | {"commit": None}
    for name in data.header.fields:
        np.testing.assert_array_equal(copy.column(name), data.column(name))
    assert Verifier(deep=True).verify(copy.path).ok


def test_pieces_have_the_size_that_was_asked_for(data, tmp_path):
    converted(data, chunk_bytes=2000).write(tmp_path / "small.zarr")
    group = zarr.open_group(tmp_path / "small.zarr", mode="r")
    assert group["steps/observations"].chunks == (100, 5)  # 20 bytes a row
    assert group["episodes/sim_init"].chunks == (27, 9)
    converted(open_dataset(tmp_path / "small.zarr"), chunk_bytes=1024).write(tmp_path / "small.h5")
    with h5py.File(tmp_path / "small.h5") as file:
        assert file["steps/observations"].chunks == (51, 5)
    assert open_dataset(tmp_path / "small.h5").id == data.id


def test_pieces_of_no_sense_are_refused(data):
    for size in (0, 100, 1 << 30):
        with pytest.raises(UsageError, match="--chunk-bytes"):
            converted(data, chunk_bytes=size)
