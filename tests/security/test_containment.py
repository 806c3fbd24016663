"""Nothing outside an artifact is read, whatever its paths, links and names say."""

import hashlib
import os
import socket
import time

import pytest
import specimens

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.commit import Existing, check_free
from awaccli.artifacts.manifest import read_manifest
from awaccli.data.dataset import open_dataset
from awaccli.errors import InputError
from awaccli.reports.info import info
from awaccli.reports.success import comparison
from awaccli.reports.verify import Verifier

READERS = {
    "manifest": read_manifest,
    "info": info,
    "verify": None,
    "compare": lambda path: comparison([path]),
    "open": lambda path: open_dataset(path) if path.suffix in {".zarr", ".h5"} else open_checkpoint(path),
}


def refused_by_all(path, words, readers=READERS):
    """Check that every reader refuses, and that none reports the artifact sound."""
    for name, read in readers.items():
        if name != "verify":
            with pytest.raises(InputError) as caught:
                read(path)
            assert path.name in str(caught.value)
            said = str(caught.value)
        else:
            said = verdict(path)
        assert words in said


def verdict(path):
    """Return all that `verify` finds wrong."""
    try:
        found = Verifier(deep=True).verify(path)
    except InputError as error:
        return str(error)
    assert found.ok is False
    return "\n".join(check.message for check in found.checks if not check.ok)


def secret_entry(folder):
    """Describe a file outside as a manifest would: with its true size and hash."""
    secret = folder / "secret"
    secret.write_text("secret")
    return {"size": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}


@pytest.mark.parametrize("name", ["x.zarr", "x.ckpt"])
@pytest.mark.parametrize("path", ["../secret", "steps/../../secret", "ABSOLUTE", "./zarr.json", "a//b", ""])
def test_a_manifest_lists_no_file_outside(take, tmp_path, watched, name, path):
    artifact = take(name)
    entry = secret_entry(tmp_path) | {"path": path.replace("ABSOLUTE", str(tmp_path / "secret"))}
    specimens.reseal_folder(artifact, lambda record: record["files"].append(entry))
    with watched(artifact):
        refused_by_all(artifact, "does not lie inside the artifact")


def test_if_changed_reads_no_file_outside(take, tmp_path, watched):
    artifact = take("x.zarr")
    entry = secret_entry(tmp_path) | {"path": "../secret"}
    recipe = read_manifest(artifact).recipe
    specimens.reseal_folder(artifact, lambda record: record["files"].append(entry))
    with watched(artifact):
        assert not check_free(artifact, recipe, Existing.IF_CHANGED)


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "y/" * 3000])
def test_a_manifest_lists_no_impossible_path(take, path):
    artifact = take("x.zarr")
    entry = {"path": path, "size": 1, "sha256": "0" * 64}
    specimens.reseal_folder(artifact, lambda record: record["files"].append(entry))
    refused_by_all(artifact, "no file can have this path")


LINKS = {
    "a chunk": ("x.zarr", "steps/actions/c/0/0"),
    "a folder of chunks": ("x.zarr", "steps/actions/c"),
    "a field": ("x.zarr", "steps/actions"),
    "array metadata": ("x.zarr", "steps/actions/zarr.json"),
    "the header": ("x.zarr", "zarr.json"),
    "the manifest": ("x.zarr", "manifest.json"),
    "a policy": ("x.ckpt", "policy.safetensors"),
    "metrics": ("x.ckpt", "metrics.jsonl"),
}


@pytest.mark.parametrize("what", LINKS)
def test_links_inside_an_artifact_are_refused(take, tmp_path, watched, what):
    name, place = LINKS[what]
    artifact, outside = take(name), tmp_path / "outside"
    (artifact / place).rename(outside)
    (artifact / place).symlink_to(outside)
    with watched(artifact):
        refused_by_all(artifact, "is a link")
    if what not in {"the manifest", "the header"}:  # a stranger seals it with the link in it
        specimens.reseal_folder(artifact)
        with watched(artifact):
            refused_by_all(artifact, "is a link")


def test_an_artifact_may_be_a_link_itself(take, tmp_path):
    (tmp_path / "link.zarr").symlink_to(take("x.zarr"))
    assert open_dataset(tmp_path / "link.zarr").n_episodes == 3


@pytest.mark.parametrize("name", ["steps/actions/c/0/0", "manifest.json", "steps/extra"])
def test_what_would_block_its_reader_is_refused(take, name):
    artifact = take("x.zarr")
    (artifact / name).unlink(missing_ok=True)
    os.mkfifo(artifact / name)
    started = time.monotonic()
    refused_by_all(artifact, "is neither a file nor a folder")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("name", ["pipe.json", "pipe.h5", "pipe.ckpt"])
def test_a_pipe_or_a_socket_is_no_artifact(tmp_path, name):
    os.mkfifo(tmp_path / name)
    refused_by_all(
        tmp_path / name, "is neither a file nor a folder", {"manifest": read_manifest, "info": info}
    )
    (tmp_path / name).unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / name))
        refused_by_all(tmp_path / name, "is neither a file nor a folder", {"info": info})


def test_devices_are_no_artifacts(tmp_path):
    for suffix in ("json", "h5"):
        (tmp_path / f"zero.{suffix}").symlink_to("/dev/zero")
        refused_by_all(tmp_path / f"zero.{suffix}", "is neither a file nor a folder", {"info": info})


@pytest.mark.parametrize(
    "name", ["steps/../../x", "steps/..", "/steps/x", "steps//x", "steps/x\0", "..", "steps/.hidden", "final"]
)
def test_names_of_fields_stay_inside(take, tmp_path, watched, name):
    artifact = take("x.zarr")
    change = {name: {"dtype": "<f4", "shape": [], "unit": "", "doc": ""}}
    specimens.edit_json(
        artifact / "zarr.json", lambda root: root["attributes"]["awac"]["fields"].update(change)
    )
    specimens.reseal_folder(artifact)
    readers = {name: read for name, read in READERS.items() if name != "manifest"}  # it lists no fields
    with watched(artifact):
        refused_by_all(artifact, "is no field name", readers)


def test_the_place_of_a_parent_is_relative_and_only_looked_at_for_its_id(take, tmp_path):
    artifact = take("x.ckpt")
    hints = {"0" * 64: "/etc/passwd"}
    specimens.reseal_folder(artifact, lambda record: record["run"].update(paths=hints))
    refused_by_all(artifact, "is not relative to the artifact")
