"""Datasets as one sealed HDF5 file, written once and never appended to.

A user block of 512 bytes holds the SHA-256 of all bytes after it: more than half of the single-byte flips in
a small HDF5 file leave the content equal, so the content id alone cannot see them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from awaccli.artifacts.identity import canonical_json
from awaccli.data.stores import (
    ATTRIBUTE,
    MAX_JSON_BYTES,
    FieldInfo,
    chunk_rows,
    require_within_limits,
)
from awaccli.errors import DatasetError

_BLOCK_BYTES = 512
_MAGIC = b"awac-dataset sha256 "
_MANIFEST = "manifest"
_FILTERS = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32})
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError)


class Hdf5Store:
    """Read access to a sealed HDF5 dataset."""

    def __init__(self, path: Path) -> None:
        _require_intact(path)
        self._path = path

    def attributes(self) -> Mapping[str, Any]:
        """Return the ``awac`` object; see `Store`."""
        try:
            value = json.loads(self._bytes(ATTRIBUTE) or b"null")
        except ValueError as error:
            raise DatasetError(f"the header of `{self._path}` is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise DatasetError(f"`{self._path}` is not a dataset of awac: it has no `{ATTRIBUTE}` object")
        return value

    def manifest(self) -> bytes | None:
        """Return the text of the manifest; see `Store`."""
        return self._bytes(_MANIFEST)

    def info(self, name: str) -> FieldInfo:
        """Return what is declared of a field; see `Store`."""
        with self._opened() as file:
            return self._info(file, name)

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows of a field; see `Store`."""
        with self._opened() as file:
            info = self._info(file, name)
            dataset = file[name]
            self._require_stored(name, info, dataset)
            return np.asarray(dataset[start:stop])

    @contextmanager
    def _opened(self) -> Iterator[h5py.File]:
        try:
            with h5py.File(self._path, "r") as file:
                yield file
        except _DAMAGE as error:
            raise DatasetError(
                f"`{self._path}` is not valid HDF5: {error}", hint="restore it from a copy, or make it again"
            ) from error

    def _info(self, file: h5py.File, name: str) -> FieldInfo:
        dataset = self._find(file, name)
        if dataset is None:
            raise DatasetError(f"`{self._path}`: the field {name} is missing")
        shape = dataset.shape or ()
        info = FieldInfo(dataset.dtype.str, shape, dataset.chunks or tuple(max(1, size) for size in shape))
        require_within_limits(self._path, name, info)
        return info

    def _find(self, file: h5py.File, name: str) -> h5py.Dataset | None:
        """Return a dataset stored in this very file; refuse everything that leads out of it."""
        node: Any = file
        for part in name.split("/"):
            link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise DatasetError(
                    f"`{self._path}`: {name} is a link to elsewhere",
                    hint="a dataset of awac is self-contained",
                )
            node = node[part]
        if not isinstance(node, h5py.Dataset):
            return None
        self._require_plain(name, node)
        return node

    def _require_plain(self, name: str, dataset: h5py.Dataset) -> None:
        if dataset.external or dataset.is_virtual:
            raise DatasetError(
                f"`{self._path}`: the values of {name} are in another file",
                hint="a dataset of awac is self-contained",
            )
        plan = dataset.id.get_create_plist()
        filters = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())}
        if not filters <= _FILTERS:
            raise DatasetError(
                f"`{self._path}`: {name} uses HDF5 filters {sorted(filters - _FILTERS)}",
                hint="expected deflate, shuffle and fletcher32 only",
            )

    def _require_stored(self, name: str, info: FieldInfo, dataset: h5py.Dataset) -> None:
        """Refuse values that are declared but not stored: HDF5 would make them up as zeros."""
        size_bytes = math.prod(info.shape) * dataset.dtype.itemsize
        if dataset.chunks:
            pairs = zip(info.shape, info.chunks, strict=True)
            complete = dataset.id.get_num_chunks() == math.prod(
                math.ceil(size / chunk) for size, chunk in pairs
            )
        else:
            complete = dataset.id.get_storage_size() == size_bytes
        if not complete:
            raise DatasetError(f"`{self._path}`: a part of {name} is missing")

    def _bytes(self, name: str) -> bytes | None:
        with self._opened() as file:
            dataset = self._find(file, name)
            if dataset is None:
                return None
            if dataset.dtype != np.uint8 or dataset.ndim != 1 or dataset.size > MAX_JSON_BYTES:
                raise DatasetError(f"`{self._path}`: {name} is not a text as awac stores it")
            self._require_stored(name, FieldInfo("|u1", dataset.shape, dataset.chunks or ()), dataset)
            return bytes(dataset[()])


def write_hdf5(
    path: Path, header: Mapping[str, Any], fields: Iterable[tuple[str, np.ndarray]], manifest: bytes
) -> None:
    """Write a sealed dataset; equal content gives equal bytes."""
    with h5py.File(path, "w", libver=("v110", "v110"), userblock_size=_BLOCK_BYTES) as file:
        for name, array in fields:
            row_bytes = array.dtype.itemsize * math.prod(array.shape[1:])
            file.create_dataset(
                name,
                data=array,
                chunks=(min(len(array), chunk_rows(row_bytes)), *array.shape[1:]),
                compression="gzip",
                shuffle=True,
            )
        file.create_dataset(ATTRIBUTE, data=np.frombuffer(canonical_json(header), np.uint8))
        file.create_dataset(_MANIFEST, data=np.frombuffer(manifest, np.uint8))
    block = _user_block(path)
    with path.open("r+b") as raw:
        raw.write(block)


def _user_block(path: Path) -> bytes:
    """Return what the first 512 bytes must be, given all bytes after them."""
    with path.open("rb") as raw:
        raw.seek(_BLOCK_BYTES)
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    return (_MAGIC + digest.encode() + b"\n").ljust(_BLOCK_BYTES, b"\0")


def _require_intact(path: Path) -> None:
    with path.open("rb") as raw:
        block = raw.read(_BLOCK_BYTES)
    if not block.startswith(_MAGIC):
        raise DatasetError(
            f"`{path}` is not a dataset of awac",
            hint="expected a .h5 made by awac",
        )
    if block != _user_block(path):
        raise DatasetError(
            f"`{path}` is damaged or truncated: its checksum does not match",
            hint="restore it from a copy, or make it again",
        )
