"""HDF5 files from strangers: sealed by a checksum, self-contained, with everything stored that they declare.

A sealed file begins with a user block of 512 bytes that holds the SHA-256 of all bytes after it: more than
half of the single-byte flips in a small HDF5 file leave its content equal, so a content id cannot see them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from awaccli.errors import DatasetError

USER_BLOCK_BYTES = 512
MAX_TEXT_BYTES = 256 << 20
_MAGIC = b"awac-dataset sha256 "
_FILTERS = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32})
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError)


def seal(path: Path) -> None:
    """Write the user block of a finished file."""
    block = _user_block(path)
    with path.open("r+b") as raw:
        raw.write(block)


def is_sealed(path: Path) -> bool:
    """Return whether a file begins as sealed datasets do."""
    with path.open("rb") as raw:
        return raw.read(len(_MAGIC)) == _MAGIC


def seal_problem(path: Path) -> str | None:
    """Return what is wrong with the bytes of a sealed file, in words, or None."""
    with path.open("rb") as raw:
        block = raw.read(USER_BLOCK_BYTES)
    return None if block == _user_block(path) else "its checksum does not match"


def _user_block(path: Path) -> bytes:
    """Return what the first 512 bytes must be, given all bytes after them."""
    with path.open("rb") as raw:
        raw.seek(USER_BLOCK_BYTES)
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    return (_MAGIC + digest.encode() + b"\n").ljust(USER_BLOCK_BYTES, b"\0")


def require_sealed(path: Path) -> None:
    """Check the bytes of a file before the HDF5 library sees them.

    Raises:
        DatasetError: not made by awac, or damaged.
    """
    if not is_sealed(path):
        raise DatasetError(f"`{path}` is not a dataset of awac", hint="expected a .h5 made by awac")
    if seal_problem(path):
        raise DatasetError(
            f"`{path}` is damaged or truncated: its checksum does not match",
            hint="restore it from a copy, or make it again",
        )


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; whatever the library finds wrong inside becomes a `DatasetError`."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except _DAMAGE as error:
        raise DatasetError(
            f"`{path}` is not valid HDF5: {error}", hint="restore it from a copy, or make it again"
        ) from error


def find(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return a dataset stored in this very file, or None where there is none.

    Raises:
        DatasetError: it leads out of the file, or needs a filter that awac does not use.
    """
    node: Any = file
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise DatasetError(
                f"`{file.filename}`: {name} is a link to elsewhere",
                hint="a dataset of awac is self-contained",
            )
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        return None
    _require_plain(file, name, node)
    return node


def _require_plain(file: h5py.File, name: str, dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        raise DatasetError(
            f"`{file.filename}`: the values of {name} are in another file",
            hint="a dataset of awac is self-contained",
        )
    plan = dataset.id.get_create_plist()
    filters = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())}
    if not filters <= _FILTERS:
        raise DatasetError(
            f"`{file.filename}`: {name} uses HDF5 filters {sorted(filters - _FILTERS)}",
            hint="expected deflate, shuffle and fletcher32 only",
        )


def require_stored(name: str, dataset: h5py.Dataset) -> None:
    """Refuse values that are declared but not stored: HDF5 would make them up as zeros.

    Raises:
        DatasetError: a part is missing.
    """
    shape, chunks = dataset.shape or (), dataset.chunks
    if chunks:
        cells = math.prod(math.ceil(size / chunk) for size, chunk in zip(shape, chunks, strict=True))
        complete = dataset.id.get_num_chunks() == cells
    else:
        complete = dataset.id.get_storage_size() == math.prod(shape) * dataset.dtype.itemsize
    if not complete:
        raise DatasetError(f"`{dataset.file.filename}`: a part of {name} is missing")


def text(file: h5py.File, name: str) -> bytes | None:
    """Return a text that is stored as bytes, or None where there is none.

    Raises:
        DatasetError: it is something else, or too large to be what it claims.
    """
    dataset = find(file, name)
    if dataset is None:
        return None
    if dataset.dtype != np.uint8 or dataset.ndim != 1 or dataset.size > MAX_TEXT_BYTES:
        raise DatasetError(f"`{file.filename}`: {name} is not a text as awac stores it")
    require_stored(name, dataset)
    return bytes(dataset[()])
