"""Where arrays lie: Zarr directories and HDF5 files behind one small interface.

A dataset is input from a stranger: what it declares is checked against limits, and against what is there,
before anything is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from awaccli.artifacts.containment import own_size_bytes
from awaccli.artifacts.manifest import read_manifest
from awaccli.artifacts.urls import RemotePath
from awaccli.data.columns import REQUIRED
from awaccli.errors import DatasetError

ATTRIBUTE = "awac"
HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})
MAX_RANK = 8
MAX_FIELD_BYTES = 64 << 30
CHUNK_BYTES = 1 << 20
"""Of a piece that is stored, read and compressed at once, unless it is asked for otherwise."""
MAX_CHUNK_BYTES = 256 << 20
FREE_BYTES = 256 << 20
MAX_RATIO = 500
"""Arrays may unpack to ``FREE_BYTES``, or to this many times what the dataset takes on the disk."""
_FLAGS = ("steps/terminations", "steps/truncations")
_INDEX = tuple(f"{name}/" for name in REQUIRED if name.startswith("episodes/") or name in _FLAGS)
"""Beginnings of the names of files that tell episodes apart."""


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """What a store declares about one field."""

    dtype: str
    """NumPy's name: ``<f4``."""
    shape: tuple[int, ...]
    """Rows first."""
    chunks: tuple[int, ...]
    """Shape of the pieces it is read in; the shape itself where it is in one piece."""

    @property
    def size_bytes(self) -> int:
        """Size of all rows in memory."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Store(Protocol):
    """Read access to one dataset."""

    def attributes(self) -> Mapping[str, Any]:
        """Return the ``awac`` attribute as it is, unchecked."""
        ...

    def manifest(self) -> bytes | None:
        """Return the text of the manifest, or None where the dataset was never finished."""
        ...

    def info(self, name: str) -> FieldInfo:
        """Return what is declared of a field.

        Raises:
            DatasetError: it is missing, of a kind that is not read, or larger than the limits.
        """
        ...

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows ``start`` to ``stop`` of a field.

        Raises:
            DatasetError: a part of it is missing or damaged.
        """
        ...


def open_store(path: Path) -> Store:
    """Open the arrays at ``path``; those behind a URL are fetched when they are read.

    Raises:
        InputError: nothing there, or nothing that awac made.
        DatasetError: another kind of artifact, or a damaged file.
    """
    if isinstance(path, RemotePath):
        return _open_remote(path)
    if (path / "zarr.json").is_file():
        from awaccli.data.stores.zarr_store import ZarrStore

        return ZarrStore(path)
    if path.is_file() and path.suffix in HDF5_SUFFIXES:
        from awaccli.data.stores.hdf5_store import Hdf5Store

        return Hdf5Store(path)
    kind = read_manifest(path).kind
    if kind == "dataset":
        raise DatasetError(
            f"`{path}` is damaged: its arrays are missing", hint="restore it, or make it again"
        )
    raise DatasetError(
        f"`{path}` is not a dataset, it is: {kind}", hint="expected a .zarr or .h5 made by awac"
    )


def _open_remote(path: RemotePath) -> Store:
    """Open the arrays behind a URL, with all that every reader of a dataset looks at first."""
    if path.suffix in HDF5_SUFFIXES:
        from awaccli.artifacts.remote_file import sealed_copy
        from awaccli.data.stores.hdf5_store import Hdf5Store

        return Hdf5Store(sealed_copy(path))
    from awaccli.artifacts.remote import RemoteFiles
    from awaccli.data.stores.zarr_store import ZarrStore

    files = RemoteFiles(path)
    files.fetch(name for name in files.names if name.endswith("zarr.json") or name.startswith(_INDEX))
    return ZarrStore(path, files)


class Allowance:
    """How much a dataset may unpack to: generous for what people record, too little for a bomb."""

    def __init__(self, path: Path, stored_bytes: int | None = None) -> None:
        """Take what is stored.

        Args:
            path: what to call it in errors.
            stored_bytes: default: what there is at ``path``.
        """
        self._path = path
        self._stored_bytes = own_size_bytes(path) if stored_bytes is None else stored_bytes
        self._spent: dict[str, int] = {}

    def spend(self, name: str, info: FieldInfo) -> None:
        """Count a field that is about to be read.

        Raises:
            DatasetError: all fields so far declare too much for what is stored.
        """
        self._spent[name] = info.size_bytes
        total, limit = sum(self._spent.values()), max(FREE_BYTES, MAX_RATIO * self._stored_bytes)
        if total > limit:
            raise DatasetError(
                f"`{self._path}`: {name} makes it unpack to {total} bytes, of {self._stored_bytes} stored",
                hint=f"expected at most {limit}; the file is damaged or hostile",
            )


def require_within_limits(path: Path, name: str, info: FieldInfo) -> None:
    """Refuse a field that declares more than any honest dataset holds.

    Raises:
        DatasetError: an unknown dtype, a negative size, or too many bytes.
    """
    dtype = np.dtype(info.dtype)
    if dtype.kind not in "biuf" or not 1 <= len(info.shape) <= MAX_RANK:
        raise DatasetError(f"`{path}`: {name} has dtype {info.dtype} and {len(info.shape)} axes")
    if min(info.shape) < 0 or len(info.chunks) != len(info.shape) or min(info.chunks) < 1:
        raise DatasetError(f"`{path}`: {name} declares shape {info.shape} in chunks of {info.chunks}")
    chunk_bytes = math.prod(info.chunks) * dtype.itemsize
    for limit, size_bytes in ((MAX_FIELD_BYTES, info.size_bytes), (MAX_CHUNK_BYTES, chunk_bytes)):
        if size_bytes > limit:
            raise DatasetError(
                f"`{path}`: {name} declares {size_bytes} bytes at once",
                hint=f"expected at most {limit}; the file is damaged or hostile",
            )


def require_rows(path: Path, name: str, info: FieldInfo, stop: int) -> None:
    """Refuse to read behind the last row.

    Raises:
        DatasetError: there are not as many.
    """
    if stop > info.shape[0]:
        raise DatasetError(f"`{path}`: {name} has {info.shape[0]} rows, {stop} are committed")


def require_booleans(path: Path, name: str, rows: np.ndarray) -> np.ndarray:
    """Return rows as they are, unless they claim to be booleans and are not.

    Raises:
        DatasetError: a byte is neither 0 nor 1.
    """
    if rows.dtype == np.bool_ and (rows.view(np.uint8) > 1).any():
        raise DatasetError(f"`{path}`: {name} holds bytes that are neither true nor false")
    return rows


def chunk_rows(row_bytes: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Return how many rows make a chunk of about ``chunk_bytes``."""
    return max(1, chunk_bytes // row_bytes)
