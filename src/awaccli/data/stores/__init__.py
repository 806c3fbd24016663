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

from awaccli.artifacts.manifest import read_manifest
from awaccli.errors import DatasetError

ATTRIBUTE = "awac"
HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})
MAX_FIELD_BYTES = 64 << 30
MAX_CHUNK_BYTES = 256 << 20
MAX_JSON_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """What a store declares about one field."""

    dtype: str
    """NumPy's name: ``<f4``."""
    shape: tuple[int, ...]
    """Rows first."""
    chunks: tuple[int, ...]
    """Shape of the pieces it is read in; the shape itself where it is in one piece."""


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
    """Open the arrays at ``path``.

    Raises:
        InputError: nothing there, or nothing that awac made.
        DatasetError: another kind of artifact, or a damaged file.
    """
    if (path / "zarr.json").is_file():
        from awaccli.data.stores.zarr import ZarrStore

        return ZarrStore(path)
    if path.is_file() and path.suffix in HDF5_SUFFIXES:
        from awaccli.data.stores.hdf5 import Hdf5Store

        return Hdf5Store(path)
    kind = read_manifest(path).kind
    if kind == "dataset":
        raise DatasetError(
            f"`{path}` is damaged: its arrays are missing", hint="restore it, or make it again"
        )
    raise DatasetError(
        f"`{path}` is not a dataset, it is: {kind}", hint="expected a .zarr or .h5 made by awac"
    )


def require_within_limits(path: Path, name: str, info: FieldInfo) -> None:
    """Refuse a field that declares more than any honest dataset holds.

    Raises:
        DatasetError: an unknown dtype, a negative size, or too many bytes.
    """
    dtype = np.dtype(info.dtype)
    if dtype.kind not in "biuf" or not info.shape:
        raise DatasetError(f"`{path}`: {name} has dtype {info.dtype} and shape {info.shape}")
    if min(info.shape) < 0 or len(info.chunks) != len(info.shape) or min(info.chunks) < 1:
        raise DatasetError(f"`{path}`: {name} declares shape {info.shape} in chunks of {info.chunks}")
    for limit, shape in ((MAX_FIELD_BYTES, info.shape), (MAX_CHUNK_BYTES, info.chunks)):
        size_bytes = math.prod(shape) * dtype.itemsize
        if size_bytes > limit:
            raise DatasetError(
                f"`{path}`: {name} declares {size_bytes} bytes at once",
                hint=f"expected at most {limit}; the file is damaged or hostile",
            )


def chunk_rows(row_bytes: int) -> int:
    """Return how many rows make a chunk of about 1 MiB."""
    return max(1, (1 << 20) // row_bytes)
