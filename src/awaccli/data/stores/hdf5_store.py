"""Reading datasets from sealed HDF5 files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from awaccli.artifacts.hdf5 import SealedFile
from awaccli.artifacts.hdf5_reader import StoredArray
from awaccli.config.json_value import parse_json
from awaccli.data.stores import (
    ATTRIBUTE,
    Allowance,
    FieldInfo,
    require_booleans,
    require_rows,
    require_within_limits,
)
from awaccli.errors import DatasetError

_MANIFEST = "manifest"


class Hdf5Store:
    """Read access to a sealed HDF5 dataset."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = SealedFile(path)
        self._allowance = Allowance(path)

    def attributes(self) -> Mapping[str, Any]:
        """Return the ``awac`` object; see `Store`."""
        try:
            value = parse_json(self._file.text(ATTRIBUTE) or b"null")
        except ValueError as error:
            raise DatasetError(f"the header of `{self._path}` is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise DatasetError(f"`{self._path}` is not a dataset of awac: it has no `{ATTRIBUTE}` object")
        return value

    def manifest(self) -> bytes | None:
        """Return the text of the manifest; see `Store`."""
        return self._file.text(_MANIFEST)

    def info(self, name: str) -> FieldInfo:
        """Return what is declared of a field; see `Store`."""
        return self._declared(name, self._find(name))

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows of a field; see `Store`."""
        array = self._find(name)
        info = self._declared(name, array)
        require_rows(self._path, name, info, stop)
        self._allowance.spend(name, info)
        return require_booleans(self._path, name, self._file.read(name, array, start, stop))

    def _find(self, name: str) -> StoredArray:
        array = self._file.find(name)
        if array is None:
            raise DatasetError(f"`{self._path}`: the field {name} is missing")
        return array

    def _declared(self, name: str, array: StoredArray) -> FieldInfo:
        whole = tuple(max(1, size) for size in array.shape)
        info = FieldInfo(array.dtype, array.shape, array.chunks or whole)
        require_within_limits(self._path, name, info)
        return info
