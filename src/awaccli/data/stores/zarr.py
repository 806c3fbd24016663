"""Datasets as Zarr v3 directories: the working form, the only one that grows."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.core.array_spec import ArrayConfigParams

from awaccli.artifacts.manifest import MANIFEST
from awaccli.data.schema import FieldSpec
from awaccli.data.stores import (
    ATTRIBUTE,
    MAX_JSON_BYTES,
    FieldInfo,
    chunk_rows,
    require_within_limits,
)
from awaccli.errors import DatasetError

_CODECS = frozenset({"bytes", "zstd", "gzip", "blosc", "crc32c"})
_DTYPES = {
    "bool": "|b1",
    "int8": "|i1",
    "uint8": "|u1",
    **{f"{kind}int{8 * size}": f"<{kind or 'i'}{size}" for kind in ("", "u") for size in (2, 4, 8)},
    **{f"float{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}
# An absent chunk reads as zeros, silently; so every chunk is written, and its absence is an error.
_CONFIG: ArrayConfigParams = {"write_empty_chunks": True}
_DAMAGE = (RuntimeError, ValueError, TypeError, KeyError, OSError)
"""What zarr and its codecs raise for chunks and metadata that are not what they should be."""


class ZarrStore:
    """Read access to a Zarr v3 group."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def attributes(self) -> Mapping[str, Any]:
        """Return the ``awac`` attribute; see `Store`."""
        attributes = self._json(self._path / "zarr.json").get("attributes")
        found = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
        if not isinstance(found, dict):
            raise DatasetError(
                f"`{self._path}` is a Zarr store, but no dataset of awac: it has no `{ATTRIBUTE}` attribute",
                hint="expected a .zarr made by awac; a run stopped before its first commit has none either",
            )
        return found

    def manifest(self) -> bytes | None:
        """Return the text of the manifest; see `Store`."""
        file = self._path / MANIFEST
        return file.read_bytes() if file.is_file() else None

    def info(self, name: str) -> FieldInfo:
        """Return what is declared of a field; see `Store`."""
        file = self._path / name / "zarr.json"
        if not file.is_file():
            raise DatasetError(f"`{self._path}`: the field {name} is missing")
        declared = self._json(file)
        try:
            info = _declared_info(declared)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(
                f"`{self._path}`: {name} is stored in a way awac does not read: {error}"
            ) from error
        require_within_limits(self._path, name, info)
        return info

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows of a field; see `Store`."""
        info = self.info(name)
        self._require_chunks(name, info, start, stop)
        try:
            array = zarr.open_array(self._path, path=name, mode="r", zarr_format=3)
            return np.asarray(array[start:stop])
        except _DAMAGE as error:
            raise DatasetError(
                f"`{self._path}`: {name} is damaged between rows {start} and {stop}: {error}",
                hint="restore the dataset from a copy, or make it again",
            ) from error

    def _require_chunks(self, name: str, info: FieldInfo, start: int, stop: int) -> None:
        grid = [range(math.ceil(size / chunk)) for size, chunk in zip(info.shape, info.chunks, strict=True)]
        grid[0] = range(start // info.chunks[0], math.ceil(stop / info.chunks[0]))
        for cell in itertools.product(*grid):
            chunk = "/".join(("c", *map(str, cell)))
            if not (self._path / name / chunk).is_file():
                raise DatasetError(
                    f"`{self._path}`: a part of {name} is missing: {chunk}",
                    hint="restore the dataset from a copy, or make it again",
                )

    def _json(self, file: Path) -> dict[str, Any]:
        try:
            if file.stat().st_size > MAX_JSON_BYTES:
                raise DatasetError(f"`{file}` is too large to be what it claims")
            value = json.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise DatasetError(f"`{file}` cannot be read: {error}") from error
        if not isinstance(value, dict) or value.get("zarr_format") != 3:
            raise DatasetError(f"`{file}` is not Zarr version 3")
        return value


def _declared_info(declared: Mapping[str, Any]) -> FieldInfo:
    """Read array metadata before zarr does: it would load any codec that is installed."""
    codecs = {codec["name"] for codec in declared["codecs"]}
    if not codecs <= _CODECS or declared.get("storage_transformers"):
        raise ValueError(f"codecs {sorted(codecs)}, expected some of {sorted(_CODECS)}")
    encoding = declared["chunk_key_encoding"]
    if encoding["name"] != "default" or encoding.get("configuration", {}).get("separator", "/") != "/":
        raise ValueError(f"chunk names {encoding}")
    if declared["chunk_grid"]["name"] != "regular":
        raise ValueError(f"chunk grid {declared['chunk_grid']['name']}")
    return FieldInfo(
        dtype=_DTYPES[declared["data_type"]],
        shape=tuple(int(size) for size in declared["shape"]),
        chunks=tuple(int(size) for size in declared["chunk_grid"]["configuration"]["chunk_shape"]),
    )


class ZarrArrays:
    """Write access to the arrays of a Zarr v3 group that may already hold other files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._group = zarr.open_group(path, mode="a", zarr_format=3)
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def create(self, fields: Mapping[str, FieldSpec]) -> None:
        """Make an empty array for every field; chunks run along time only."""
        for name, spec in fields.items():
            self._arrays[name] = self._group.create_array(
                name,
                shape=(0, *spec.shape),
                chunks=(chunk_rows(spec.row_bytes), *spec.shape),
                dtype=spec.dtype,
                compressors=ZstdCodec(level=3, checksum=True),
                fill_value=0,
                config=_CONFIG,
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
