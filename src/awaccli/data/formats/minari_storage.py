"""Where Minari keeps episodes: groups of one HDF5 file, or a folder each of Arrow or Parquet files.

Source: ``minari/dataset/_storages``, version 0.5.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from awaccli.data.formats.folders import json_object
from awaccli.data.formats.hdf5 import Hdf5Arrays, opened
from awaccli.errors import InputError

MAIN = "main_data.hdf5"
_EPISODE = re.compile(r"episode_([0-9]{1,18})")
_FOLDER = re.compile(r"[0-9]{1,18}")
_IN_TUPLE = re.compile(r"\b_index_(\d+)\b")
"""How a part of a tuple is called in HDF5; elsewhere it is a plain number."""
_NUMBER = re.compile(r"(?<=/)\d+(?=/|$)")
_WITHOUT_LAST_ROW = ("actions", "rewards", "terminations", "truncations")
"""What Arrow files pad with one row, to be as long as the observations."""


Columns = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""Shape and dtype by path."""


class Storage(Protocol):
    """Read access to the episodes of a dataset. Columns go by path: ``observations``, ``infos/qpos`` ..."""

    def numbers(self) -> list[int]:
        """Return the numbers of the episodes, in order."""
        ...

    def facts(self, episode: int) -> list[str]:
        """Return the names of what is said of an episode: ``seed``, ``options/goal`` ..."""
        ...

    def fact(self, episode: int, name: str) -> Any:
        """Return one of these, or None."""
        ...

    def columns(self, episode: int) -> Columns:
        """Return shape and dtype of an episode's columns of numbers."""
        ...

    def read(self, episode: int, column: str) -> np.ndarray:
        """Return a column of an episode.

        Raises:
            InputError: missing or damaged.
        """
        ...


@contextmanager
def opened_storage(folder: Path, form: str) -> Iterator[Storage]:
    """Open the episodes in a folder.

    Raises:
        InputError: damaged, of an unknown form, or pyarrow is needed and missing.
    """
    match form:
        case "hdf5":
            with opened(folder / MAIN) as file:
                yield _InHdf5(file)
        case "arrow" | "parquet":
            yield _InFolders(folder, form)
        case _:
            raise InputError(f"`{folder}` has data_format {form!r}", hint="hdf5, arrow and parquet are read")


class _InHdf5:
    def __init__(self, file: Hdf5Arrays) -> None:
        self._file = file

    def numbers(self) -> list[int]:
        found = [_EPISODE.fullmatch(name) for name in self._file.members()]
        return sorted(int(match[1]) for match in found if match)

    def facts(self, episode: int) -> list[str]:
        return self._file.attribute_names(f"episode_{episode}")

    def fact(self, episode: int, name: str) -> Any:
        return self._file.attribute(f"episode_{episode}", name)

    def columns(self, episode: int) -> Columns:
        group = f"episode_{episode}"
        return {
            _IN_TUPLE.sub(r"\1", path.removeprefix(f"{group}/")): (
                self._file.shape(path),
                self._file.dtype(path),
            )
            for path in self._file.arrays(group)
        }

    def read(self, episode: int, column: str) -> np.ndarray:
        plain, in_tuple = (
            f"episode_{episode}/{name}" for name in (column, _NUMBER.sub(r"_index_\g<0>", column))
        )
        return self._file.rows(plain if plain in self._file else in_tuple)


class _InFolders:
    def __init__(self, folder: Path, form: str) -> None:
        self._folder, self._form = folder, form
        self._loaded: tuple[int, dict[str, np.ndarray]] = (-1, {})

    def numbers(self) -> list[int]:
        return sorted(int(path.name) for path in self._folder.iterdir() if _FOLDER.fullmatch(path.name))

    def facts(self, episode: int) -> list[str]:
        return list(json_object(self._folder / str(episode) / "metadata.json"))

    def fact(self, episode: int, name: str) -> Any:
        return json_object(self._folder / str(episode) / "metadata.json").get(name)

    def columns(self, episode: int) -> Columns:
        return {name: (column.shape, column.dtype) for name, column in self._episode(episode).items()}

    def read(self, episode: int, column: str) -> np.ndarray:
        found = self._episode(episode)
        if column not in found:
            raise InputError(
                f"`{self._folder / str(episode)}` has no column `{column}`", hint=f"it has {', '.join(found)}"
            )
        return found[column]

    def _episode(self, episode: int) -> dict[str, np.ndarray]:
        if self._loaded[0] != episode:
            from awaccli.data.formats.tables import read_table

            files = sorted((self._folder / str(episode)).glob(f"*.{self._form}"))
            if len(files) != 1:
                raise InputError(
                    f"`{self._folder / str(episode)}` has {len(files)} files .{self._form}",
                    hint="expected one",
                )
            self._loaded = (
                episode,
                {
                    name: column[:-1] if name.split("/")[0] in _WITHOUT_LAST_ROW else column
                    for name, column in read_table(files[0]).items()
                },
            )
        return self._loaded[1]
