"""Writing datasets as Zarr v3 directories: the working form, the only one that grows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.core.array_spec import ArrayConfigParams

from awaccli.data.schema import FieldSpec
from awaccli.data.stores import ATTRIBUTE, CHUNK_BYTES, chunk_rows
from awaccli.errors import DatasetError

# An absent chunk reads as zeros, silently; so every chunk is written, and its absence is an error.
_CONFIG: ArrayConfigParams = {"write_empty_chunks": True}


def pack_one_by_one() -> None:
    """Let this process pack one chunk at a time: each of zarr's threads keeps some MiB for those it packs."""
    zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1})


class ZarrArrays:
    """Write access to the arrays of a Zarr v3 group that may already hold other files."""

    def __init__(self, path: Path, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._path = path
        self._chunk_bytes = chunk_bytes
        try:
            self._group = zarr.open_group(path, mode="a", zarr_format=3)
        except (ValueError, TypeError, KeyError) as error:
            raise DatasetError(
                f"`{path / 'zarr.json'}` cannot be read: {error}",
                hint="restore it from a copy, or start again with --overwrite",
            ) from error
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def create(self, fields: Mapping[str, FieldSpec]) -> None:
        """Make an empty array for every field, in place of what an interrupted call made.

        Chunks run along time only.
        """
        for name, spec in fields.items():
            self._arrays[name] = self._group.create_array(
                name,
                shape=(0, *spec.shape),
                chunks=(chunk_rows(spec.row_bytes, self._chunk_bytes), *spec.shape),
                dtype=spec.dtype,
                compressors=ZstdCodec(level=3, checksum=True),
                fill_value=0,
                config=_CONFIG,
                overwrite=True,
            )

    def reopen(self, name: str, rows: int) -> None:
        """Open an array that is there and drop everything after ``rows``."""
        # UPSTREAM: open_array(config=...) is ignored for an array that exists (zarr 3.1.6)
        array = zarr.open_array(self._path, path=name, mode="r+", zarr_format=3).with_config(_CONFIG)
        if array.shape[0] < rows:
            raise DatasetError(f"`{self._path}`: {name} has {array.shape[0]} rows, {rows} were committed")
        array.resize((rows, *array.shape[1:]))
        self._arrays[name] = array

    def write(self, name: str, start: int, rows: np.ndarray) -> None:
        """Put rows at ``start``; the array ends after them."""
        array = self._arrays[name]
        stop = start + len(rows)
        array.resize((stop, *array.shape[1:]))
        array[start:stop] = rows

    def published(self) -> object:
        """Return the ``awac`` attribute, or None before the first commit."""
        return self._group.attrs.get(ATTRIBUTE)

    def publish(self, header: Mapping[str, Any]) -> None:
        """Replace the ``awac`` attribute, in one rename: from now on readers see what it says."""
        self._group.attrs.put({ATTRIBUTE: dict(header)})
