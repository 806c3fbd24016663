"""Several seeds in one number: mean, interquartile mean, probability of improvement, with 95 % intervals.

Scores come as strata: for each task, the scores of its runs, float64 [R]. The intervals are percentile
intervals of the stratified bootstrap, which draws runs anew within each task and never mixes tasks.

Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
arXiv:2108.13264; the bootstrap is Efron's of 1979.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from awaccli.seeding import stream

RESAMPLES = 2000
_LEVELS = (0.025, 0.975)
Statistic = Callable[[np.ndarray], np.ndarray]
"""From scores, float64 [..., R], to one number for each row, float64 [...]."""


class Estimate(BaseModel):
    """A number with its 95 % interval over runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float | None
    """None, as ``high``: a task has only one run, which says nothing of other seeds."""
    high: float | None


def mean(scores: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis."""
    return np.asarray(scores.mean(axis=-1))


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis without its lowest and highest quarter, each rounded down.

    It is the mean for fewer than four scores. Source: arXiv:2108.13264, section 4.3.
    """
    cut = scores.shape[-1] // 4
    kept = np.sort(scores, axis=-1)[..., cut : scores.shape[-1] - cut]
    return mean(kept)


def estimate(strata: Sequence[np.ndarray], statistic: Statistic) -> Estimate:
    """Return a statistic of all scores together, with its stratified bootstrap interval."""
    value = float(statistic(np.concatenate(list(strata))))
    if min(map(len, strata)) < 2:
        return Estimate(value=value, low=None, high=None)
    rng = stream(0, "bootstrap")
    drawn = [scores[rng.integers(len(scores), size=(RESAMPLES, len(scores)))] for scores in strata]
    low, high = np.quantile(statistic(np.concatenate(drawn, axis=1)), _LEVELS)
    return Estimate(value=value, low=float(low), high=float(high))


def probability_of_improvement(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
) -> Estimate | None:
    """Return how likely a run of ``first`` scores higher than one of ``second``; a tie counts half.

    The mean over the tasks that both have, by name, of the Mann-Whitney statistic over all pairs of runs;
    None where they have no task in common. Source: arXiv:2108.13264, section 4.3 and appendix A.
    """
    tasks = [task for task in first if task in second]
    if not tasks:
        return None
    wins = [_wins(first[task], second[task]) for task in tasks]
    value = float(np.mean([won.mean() for won in wins]))
    if min(min(won.shape) for won in wins) < 2:
        return Estimate(value=value, low=None, high=None)
    rng = stream(0, "bootstrap")
    resampled = np.mean([_resampled_means(won, rng) for won in wins], axis=0)
    low, high = np.quantile(resampled, _LEVELS)
    return Estimate(value=value, low=float(low), high=float(high))


def _wins(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return for every pair whether the first is higher, float64 [R1, R2]; a tie is 0.5."""
    return np.asarray((np.sign(first[:, None] - second[None, :]) + 1) / 2)


def _resampled_means(wins: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return means over pairs of runs drawn anew on both sides, float64 [RESAMPLES]."""
    rows, columns = (rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n for n in wins.shape)
    return np.asarray(((rows @ wins) * columns).sum(axis=1))
