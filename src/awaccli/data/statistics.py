"""Mean, spread and range of observations, for normalisation and for `info`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, slots=True)
class Statistics:
    """Per dimension, each float64 [D]."""

    mean: np.ndarray
    std: np.ndarray
    """Population standard deviation."""
    min: np.ndarray
    max: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> Self:
        """Measure the rows of all ``blocks`` (each [N, D], at least one row in all) together, in one pass.

        Source: Chan, Golub and LeVeque 1979, on updating a mean and a sum of squared deviations by blocks:
        E[x^2] - E[x]^2 loses all digits where the mean is large beside the spread.
        """
        count = 0
        for block in blocks:
            rows = block.astype(np.float64)
            if not len(rows):
                continue
            own_mean = rows.mean(axis=0)
            own_squares = np.square(rows - own_mean).sum(axis=0)
            low, high = rows.min(axis=0), rows.max(axis=0)
            if not count:
                count, mean, squares, least, most = len(rows), own_mean, own_squares, low, high
                continue
            total = count + len(rows)
            apart = own_mean - mean
            mean = mean + apart * (len(rows) / total)
            squares = squares + own_squares + np.square(apart) * (count * len(rows) / total)
            least, most, count = np.minimum(least, low), np.maximum(most, high), total
        return cls(mean=mean, std=np.sqrt(squares / count), min=least, max=most)
