"""The frames of a LeRobot dataset, a batch of rows at a time: where episodes are, and their columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from awaccli.data.formats.tables import batches, numbers_of
from awaccli.errors import InputError

EPISODE, FRAME, TASK = "episode_index", "frame_index", "task_index"
_MAX_EPISODE_BYTES = 4 << 30


@dataclass(slots=True)
class Run:
    """The frames of one episode, which lie one after the other."""

    episode: int
    length: int = 0
    tasks: set[int] = field(default_factory=set)
    whole: bool = True
    """Frames are numbered from 0 without gaps."""


def runs(files: Sequence[Path]) -> list[Run]:
    """Return the episodes in the order in which they lie.

    Raises:
        InputError: damaged, or an episode lies in two places.
    """
    found: dict[int, Run] = {}
    last = -1
    for path, columns in _pieces(files, (EPISODE, FRAME, TASK)):
        for name, column in columns.items():
            if column.dtype.kind not in "iu":
                raise InputError(
                    f"`{path}`: {name} is {column.dtype}", hint="expected whole numbers, in each row"
                )
        episode = int(columns[EPISODE][0])
        if episode in found and episode != last:
            raise InputError(
                f"`{path}`: the frames of episode {episode} lie in two places",
                hint="expected all frames of an episode one after the other",
            )
        run, last = found.setdefault(episode, Run(episode)), episode
        frames = columns[FRAME]
        run.whole &= np.array_equal(frames, np.arange(run.length, run.length + len(frames)))
        run.length += len(frames)
        run.tasks |= set(columns[TASK].astype(int).tolist())
    return list(found.values())


def recordings(files: Sequence[Path], columns: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns of each episode, in the order in which they lie.

    Raises:
        InputError: damaged, a column is missing or holds no numbers, or an episode is too large.
    """
    pieces: list[dict[str, np.ndarray]] = []
    size_bytes = 0
    for path, piece in _pieces(files, (EPISODE, *columns)):
        if pieces and pieces[-1][EPISODE][0] != piece[EPISODE][0]:
            yield _joined(pieces, columns)
            pieces, size_bytes = [], 0
        pieces.append(piece)
        size_bytes += sum(column.nbytes for column in piece.values())
        if size_bytes > _MAX_EPISODE_BYTES:
            raise InputError(
                f"`{path}`: episode {piece[EPISODE][0]} has more than {_MAX_EPISODE_BYTES} bytes",
                hint="more than is read at once",
            )
    if pieces:
        yield _joined(pieces, columns)


def _joined(pieces: Sequence[dict[str, np.ndarray]], columns: Sequence[str]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in columns}


def _pieces(files: Sequence[Path], columns: Sequence[str]) -> Iterator[tuple[Path, dict[str, np.ndarray]]]:
    """Yield consecutive rows of one episode each."""
    for path in files:
        for batch in batches(path, columns):
            rows = {name: _numbers(batch.column(name), name, path) for name in columns}
            changes = np.flatnonzero(np.diff(rows[EPISODE])) + 1
            for start, stop in zip([0, *changes], [*changes, len(batch)], strict=True):
                if stop > start:
                    yield path, {name: column[start:stop] for name, column in rows.items()}


def _numbers(column: object, name: str, path: Path) -> np.ndarray:
    found = numbers_of(column, name, path)
    if name not in found:
        raise InputError(
            f"`{path}`: column `{name}` does not hold numbers", hint="meta/info.json says it does"
        )
    return found[name]
