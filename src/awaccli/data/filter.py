"""Choosing episodes by a condition on their columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from awaccli.data.dataset import Dataset
from awaccli.data.derivation import Derivation, selection
from awaccli.data.expression import Condition
from awaccli.data.expression_values import Column, Labels
from awaccli.episode import EndReason
from awaccli.errors import DatasetError

_KINDS = ("human", "scripted", "policy", "imported")


def filtered(dataset: Dataset, where: str) -> Derivation:
    """Return the episodes for which a condition holds.

    Args:
        dataset: what to choose from.
        where: e.g. ``success and return > -60 and length < 200``; see `episode_columns`.

    Raises:
        UsageError: not a condition on these columns.
        DatasetError: it holds for no episode; says for how many each part of it does.
    """
    condition = Condition(where)
    columns = episode_columns(dataset)
    indices = np.flatnonzero(condition.holds(columns))
    if not len(indices):
        counts = [(part.text, int(part.holds(columns).sum())) for part in condition.parts()]
        raise DatasetError(
            f"no episode of `{dataset.path}` is left: `{condition.text}` holds for 0 of {len(dataset)}",
            hint="; ".join(f"`{text}` holds for {count}" for text, count in counts),
        )
    note = f"kept {len(indices)} of {len(dataset)} episodes"
    return selection("filter", dataset, indices, {"where": condition.text}, notes=(note,))


def episode_columns(dataset: Dataset) -> dict[str, Column]:
    """Return the columns that a condition may speak of, one row per episode.

    Numbers: ``index``, ``length``, ``return``, ``success_steps``, ``clipped``, ``seed`` (an unknown one
    equals nothing). Truths: ``success`` (after the last action), ``success_any``, ``success_held``. Words:
    ``end_reason``, ``source`` (its name), ``kind`` (of the source), ``split`` (it may be in several).
    """
    table, header = dataset.episodes, dataset.header
    seeds = [int(seed) if known else np.nan for seed, known in zip(table.seed, table.has_seed, strict=True)]
    names = [source.name for source in header.sources]
    kinds = [source.kind for source in header.sources]
    return {
        "index": np.arange(len(table)),
        "length": table.length,
        "return": table.return_,
        "success": table.success,
        "success_any": table.success_any,
        "success_held": table.held(dataset.task.held_steps),
        "success_steps": table.success_steps,
        "clipped": table.clipped,
        "seed": np.array(seeds, object),
        "end_reason": Labels(
            {reason.name.lower(): table.end_reason == reason for reason in EndReason}, complete=True
        ),
        "source": Labels({name: _of(names, name, table.source) for name in names}),
        "kind": Labels({kind: _of(kinds, kind, table.source) for kind in _KINDS}, complete=True),
        "split": Labels(
            {name: np.isin(np.arange(len(table)), members) for name, members in header.splits.items()},
            complete=True,
        ),
    }


def _of(words: Sequence[str], word: str, source: np.ndarray) -> np.ndarray:
    """Return which episodes have a source that is called ``word``, bool [E]."""
    called = np.array([name == word for name in words])
    return np.asarray(called[source])
