"""Mean, spread and range of observations, for normalisation and for `info`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

_PIECE_BYTES = 4 << 20


class Block(Protocol):
    """Rows that can be sliced: an array [N, D], or what reads them only then."""

    def __len__(self) -> int:
        """Return N."""
        ...

    def __getitem__(self, span: slice, /) -> np.ndarray:
        """Return some rows."""
        ...


@dataclass(frozen=True, slots=True)
class Statistics:
    """Per dimension, each float64 [D]."""

    mean: np.ndarray
    std: np.ndarray
    """Population standard deviation."""
    min: np.ndarray
    max: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> Self:
        """Measure the rows of all ``blocks`` (each [N, D], at least one row in all) together, in one pass.

        Source: Chan, Golub and LeVeque 1979, on updating a mean and a sum of squared deviations by blocks:
        E[x^2] - E[x]^2 loses all digits where the mean is large beside the spread.
        """
        count = 0
        for block in blocks:
            if not len(block):
                continue
            own_mean, low, high = _mean_and_range(block)
            own_squares = _sum(np.square(piece - own_mean) for piece in _pieces(block))
            if not count:
                count, mean, squares, least, most = len(block), own_mean, own_squares, low, high
                continue
            total = count + len(block)
            apart = own_mean - mean
            mean = mean + apart * (len(block) / total)
            squares = squares + own_squares + np.square(apart) * (count * len(block) / total)
            least, most, count = np.minimum(least, low), np.maximum(most, high), total
        return cls(mean=mean, std=np.sqrt(squares / count), min=least, max=most)


def _mean_and_range(block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, least and most, float64 [D] each."""
    ends: list[np.ndarray] = []

    def noted() -> Iterator[np.ndarray]:
        for piece in _pieces(block):
            ends.extend((piece.min(axis=0), piece.max(axis=0)))
            yield piece

    total = _sum(noted())
    return total / len(block), np.min(ends, axis=0), np.max(ends, axis=0)


def _pieces(block: Block) -> Iterator[np.ndarray]:
    """Yield the rows of a block in order, float64 [n, D], a bounded amount at a time."""
    width = block[:1].shape[1]
    # NUMERICS: NumPy adds up a single column pairwise, so it is taken in one piece
    step = len(block) if width == 1 else max(1, _PIECE_BYTES // (8 * width))
    return (block[first : first + step].astype(np.float64) for first in range(0, len(block), step))


def _sum(pieces: Iterable[np.ndarray]) -> np.ndarray:
    """Return the sum over all rows, float64 [D]: with the bits of NumPy's sum over all of them at once.

    NUMERICS: NumPy adds rows one after the other, so each piece goes on from the sum of those before.
    """
    total: np.ndarray | None = None
    for piece in pieces:
        total = (piece if total is None else np.concatenate([total[None], piece])).sum(axis=0)
    assert total is not None
    return total
