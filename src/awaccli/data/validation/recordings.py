"""Episodes as they are stored, unchecked: what is damaged is noted and left out, what is odd is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from awaccli.artifacts.identity import sha256_arrays
from awaccli.data.dataset import Dataset
from awaccli.data.stores import Store
from awaccli.data.validation.findings import Findings
from awaccli.errors import InputError

_START = ("episodes/end_reason", "episodes/seed", "episodes/has_seed", "episodes/sim_init")
"""Columns below ``episodes/`` that are content; ``episodes/model/`` is, too."""
_OBSERVATIONS = ("steps/observations", "final/observations")


@dataclass(frozen=True, slots=True)
class Recording:
    """One stored episode of T steps; fields that cannot be read are not in it."""

    index: int
    columns: dict[str, np.ndarray]
    """By field: T rows each under ``steps/``, one row each elsewhere."""
    observations: np.ndarray | None
    """[T+1, O], the final one included."""
    whole: bool
    """Every field could be read."""

    def __getitem__(self, name: str) -> np.ndarray | None:
        return self.columns.get(name)

    def sha256(self) -> bytes:
        """Return the hash of what is stored, 32 bytes; see `schema.episode_sha256`."""
        steps, final, start = (
            {name: rows for name, rows in self.columns.items() if name.startswith(prefix)}
            for prefix in ("steps/", "final/", "episodes/")
        )
        return sha256_arrays(steps, extra=sha256_arrays(final, extra=sha256_arrays(start)))


def recordings(dataset: Dataset, store: Store, findings: Findings) -> Iterator[Recording]:
    """Yield all episodes, some at a time in memory; the index of ``dataset`` must be sound."""
    names = [name for name in dataset.header.fields if _is_content(name)]
    for first, stop in dataset.windows(0, len(dataset)):
        episodes = range(first, stop)
        rows = {name: _pieces(store, name, _bounds(dataset, name, episodes)) for name in names}
        for place, index in enumerate(episodes):
            found = {name: pieces[place] for name, pieces in rows.items()}
            for name, piece in found.items():
                if isinstance(piece, InputError):
                    findings.add("damaged-data", str(piece), field=name, episode=index)
            columns = {name: piece for name, piece in found.items() if isinstance(piece, np.ndarray)}
            parts = [columns[name] for name in _OBSERVATIONS if name in columns]
            observations = np.concatenate(parts) if len(parts) == len(_OBSERVATIONS) else None
            yield Recording(index, columns, observations, whole=len(columns) == len(names))


def _is_content(name: str) -> bool:
    return not name.startswith("episodes/") or name in _START or name.startswith("episodes/model/")


def _bounds(dataset: Dataset, name: str, episodes: range) -> list[tuple[int, int]]:
    """Return the rows of a field that belong to each episode."""
    if not name.startswith("steps/"):
        return [(index, index + 1) for index in episodes]
    table = dataset.episodes
    return [(int(table.start[index]), int(table.start[index] + table.length[index])) for index in episodes]


def _pieces(store: Store, name: str, bounds: Sequence[tuple[int, int]]) -> list[np.ndarray | InputError]:
    """Return the rows between each pair of bounds, which follow one another; or why they cannot be read."""
    first = bounds[0][0]
    try:
        rows = store.read(name, first, bounds[-1][1])
    except InputError as error:
        return [_piece(store, name, *pair) for pair in bounds] if len(bounds) > 1 else [error]
    return [rows[start - first : stop - first] for start, stop in bounds]


def _piece(store: Store, name: str, start: int, stop: int) -> np.ndarray | InputError:
    try:
        return store.read(name, start, stop)
    except InputError as error:
        return error
