"""Other rewards, another success rule or a shorter horizon for the same recordings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from awaccli.config.task import TaskFacts
from awaccli.data.dataset import Dataset
from awaccli.data.derivation import Derivation
from awaccli.data.expression import Condition
from awaccli.data.expression_values import Column
from awaccli.data.schema import FieldSpec
from awaccli.episode import EndReason, Episode
from awaccli.errors import UsageError

BEFORE = "reward_before"
_FIELD = f"steps/infos/{BEFORE}"
_BINARY_RANGE = (-1.0, 0.0)


@dataclass(frozen=True, slots=True)
class SuccessRule:
    """What counts as success."""

    of: Callable[[Episode], np.ndarray]
    """Says after which actions the goal is met, bool [T]."""
    words: str
    """The same for a reader."""
    held_steps: int | None = None
    """Success `held` means more than this many steps; None: as before."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What enters the recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relabelling:
    """What to change. The horizon is applied first, then the success rule, then the rewards."""

    horizon: int | None = None
    """Steps after which longer episodes are cut."""
    success: SuccessRule | None = None
    binary: bool = False
    """Rewards become 0 where the goal is met after the action, -1 otherwise."""
    scale: float = 1.0
    shift: float = 0.0
    """Rewards become ``scale * reward + shift``, binary ones too."""
    keep_before: bool = True
    """Keep the rewards that are replaced as ``infos/reward_before``; those of the first time, if again."""

    @property
    def scales(self) -> bool:
        """Whether scale or shift change anything."""
        return (self.scale, self.shift) != (1.0, 0.0)

    def settings(self) -> dict[str, Any]:
        """Return what enters the recipe."""
        return {
            "horizon": self.horizon,
            "success": dict(self.success.settings) if self.success else None,
            "binary": self.binary,
            "scale": self.scale,
            "shift": self.shift,
            "keep_before": self.keep_before,
        }


