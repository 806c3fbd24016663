"""What is missing, foreign, unfinished or damaged is refused, by name, with exit code 3."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from awaccli.artifacts import hdf5
from awaccli.artifacts.commit import claimed, payload_of
from awaccli.artifacts.manifest import MANIFEST, Manifest
from awaccli.data.dataset import open_dataset
from awaccli.data.writer import Writer, commit_dataset
from awaccli.errors import DatasetError, InputError


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return tmp_path_factory.mktemp("originals")


@pytest.fixture
def stored(originals, tmp_path, header, make_episode, recipe, clock):
    """Copies of one small dataset: ``stored("zarr")``, ``stored("h5")``."""

    def copy(suffix: str) -> Path:
        original = originals / f"x.{suffix}"
        if not original.exists():
            with claimed(original, recipe) as target:
                with Writer(target.payload, header) as writer:
                    for seed in range(3):
                        writer.append(make_episode(np.random.default_rng(seed), steps=10))
                commit_dataset(target, writer, recipe=recipe, parents=(), clock=clock)
        path = tmp_path / f"copy.{suffix}"
        shutil.copytree(original, path) if original.is_dir() else shutil.copy(original, path)
        return path

    return copy


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def forget_files(path: Path) -> None:
    """Drop the list of file hashes, so that a change is left to the stores to find."""
    manifest = Manifest.from_bytes((path / MANIFEST).read_bytes(), origin="x")
    (path / MANIFEST).write_bytes(manifest.model_copy(update={"files": ()}).to_bytes())


def edit_json(file: Path, change) -> None:
    value = json.loads(file.read_bytes())
    change(value)
    file.write_text(json.dumps(value))


def reseal(path: Path) -> None:
    """Make the checksum right again, as a stranger would."""
    hdf5.seal(path)


def read_all(path: Path) -> None:
    dataset = open_dataset(path)
    for name in dataset.header.fields:
        dataset.column(name)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_all(path)
    assert caught.value.exit_code == 3
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
def test_sound_copies_open(stored, suffix):
    assert open_dataset(stored(suffix)).altered_episodes() == []


def test_missing(tmp_path):
    assert "does not exist" in refusal(tmp_path / "x.zarr")
    assert "does not exist" in refusal(tmp_path / "x.h5")


def test_empty_directory(tmp_path):
    (tmp_path / "x.zarr").mkdir()
    assert "not an awac artifact" in refusal(tmp_path / "x.zarr")


def test_foreign_zarr(tmp_path):
    zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=3)
    assert "no dataset of awac" in refusal(tmp_path / "x.zarr")


def test_foreign_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["observations"] = np.zeros(3)
    assert "not a dataset of awac" in refusal(tmp_path / "x.h5")


def test_checkpoint_given_as_dataset(tmp_path, stored):
    path = stored("zarr")
    manifest = Manifest.from_bytes((path / MANIFEST).read_bytes(), origin="x")
    folder = tmp_path / "x.ckpt"
    folder.mkdir()
    (folder / MANIFEST).write_bytes(manifest.model_copy(update={"kind": "checkpoint"}).to_bytes())
    assert "checkpoint" in refusal(folder)


def test_unfinished_needs_permission(tmp_path, header, make_episode):
    path = tmp_path / "x.zarr.part"
    path.mkdir()
    with Writer(payload_of(path), header) as writer:
        writer.append(make_episode(np.random.default_rng(0)))
    with pytest.raises(DatasetError, match="unfinished") as caught:
        open_dataset(path)
    assert "--resume" in caught.value.hint
    dataset = open_dataset(path, unfinished=True)
    assert dataset.manifest is None
    assert len(dataset) == 1


def test_damaged_manifest(stored):
    path = stored("zarr")
    flip(path / MANIFEST, 100)
    assert "manifest" in refusal(path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.9999])
def test_truncated_or_flipped_hdf5(stored, share):
    path = stored("h5")
    content = path.read_bytes()
    flip(path, int(share * len(content)))
    refusal(path)
    path.write_bytes(content[: int(share * len(content))])
    refusal(path)


def test_flipped_byte_in_a_chunk(stored):
    path = stored("zarr")
    flip(path / "steps/actions/c/0/0", 30)
    assert "steps/actions/c/0/0 has changed" in refusal(path)
    forget_files(path)
    assert "steps/actions" in refusal(path)


def test_missing_chunk(stored):
    path = stored("zarr")
    (path / "steps/success/c/0").unlink()
    assert "steps/success/c/0 is missing" in refusal(path)
    forget_files(path)
    assert "steps/success is missing: c/0" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.update(codecs=[{"name": "numcodecs.pickle"}]),
        lambda array: array.update(storage_transformers=[{"name": "x"}]),
        lambda array: array.update(data_type="float64"),
        lambda array: array.update(data_type="object"),
        lambda array: array.update(shape=[7, 2]),
        lambda array: array.update(shape=[1 << 60, 2]),
        lambda array: array.update(shape="x"),
        lambda array: array["chunk_grid"]["configuration"].update(chunk_shape=[1 << 60, 2]),
        lambda array: array["chunk_key_encoding"].update(name="v2"),
        lambda array: array["chunk_key_encoding"].update(configuration={"separator": "/../"}),
        lambda array: array["chunk_grid"]["configuration"].update(chunk_shape=[131072, 1]),
        lambda array: array["codecs"][0]["configuration"].update(endian="big"),
        lambda array: array.update(codecs=[*array["codecs"], {"name": "gzip"}]),
    ],
)
def test_zarr_of_a_stranger(stored, change):
    path = stored("zarr")
    edit_json(path / "steps/actions/zarr.json", change)
    forget_files(path)
    assert "steps/actions" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda awac: awac.update(format="awac-dataset/2"),
        lambda awac: awac.update(surprise=1),
        lambda awac: awac["fields"].update({"steps/../../x": {"dtype": "<f4"}}),
        lambda awac: awac["fields"].pop("steps/success"),
        lambda awac: awac["commit"].update(n_steps=29),
        lambda awac: awac["commit"].update(n_episodes=2),
        lambda awac: awac["task"]["spec"].update(horizon=7),
        lambda awac: awac["task"].update(action_dim=3),
        lambda awac: awac.update(sources=[]),
    ],
)
def test_changed_header(stored, change):
    path = stored("zarr")
    edit_json(path / "zarr.json", lambda root: change(root["attributes"]["awac"]))
    forget_files(path)
    refusal(path)


def test_altered_episode_is_found_by_its_hash(stored):
    path = stored("zarr")
    zarr.open_array(path, path="steps/rewards", mode="r+")[15] = 0.5
    forget_files(path)
    assert open_dataset(path).altered_episodes() == [1]


def replaced(path: Path, name: str, replace) -> Path:
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:  # in the format of awac's own writer
        del file[name]
        replace(file, name)
    reseal(path)
    return path


OURS = {"compression": "gzip", "shuffle": True}
"""The filters that awac writes."""


def virtual(file, name):
    layout = h5py.VirtualLayout(shape=(30,), dtype="<f4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", shape=(30,))
    file.create_virtual_dataset(name, layout)


@pytest.mark.parametrize(
    ("replace", "words"),
    [
        (lambda file, name: None, "is missing"),
        (lambda file, name: file.__setitem__(name, h5py.ExternalLink("elsewhere.h5", "x")), "link"),
        (lambda file, name: file.__setitem__(name, h5py.SoftLink("/steps/success")), "link"),
        (
            lambda file, name: file.create_dataset(name, (30,), "<f4", external=[("elsewhere", 0, 120)]),
            "another file",
        ),
        (virtual, "another file"),
        (lambda file, name: file.create_dataset(name, (30,), "<f4", compression="lzf"), "filters"),
        (lambda file, name: file.create_dataset(name, (30,), "<f4", chunks=(10,)), "compressed"),
        (lambda file, name: file.create_dataset(name, (30,), "<f4", chunks=(10,), **OURS), "is missing"),
        (lambda file, name: file.create_dataset(name, (30,), "<f4"), "is missing"),
        (lambda file, name: file.create_dataset(name, (1 << 50,), "<f4", chunks=(10,), **OURS), "is missing"),
        (lambda file, name: file.create_dataset(name, data=np.zeros(30)), "declared"),
    ],
)
def test_hdf5_of_a_stranger(stored, replace, words):
    path = replaced(stored("h5"), "steps/rewards", replace)
    message = refusal(path)
    assert "steps/rewards" in message
    assert words in message


def test_nan_is_named_on_reading(stored):
    path = stored("zarr")
    zarr.open_array(path, path="steps/observations", mode="r+")[23, 1] = np.nan
    forget_files(path)
    assert "steps/observations is not finite in episode 2, step 3" in refusal(path)
