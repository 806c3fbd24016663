"""Two datasets: which episodes they share, and how the numbers of the rest differ."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import numpy as np

from awaccli.data.dataset import Dataset
from awaccli.data.evaluation import Outcome
from awaccli.data.progress import watched
from awaccli.data.statistics import Statistics
from awaccli.protocols import SILENT, Reporter
from awaccli.reports.diff_changes import Change, Record, changes
from awaccli.reports.success import dataset_outcome

_Field = Literal["observations", "actions"]
_FIELDS: tuple[_Field, ...] = ("observations", "actions")
_DIMENSIONS_SHOWN = 5
_ROUNDING = 1e-9
"""NUMERICS: the same rows in another order add up to this much of a difference."""


class Episodes(Record):
    """Episodes by their content hash; indices from 0."""

    both: int
    """Those that A and B share, an episode that each has twice counted twice."""
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    same_order: bool
    """The shared ones follow each other in the same order."""
    repeated_a: tuple[tuple[int, ...], ...]
    """Episodes of A that are the same."""
    repeated_b: tuple[tuple[int, ...], ...]


class Dimension(Record):
    """One number of an observation or action, over all steps."""

    field: _Field
    index: int
    mean_a: float
    mean_b: float
    std_a: float
    std_b: float
    distance: float
    """The larger difference, of means or of deviations, in units of their joint deviation."""


class DatasetDifference(Record):
    """What is in one dataset and not in the other, and what that does to the numbers."""

    described: tuple[Change, ...]
    """Task, fields and sources as the headers state them."""
    episodes: Episodes
    steps_a: int
    steps_b: int
    outcome_a: Outcome
    outcome_b: Outcome
    dimensions: tuple[Dimension, ...]
    """Those that differ most, of observations and of actions; none where the sizes differ."""


def dataset_difference(a: Dataset, b: Dataset, report: Reporter = SILENT) -> DatasetDifference:
    """Compare two datasets, episode by episode and in numbers."""
    return DatasetDifference(
        described=changes(_description(a), _description(b)),
        episodes=compare_episodes(_hashes(a), _hashes(b)),
        steps_a=a.n_steps,
        steps_b=b.n_steps,
        outcome_a=dataset_outcome(a),
        outcome_b=dataset_outcome(b),
        dimensions=_dimensions(a, b, report),
    )


def _description(dataset: Dataset) -> dict[str, object]:
    header = dataset.header.to_json()
    fields = {
        name: {"dtype": spec["dtype"], "shape": spec["shape"]} for name, spec in header["fields"].items()
    }
    sources = {str(index): source for index, source in enumerate(header["sources"])}
    return {"task": header["task"], "fields": fields, "sources": sources}


def _hashes(dataset: Dataset) -> list[bytes]:
    return [row.tobytes() for row in dataset.column("episodes/sha256")]


def compare_episodes(a: list[bytes], b: list[bytes]) -> Episodes:
    """Match episodes by their hashes, as often as each occurs."""
    in_a, in_b = _places(a), _places(b)
    only_a, only_b = _beyond(in_a, in_b), _beyond(in_b, in_a)
    shared_a, shared_b = _without(a, only_a), _without(b, only_b)
    return Episodes(
        both=len(shared_a),
        only_a=tuple(only_a),
        only_b=tuple(only_b),
        same_order=shared_a == shared_b,
        repeated_a=tuple(tuple(where) for where in in_a.values() if len(where) > 1),
        repeated_b=tuple(tuple(where) for where in in_b.values() if len(where) > 1),
    )


def _places(hashes: list[bytes]) -> dict[bytes, list[int]]:
    places = defaultdict(list)
    for index, found in enumerate(hashes):
        places[found].append(index)
    return dict(places)


def _beyond(places: dict[bytes, list[int]], others: dict[bytes, list[int]]) -> list[int]:
    """Return the places of what is there more often than among the others."""
    return sorted(index for found, where in places.items() for index in where[len(others.get(found, ())) :])


def _without(hashes: list[bytes], left_out: list[int]) -> list[bytes]:
    excluded = set(left_out)
    return [found for index, found in enumerate(hashes) if index not in excluded]


def _dimensions(a: Dataset, b: Dataset, report: Reporter) -> tuple[Dimension, ...]:
    """Return the dimensions that differ most, of observations and then of actions."""

    def measured(data: Dataset, field: _Field) -> Statistics:
        parts = list(data.parts(f"steps/{field}"))
        return Statistics.of(
            watched(parts, report, f"measure {field} of {data.path.name}", len(parts), "parts")
        )

    return tuple(
        dimension
        for field in _FIELDS
        for dimension in _most_different(field, measured(a, field), measured(b, field))
    )


def _most_different(field: _Field, first: Statistics, second: Statistics) -> list[Dimension]:
    """Return the dimensions that differ most, first the one that does so the most."""
    if first.mean.shape != second.mean.shape:
        return []
    joint = np.sqrt((first.std**2 + second.std**2) / 2)
    largest = np.maximum(np.abs(first.mean - second.mean), np.abs(first.std - second.std))
    distance = largest / np.where(joint > 0, joint, 1.0)
    order = np.argsort(-distance, kind="stable")[:_DIMENSIONS_SHOWN]
    return [
        Dimension(
            field=field,
            index=index,
            mean_a=first.mean[index],
            mean_b=second.mean[index],
            std_a=first.std[index],
            std_b=second.std[index],
            distance=distance[index],
        )
        for index in order.tolist()
        if distance[index] > _ROUNDING
    ]
