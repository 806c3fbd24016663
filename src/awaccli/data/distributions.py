"""The numbers behind pictures of datasets: distributions by group, ranges, and where the states lie.

One dataset is taken apart by source, several are compared with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from awaccli.artifacts.commit import PART
from awaccli.data.dataset import Dataset
from awaccli.data.evaluation import SuccessRates
from awaccli.data.schema import Source
from awaccli.data.stats import SAMPLE_ROWS, Stats, dataset_stats, sample_rows, success_rates
from awaccli.data.stores import chunk_rows
from awaccli.errors import DatasetError, UsageError
from awaccli.protocols import SILENT, Reporter

MOST_DATASETS = 6
MOST_GROUPS = 7
"""As many sources are told apart; the smallest beyond them are one group."""
BINS = 20
_SAMPLE_BYTES = 16 << 20
"""Of float32 observations that the components are computed from: fewer steps where they are very wide."""
_CONSTANT = 1e-6
"""A dimension whose spread is smaller, beside its size, does not vary."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Record):
    """What values one dimension takes."""

    name: str
    min: float
    p01: float
    mean: float
    p99: float
    max: float
    low: float | None = None
    """Bound of the action box."""
    high: float | None = None


class Measured(_Record):
    """One of the datasets."""

    name: str
    id: str
    n_episodes: int
    n_steps: int
    saturation: tuple[float, ...]
    """For every action, the share of steps at which it is at a bound of its box."""
    observations: tuple[Range, ...]
    actions: tuple[Range, ...]


class Group(_Record):
    """Episodes that are counted together: those of a source, or of a dataset."""

    name: str
    episodes: int
    success: SuccessRates


class Histogram(_Record):
    """Episodes by a number of theirs."""

    edges: tuple[float, ...]
    """B + 1 of them; a bin ends before its upper edge, the last one includes it."""
    counts: tuple[tuple[int, ...], ...]
    """B for each group."""


class Coverage(_Record):
    """Steps on the first two principal components of their standardised observations."""

    explained: tuple[float, float]
    """Share of the variance."""
    points: tuple[tuple[tuple[float, float], ...], ...]
    """For each group, those of its steps that were drawn at random."""


class Distributions(_Record):
    """The numbers behind the panels of `awac data plot`."""

    schema_version: Literal[1] = 1
    by: Literal["source", "dataset"]
    datasets: tuple[Measured, ...]
    groups: tuple[Group, ...]
    returns: Histogram
    lengths: Histogram
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class _Share:
    """The episodes of one dataset, and the group that each is in."""

    dataset: Dataset
    group: np.ndarray
    """int64 [E]"""


def dataset_distributions(datasets: Sequence[Dataset], *, report: Reporter = SILENT) -> Distributions:
    """Measure one dataset by source, or several side by side; the same content gives the same numbers.

    Args:
        datasets: one to six of one task; unfinished ones, too.
        report: whom to tell.

    Raises:
        UsageError: none, or too many.
        DatasetError: a field is damaged, no episode, or tasks that cannot be compared.
    """
    _require_comparable(datasets)
    measured = [dataset_stats(dataset, report=report) for dataset in datasets]
    labels = _dataset_names(datasets)
    if len(datasets) == 1:
        names, of_episode = _sources(datasets[0])
        shares = [_Share(datasets[0], of_episode)]
    else:
        names = labels
        shares = [_Share(dataset, np.full(len(dataset), index)) for index, dataset in enumerate(datasets)]
    return Distributions(
        by="source" if len(datasets) == 1 else "dataset",
        datasets=tuple(map(_measured, labels, datasets, measured)),
        groups=tuple(_group(name, index, shares) for index, name in enumerate(names)),
        returns=_histogram(_by_group(shares, len(names), "episodes/return")),
        lengths=_histogram(_by_group(shares, len(names), "episodes/length")),
        coverage=_coverage(shares, len(names)),
    )


def _require_comparable(datasets: Sequence[Dataset]) -> None:
    if not 1 <= len(datasets) <= MOST_DATASETS:
        raise UsageError(
            f"{len(datasets)} datasets in one picture", hint=f"1 to {MOST_DATASETS} can be told apart"
        )
    first = datasets[0]
    for dataset in datasets:
        if not len(dataset):
            raise DatasetError(f"`{dataset.path}` holds no episode yet", hint="wait until it does")
        own, others = ((item.task.observation_layout, item.task.action_dim) for item in (dataset, first))
        if own != others:
            raise DatasetError(
                f"`{dataset.path}` has observations of {own[0]} and {own[1]} actions, "
                f"`{first.path}` {others[0]} and {others[1]}",
                hint="datasets of one task can be compared",
            )


def _dataset_names(datasets: Sequence[Dataset]) -> list[str]:
    """Return file names, without endings where these are not needed, or paths where names are equal."""
    paths = [
        dataset.path.parent if dataset.path.parent.suffix == PART else dataset.path for dataset in datasets
    ]
    for names in ([path.stem for path in paths], [path.name for path in paths]):
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _sources(dataset: Dataset) -> tuple[list[str], np.ndarray]:
    """Return the groups' names, and for each episode its group, int64 [E]."""
    present, of_episode, counts = np.unique(dataset.episodes.source, return_inverse=True, return_counts=True)
    names = _source_names([dataset.header.sources[index] for index in present])
    if len(names) <= MOST_GROUPS:
        return names, of_episode
    kept = np.sort(np.argsort(-counts, kind="stable")[: MOST_GROUPS - 1])
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    others = f"{len(names) - len(kept)} other sources"
    return [*(names[index] for index in kept), others], place[of_episode]


