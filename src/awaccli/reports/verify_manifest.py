"""What lies at a path, judged by its manifest, or by what is left of it; and the files the manifest lists."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from awaccli.artifacts.checkpoint import POLICY, TRAINER
from awaccli.artifacts.commit import PART
from awaccli.artifacts.containment import require_own_files
from awaccli.artifacts.identity import sha256_file
from awaccli.artifacts.json_file import read_json_artifact
from awaccli.artifacts.manifest import MANIFEST, SCHEMA, FileEntry, Kind, Manifest, read_manifest
from awaccli.config.json_value import parse_json
from awaccli.errors import InputError

_ZARR = "zarr.json"
_HDF5_SUFFIXES = (".h5", ".hdf5")
_USER_BLOCK_WORDS = (b"awac-dataset", b" sha256 ")
_USER_BLOCK_BYTES = 512


class Identified(NamedTuple):
    """An artifact, as far as it can be told."""

    kind: Kind
    manifest: Manifest | None
    """Also one whose checksum is wrong, as long as it can be read; None where nothing is left of it."""
    fault: str | None
    """What is wrong with the manifest."""


def identify(path: Path) -> Identified:
    """Return what lies at ``path``, even where its manifest is damaged or gone.

    Raises:
        InputError: nothing there, unfinished, no artifact, or one that leads elsewhere by links.
    """
    if path.suffix == PART and path.is_dir():
        raise InputError(
            f"`{path}` is an unfinished run, not an artifact yet",
            hint="repeat its command with --resume to go on",
        )
    if path.is_dir() and any(os.path.lexists(path / name) for name in (MANIFEST, _ZARR, POLICY, TRAINER)):
        require_own_files(path)
    try:
        manifest = read_manifest(path)
    except InputError as error:
        kind = _kind_of_remains(path)
        if kind is None:
            raise
        if path.is_dir() and not (path / MANIFEST).is_file():
            return Identified(kind, None, f"{MANIFEST} is missing")
        return Identified(kind, _salvaged(path), str(error))
    return Identified(manifest.kind, manifest, None)


def _kind_of_remains(path: Path) -> Kind | None:
    """Return what was at ``path`` if it clearly was an artifact: any part of it may be damaged."""
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.is_file():
        return None
    if path.suffix == ".json":
        return "evaluation" if _is_torn_evaluation(path) else None
    with path.open("rb") as file:
        block = file.read(_USER_BLOCK_BYTES)
    sealed = path.suffix in _HDF5_SUFFIXES and any(word in block for word in _USER_BLOCK_WORDS)
    return "dataset" if sealed else None


def _kind_of_folder(path: Path) -> Kind | None:
    tensors = [(path / name).is_file() for name in (POLICY, TRAINER)]
    if all(tensors) or (path.suffix == ".ckpt" and any(tensors)):
        return "checkpoint"
    if _mentions(path / _ZARR, b"awac-dataset"):
        return "dataset"
    if _mentions(path / MANIFEST, b'"kind":"dataset"'):
        return "dataset"
    return "checkpoint" if _mentions(path / MANIFEST, b'"kind":"checkpoint"') else None


def _mentions(file: Path, words: bytes) -> bool:
    return file.is_file() and words in file.read_bytes()


def _is_torn_evaluation(path: Path) -> bool:
    text = path.read_bytes()
    if SCHEMA.partition("/")[0].encode() in text:
        return True
    if b'"kind": "evaluation"' not in text:
        return False
    try:
        record = parse_json(text)
    except ValueError:
        return True
    return "manifest" in record  # without one it is what `awac eval --json` prints


def _salvaged(path: Path) -> Manifest | None:
    """Return a manifest whose checksum is wrong: what it lists can still be looked at."""
    if path.is_dir():
        text = (path / MANIFEST).read_bytes()
    else:
        found = read_json_artifact(path) if path.suffix == ".json" else None
        text = found[1] if found else b""
    try:
        record = parse_json(text)
        record.pop("sha256", None)
        return Manifest.model_validate_json(json.dumps(record))
    except (ValueError, AttributeError):
        return None


def stored_files(root: Path) -> dict[str, Path]:
    """Return every file below ``root`` but the manifest, by its path as manifests write it."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path != root / MANIFEST)
    return {path.relative_to(root).as_posix(): path for path in files}


def file_faults(stored: dict[str, Path], listed: tuple[FileEntry, ...]) -> Iterator[str]:
    """Yield which listed files are missing, truncated or changed."""
    for entry in listed:
        path = stored.get(entry.path)
        if path is None:
            yield f"{entry.path} is missing"
            continue
        size_bytes = path.stat().st_size
        if size_bytes < entry.size:
            yield f"{entry.path} is truncated: {size_bytes} of {entry.size} bytes"
        elif size_bytes > entry.size or sha256_file(path) != entry.sha256:
            yield f"{entry.path} has changed"
