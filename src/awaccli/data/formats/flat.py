"""Files in which all episodes lie one after the other: where each begins, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from awaccli.data.formats import ForeignEpisode
from awaccli.data.formats.arrays import Arrays, opened_arrays
from awaccli.data.formats.names import listed
from awaccli.episode import EndReason
from awaccli.errors import InputError, UsageError


@dataclass(frozen=True, slots=True)
class Span:
    """The rows of one episode."""

    start: int
    stop: int
    terminated: bool | None = None
    truncated: bool | None = None
    end_reason: EndReason = EndReason.UNKNOWN


@dataclass(frozen=True, slots=True)
class Columns:
    """Which array is what; N rows each."""

    observations: str = "observations"
    actions: str = "actions"
    rewards: str | None = None
    success: str | None = None
    next_observations: str | None = None
    final_observations: str | None = None
    """One row per episode: the observation after its last action."""
    infos: Mapping[str, str] = field(default_factory=dict)
    """Array by name of the further column."""


def flat_episodes(path: Path, columns: Columns, spans: Sequence[Span]) -> Iterator[ForeignEpisode]:
    """Yield the episodes that lie at ``spans``, in order."""
    with opened_arrays(path) as arrays:
        for index, span in enumerate(spans):
            yield _episode(arrays, columns, span, index)


def _episode(arrays: Arrays, columns: Columns, span: Span, index: int) -> ForeignEpisode:
    def rows(name: str | None) -> np.ndarray | None:
        return None if name is None else arrays.rows(name, span.start, span.stop)

    observations = arrays.rows(columns.observations, span.start, span.stop)
    last = None
    if columns.final_observations:
        last = arrays.rows(columns.final_observations, index, index + 1)
    elif columns.next_observations:
        last = arrays.rows(columns.next_observations, span.stop - 1, span.stop)
    success = rows(columns.success)
    return ForeignEpisode(
        observations=observations if last is None else np.concatenate([observations, last]),
        actions=arrays.rows(columns.actions, span.start, span.stop),
        rewards=rows(columns.rewards),
        success=None if success is None else success.reshape(-1).astype(bool),
        terminated=span.terminated,
        truncated=span.truncated,
        end_reason=span.end_reason,
        infos={name: arrays.rows(array, span.start, span.stop) for name, array in columns.infos.items()},
    )


def flags(arrays: Arrays, name: str) -> np.ndarray:
    """Return a whole column of flags, bool [N]; numbers other than 0 are True."""
    column = arrays.rows(name)
    return np.asarray(column.reshape(len(column), -1).any(axis=1))


def require_rows(arrays: Arrays, names: Sequence[str]) -> int:
    """Return how many rows all of these arrays have.

    Raises:
        InputError: one is missing or has another number of rows, or there are none.
    """
    for name in names:
        if name not in arrays:
            raise InputError(
                f"`{arrays.path}` has no array `{name}`",
                hint=f"it has {listed(arrays.arrays())}; --map robot.toml says which of them is what",
            )
    lengths = {name: (arrays.shape(name) or (0,))[0] for name in names}
    count = lengths[names[0]]
    for name, length in lengths.items():
        if length != count:
            raise InputError(
                f"`{arrays.path}`: `{name}` has {length} rows, `{names[0]}` has {count}",
                hint="the arrays of all episodes, one after the other, have one row per step",
            )
    if not count:
        raise InputError(f"`{arrays.path}`: `{names[0]}` has no rows", hint="there is no episode in it")
    return int(count)


def spans_by_flags(terminals: np.ndarray, timeouts: np.ndarray, horizon: int | None) -> list[Span]:
    """Return the episodes that flags end, bool [N] each; a rest without a flag is one of unknown end.

    A timeout is taken for the task's clock where it comes after ``horizon`` steps, and else for the end of a
    segment: some sets set it wherever one piece of a longer recording ends.
    """
    stops = np.flatnonzero(terminals | timeouts) + 1
    spans, start = [], 0
    for stop in stops.tolist():
        terminated, timeout = bool(terminals[stop - 1]), bool(timeouts[stop - 1])
        clock = EndReason.TIME_LIMIT if stop - start == horizon else EndReason.SEGMENT
        reason = EndReason.TERMINATED if terminated else clock
        spans.append(Span(start, stop, terminated, timeout, reason))
        start = stop
    if start < len(terminals):
        spans.append(Span(start, len(terminals), terminated=False, truncated=None))
    return spans


def common_length(terminals: np.ndarray, timeouts: np.ndarray) -> int | None:
    """Return after how many steps timeouts come, if always after the same: then it is the task's clock."""
    spans = spans_by_flags(terminals, timeouts, None)
    lengths = {span.stop - span.start for span in spans if span.truncated and not span.terminated}
    return lengths.pop() if len(lengths) == 1 else None


def spans_by_lengths(lengths: np.ndarray, rows: int, origin: str) -> list[Span]:
    """Return the episodes with these lengths, int [E], which cover all rows.

    Raises:
        InputError: they do not; ``origin`` names file and array.
    """
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (lengths < 1).any() or lengths.sum() != rows:
        raise InputError(
            f"{origin}: the lengths of the episodes do not add up to {rows} rows",
            hint="expected one whole number from 1 per episode",
        )
    stops = np.cumsum(lengths.astype(np.int64)).tolist()
    return [Span(start, stop) for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def spans_by_clock(terminals: np.ndarray, horizon: int | None, origin: str) -> list[Span]:
    """Return the episodes of a file that flags only terminations: the clock ended the others.

    Raises:
        UsageError: nobody says when the clock ends an episode.
    """
    if horizon is None:
        raise UsageError(
            f"{origin} does not say where its episodes were truncated",
            hint="give the length at which the clock ended them: --horizon 1000",
        )
    timeouts = np.zeros(len(terminals), bool)
    start = 0
    for stop in [*(np.flatnonzero(terminals) + 1).tolist(), len(terminals)]:
        timeouts[start + horizon - 1 : stop : horizon] = True
        start = stop
    return spans_by_flags(terminals, timeouts & ~terminals, horizon)
