"""Whether what a rebuild made is what was recorded; where it is not, what differs and how well both do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from awaccli.artifacts.manifest import Run, read_manifest
from awaccli.data.dataset import open_dataset
from awaccli.data.evaluation import Outcome, open_evaluation
from awaccli.reports.rebuild_plan import Made, Plan
from awaccli.reports.success import dataset_outcome, rate_text

Measure = Callable[[Path], Outcome | None]
"""Rolls out a checkpoint; None where there is no simulator."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Difference(_Record):
    """A fact of two runs that is not the same."""

    name: str
    recorded: str | None
    rebuilt: str | None


class Confirmation(_Record):
    """One artifact, as recorded and as rebuilt."""

    path: str
    recorded_id: str
    rebuilt_id: str
    same: bool
    """The ids are equal, and so is the content."""
    recipe_equal: bool
    differences: tuple[Difference, ...] = ()
    """In versions, platform and execution, where the content differs and the recorded one is on disk."""
    recorded_outcome: Outcome | None = None
    rebuilt_outcome: Outcome | None = None


class Rebuilt(_Record):
    """What became of a rebuild."""

    schema_version: Literal[1] = 1
    same: bool
    """Every artifact has its recorded id."""
    recipes_equal: bool
    """Every artifact has its recorded id or recipe."""
    artifacts: tuple[Confirmation, ...]
    plan: Plan


def confirm(plan: Plan, measure: Measure) -> Rebuilt:
    """Compare everything that the plan's commands made with what was recorded.

    Raises:
        InputError: something that should have been made is not there.
    """
    found = tuple(_confirmation(made, measure) for command in plan.commands for made in command.makes)
    return Rebuilt(
        same=all(one.same for one in found),
        recipes_equal=all(one.same or one.recipe_equal for one in found),
        artifacts=found,
        plan=plan,
    )


def _confirmation(made: Made, measure: Measure) -> Confirmation:
    path, manifest = Path(made.path), read_manifest(Path(made.path))
    facts: dict[str, Any] = {
        "path": made.path,
        "recorded_id": made.id,
        "rebuilt_id": manifest.id,
        "same": manifest.id == made.id,
        "recipe_equal": manifest.recipe.key == made.recipe_key,
    }
    if facts["same"] or made.recorded_path is None:
        return Confirmation(**facts)
    recorded = Path(made.recorded_path)
    return Confirmation(
        **facts,
        differences=tuple(_differences(read_manifest(recorded).run, manifest.run)),
        recorded_outcome=_outcome(made, recorded, measure),
        rebuilt_outcome=_outcome(made, path, measure),
    )


def _differences(recorded: Run, rebuilt: Run) -> Iterable[Difference]:
    before, after = _facts(recorded), _facts(rebuilt)
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield Difference(name=name, recorded=before.get(name), rebuilt=after.get(name))


def _facts(run: Run) -> dict[str, str]:
    """Return what may change the last bits of a run's numbers."""
    return {
        **run.versions,
        "platform": run.platform,
        "threads": str(run.execution.get("threads")),
        "device": str(run.execution.get("device")),
        "precision": run.precision,
        "mode": run.mode,
    }


def _outcome(made: Made, path: Path, measure: Measure) -> Outcome | None:
    match made.kind:
        case "dataset":
            return dataset_outcome(open_dataset(path))
        case "evaluation":
            return open_evaluation(path).outcome
        case "checkpoint":
            return measure(path)


def rebuilt_text(found: Rebuilt) -> str:
    """Return what became of a rebuild as lines that a person reads."""
    count = len(found.artifacts)
    if found.same:
        counted = f"{count} artifact" if count == 1 else f"{count} artifacts"
        verdict = f"rebuilt `{found.plan.path}`: all ids are the recorded ones ({counted})"
    else:
        same = sum(one.same for one in found.artifacts)
        verdict = f"rebuilt `{found.plan.path}`: {same} of {count} ids are the recorded ones"
    return "\n".join([line for one in found.artifacts for line in _lines(one)] + [verdict])


def _lines(one: Confirmation) -> list[str]:
    if one.same:
        return [f"same id  {one.rebuilt_id[:12]}  {one.path}"]
    what = "recipe equal, content differs" if one.recipe_equal else "recipe differs"
    lines = [f"{what}  {one.recorded_id[:12]} -> {one.rebuilt_id[:12]}  {one.path}"]
    lines += [f"  {item.name}: {item.recorded} -> {item.rebuilt}" for item in one.differences]
    if one.recorded_outcome and one.rebuilt_outcome:
        rates = [
            f"{rate_text(result.success.final)} of {result.episodes} episodes"
            for result in (one.recorded_outcome, one.rebuilt_outcome)
        ]
        lines.append(f"  success at the last step: {rates[0]} -> {rates[1]}")
    return lines
