"""npz archives, read some rows at a time and never unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from awaccli.data.formats.names import listed
from awaccli.errors import InputError

_MAGIC = b"PK\x03\x04"
_LARGEST_RATIO = 1100
"""More than deflate can shrink anything."""
_DAMAGE = (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, RuntimeError)


def is_npz(path: Path) -> bool:
    """Return whether a file is a zip archive of ``.npy`` files."""
    if not path.is_file():
        return False
    with path.open("rb") as raw:
        if raw.read(len(_MAGIC)) != _MAGIC:
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _DAMAGE:
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


@contextmanager
def opened_npz(path: Path) -> Iterator[NpzArrays]:
    """Open an archive.

    Raises:
        InputError: missing, no archive, or damaged.
    """
    with _blamed_on(path):
        archive = zipfile.ZipFile(path)
    with archive:
        yield NpzArrays(path, archive)


@dataclass(frozen=True, slots=True)
class _Member:
    """An array of the archive, opened behind its header."""

    stream: IO[bytes]
    begin: int
    """Where the first row begins."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool


class NpzArrays:
    """The arrays of an open archive; see `Arrays`."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self._members: dict[str, _Member] = {}

    def __contains__(self, name: str) -> bool:
        """Return whether there is an array of that name."""
        return f"{name}.npy" in self._archive.NameToInfo

    def arrays(self, group: str = "") -> list[str]:
        """Return the names of all arrays, those below a group only where one is named."""
        names = sorted(name.removesuffix(".npy") for name in self._archive.namelist())
        return [name for name in names if name.startswith(f"{group}/") or not group]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        return self._member(name).shape

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the dtype of an array."""
        return self._member(name).dtype

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return rows of an array, all by default; cheapest in order."""
        member = self._member(name)
        if not member.shape:
            raise self._refused(name, "is a single value, expected rows of numbers")
        start, stop, _ = slice(start, stop).indices(member.shape[0])
        with _blamed_on(self.path):
            if member.by_columns:  # its rows lie apart: only all of them can be read
                member.stream.seek(member.begin)
                whole = np.frombuffer(member.stream.read(), member.dtype)
                return whole.reshape(member.shape, order="F")[start:stop]
            row_bytes = math.prod(member.shape[1:]) * member.dtype.itemsize
            member.stream.seek(member.begin + start * row_bytes)
            found = member.stream.read((stop - start) * row_bytes)
            return np.frombuffer(found, member.dtype).reshape(stop - start, *member.shape[1:])

    def _member(self, name: str) -> _Member:
        if name not in self:
            raise InputError(f"`{self.path}` has no array `{name}`", hint=f"it has {listed(self.arrays())}")
        if name not in self._members:
            self._members[name] = self._opened(name)
        return self._members[name]

    def _opened(self, name: str) -> _Member:
        entry = self._archive.NameToInfo[f"{name}.npy"]
        if entry.file_size > _LARGEST_RATIO * max(entry.compress_size, 1):
            raise self._refused(
                name, f"unpacks {entry.compress_size} bytes to {entry.file_size}: no array does"
            )
        with _blamed_on(self.path):
            stream = self._archive.open(entry)
            version = npy.read_magic(stream)
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, by_columns, dtype = read_header(stream)
        if dtype.kind not in "biuf":
            raise self._refused(name, f"has dtype {dtype}, expected numbers: objects are not unpickled")
        if min(shape, default=0) < 0 or stream.tell() + math.prod(shape) * dtype.itemsize != entry.file_size:
            raise self._refused(name, f"declares shape {shape}, which is not what it stores")
        return _Member(stream, stream.tell(), shape, dtype, by_columns and len(shape) > 1)

    def _refused(self, name: str, why: str) -> InputError:
        return InputError(f"`{self.path}`: {name} {why}", hint="save plain arrays of numbers: np.savez")


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"`{path}` does not exist", hint="check the path") from error
    except _DAMAGE as error:
        raise InputError(
            f"`{path}` cannot be read as npz: {error}", hint="it is damaged, or no npz file: get it again"
        ) from error
