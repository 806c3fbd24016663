import numpy as np
import pytest

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.tensors import read_arrays, read_policy, write_arrays, write_policy
from awaccli.errors import CheckpointError, InputError
from awaccli.protocols import PolicyWeights

ARRAYS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array(3, dtype=np.int64)}


def test_round_trip_and_equal_bytes_for_equal_content(tmp_path):
    write_arrays(tmp_path / "x", ARRAYS, {"n": 1})
    write_arrays(tmp_path / "y", dict(reversed(ARRAYS.items())), {"n": 1})
    arrays, facts = read_arrays(tmp_path / "x")
    assert facts == {"n": 1}
    assert all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@pytest.mark.parametrize("keep", [0, 7, 60, -1])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / "x.safetensors"
    write_arrays(path, ARRAYS, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        read_arrays(path)


def test_a_policy_with_nan_is_refused(tmp_path):
    write_policy(tmp_path / "p", PolicyWeights("gaussian", {}, {"w": np.array([np.nan], np.float32)}))
    with pytest.raises(CheckpointError, match="`w` has values that are not finite"):
        read_policy(tmp_path / "p")


def test_opening_something_else_as_a_checkpoint(tmp_path, manifest):
    folder = tmp_path / "d.zarr"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(manifest.model_copy(update={"kind": "dataset"}).to_bytes())
    with pytest.raises(CheckpointError, match="is not a checkpoint, it is: dataset"):
        open_checkpoint(folder)
    with pytest.raises(InputError, match="does not exist"):
        open_checkpoint(tmp_path / "none.ckpt")
