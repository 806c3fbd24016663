"""Reading datasets from Zarr v3 directories.

The zarr library would load any codec that is installed and unpack whatever a chunk says it holds. Here only
the layout that awac writes is read: chunks along the first axis, each one zstd frame of just its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numcodecs import zstd

from awaccli.artifacts.containment import own_size_bytes
from awaccli.artifacts.json_file import read_json_bytes
from awaccli.artifacts.manifest import MANIFEST
from awaccli.config.json_value import parse_json
from awaccli.data.stores import (
    ATTRIBUTE,
    Allowance,
    FieldInfo,
    require_booleans,
    require_rows,
    require_within_limits,
)
from awaccli.errors import DatasetError

_RESTORE = "restore the dataset from a copy, or make it again"
_DTYPES = {
    "bool": "|b1",
    "int8": "|i1",
    "uint8": "|u1",
    **{f"{kind}int{8 * size}": f"<{kind or 'i'}{size}" for kind in ("", "u") for size in (2, 4, 8)},
    **{f"float{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}
_OVERHEAD_BYTES = 1024
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Files(Protocol):
    """The files of one dataset, by their names in it, with slashes."""

    @property
    def size_bytes(self) -> int:
        """What all of them take."""
        ...

    def find(self, name: str) -> Path | None:
        """Return where a file can be read now, or None where there is none."""
        ...

    def fetch(self, names: Iterable[str]) -> None:
        """Bring files here that are about to be read, those that exist, several at a time."""
        ...


class Folder:
    """The files of a dataset on this disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size_bytes = own_size_bytes(path)

    def find(self, name: str) -> Path | None:
        """Return where a file is; see `Files`."""
        file = self._path / name
        return file if file.is_file() else None

    def fetch(self, names: Iterable[str]) -> None:
        """Do nothing: they are here; see `Files`."""


class ZarrStore:
    """Read access to a Zarr v3 group."""

    def __init__(self, path: Path, files: Files | None = None) -> None:
        """Take where it is.

        Args:
            path: what to call it in errors.
            files: its files, where they are not those of the folder ``path``.
        """
        self._path = path
        self._files = files or Folder(path)
        self._allowance = Allowance(path, self._files.size_bytes)

    def attributes(self) -> Mapping[str, Any]:
        """Return the ``awac`` attribute; see `Store`."""
        attributes = self._json("zarr.json").get("attributes")
        found = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
        if not isinstance(found, dict):
            raise DatasetError(
                f"`{self._path}` is a Zarr store, but no dataset of awac: it has no `{ATTRIBUTE}` attribute",
                hint="expected a .zarr made by awac; a run stopped before its first commit has none either",
            )
        return found

    def manifest(self) -> bytes | None:
        """Return the text of the manifest; see `Store`."""
        file = self._files.find(MANIFEST)
        return read_json_bytes(file) if file else None

    def info(self, name: str) -> FieldInfo:
        """Return what is declared of a field; see `Store`."""
        declared = self._json(f"{name}/zarr.json", missing=f"the field {name} is missing")
        try:
            info = _declared_info(declared)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(
                f"`{self._path}`: {name} is stored in a way awac does not read: {error}"
            ) from error
        require_within_limits(self._path, name, info)
        return info

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows of a field; see `Store`."""
        info = self.info(name)
        require_rows(self._path, name, info, stop)
        self._allowance.spend(name, info)
        size = info.chunks[0]
        chunks = range(start // size, math.ceil(stop / size))
        keys = {chunk: "/".join(("c", str(chunk), *("0" for _ in info.shape[1:]))) for chunk in chunks}
        self._files.fetch(f"{name}/{key}" for key in keys.values())
        files = {chunk: self._chunk_file(name, key) for chunk, key in keys.items()}
        rows = np.empty((stop - start, *info.shape[1:]), info.dtype)
        for chunk, file in files.items():
            first, last = max(start, chunk * size), min(stop, (chunk + 1) * size)
            values = self._chunk(name, info, keys[chunk], file)
            rows[first - start : last - start] = values[first - chunk * size : last - chunk * size]
        return require_booleans(self._path, name, rows)

    def _chunk_file(self, name: str, key: str) -> Path:
        """Return where a chunk is: an absent one must not read as zeros."""
        file = self._files.find(f"{name}/{key}")
        if file is None:
            raise DatasetError(f"`{self._path}`: a part of {name} is missing: {key}", hint=_RESTORE)
        return file

    def _chunk(self, name: str, info: FieldInfo, key: str, file: Path) -> np.ndarray:
        """Return the values of a chunk, shaped as all chunks are."""
        try:
            return _unpacked(file, info)
        except (RuntimeError, ValueError) as error:
            raise DatasetError(
                f"`{self._path}`: {name} is damaged in {key}: {error}", hint=_RESTORE
            ) from error

    def _json(self, name: str, missing: str = "its header is missing") -> dict[str, Any]:
        """Return what a file with Zarr's metadata says."""
        file, shown = self._files.find(name), f"`{self._path / name}`"
        if file is None:
            raise DatasetError(f"`{self._path}`: {missing}")
        try:
            value = parse_json(read_json_bytes(file))
        except (OSError, ValueError) as error:
            raise DatasetError(f"{shown} cannot be read: {error}") from error
        if not isinstance(value, dict) or value.get("zarr_format") != 3:
            raise DatasetError(f"{shown} is not Zarr version 3")
        return value


