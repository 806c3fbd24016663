"""Files that run code when a careless program loads them: awac never does."""

import importlib
import io
import pickle
import zipfile

import h5py
import numpy as np
import pytest
import specimens

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.data.dataset import open_dataset


class Evil:
    """Leaves a trace when it is unpickled."""

    def __init__(self, folder):
        self._trace = folder / "evil"

    def __reduce__(self):
        return (open, (str(self._trace), "w"))


@pytest.fixture
def payload(tmp_path):
    """A pickle that makes a file called `evil`; the test fails if it is there in the end."""
    yield pickle.dumps(Evil(tmp_path))
    assert not (tmp_path / "evil").exists()


def torch_zip(payload):
    """What `torch.save` makes, with this pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3")
    return buffer.getvalue()


def test_the_payload_is_evil_and_the_watch_awake(tmp_path, watched, monkeypatch):
    with pytest.raises(AssertionError), watched(tmp_path):
        pickle.loads(pickle.dumps(Evil(tmp_path))).close()
    assert (tmp_path / "evil").exists()
    (tmp_path / "outside").write_text("")
    with pytest.raises(AssertionError), watched(tmp_path / "inside"):
        (tmp_path / "outside").read_text()
    (tmp_path / "evil_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AssertionError), watched(tmp_path):
        importlib.import_module("evil_module")
    with watched(tmp_path):
        (tmp_path / "outside").read_text()


COMMANDS = {
    "info": ("info", "BAD"),
    "verify": ("verify", "BAD"),
    "compare": ("compare", "BAD"),
    "bc-rollout": ("bc-rollout", "--demos", "BAD", "-o", "new.zarr"),
    "pretrain": ("pretrain", "--data", "BAD", "-o", "new.ckpt"),
    "finetune": ("finetune", "BAD", "-o", "new.ckpt"),
    "eval": ("eval", "BAD"),
    "collect-demos": ("collect-demos", "pendulum", "--policy", "BAD", "-n", 1),
}


@pytest.mark.parametrize("wrap", [bytes, torch_zip], ids=["pickle", "torch"])
@pytest.mark.parametrize("name", ["bad.h5", "bad.zarr", "bad.ckpt", "bad.json", "bad.pkl", "bad.pt"])
def test_a_pickle_is_nothing_that_awac_reads(awac, tmp_path, payload, watched, name, wrap):
    (tmp_path / name).write_bytes(wrap(payload))
    before = sorted(tmp_path.iterdir())
    for command in COMMANDS.values():
        with watched(tmp_path):
            result = awac(*[name if word == "BAD" else word for word in command])
        if command[0] == "collect-demos" and name != "bad.ckpt":
            assert result.code == 2
            assert f"`{name}` is not a checkpoint of awac" in result.err
            assert "can hold code" in result.err
        else:
            result.refused(name)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("wrap", [bytes, torch_zip], ids=["pickle", "torch"])
@pytest.mark.parametrize(
    "file", ["policy.safetensors", "trainer.safetensors", "manifest.json", "metrics.jsonl"]
)
def test_a_pickle_inside_a_checkpoint_is_not_loaded(awac, take, payload, watched, refuses, file, wrap):
    path = take("x.ckpt")
    (path / file).write_bytes(wrap(payload))
    if file != "manifest.json":
        specimens.reseal_folder(path)
    with watched(path.parent):
        for command in ("info", "verify", "finetune", "eval"):
            alone = ("-n", 1, "--workers", 1) if command == "eval" else ()
            result = awac(command, path, *alone)
            assert (result.code, "Traceback" in result.err) != (1, True), result.err
    with watched(path):
        if file == "metrics.jsonl":
            assert open_checkpoint(path).policy().kind == "gaussian"
        else:
            assert file.split(".")[0] in refuses(all_of, path)


def all_of(path):
    """Read a checkpoint to its end."""
    opened = open_checkpoint(path)
    return opened.policy(), opened.trainer()


def test_a_pickle_in_an_attribute_is_a_text_like_any_other(take, payload, watched):
    path = take("x.zarr")
    text = payload.decode("latin-1")
    specimens.edit_json(path / "zarr.json", lambda root: root["attributes"].update(pickle=text))
    specimens.edit_json(path / "steps/actions/zarr.json", lambda root: root["attributes"].update(pickle=text))
    specimens.reseal_folder(path)
    with watched(path):
        assert len(list(open_dataset(path))) == 3


def test_an_attribute_in_hdf5_is_refused_without_a_look_at_it(take, payload, watched, refuses):
    path = take("x.h5")
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        file["steps"].attrs["pickle"] = np.void(payload)
    specimens.reseal_hdf5(path)
    with watched(path):
        assert "object header" in refuses(open_dataset, path)


def test_objects_in_zarr_are_refused(tmp_path, take, payload, watched, refuses):
    path = take("x.zarr")
    array = path / "steps/infos/distance/zarr.json"
    specimens.edit_json(array, lambda found: found.update(codecs=[{"name": "numcodecs.pickle"}]))
    specimens.reseal_folder(path)
    with watched(path):
        assert "steps/infos/distance is stored in a way awac does not read" in refuses(open_dataset, path)
