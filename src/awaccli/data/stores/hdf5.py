"""Datasets as one sealed HDF5 file, written once and never appended to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from awaccli.artifacts.hdf5 import (
    USER_BLOCK_BYTES,
    find,
    opened,
    require_sealed,
    require_stored,
    seal,
    text,
)
from awaccli.artifacts.identity import canonical_json
from awaccli.data.stores import ATTRIBUTE, FieldInfo, require_within_limits
from awaccli.errors import DatasetError

_MANIFEST = "manifest"
_CHUNKS_AT_ONCE = 16


class Hdf5Store:
    """Read access to a sealed HDF5 dataset."""

    def __init__(self, path: Path) -> None:
        require_sealed(path)
        self._path = path

    def attributes(self) -> Mapping[str, Any]:
        """Return the ``awac`` object; see `Store`."""
        try:
            value = json.loads(self._text(ATTRIBUTE) or b"null")
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"the header of `{self._path}` is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise DatasetError(f"`{self._path}` is not a dataset of awac: it has no `{ATTRIBUTE}` object")
        return value

    def manifest(self) -> bytes | None:
        """Return the text of the manifest; see `Store`."""
        return self._text(_MANIFEST)

    def info(self, name: str) -> FieldInfo:
        """Return what is declared of a field; see `Store`."""
        with opened(self._path) as file:
            return self._declared(self._find(file, name), name)

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows of a field; see `Store`."""
        with opened(self._path) as file:
            dataset = self._find(file, name)
            self._declared(dataset, name)
            require_stored(name, dataset)
            return np.asarray(dataset[start:stop])

    def _text(self, name: str) -> bytes | None:
        with opened(self._path) as file:
            return text(file, name)

    def _find(self, file: h5py.File, name: str) -> h5py.Dataset:
        dataset = find(file, name)
        if dataset is None:
            raise DatasetError(f"`{self._path}`: the field {name} is missing")
        return dataset

    def _declared(self, dataset: h5py.Dataset, name: str) -> FieldInfo:
        shape = dataset.shape or ()
        info = FieldInfo(dataset.dtype.str, shape, dataset.chunks or tuple(max(1, size) for size in shape))
        require_within_limits(self._path, name, info)
        return info


Read = Callable[[str, int, int], np.ndarray]
"""Returns rows of a field: name, first row, row after the last."""


def write_hdf5(
    path: Path, header: Mapping[str, Any], fields: Mapping[str, FieldInfo], read: Read, manifest: bytes
) -> None:
    """Write a sealed dataset, some chunks at a time; equal content gives equal bytes.

    Args:
        path: the file to make.
        header: the ``awac`` object.
        fields: dtype, shape and chunks of each field.
        read: where the rows come from.
        manifest: its text.
    """
    with h5py.File(path, "w", libver=("v110", "v110"), userblock_size=USER_BLOCK_BYTES) as file:
        for name in sorted(fields):
            info = fields[name]
            target = file.create_dataset(
                name, info.shape, info.dtype, chunks=info.chunks, compression="gzip", shuffle=True
            )
            stride = _CHUNKS_AT_ONCE * info.chunks[0]
            for start in range(0, info.shape[0], stride):
                stop = min(start + stride, info.shape[0])
                target[start:stop] = read(name, start, stop)
        file.create_dataset(ATTRIBUTE, data=np.frombuffer(canonical_json(header), np.uint8))
        file.create_dataset(_MANIFEST, data=np.frombuffer(manifest, np.uint8))
    seal(path)
