"""Several datasets of one task as one, with everything that is known of each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from awaccli.config.task import TaskFacts
from awaccli.data.columns import REQUIRED
from awaccli.data.dataset import Dataset
from awaccli.data.derivation import Derivation
from awaccli.data.schema import FieldSpec, Header
from awaccli.episode import Episode
from awaccli.errors import DatasetError, UsageError

_Item = TypeVar("_Item", bound=Hashable)
_FACTS = (
    *("observation_layout", "action_low", "action_high", "reward_kind", "success_rule", "held_steps"),
    "control_dt",
)
_SPEC = ("env_id", "module", "kwargs", "horizon", "obs_keys", "success_key", "binary_reward")
"""What datasets of one task agree on; names, ranges and versions may differ."""
_HINTS = {
    "horizon": "cut the longer episodes: awac data relabel --horizon",
    "reward_kind": "make their rewards alike: awac data relabel --binary",
    "success_rule": "judge them by one rule: awac data relabel --success or --task",
}


def merged(datasets: Sequence[Dataset]) -> Derivation:
    """Return the episodes of all datasets, one dataset after the other.

    Sources, credits, imports and splits of all are kept, equal ones once; splits of one name are joined.
    Fields that not all of them have, or store alike, are dropped, and named.

    Raises:
        UsageError: fewer than two datasets.
        DatasetError: they are not of one task; names the fact that differs.
    """
    if len(datasets) < 2:
        raise UsageError("nothing to merge", hint="give at least two datasets")
    task, warnings = _common_task(datasets)
    fields, dropped = _common_fields(datasets)
    sources = _distinct(source for data in datasets for source in data.header.sources)
    hashes = [row.tobytes() for data in datasets for row in data.column("episodes/sha256")]
    if copies := len(hashes) - len(set(hashes)):
        warnings.append(f"{copies} episodes are copies of others: `awac data dedupe` keeps one of each")
    whole = [fields.keys() == data.header.fields.keys() for data in datasets]

    def episodes() -> Iterator[Episode]:
        for data, is_whole in zip(datasets, whole, strict=True):
            places = [sources.index(source) for source in data.header.sources]
            for episode in data:
                kept = episode if is_whole else _with_fields(episode, fields)
                yield replace(kept, source=places[episode.source])

    return Derivation(
        "merge",
        tuple(datasets),
        {},
        Header(
            task=task,
            sources=sources,
            credits=_distinct(credit for data in datasets for credit in data.header.credits),
            imports=_distinct(record for data in datasets for record in data.header.imports),
            splits=_joined_splits(datasets),
            fields=fields,
        ),
        total=len(hashes),
        episodes=episodes,
        hashes=hashes if all(whole) else None,
        notes=tuple(f"dropped {name}: {why}" for name, why in dropped.items()),
        warnings=tuple(warnings),
    )


def _common_task(datasets: Sequence[Dataset]) -> tuple[TaskFacts, list[str]]:
    """Return the task of all, and what differs without making it another one, in words."""
    first = datasets[0]
    for other in datasets[1:]:
        _require_equal(other, first, _FACTS, lambda data: data.task)
        _require_equal(other, first, _SPEC, lambda data: data.task.spec)
    tasks = [data.task for data in datasets]
    packages = _distinct(name for task in tasks for name in task.versions)
    versions = {name: _distinct(task.versions.get(name, "unknown") for task in tasks) for name in packages}
    models = {task.mjcf_sha256 for task in tasks}
    warnings = [
        f"recorded with several versions of {name}: {', '.join(found)}"
        for name, found in versions.items()
        if len(found) > 1
    ]
    if len(models - {None}) > 1:
        warnings.append("recorded in different compiled MuJoCo models")
    ranges = [task.reward_range for task in tasks if task.reward_range]
    known = len(ranges) == len(tasks)
    facts = {
        "reward_range": (min(low for low, _ in ranges), max(high for _, high in ranges)) if known else None,
        "versions": {name: " or ".join(found) for name, found in versions.items()},
        "mjcf_sha256": models.pop() if len(models) == 1 else None,
    }
    return first.task.model_copy(update=facts), warnings


def _require_equal(
    other: Dataset, first: Dataset, facts: Iterable[str], of: Callable[[Dataset], Any]
) -> None:
    for fact in facts:
        found, expected = getattr(of(other), fact), getattr(of(first), fact)
        if found != expected:
            raise DatasetError(
                f"`{other.path}` and `{first.path}` are not of one task: "
                f"{fact} is {found!r} there and {expected!r} here",
                hint=_HINTS.get(fact, "the episodes of one dataset are of one task"),
            )


def _common_fields(datasets: Sequence[Dataset]) -> tuple[dict[str, FieldSpec], dict[str, str]]:
    """Return the fields that all have, and why the others are dropped."""
    tables = [data.header.fields for data in datasets]
    fields, dropped = {}, {}
    for name in _distinct(name for table in tables for name in table):
        absent = [data.path.name for data, table in zip(datasets, tables, strict=True) if name not in table]
        specs = [table[name] for table in tables if name in table]
        alike = {(spec.dtype, spec.shape, spec.unit) for spec in specs}
        if absent:
            dropped[name] = f"`{absent[0]}` does not have it"
        elif len(alike) == 1:
            fields[name] = specs[0]
        elif name in REQUIRED:
            raise DatasetError(
                f"{name} has the units {' and '.join(sorted({repr(spec.unit) for spec in specs}))}",
                hint="convert one of them while importing it",
            )
        else:
            dropped[name] = "it is not stored alike"
    return fields, dropped


def _with_fields(episode: Episode, fields: dict[str, FieldSpec]) -> Episode:
    """Leave out what is not stored."""
    return replace(
        episode,
        infos={name: rows for name, rows in episode.infos.items() if f"steps/infos/{name}" in fields},
        sim={name: rows for name, rows in episode.sim.items() if f"steps/sim/{name}" in fields},
        sim_init=episode.sim_init if "episodes/sim_init" in fields else None,
        model={name: row for name, row in episode.model.items() if f"episodes/model/{name}" in fields},
    )


def _joined_splits(datasets: Sequence[Dataset]) -> dict[str, tuple[int, ...]]:
    joined: dict[str, tuple[int, ...]] = {}
    before = np.cumsum([0, *map(len, datasets)]).tolist()
    for data, shift in zip(datasets, before, strict=False):
        for name, members in data.header.splits.items():
            joined[name] = (*joined.get(name, ()), *(index + shift for index in members))
    return joined


def _distinct(items: Iterable[_Item]) -> tuple[_Item, ...]:
    """Return items once each, in the order of their first appearance."""
    return tuple(dict.fromkeys(items))
