"""A training that is going on, was stopped, or is finished: its recipe and the lines of its log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from awaccli.artifacts.checkpoint import METRICS, checkpoint_content
from awaccli.artifacts.commit import PART, begun_in, part_of, payload_of
from awaccli.artifacts.disk import is_locked
from awaccli.artifacts.event_file import Axis, axis_of
from awaccli.artifacts.manifest import Ancestor, Recipe, read_manifest
from awaccli.artifacts.metrics import read_metrics
from awaccli.artifacts.urls import RemotePath
from awaccli.config.json_value import first_problem
from awaccli.config.settings import BcSettings, FinetuneSettings, PretrainSettings
from awaccli.errors import InputError

State = Literal["running", "stopped", "finished"]
_STAGES = ("pretrain", "finetune")
_Count = Annotated[int, Field(ge=0, lt=1 << 62)]


class Counters(NamedTuple):
    """How much a policy has learned from."""

    updates: int = 0
    env_steps: int = 0


class _Line(BaseModel):
    """What every line of the log has; more may follow."""

    model_config = ConfigDict(extra="allow")

    phase: Literal["offline", "online"]
    updates: _Count
    env_steps: _Count
    wall_s: float = Field(ge=0, allow_inf_nan=False)
    episodes: int = Field(default=1, alias="eval/episodes", ge=1, lt=1 << 62)
    success: float = Field(default=0.0, alias="eval/success_final", ge=0, le=1)


@dataclass(frozen=True)
class TrainingRun:
    """A training as its files tell."""

    path: Path
    """The checkpoint that it makes."""
    state: State
    recipe: Recipe | None
    """None where the run has only just begun."""
    ancestors: Mapping[str, Ancestor]
    log: Path
    rows: list[dict[str, Any]]
    """The complete lines of its log; numbers and texts only."""
    end: Counters | None
    """What a finished checkpoint says of itself."""

    @property
    def axis(self) -> Axis:
        """What the run counts by."""
        return axis_of(self.recipe.settings) if self.recipe else "updates"

    @property
    def start(self) -> Counters | None:
        """Return what its policy had learned from before, or None where that is not known."""
        return _before(self.recipe, self.ancestors) if self.recipe else None

    @property
    def goal(self) -> int | None:
        """Return how many updates or environment steps it takes in all, or None where that is not known."""
        planned = _planned(self.recipe.settings) if self.recipe else None
        return getattr(planned, self.axis) if planned else None


def training_run(path: Path) -> TrainingRun:
    """Find a training by its checkpoint, which may not be there yet, or by its unfinished folder.

    Raises:
        InputError: nothing there, no training, or a log that is damaged.
    """
    if isinstance(path, RemotePath):
        raise InputError(f"`{path}` is not on this machine", hint="copy it here, then name the copy")
    target = path.with_name(path.name.removesuffix(PART))
    part = part_of(target)
    begun = begun_in(part)
    running = is_locked(target)
    if begun and not running and _is_made(target, begun.recipe):
        begun = None  # killed right after the commit: what is left of the folder counts for nothing
    if begun:
        log = payload_of(part) / METRICS
        return _run(target, "running" if running else "stopped", log, begun.recipe, begun.ancestors)
    if target.exists():
        return _finished(target)
    if running:
        return TrainingRun(target, "running", None, {}, payload_of(part) / METRICS, [], None)
    raise InputError(
        f"`{path}` does not exist, and no run makes it",
        hint="name the -o/--output of `awac pretrain` or `awac finetune` once it has begun",
    )


def _finished(target: Path) -> TrainingRun:
    manifest = read_manifest(target)
    if manifest.kind != "checkpoint":
        raise InputError(f"`{target}` is a {manifest.kind}: no training made it", hint="name a .ckpt")
    content = checkpoint_content(target, manifest)
    end = Counters(content.updates, content.env_steps)
    return _run(target, "finished", target / METRICS, manifest.recipe, manifest.ancestors, end)


def _run(
    target: Path,
    state: State,
    log: Path,
    recipe: Recipe,
    ancestors: Mapping[str, Ancestor],
    end: Counters | None = None,
) -> TrainingRun:
    if recipe.stage not in _STAGES:
        raise InputError(
            f"`{target}` is made by {recipe.stage}: no training", hint="name the checkpoint of a training"
        )
    rows = [_checked(row, number, log) for number, row in enumerate(read_metrics(log), start=1)]
    return TrainingRun(target, state, recipe, ancestors, log, rows, end)


def _is_made(target: Path, recipe: Recipe) -> bool:
    try:
        return read_manifest(target).recipe.key == recipe.key
    except InputError:
        return False


def _checked(row: Mapping[str, Any], number: int, log: Path) -> dict[str, Any]:
    """Return the plain values of a line of the log; those that were not finite are null, and left out."""
    try:
        _Line.model_validate(row)
    except ValidationError as error:
        raise InputError(
            f"line {number} of `{log}`: {first_problem(error)}", hint="it is damaged: restore the checkpoint"
        ) from error
    return {name: value for name, value in row.items() if isinstance(value, str) or _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e38


def _before(recipe: Recipe, ancestors: Mapping[str, Ancestor]) -> Counters | None:
    """Return what the policy that a recipe goes on from has learned from."""
    updates = env_steps = 0
    left = dict(ancestors)
    while parents := [ref.id for ref in recipe.inputs if ref.role == "checkpoint"]:
        ancestor = left.pop(parents[0], None)
        made = _planned(ancestor.recipe.settings) if ancestor else None
        if ancestor is None or made is None:
            return None
        updates, env_steps = updates + made.updates, env_steps + made.env_steps
        recipe = ancestor.recipe
    return Counters(updates, env_steps)


def _planned(settings: Mapping[str, Any]) -> Counters | None:
    """Return what a run with these settings adds, or None where this version does not know them."""
    try:
        if "finetune" in settings:
            plan = FinetuneSettings.model_validate(settings["finetune"])
            counted = max(0, plan.env_steps - plan.warmup_steps)
            return Counters(plan.updates or math.floor(plan.utd * counted), plan.env_steps)
        if "pretrain" in settings:
            return Counters(PretrainSettings.model_validate(settings["pretrain"]).updates)
        return Counters(BcSettings.model_validate(settings.get("bc")).updates)
    except (ValidationError, OverflowError):
        return None
