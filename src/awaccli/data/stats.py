"""What is in a dataset, in numbers: one pass over each field, a bounded part of it in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from awaccli.data.dataset import Dataset
from awaccli.data.evaluation import SuccessRates, wilson
from awaccli.data.stores import chunk_rows
from awaccli.protocols import SILENT, Progress, Reporter
from awaccli.seeding import stream

SAMPLE_ROWS = 20_000
"""Quantiles are those of so many rows, drawn at random; of all rows where there are no more."""
_FLAGS = ("steps/terminations", "steps/truncations")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dimension(_Record):
    """One number of a field, over all steps."""

    name: str
    """``observations[3]``, or ``goal[0]`` where the observation has named parts."""
    mean: float
    std: float
    """Population standard deviation."""
    min: float
    max: float
    p01: float
    """1 % quantile."""
    p99: float
    not_finite: int
    """How many are NaN or infinite; all other numbers leave them out."""


class FieldStatistics(_Record):
    """A field of ``steps/``."""

    field: str
    dimensions: tuple[Dimension, ...]


class Spread(_Record):
    """Of a number per episode."""

    mean: float
    std: float
    min: float
    max: float


class SourceStatistics(_Record):
    """The episodes of one source."""

    source: str
    kind: str
    episodes: int
    steps: int
    success: SuccessRates
    returns: Spread
    lengths: Spread


class Stats(_Record):
    """The statistics of a dataset."""

    schema_version: Literal[1] = 1
    id: str
    n_episodes: int
    n_steps: int
    sampled_rows: int
    """How many rows the quantiles are of."""
    sources: tuple[SourceStatistics, ...]
    saturation: tuple[float, ...]
    """For every action, the share of steps at which it is at a bound of its box."""
    fields: tuple[FieldStatistics, ...]


def dataset_stats(dataset: Dataset, *, report: Reporter = SILENT) -> Stats:
    """Measure a dataset, an unfinished one too. The same content gives the same numbers in any container.

    Raises:
        DatasetError: a field is damaged.
    """
    names = [name for name in sorted(dataset.below("steps/")) if name not in _FLAGS]
    rows = sample_rows(dataset.n_steps, SAMPLE_ROWS)
    fields = []
    with report.phase("measure", len(names) * dataset.n_steps, "rows") as progress:
        for done, name in enumerate(names):
            fields.append(_field(dataset, name, rows, progress, done * dataset.n_steps))
    return Stats(
        id=dataset.id,
        n_episodes=len(dataset),
        n_steps=dataset.n_steps,
        sampled_rows=len(rows),
        sources=by_source(dataset),
        saturation=saturation(dataset),
        fields=tuple(fields),
    )


def by_source(dataset: Dataset) -> tuple[SourceStatistics, ...]:
    """Return what the episodes of every source achieved; sources without an episode are left out."""
    table = dataset.episodes
    found = []
    for index in np.unique(table.source):
        source, own = dataset.header.sources[index], table.source == index
        found.append(
            SourceStatistics(
                source=source.name,
                kind=source.kind,
                episodes=int(own.sum()),
                steps=int(table.length[own].sum()),
                success=success_rates(dataset, own),
                returns=_spread(table.return_[own]),
                lengths=_spread(table.length[own]),
            )
        )
    return tuple(found)


def success_rates(dataset: Dataset, own: np.ndarray) -> SuccessRates:
    """Return how often some episodes succeed; ``own``: which, bool [E]."""
    table, count = dataset.episodes, int(own.sum())
    met = {"any": table.success_any, "final": table.success, "held": table.held(dataset.task.held_steps)}
    return SuccessRates(**{name: wilson(int(flags[own].sum()), count) for name, flags in met.items()})


def saturation(dataset: Dataset) -> tuple[float, ...]:
    """Return for every action the share of steps at which it is at a bound of its box."""
    low = np.array(dataset.task.action_low, np.float32)
    high = np.array(dataset.task.action_high, np.float32)
    at_bound = np.zeros(dataset.task.action_dim, np.int64)
    for _, actions in _blocks(dataset, "steps/actions"):
        at_bound += ((actions <= low) | (actions >= high)).sum(axis=0)
    return tuple((at_bound / dataset.n_steps).tolist())


def _field(dataset: Dataset, name: str, rows: np.ndarray, progress: Progress, done: int) -> FieldStatistics:
    spec = dataset.header.fields[name]
    width = int(np.prod(spec.shape, dtype=np.int64))
    moments, sample = _Moments(width), np.empty((len(rows), width), spec.dtype)
    for first, block in _blocks(dataset, name):
        flat = block.reshape(len(block), -1)
        moments.add(flat.astype(np.float64))
        inside = slice(*np.searchsorted(rows, (first, first + len(block))))
        sample[inside] = flat[rows[inside] - first]
        progress.update(done + first + len(block))
    labels = _labels(dataset, name, width)
    return FieldStatistics(
        field=name,
        dimensions=tuple(
            moments.dimension(index, label, sample[:, index]) for index, label in enumerate(labels)
        ),
    )


class _Moments:
    """Mean, spread and range of columns that come in blocks.

    Source: Chan, Golub and LeVeque 1983, combining the moments of two samples.
    """

    def __init__(self, width: int) -> None:
        self._count = np.zeros(width, np.int64)
        self._mean, self._squares = np.zeros(width), np.zeros(width)
        self._min, self._max = np.full(width, np.inf), np.full(width, -np.inf)
        self._rows = 0

    def add(self, values: np.ndarray) -> None:
        """Add rows, float64 [n, width]."""
        finite = np.isfinite(values)
        count = finite.sum(axis=0)
        mean = np.divide(
            np.where(finite, values, 0).sum(axis=0), count, where=count > 0, out=np.zeros(len(count))
        )
        squares = np.where(finite, np.square(values - mean), 0).sum(axis=0)
        total = np.maximum(self._count + count, 1)
        gap = mean - self._mean
        self._mean += gap * count / total
        self._squares += squares + gap**2 * self._count * count / total
        self._count += count
        self._min = np.minimum(self._min, np.where(finite, values, np.inf).min(axis=0))
        self._max = np.maximum(self._max, np.where(finite, values, -np.inf).max(axis=0))
        self._rows += len(values)

    def dimension(self, index: int, name: str, sample: np.ndarray) -> Dimension:
        """Return the numbers of one column, with the quantiles of ``sample``."""
        count = int(self._count[index])
        finite = sample[np.isfinite(sample)].astype(np.float64)
        p01, p99 = np.quantile(finite, (0.01, 0.99)) if len(finite) else (np.nan, np.nan)
        known = count > 0
        return Dimension(
            name=name,
            mean=float(self._mean[index]) if known else np.nan,
            std=float(np.sqrt(self._squares[index] / count)) if known else np.nan,
            min=float(self._min[index]) if known else np.nan,
            max=float(self._max[index]) if known else np.nan,
            p01=float(p01),
            p99=float(p99),
            not_finite=self._rows - count,
        )


def _blocks(dataset: Dataset, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows of a field of the steps in blocks, each with the place of its first row."""
    stride = chunk_rows(dataset.header.fields[name].row_bytes)
    for first in range(0, dataset.n_steps, stride):
        yield first, dataset.rows(name, first, min(first + stride, dataset.n_steps))


def sample_rows(n_steps: int, most: int) -> np.ndarray:
    """Return up to ``most`` random rows, int64, ascending; the same for every dataset of this size."""
    if n_steps <= most:
        return np.arange(n_steps)
    return np.sort(stream(0, "stats").choice(n_steps, most, replace=False, shuffle=False))


def _labels(dataset: Dataset, name: str, width: int) -> list[str]:
    """Return what each entry of a row is called."""
    plain = name.removeprefix("steps/")
    layout = dataset.task.observation_layout
    if name == "steps/observations" and len(layout) > 1:
        return [f"{part}[{index}]" for part, size in layout for index in range(size)]
    return [f"{plain}[{index}]" for index in range(width)] if dataset.header.fields[name].shape else [plain]


def _spread(values: np.ndarray) -> Spread:
    return Spread(
        mean=float(values.mean()),
        std=float(values.std()),
        min=float(values.min()),
        max=float(values.max()),
    )
