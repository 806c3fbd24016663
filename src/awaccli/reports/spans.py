"""Indices as people read them."""

from __future__ import annotations

from collections.abc import Sequence


def spans(indices: Sequence[int], *, limit: int | None = None) -> str:
    """Return rising indices, runs joined: ``0, 3 to 7, 9``; beyond ``limit`` runs, how many more."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    shown = runs[:limit]
    text = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in shown)
    left = len(indices) - sum(last - first + 1 for first, last in shown)
    return f"{text} and {left} more" if left else text
