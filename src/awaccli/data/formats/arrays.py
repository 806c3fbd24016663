"""Named arrays in one file, HDF5 or npz, read some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from awaccli.data.formats.npz_arrays import is_npz, opened_npz
from awaccli.errors import InputError


class Arrays(Protocol):
    """Read access to the arrays of a file, by name."""

    path: Path

    def __contains__(self, name: str) -> bool:
        """Return whether there is an array of that name."""
        ...

    def arrays(self, group: str = "") -> list[str]:
        """Return the names of all arrays of numbers, those below a group only where one is named."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        ...

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the dtype of an array."""
        ...

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return rows of an array, all by default.

        Raises:
            InputError: missing, no array of numbers, or damaged.
        """
        ...


@contextmanager
def opened_arrays(path: Path) -> Iterator[Arrays]:
    """Open a file of either kind, told by its first bytes.

    Raises:
        InputError: it is neither.
    """
    if is_npz(path):
        with opened_npz(path) as arrays:
            yield arrays
        return
    from awaccli.data.formats import hdf5

    if not hdf5.is_hdf5(path):
        raise InputError(f"`{path}` is neither HDF5 nor npz", hint="expected a .h5, .hdf5 or .npz file")
    with hdf5.opened(path) as file:
        yield file