def _source_names(sources: Sequence[Source]) -> list[str]:
    """Return names; equal ones with how they acted, or with their place."""
    names = [source.name for source in sources]
    fuller = [
        f"{name}, {source.actions or source.kind}" if names.count(name) > 1 else name
        for name, source in zip(names, sources, strict=True)
    ]
    return [
        f"{name}, source {index}" if fuller.count(name) > 1 else name for index, name in enumerate(fuller)
    ]


def _measured(label: str, dataset: Dataset, found: Stats) -> Measured:
    fields = {field.field: field.dimensions for field in found.fields}

    def ranges(name: str, bounds: Iterable[tuple[float | None, float | None]]) -> tuple[Range, ...]:
        return tuple(
            Range(low=low, high=high, **one.model_dump(include={"name", "min", "p01", "mean", "p99", "max"}))
            for one, (low, high) in zip(fields[f"steps/{name}"], bounds, strict=True)
        )

    task = dataset.task
    return Measured(
        name=label,
        id=found.id,
        n_episodes=found.n_episodes,
        n_steps=found.n_steps,
        saturation=found.saturation,
        observations=ranges("observations", [(None, None)] * task.observation_dim),
        actions=ranges("actions", zip(task.action_low, task.action_high, strict=True)),
    )


def _group(name: str, index: int, shares: Sequence[_Share]) -> Group:
    """Summarise the episodes of a group: they are all in one dataset."""
    [share] = [share for share in shares if (share.group == index).any()]
    own = share.group == index
    return Group(name=name, episodes=int(own.sum()), success=success_rates(share.dataset, own))


def _by_group(shares: Sequence[_Share], groups: int, column: str) -> list[np.ndarray]:
    """Return a column of the episodes, apart by group."""
    for share in shares:
        finite = np.isfinite(share.dataset.column(column))
        if not finite.all():
            raise DatasetError(
                f"`{share.dataset.path}`: {column} is not finite in episode {finite.argmin()}",
                hint="its episodes and their table contradict each other: awac data validate",
            )
    values = np.concatenate([share.dataset.column(column) for share in shares])
    of_episode = np.concatenate([share.group for share in shares])
    return [values[of_episode == index] for index in range(groups)]


def _histogram(values: Sequence[np.ndarray]) -> Histogram:
    edges = _edges(np.concatenate(values).astype(np.float64))
    return Histogram(
        edges=tuple(edges.tolist()),
        counts=tuple(tuple(np.histogram(own, edges)[0].tolist()) for own in values),
    )


def _edges(values: np.ndarray) -> np.ndarray:
    """Return the edges of up to ``BINS`` equal bins, float64; whole numbers are not cut apart."""
    low, high = values.min(), values.max()
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    if np.array_equal(values, np.round(values)):
        width = max(1, np.ceil((high - low + 1) / BINS))
        return np.asarray(low - 0.5 + width * np.arange(np.ceil((high - low + 1) / width) + 1))
    return np.linspace(low, high, BINS + 1)


def _coverage(shares: Sequence[_Share], groups: int) -> Coverage:
    """Project steps, equally many of each dataset, on components that are fitted to them together."""
    width = shares[0].dataset.task.observation_dim
    most = min(SAMPLE_ROWS, _SAMPLE_BYTES // (4 * width)) // len(shares)
    samples = [_sample(share, max(most, 2)) for share in shares]
    points, explained = principal_components(np.concatenate([rows for rows, _ in samples]))
    of_point = np.concatenate([group for _, group in samples])
    shown = points.round(4).tolist()
    return Coverage(
        explained=explained,
        points=tuple(
            tuple((x, y) for (x, y), group in zip(shown, of_point, strict=True) if group == index)
            for index in range(groups)
        ),
    )


def _sample(share: _Share, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random observations, float32 [n, O], and the group of each, int64 [n]."""
    dataset, name = share.dataset, "steps/observations"
    rows, kept = sample_rows(dataset.n_steps, most), []
    stride = chunk_rows(dataset.header.fields[name].row_bytes)
    for first in range(0, dataset.n_steps, stride):
        stop = min(first + stride, dataset.n_steps)
        inside = rows[slice(*np.searchsorted(rows, (first, stop)))]
        kept.append(dataset.rows(name, first, stop)[inside - first])
    episode = np.searchsorted(dataset.episodes.start, rows, side="right") - 1
    return np.concatenate(kept), share.group[episode]


def principal_components(rows: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Project rows on the first two components of their standardised columns.

    Args:
        rows: float [N, O]. Columns that do not vary play no part.

    Returns:
        The projections, float64 [N, 2], and which share of the variance each explains. The largest loading
        of a component is positive.
    """
    values = rows.astype(np.float64)
    std = values.std(axis=0)
    varies = std > _CONSTANT * np.abs(values).max(axis=0)
    standard = (values[:, varies] - values[:, varies].mean(axis=0)) / std[varies]
    points, explained = np.zeros((len(rows), 2)), [0.0, 0.0]
    if standard.size:
        _, scale, loadings = np.linalg.svd(standard, full_matrices=False)
        for index, loading in enumerate(loadings[:2]):
            sign = np.sign(loading[np.abs(loading).argmax()])
            points[:, index] = standard @ (sign * loading)
            explained[index] = round(float(scale[index] ** 2 / (scale**2).sum()), 6)
    return points, (explained[0], explained[1])
