"""Where the episodes of described files are: groups, files, or rows."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from awaccli.data.formats.arrays import Arrays, opened_arrays
from awaccli.data.formats.flat import (
    Span,
    common_length,
    flags,
    require_rows,
    spans_by_clock,
    spans_by_flags,
    spans_by_lengths,
)
from awaccli.data.formats.mapped_settings import RobotMap
from awaccli.data.formats.names import counted, listed
from awaccli.errors import InputError


@dataclass(frozen=True, slots=True)
class Piece:
    """Where one episode is."""

    file: Path
    group: str = ""
    """That its arrays are in, with a slash at its end; empty: at the top."""
    span: Span | None = None
    """Its rows; None: all."""


def pieces(path: Path, robot: RobotMap) -> list[Piece]:
    """Return where the episodes are, in order.

    Raises:
        InputError: there is none, or what tells them apart is missing or does not fit.
        UsageError: only terminations are flagged, and no horizon says when the clock ends an episode.
    """
    if robot.episodes.files is not None or path.is_dir():
        found = _files(path, robot.episodes.files or "*")
    else:
        with opened_arrays(path) as arrays:
            found = _groups(arrays, robot) if robot.episodes.groups else _rows(arrays, robot)
    return found


def _files(path: Path, pattern: str) -> list[Piece]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    names = {file: file.relative_to(path).as_posix() if path.is_dir() else file.name for file in files}
    chosen = [file for file, name in names.items() if fnmatchcase(name, pattern)]
    if not chosen:
        raise InputError(
            f"`{path}` has no file `{pattern}`",
            hint=f"it has {listed(sorted(names.values()))}; see [episodes] files",
        )
    return [Piece(file) for file in sorted(chosen, key=lambda file: counted(names[file]))]


def _groups(arrays: Arrays, robot: RobotMap) -> list[Piece]:
    """Return the groups that match the pattern: those that have the first array of the actions."""
    pattern, inner = str(robot.episodes.groups).strip("/"), f"/{robot.actions[0].path}"
    groups = {name.removesuffix(inner) for name in arrays.arrays() if name.endswith(inner)}
    chosen = sorted((group for group in groups if fnmatchcase(group, pattern)), key=counted)
    if not chosen:
        raise InputError(
            f"`{arrays.path}` has no group `{pattern}` with an array `{robot.actions[0].path}`",
            hint=f"it has {listed(arrays.arrays())}",
        )
    return [Piece(arrays.path, f"{group}/") for group in chosen]


def _rows(arrays: Arrays, robot: RobotMap) -> list[Piece]:
    rows = require_rows(arrays, [robot.actions[0].path])
    return [Piece(arrays.path, span=span) for span in _spans(arrays, robot, rows)]


def _spans(arrays: Arrays, robot: RobotMap, rows: int) -> list[Span]:
    index = robot.episodes

    def flag(name: str) -> np.ndarray:
        require_rows(arrays, [robot.actions[0].path, name])
        return flags(arrays, name)

    if name := index.lengths or index.starts or index.ends:
        numbers = _numbers(arrays, name)
        if index.starts:
            numbers = np.diff(numbers, append=rows)
        elif index.ends:
            numbers = np.diff(numbers, prepend=0)
        return spans_by_lengths(numbers, rows, f"`{arrays.path}`: `{name}`")
    none = np.zeros(rows, bool)
    if index.dones:
        stops = flag(index.dones)
        stops[-1] = True
        return spans_by_lengths(np.diff(np.flatnonzero(stops) + 1, prepend=0), rows, f"`{arrays.path}`")
    terminals = flag(robot.terminations) if robot.terminations else none
    if robot.truncations is None:
        return spans_by_clock(terminals, robot.horizon, f"`{arrays.path}`")
    timeouts = flag(robot.truncations)
    return spans_by_flags(terminals, timeouts, robot.horizon or common_length(terminals, timeouts))


def _numbers(arrays: Arrays, name: str) -> np.ndarray:
    require_rows(arrays, [name])
    return arrays.rows(name).reshape(-1)