def _unpacked(file: Path, info: FieldInfo) -> np.ndarray:
    """Return the values of a chunk: a frame of more or fewer bytes than these is never unpacked."""
    values = np.empty(info.chunks, info.dtype)
    if file.stat().st_size > 2 * values.nbytes + _OVERHEAD_BYTES:
        raise ValueError("it is larger than what it holds")
    stored = file.read_bytes()
    if _frame_bytes(stored) != values.nbytes:
        raise ValueError(f"it is no zstd frame of {values.nbytes} bytes")
    zstd.decompress(stored, values)  # refuses further frames: there is no room for them
    return values


def _frame_bytes(stored: bytes) -> int | None:
    """Return how much the first zstd frame says it unpacks to, or None where it does not say.

    Source: RFC 8878, section 3.1.1.1.
    """
    if len(stored) < 6 or not stored.startswith(_ZSTD_MAGIC):
        return None
    flags = stored[4]
    in_one_piece = flags >> 5 & 1
    at = 5 + (1 - in_one_piece) + (0, 1, 2, 4)[flags & 3]
    width = (in_one_piece, 2, 4, 8)[flags >> 6]
    if width == 0:
        return None
    return int.from_bytes(stored[at : at + width], "little") + (256 if width == 2 else 0)


def _declared_info(declared: Mapping[str, Any]) -> FieldInfo:
    """Read the metadata of an array, provided that it is laid out as awac does it."""
    dtype = _DTYPES[declared["data_type"]]
    codecs = [codec["name"] for codec in declared["codecs"]]
    order = declared["codecs"][0].get("configuration", {}).get("endian", "little")
    if codecs != ["bytes", "zstd"] or order != "little" or declared.get("storage_transformers"):
        raise ValueError(f"codecs {codecs} ({order} endian), expected bytes (little endian) and zstd")
    encoding = declared["chunk_key_encoding"]
    if encoding["name"] != "default" or encoding.get("configuration", {}).get("separator", "/") != "/":
        raise ValueError(f"chunk names {encoding}")
    if declared["chunk_grid"]["name"] != "regular":
        raise ValueError(f"chunk grid {declared['chunk_grid']['name']}")
    shape, chunks = declared["shape"], declared["chunk_grid"]["configuration"]["chunk_shape"]
    if not all(type(size) is int for size in [*shape, *chunks]) or chunks[1:] != shape[1:]:
        raise ValueError(f"shape {shape} in chunks of {chunks}, expected chunks along the first axis")
    return FieldInfo(dtype, tuple(shape), tuple(chunks))
