"""Dimensions that jump: a step far beyond what the dimension does otherwise."""

from __future__ import annotations

import numpy as np

from awaccli.data.validation.findings import Findings
from awaccli.data.validation.recordings import Recording

JUMP_FACTOR = 30.0
"""A jump is larger than this many times the 99th percentile of the dimension's steps."""
FEWEST_STEPS = 400
"""With fewer, a single jump would be among the percent that is left out."""
_QUANTILE = 0.99
_SAMPLE_BYTES = 32 << 20
_MOST_SAMPLES = 8192


class Jumps:
    """Watches the size of steps, per dimension of the observation.

    The largest is exact. The percentile is that of every k-th step, k doubling as the sample fills up, so
    that memory is bounded and equal data give equal findings.
    """

    def __init__(self, dimensions: int) -> None:
        self._room = min(_MOST_SAMPLES, _SAMPLE_BYTES // (4 * dimensions))
        self._sample: list[np.ndarray] = []
        self._kept = 0
        self._stride = 1
        self._seen = 0
        self._largest = np.zeros(dimensions, np.float32)
        self._where = np.zeros((dimensions, 2), np.int64)

    def see(self, recording: Recording) -> None:
        """Take an episode."""
        observations = recording.observations
        if observations is None or self._room < FEWEST_STEPS:
            return
        with np.errstate(invalid="ignore", over="ignore"):
            steps = np.nan_to_num(np.abs(np.diff(observations, axis=0)), nan=0.0, posinf=0.0)
        step = steps.argmax(axis=0)
        larger = steps.max(axis=0) > self._largest
        self._largest = np.maximum(self._largest, steps.max(axis=0))
        self._where[larger] = np.stack([np.full_like(step, recording.index), step + 1], axis=1)[larger]
        self._keep(steps)

    def _keep(self, steps: np.ndarray) -> None:
        kept = steps[-self._seen % self._stride :: self._stride]
        self._sample.append(kept.copy())
        self._seen, self._kept = self._seen + len(steps), self._kept + len(kept)
        while self._kept > self._room:
            thinned = np.concatenate(self._sample)[::2].copy()
            self._sample, self._kept = [thinned], len(thinned)
            self._stride *= 2

    def close(self, findings: Findings) -> None:
        """Report."""
        if self._seen < FEWEST_STEPS or self._room < FEWEST_STEPS:
            return
        # one of the steps, not a mix of two: where a switch flips once in a hundred steps, they are 0 and 1
        usual = np.quantile(np.concatenate(self._sample), _QUANTILE, axis=0, method="lower")
        for dimension in np.flatnonzero((usual > 0) & (self._largest > JUMP_FACTOR * usual)).tolist():
            episode, step = self._where[dimension].tolist()
            findings.add(
                "jumping-dimension",
                f"dimension {dimension} changes by {self._largest[dimension]:.3g} in one step, "
                f"{self._largest[dimension] / usual[dimension]:.0f} times what 99 % of its steps stay below",
                field="steps/observations",
                episode=episode,
                step=step,
            )
