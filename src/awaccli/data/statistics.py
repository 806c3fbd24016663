"""Mean, spread and range of observations, for normalisation and for `info`."""

from __future__ import annotations

from collections.abc import Sequence
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
    def of(cls, matrices: Sequence[np.ndarray]) -> Self:
        """Measure the rows of all ``matrices`` (each [N, D]) together, in float64."""
        count = sum(len(matrix) for matrix in matrices)
        mean = np.sum([matrix.sum(axis=0, dtype=np.float64) for matrix in matrices], axis=0) / count
        # NUMERICS: two passes; E[x^2] - E[x]^2 loses all digits where the mean is large beside the spread
        squares = [np.square(matrix - mean).sum(axis=0) for matrix in matrices]
        return cls(
            mean=mean,
            std=np.sqrt(np.sum(squares, axis=0) / count),
            min=np.min([matrix.min(axis=0) for matrix in matrices], axis=0).astype(np.float64),
            max=np.max([matrix.max(axis=0) for matrix in matrices], axis=0).astype(np.float64),
        )