def relabelled(dataset: Dataset, change: Relabelling) -> Derivation:
    """Return a dataset with other rewards, successes or ends; observations and actions stay as they are.

    The facts of the task (kind and range of the reward, success rule, horizon) say what is true afterwards.

    Raises:
        UsageError: nothing is changed, or the change makes no sense for this dataset.
    """
    _require_sense(dataset, change)
    fields = dataset.header.fields
    if change.keep_before and (change.binary or change.scales):
        spec = FieldSpec(dtype="<f4", doc="the reward before it was relabelled")
        fields = {_FIELD: spec} | fields
    notes, warnings = [], []
    if change.horizon is not None:
        longer = int((dataset.episodes.length > change.horizon).sum())
        notes.append(f"{longer} of {len(dataset)} episodes are longer, and cut")
    is_other = change.success is not None and change.success.words != dataset.task.success_rule
    if is_other and not change.binary and dataset.task.reward_kind == "binary":
        warnings.append("rewards are still those of the former success rule: --binary makes them anew")

    def episodes() -> Iterator[Episode]:
        return (_changed(episode, change, dataset.task) for episode in dataset)

    return Derivation(
        "relabel",
        (dataset,),
        change.settings(),
        dataset.header.model_copy(update={"task": _facts(dataset.task, change), "fields": fields}),
        total=len(dataset),
        episodes=episodes,
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def success_where(condition: str, task: TaskFacts) -> SuccessRule:
    """Return the rule that the goal is met where a condition on the step holds; see `step_columns`.

    Raises:
        UsageError: not a condition.
    """
    parsed = Condition(condition)
    return SuccessRule(
        of=lambda episode: parsed.holds(step_columns(episode, task)),
        words=parsed.text,
        settings={"where": parsed.text},
    )


def step_columns(episode: Episode, task: TaskFacts) -> dict[str, Column]:
    """Return the columns that a condition on steps may speak of, one row per step.

    They are ``step`` (from 0), ``action``, ``reward``, ``success``, ``observation`` (all of it) and the parts
    of the observation by name, as they are *after* the action, and the infos by name.
    """
    after = episode.observations[1:]
    ends = np.cumsum([size for _, size in task.observation_layout])
    columns: dict[str, np.ndarray] = {"step": np.arange(len(episode)), "action": episode.actions}
    columns |= {"reward": episode.rewards, "success": episode.success}
    for (name, size), end in zip(task.observation_layout, ends, strict=True):
        columns.setdefault(name, after[:, end - size : end])
    columns.setdefault("observation", after)
    for name, rows in episode.infos.items():
        columns.setdefault(name, rows)
    return {name: _per_step(rows) for name, rows in columns.items()}


def _per_step(rows: np.ndarray) -> np.ndarray:
    """Return a number or a vector per step."""
    flat = rows.reshape(len(rows), -1)
    if flat.shape[1] == 1:
        return flat[:, 0]
    return flat.astype(np.float64) if flat.dtype == bool else flat


def _require_sense(dataset: Dataset, change: Relabelling) -> None:
    if change.horizon is None and not (change.success or change.binary or change.scales):
        raise UsageError("nothing to relabel", hint="e.g. --binary, --reward-scale 0.1, --horizon 200")
    if not (math.isfinite(change.scale) and math.isfinite(change.shift)):
        raise UsageError("--reward-scale and --reward-shift must be finite")
    allowed = dataset.task.spec.horizon
    if change.horizon is not None and not 1 <= change.horizon <= (allowed or change.horizon):
        raise UsageError(
            f"--horizon {change.horizon}, where the task of `{dataset.path}` has {allowed or 'none'}",
            hint="recordings can be cut, not continued: expected at least 1 step, and no more than before",
        )


def _changed(episode: Episode, change: Relabelling, task: TaskFacts) -> Episode:
    if change.horizon is not None and len(episode) > change.horizon:
        episode = _cut(episode, change.horizon, task)
    if change.success is not None:
        episode = replace(episode, success=change.success.of(episode))
    if not (change.binary or change.scales):
        return episode
    rewards = episode.success.astype(np.float32) - 1 if change.binary else episode.rewards
    if change.scales:
        rewards = (change.scale * rewards.astype(np.float64) + change.shift).astype(np.float32)
    infos = {BEFORE: episode.rewards} | dict(episode.infos) if change.keep_before else episode.infos
    return replace(episode, rewards=rewards, infos=infos)


def _cut(episode: Episode, horizon: int, task: TaskFacts) -> Episode:
    """Return the first steps; which of the clipped entries are among them is not known, only a bound."""
    cut = episode.cut(horizon)
    low, high = (np.array(ends, np.float32) for ends in (task.action_low, task.action_high))
    at_bound = int(((cut.actions <= low) | (cut.actions >= high)).sum())
    return replace(cut, end_reason=EndReason.TIME_LIMIT, clipped=min(episode.clipped, at_bound))


def _facts(task: TaskFacts, change: Relabelling) -> TaskFacts:
    facts: dict[str, Any] = {}
    if change.horizon is not None:
        facts["spec"] = task.spec.model_copy(update={"horizon": change.horizon})
    rule = change.success
    if rule and rule.held_steps is not None:
        facts["held_steps"] = rule.held_steps
    if rule and rule.words != task.success_rule:
        facts |= {"success_rule": rule.words, "reward_kind": "dense"}  # it does not follow from success now
    if change.binary:
        facts |= {"reward_kind": "binary", "reward_range": _BINARY_RANGE}
    if change.scales:
        before = facts.get("reward_range", task.reward_range)
        facts |= {"reward_kind": "dense", "reward_range": before and _scaled(before, change)}
    return task.model_copy(update=facts)


def _scaled(before: tuple[float, float], change: Relabelling) -> tuple[float, float]:
    """Return the range of float32 rewards after scaling."""
    ends = sorted(float(np.float32(change.scale * end + change.shift)) for end in before)
    return ends[0], ends[1]
