"""Sealed HDF5 files: a checksum over all bytes, and arrays that are read by our own reader.

A sealed file begins with a user block of 512 bytes that holds the SHA-256 of all bytes after it: more than
half of the single-byte flips in a small HDF5 file leave its content equal, so a content id cannot see them.
The seal finds accidents. It keeps no stranger out, who can compute it too: hence the reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from awaccli.artifacts.hdf5_pieces import ForeignError
from awaccli.artifacts.hdf5_reader import USER_BLOCK_BYTES, Hdf5File, StoredArray
from awaccli.artifacts.json_file import MAX_JSON_BYTES
from awaccli.errors import DatasetError

_MAGIC = b"awac-dataset sha256 "


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


class SealedFile:
    """Read access to a sealed file.

    Raises:
        DatasetError: not made by awac, damaged, or with structures that awac does not write.
    """

    def __init__(self, path: Path) -> None:
        if not is_sealed(path):
            raise DatasetError(f"`{path}` is not a dataset of awac", hint="expected a .h5 made by awac")
        if seal_problem(path):
            raise DatasetError(
                f"`{path}` is damaged or truncated: its checksum does not match",
                hint="restore it from a copy, or make it again",
            )
        self._path = path
        with self._blamed_on("its beginning"):
            self._file = Hdf5File(path)

    def find(self, name: str) -> StoredArray | None:
        """Return what is stored as ``name``, or None.

        Raises:
            DatasetError: it is stored in a way that awac does not write.
        """
        with self._blamed_on(name):
            return self._file.find(name)

    def read(self, name: str, array: StoredArray, start: int, stop: int) -> np.ndarray:
        """Return rows of an array that ``find`` found.

        Raises:
            DatasetError: a part is missing or damaged.
        """
        with self._blamed_on(name):
            return self._file.read(array, start, stop)

    def text(self, name: str) -> bytes | None:
        """Return a text that is stored as bytes in one piece, or None where there is none.

        Raises:
            DatasetError: it is something else, or larger than any honest text.
        """
        array = self.find(name)
        if array is None:
            return None
        if array.dtype != "|u1" or array.chunks or len(array.shape) != 1 or array.shape[0] > MAX_JSON_BYTES:
            raise DatasetError(f"`{self._path}`: {name} is not a text as awac stores it")
        return self.read(name, array, 0, array.shape[0]).tobytes()

    @contextmanager
    def _blamed_on(self, name: str) -> Iterator[None]:
        try:
            yield
        except ForeignError as error:
            raise DatasetError(
                f"`{self._path}`: {name} is not stored as awac stores it: {error}",
                hint="a dataset of awac is self-contained, and never edited by other tools",
            ) from error
