"""Foreign HDF5 files, read with care: nothing outside the file, nothing that is declared but not stored.

The HDF5 library follows whatever a file says. Links to other files, values in other files, filters that load
plugins, and sizes that no file of this size can hold are refused before any value is read.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from awaccli.data.formats.names import listed
from awaccli.errors import InputError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "deflate",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
    h5py.h5z.FILTER_LZF: "lzf",
}
_LARGEST_RATIO = 1100
"""More than deflate, the strongest of these filters, can shrink anything."""
_MAX_CHUNK_BYTES = 1 << 30
_MAX_TEXT_BYTES = 16 << 20
_MAX_DEPTH = 16
_CACHE_BYTES = 2 << 20
"""Of unpacked chunks, for each array: the chunk that two episodes share, if it is not larger."""
_METADATA_BYTES = 4 << 20
_OPEN_ARRAYS = 16
"""Arrays whose unpacked chunks are kept: episodes are read one after the other, and share them."""
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError)
"""What the library raises for files that are not what they should be."""


def is_hdf5(path: Path) -> bool:
    """Return whether a file begins as HDF5 files do, maybe after a user block."""
    with path.open("rb") as raw:
        for place in (0, 512, 1024, 2048):
            raw.seek(place)
            if raw.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
    return False


@contextmanager
def opened(path: Path) -> Iterator[Hdf5Arrays]:
    """Open a file for reading.

    Raises:
        InputError: missing, not HDF5, or damaged.
    """
    with _blamed_on(path):
        file = h5py.File(path, "r", locking=False, rdcc_nbytes=_CACHE_BYTES)
        bound_metadata(file)
    with file:
        yield Hdf5Arrays(path, file)


def bound_metadata(file: h5py.File) -> None:
    """Let the library keep less of what it knows of groups and arrays: by default, 32 MiB of it."""
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.min_size = 1 << 20
    config.max_size = _METADATA_BYTES
    file.id.set_mdc_config(config)


class Hdf5Arrays:
    """The groups and arrays of an open file, by path (``data/demo_0/actions``).

    Raises:
        InputError: from every method, where the file is damaged, or leads out of itself.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file
        self._size_bytes = path.stat().st_size
        self._node = functools.lru_cache(_OPEN_ARRAYS)(self._found)
        self._require_stored = functools.lru_cache(_OPEN_ARRAYS)(self._refuse_what_is_not_stored)

    def members(self, group: str = "") -> list[str]:
        """Return the names in a group, sorted; none where there is no such group."""
        node = self._node(group)
        with _blamed_on(self.path):
            return sorted(node) if isinstance(node, h5py.Group) else []

    def arrays(self, group: str = "") -> list[str]:
        """Return the paths of all arrays of numbers below a group."""
        if group.count("/") > _MAX_DEPTH:
            raise self._refused(group, f"is nested deeper than {_MAX_DEPTH} groups")
        found: list[str] = []
        for name in self.members(group):
            path = f"{group}/{name}".lstrip("/")
            if self.is_group(path):
                found += self.arrays(path)
            elif path in self and self.shape(path) and self.dtype(path).kind in "biuf":
                found.append(path)
        return found

    def is_group(self, name: str) -> bool:
        """Return whether there is a group of that path."""
        return isinstance(self._node(name), h5py.Group)

    def __contains__(self, name: str) -> bool:
        """Return whether there is an array of that path."""
        return isinstance(self._node(name), h5py.Dataset)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the declared shape of an array."""
        return tuple(self._array(name).shape or ())

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the declared dtype of an array."""
        with _blamed_on(self.path):
            dtype: np.dtype[Any] = self._array(name).dtype
            return dtype

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return rows of an array of numbers, all by default."""
        array = self._array(name)
        if self.dtype(name).kind not in "biuf" or not array.shape:
            raise self._refused(name, f"is {array.dtype} {array.shape}, expected rows of numbers")
        with _blamed_on(self.path):
            self._require_stored(name)
            return np.asarray(array[start:stop])

    def text(self, name: str) -> str | None:
        """Return a text that is stored as an array of its own, or None where there is none."""
        if name not in self or self.shape(name) != () or self.dtype(name).kind not in "OSU":
            return None
        with _blamed_on(self.path):
            return _text(self._array(name)[()])

    def texts(self, name: str) -> list[str]:
        """Return a short list of texts that is stored as an array."""
        array = self._array(name)
        if array.ndim != 1 or array.dtype.kind not in "OSU" or array.size > _MAX_TEXT_BYTES >> 4:
            raise self._refused(name, f"is {array.dtype} {array.shape}, expected a list of texts")
        with _blamed_on(self.path):
            return [_text(value) for value in array[()]]

    def attribute_names(self, name: str = "") -> list[str]:
        """Return the names of the attributes of a group or an array."""
        node = self._node(name)
        with _blamed_on(self.path):
            return [] if node is None else list(node.attrs)

    def attribute(self, name: str, key: str) -> Any:
        """Return an attribute of a group or an array: a text, a number or an array; None where missing."""
        node = self._node(name)
        with _blamed_on(self.path):
            if node is None or key not in node.attrs:
                return None
            if node.attrs.get_id(key).get_storage_size() > _MAX_TEXT_BYTES:
                raise self._refused(f"attribute {key} of {name or '/'}", "is larger than any honest one")
            value = node.attrs[key]
        return _text(value) if isinstance(value, bytes | str) else value

    def _array(self, name: str) -> h5py.Dataset:
        node = self._node(name)
        if not isinstance(node, h5py.Dataset):
            raise InputError(f"`{self.path}` has no array `{name}`", hint=f"it has {listed(self.members())}")
        return node

    def _found(self, name: str) -> Any:
        """Return a group or an array stored in this very file, or None."""
        above, _, last = name.strip("/").rpartition("/")
        if not last:
            return self._file
        group = self._node(above)
        with _blamed_on(self.path):
            link = group.get(last, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise self._refused(name, "is a link to elsewhere")
        with _blamed_on(self.path):
            node: Any = group[last]
        if isinstance(node, h5py.Dataset):
            self._require_inside(name, node)
        return node

    def _require_inside(self, name: str, array: h5py.Dataset) -> None:
        with _blamed_on(self.path):
            outside = array.external or array.is_virtual
            plan = array.id.get_create_plist()
            filters = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())}
        if outside:
            raise self._refused(name, "has its values in another file")
        if unknown := filters - _FILTERS.keys():
            raise self._refused(
                name, f"uses HDF5 filters {sorted(unknown)}; read are {listed(_FILTERS.values())}"
            )

    def _refuse_what_is_not_stored(self, name: str) -> None:
        """Refuse what HDF5 would make up as zeros, and what unpacks to more than its file can hold."""
        array = self._array(name)
        shape, item_bytes = array.shape, array.dtype.itemsize
        declared, stored = math.prod(shape) * item_bytes, array.id.get_storage_size()
        if array.chunks:
            cells = math.prod(
                math.ceil(size / chunk) for size, chunk in zip(shape, array.chunks, strict=True)
            )
            whole = array.id.get_num_chunks() == cells
            if math.prod(array.chunks) * item_bytes > _MAX_CHUNK_BYTES:
                raise self._refused(name, f"is stored in chunks of {array.chunks}, more than 1 GiB each")
        else:
            whole = stored == declared
        if not whole:
            raise self._refused(name, f"declares {declared} bytes, and only a part of them is stored")
        if stored > self._size_bytes or declared > _LARGEST_RATIO * stored:
            raise self._refused(name, f"declares {declared} bytes and stores {stored}: no file does that")

    def _refused(self, name: str, why: str) -> InputError:
        return InputError(
            f"`{self.path}`: {name} {why}",
            hint="awac reads files that hold all their values themselves; h5repack makes such a copy",
        )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"`{path}` does not exist", hint="check the path") from error
    except _DAMAGE as error:
        raise InputError(
            f"`{path}` cannot be read as HDF5: {error}", hint="it is damaged, or no HDF5 file: get it again"
        ) from error
