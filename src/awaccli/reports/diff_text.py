"""A comparison as titled tables for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from awaccli.artifacts.checkpoint import DataRef
from awaccli.artifacts.manifest import InputRef
from awaccli.data.evaluation import Outcome
from awaccli.reports.diff import Difference
from awaccli.reports.diff_changes import Change
from awaccli.reports.diff_checkpoints import CheckpointDifference, Tensors
from awaccli.reports.diff_datasets import DatasetDifference, Episodes
from awaccli.reports.diff_evaluations import EvaluationDifference
from awaccli.reports.spans import spans
from awaccli.reports.success import rate_text

_ID = re.compile(r"[0-9a-f]{64}")
_RUNS_SHOWN = 8
_ROWS_SHOWN = 10
_VERDICTS = {
    "identical": "identical: the same id and the same recipe",
    "same content": "same content: the same id, but made in another way",
    "same recipe": "same recipe, but other content: look at the run for the reason",
    "different": "different: another content and another recipe",
}


class Section(NamedTuple):
    """A table, or lines where there is no header."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def verdict_text(found: Difference) -> str:
    """Return in one line whether two artifacts are the same."""
    return _VERDICTS[found.verdict]


def sections(found: Difference) -> Iterator[Section]:
    """Yield what differs, as tables; those without a row are left out."""
    yield Section(
        f"{found.kind}s",
        ("", "path", "id", "recipe"),
        [
            (name, side.path, side.id[:12], side.recipe_key[:12])
            for name, side in (("A", found.a), ("B", found.b))
        ],
    )
    tables = [
        _changes("recipe", found.recipe.settings),
        Section(
            "inputs",
            ("role", "A", "B"),
            [(change.role, _input(change.a), _input(change.b)) for change in found.recipe.inputs],
        ),
        *_content(found),
        _changes("run (in no identity)", found.run),
    ]
    yield from (table for table in tables if table.rows)


def _content(found: Difference) -> Iterator[Section]:
    match found.content:
        case DatasetDifference() as content:
            yield from _dataset(content)
        case CheckpointDifference() as content:
            yield from _checkpoint(content)
        case EvaluationDifference() as content:
            yield _changes("measured", content.measured)
            yield _outcomes(content.outcome_a, content.outcome_b)
            yield _lines("seeds", ["the same" if content.same_seeds else "different: compare the intervals"])


def _dataset(found: DatasetDifference) -> Iterator[Section]:
    yield _changes("described", found.described)
    yield _lines("episodes", _episode_lines(found.episodes))
    yield _outcomes(found.outcome_a, found.outcome_b, [("steps", str(found.steps_a), str(found.steps_b))])
    yield Section(
        "dimensions that differ most",
        ("", "mean A", "mean B", "std A", "std B"),
        [
            (
                f"{row.field} {row.index}",
                *(f"{x:.4g}" for x in (row.mean_a, row.mean_b, row.std_a, row.std_b)),
            )
            for row in found.dimensions
        ],
    )


def _episode_lines(found: Episodes) -> Iterator[str]:
    order = "" if found.same_order else ", in another order"
    yield f"in both    {found.both}{order if found.both else ''}"
    for name, only in (("A", found.only_a), ("B", found.only_b)):
        if only:
            yield f"only in {name}  {len(only)}: {spans(only, limit=_RUNS_SHOWN)}"
    for name, repeated in (("A", found.repeated_a), ("B", found.repeated_b)):
        if repeated:
            groups = "; ".join(spans(group, limit=_RUNS_SHOWN) for group in repeated[:_RUNS_SHOWN])
            more = f" and {len(repeated) - _RUNS_SHOWN} more" if len(repeated) > _RUNS_SHOWN else ""
            yield f"more than once in {name}: {groups}{more}"


def _checkpoint(found: CheckpointDifference) -> Iterator[Section]:
    yield _changes("counters", found.counters)
    yield Section(
        "data",
        ("role", "id", "in"),
        [
            (reference.role, reference.id[:12], where)
            for where, references in _data(found)
            for reference in references
        ],
    )
    yield _lines("tensors", _tensor_lines(found.tensors))
    yield _changes("shapes", found.tensors.reshaped)
    changed = found.tensors.changed
    yield Section(
        "largest differences" + (f" ({_ROWS_SHOWN} of {len(changed)})" if len(changed) > _ROWS_SHOWN else ""),
        ("tensor", "max |A - B|", "entries", "of"),
        [(row.name, f"{row.max_abs:.4g}", str(row.changed), str(row.size)) for row in changed[:_ROWS_SHOWN]],
    )
    if found.evaluation is not None:
        last = found.evaluation
        yield Section(
            f"evaluation at {last.updates} updates, {last.env_steps} environment steps",
            ("", "A", "B"),
            [(key, _value(last.a.get(key)), _value(last.b.get(key))) for key in last.a | last.b],
        )


def _data(found: CheckpointDifference) -> Sequence[tuple[str, tuple[DataRef, ...]]]:
    return ("both", found.data_both), ("A", found.data_only_a), ("B", found.data_only_b)


def _tensor_lines(found: Tensors) -> Iterator[str]:
    yield f"equal {found.equal}, other values {len(found.changed)}, other shapes {len(found.reshaped)}"
    for name, only in (("A", found.only_a), ("B", found.only_b)):
        if only:
            more = f" and {len(only) - _ROWS_SHOWN} more" if len(only) > _ROWS_SHOWN else ""
            yield f"only in {name}  {len(only)}: {', '.join(only[:_ROWS_SHOWN])}{more}"


def _outcomes(a: Outcome, b: Outcome, more: Sequence[tuple[str, ...]] = ()) -> Section:
    rates = [
        (f"success {name}", *(rate_text(getattr(side.success, name)) for side in (a, b)))
        for name in ("final", "any", "held")
    ]
    numbers = [
        ("return mean", f"{a.returns.mean:.2f}", f"{b.returns.mean:.2f}"),
        ("return std", f"{a.returns.std:.2f}", f"{b.returns.std:.2f}"),
        ("length mean", f"{a.mean_length:.1f}", f"{b.mean_length:.1f}"),
    ]
    return Section(
        "statistics",
        ("", "A", "B"),
        [("episodes", str(a.episodes), str(b.episodes)), *more, *rates, *numbers],
    )


def _changes(title: str, found: Sequence[Change]) -> Section:
    return Section(
        title,
        ("", "A", "B"),
        [
            (
                change.name,
                "-" if change.only == "b" else _value(change.a),
                "-" if change.only == "a" else _value(change.b),
            )
            for change in found
        ],
    )


def _lines(title: str, lines: Sequence[str] | Iterator[str]) -> Section:
    return Section(title, (), [(line,) for line in lines])


def _input(reference: InputRef | None) -> str:
    return f"{reference.id[:12]} (recipe {reference.key[:12]})" if reference else "-"


def _value(value: Any) -> str:
    match value:
        case None:
            return "none"
        case float():
            return f"{value:.6g}"
        case str():
            return value[:12] if _ID.fullmatch(value) else value
        case _:
            return json.dumps(value)
