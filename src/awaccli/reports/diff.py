"""``awac diff``: two artifacts of one kind, first how they were made, then what is in them."""

from __future__ import annotations

from collections import defaultdict
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.manifest import InputRef, Kind, Manifest, Recipe, Run, read_manifest
from awaccli.data.dataset import open_dataset
from awaccli.data.evaluation import open_evaluation
from awaccli.errors import InputError
from awaccli.protocols import SILENT, Reporter
from awaccli.reports.diff_changes import Change, Record, changes
from awaccli.reports.diff_checkpoints import CheckpointDifference, checkpoint_difference
from awaccli.reports.diff_datasets import DatasetDifference, dataset_difference
from awaccli.reports.diff_evaluations import EvaluationDifference, evaluation_difference
from awaccli.reports.kind import kind_of

Verdict = Literal["identical", "same content", "same recipe", "different"]


class Side(Record):
    """One of the two."""

    path: str
    id: str
    recipe_key: str


class InputChange(Record):
    """Inputs in the same role that are not the same."""

    role: str
    a: InputRef | None
    b: InputRef | None


class RecipeDifference(Record):
    """How the ways differ in which two artifacts were made."""

    settings: tuple[Change, ...]
    """Stage, its version, seed, and settings by dotted name."""
    inputs: tuple[InputChange, ...]


class Difference(Record):
    """Everything in which A and B differ."""

    schema_version: Literal[1] = 1
    kind: Kind
    verdict: Verdict
    """Identical: same id and recipe key; same content: only the id; same recipe: only the key."""
    a: Side
    b: Side
    recipe: RecipeDifference
    run: tuple[Change, ...]
    """Versions, platform, threads ...: they enter no identity, but may explain different numbers."""
    content: DatasetDifference | CheckpointDifference | EvaluationDifference | None
    """None where the content is the same."""


def difference(a: Path, b: Path, *, max_memory: int | None = None, report: Reporter = SILENT) -> Difference:
    """Compare the artifacts at ``a`` and ``b``.

    Args:
        a: of one kind.
        b: of the same kind.
        max_memory: see `Dataset.max_memory`.
        report: whom to tell how far it is.

    Raises:
        InputError: missing, damaged, or of different kinds.
    """
    kind, other = kind_of(a), kind_of(b)
    if kind != other:
        raise InputError(
            f"`{a}` is a {kind}, `{b}` is: {other}",
            hint="compare two datasets, two checkpoints or two evaluations",
        )
    content = _content(kind, a, b, max_memory, report)
    first, second = read_manifest(a), read_manifest(b)
    return Difference(
        kind=kind,
        verdict=_verdict(first, second),
        a=_side(a, first),
        b=_side(b, second),
        recipe=RecipeDifference(
            settings=changes(_settings(first.recipe), _settings(second.recipe)),
            inputs=_inputs(first.recipe, second.recipe),
        ),
        run=changes(_circumstances(first.run), _circumstances(second.run)),
        content=content if first.id != second.id else None,
    )


def _content(
    kind: Kind, a: Path, b: Path, max_memory: int | None, report: Reporter
) -> DatasetDifference | CheckpointDifference | EvaluationDifference | None:
    """Open both, which checks them, and compare what is in them; None where datasets are the same."""
    match kind:
        case "dataset":
            first, second = (open_dataset(path, max_memory=max_memory) for path in (a, b))
            return None if first.id == second.id else dataset_difference(first, second, report)
        case "checkpoint":
            return checkpoint_difference(open_checkpoint(a), open_checkpoint(b))
        case "evaluation":
            return evaluation_difference(open_evaluation(a), open_evaluation(b))


def _verdict(a: Manifest, b: Manifest) -> Verdict:
    match a.id == b.id, a.recipe.key == b.recipe.key:
        case True, True:
            return "identical"
        case True, False:
            return "same content"
        case False, True:
            return "same recipe"
        case _:
            return "different"


def _side(path: Path, manifest: Manifest) -> Side:
    return Side(path=str(path), id=manifest.id, recipe_key=manifest.recipe.key)


def _settings(recipe: Recipe) -> dict[str, object]:
    settings: dict[str, object] = recipe.model_dump(mode="json")["settings"]
    return {"stage": recipe.stage, "stage version": recipe.version, "seed": recipe.seed} | settings


def _inputs(a: Recipe, b: Recipe) -> tuple[InputChange, ...]:
    """Pair the inputs of each role in their order, and return the pairs that differ."""
    roles: defaultdict[str, tuple[list[InputRef], list[InputRef]]] = defaultdict(lambda: ([], []))
    for side, recipe in enumerate((a, b)):
        for reference in recipe.inputs:
            roles[reference.role][side].append(reference)
    return tuple(
        InputChange(role=role, a=first, b=second)
        for role, sides in roles.items()
        for first, second in zip_longest(*sides)
        if first != second
    )


def _circumstances(run: Run) -> dict[str, object]:
    found: dict[str, object] = run.model_dump(mode="json", exclude={"started", "wall_s", "paths"})
    return found
