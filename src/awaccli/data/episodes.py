"""The table of a dataset's episodes, and rows of it: read piece by piece, or turned back into episodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from awaccli.episode import EndReason, Episode

if TYPE_CHECKING:
    from awaccli.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class EpisodeTable:
    """One row per episode; arrays [E]."""

    start: np.ndarray
    """int64: first row in ``steps/``."""
    length: np.ndarray
    """int32: steps."""
    return_: np.ndarray
    """float64: undiscounted."""
    success: np.ndarray
    """bool: the goal is met after the last action."""
    success_steps: np.ndarray
    """int32: number of steps after which the goal is met."""
    end_reason: np.ndarray
    """uint8: `EndReason`."""
    seed: np.ndarray
    """uint64: valid where ``has_seed``."""
    has_seed: np.ndarray
    source: np.ndarray
    """int32: index into the header's sources."""
    clipped: np.ndarray
    """int32: action entries outside the box before execution."""

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.start)

    @property
    def success_any(self) -> np.ndarray:
        """Bool [E]: the goal is met after some action."""
        return self.success_steps > 0

    def held(self, steps: int) -> np.ndarray:
        """Return bool [E]: the goal is met after more than ``steps`` actions."""
        return self.success_steps > steps


class Rows:
    """Consecutive rows of a field, which are read when they are asked for: ``rows[10:20]``."""

    def __init__(self, dataset: Dataset, name: str, start: int, stop: int) -> None:
        self._dataset, self._name = dataset, name
        self._start, self._stop = start, stop

    def __len__(self) -> int:
        """Return how many there are."""
        return self._stop - self._start

    def __getitem__(self, span: slice) -> np.ndarray:
        """Return some of them."""
        first, stop, _ = span.indices(len(self))
        return self._dataset.rows(self._name, self._start + first, self._start + stop)


class Window:
    """Some consecutive episodes, every field of theirs read once."""

    def __init__(self, dataset: Dataset, first: int, stop: int) -> None:
        table = dataset.episodes
        self._dataset, self._first, self._stop = dataset, first, stop
        self._start, end = int(table.start[first]), int(table.start[stop - 1] + table.length[stop - 1])
        self._rows = {
            name: dataset.rows(name, self._start, end)
            if name.startswith("steps/")
            else dataset.rows(name, first, stop)
            for name in dataset.header.fields
        }

    def __iter__(self) -> Iterator[Episode]:
        return (self._episode(index) for index in range(self._first, self._stop))

    def _episode(self, index: int) -> Episode:
        table, below = self._dataset.episodes, self._dataset.below
        row = index - self._first
        start = int(table.start[index]) - self._start
        steps = slice(start, start + int(table.length[index]))
        return Episode(
            observations=self._with_final("observations", steps, row),
            actions=self._rows["steps/actions"][steps],
            rewards=self._rows["steps/rewards"][steps],
            success=self._rows["steps/success"][steps],
            terminated=bool(self._rows["steps/terminations"][steps.stop - 1]),
            truncated=bool(self._rows["steps/truncations"][steps.stop - 1]),
            end_reason=EndReason(int(table.end_reason[index])),
            seed=int(table.seed[index]) if table.has_seed[index] else None,
            source=int(table.source[index]),
            infos={_tail(name, 2): self._rows[name][steps] for name in below("steps/infos/")},
            sim={
                _tail(name, 2): self._with_final(_tail(name, 1), steps, row) for name in below("steps/sim/")
            },
            sim_init=self._rows["episodes/sim_init"][row] if "episodes/sim_init" in self._rows else None,
            model={_tail(name, 2): self._rows[name][row] for name in below("episodes/model/")},
            clipped=int(table.clipped[index]),
        )

    def _with_final(self, name: str, steps: slice, row: int) -> np.ndarray:
        return np.concatenate(
            [self._rows[f"steps/{name}"][steps], self._rows[f"final/{name}"][row : row + 1]]
        )


def _tail(name: str, depth: int) -> str:
    """Drop the first ``depth`` parts of a field name."""
    return name.split("/", depth)[depth]
