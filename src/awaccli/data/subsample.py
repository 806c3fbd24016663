"""A random part of a dataset, the same for the same seed."""

from __future__ import annotations

from typing import Literal

import numpy as np

from awaccli.data.dataset import Dataset
from awaccli.data.derivation import Derivation, selection
from awaccli.errors import DatasetError, UsageError
from awaccli.seeding import stream

Stratum = Literal["success", "source"]


def subsampled(
    dataset: Dataset,
    *,
    episodes: int | None = None,
    fraction: float | None = None,
    stratify: Stratum | None = None,
    seed: int = 0,
) -> Derivation:
    """Return a random part of the episodes, without replacement, in their order.

    Args:
        dataset: what to choose from.
        episodes: how many; or
        fraction: what share of them, in (0, 1], rounded, at least one.
        stratify: keep the shares of final success, or of the sources, up to rounding.
        seed: of the choice.

    Raises:
        UsageError: not exactly one of ``episodes`` and ``fraction``, or out of bounds.
        DatasetError: there are fewer episodes.
    """
    wanted = _count(dataset, episodes, fraction)
    table = dataset.episodes
    columns = {None: np.zeros(len(table), int), "success": table.success, "source": table.source}
    rng = stream(seed, "subsample")
    strata = [np.flatnonzero(columns[stratify] == value) for value in np.unique(columns[stratify])]
    shares = apportioned([len(stratum) for stratum in strata], wanted)
    picked = [rng.choice(stratum, size, replace=False) for stratum, size in zip(strata, shares, strict=True)]
    settings = {"episodes": episodes, "fraction": fraction, "stratify": stratify}
    note = f"kept {wanted} of {len(dataset)} episodes"
    return selection(
        "subsample", dataset, np.sort(np.concatenate(picked)), settings, seed=seed, notes=(note,)
    )


def _count(dataset: Dataset, episodes: int | None, fraction: float | None) -> int:
    if (episodes is None) == (fraction is None):
        raise UsageError("how many episodes?", hint="give one of -n 100 and --fraction 0.1")
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise UsageError(f"--fraction {fraction}", hint="expected more than 0 and at most 1")
        return max(1, round(fraction * len(dataset)))
    assert episodes is not None
    if episodes < 1:
        raise UsageError(f"-n {episodes}", hint="expected at least 1")
    if episodes > len(dataset):
        raise DatasetError(
            f"`{dataset.path}` has {len(dataset)} episodes, not {episodes}", hint=f"at most -n {len(dataset)}"
        )
    return episodes


def apportioned(sizes: list[int], total: int) -> list[int]:
    """Share ``total`` out in proportion to ``sizes``: whole numbers, by largest remainder."""
    exact = total * np.array(sizes, np.float64) / sum(sizes)
    shares = np.floor(exact).astype(int)
    largest = np.argsort(shares - exact, kind="stable")[: total - shares.sum()]
    shares[largest] += 1
    return [int(share) for share in shares]
