"""Losses and values of every update, looked at before anything is built on them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from awaccli.errors import RunError

_HUGE = 1e9
"""No honest loss of a batch mean comes near it."""


def advice(kept: int | None) -> str:
    """Return what to try after training went wrong; ``kept``: the update of the last good snapshot."""
    left = "nothing was saved yet" if kept is None else f"the state of update {kept} is kept"
    return f"try smaller learning rates, and look at the data: awac info; {left}"


class Health:
    """What updates returned, kept as tensors, so that nothing synchronises until somebody asks."""

    def __init__(self) -> None:
        self._first = 0
        self._seen: list[Tensor] = []
        self._names: tuple[str, ...] = ()

    def note(self, update: int, values: Mapping[str, Tensor]) -> None:
        """Remember what update number ``update`` returned, 0-dimensional tensors by name."""
        if not self._seen:
            self._first, self._names = update, tuple(values)
        self._seen.append(torch.stack(tuple(values.values())))

    def require_sane(self, limits: Mapping[str, float], *, hint: str) -> None:
        """Check everything noted since the last time.

        Args:
            limits: largest size that a value may have, by name; others may have any that is not absurd.
            hint: what to try.

        Raises:
            RunError: a value is NaN, infinite, or beyond its limit; names the first update where one is.
        """
        if not self._seen:
            return
        seen = torch.stack(self._seen)
        most = torch.tensor([limits.get(name, _HUGE) for name in self._names], device=seen.device)
        bad = ~(seen.abs() <= most)  # NaN is not <= anything
        if bad.any():
            row, column = bad.nonzero()[0].tolist()
            value, limit = float(seen[row, column]), float(most[column])
            beyond = f", beyond {limit:g}" if abs(value) > limit else ""
            raise RunError(
                f"update {self._first + row}: {self._names[column]} is {value:g}{beyond}",
                hint=hint,
            )
        self._seen.clear()
