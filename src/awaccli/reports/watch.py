"""How a training is doing: its log as one view, for people and for programs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from awaccli.artifacts.event_file import Axis, curves
from awaccli.config.settings import AwacSettings
from awaccli.data.evaluation import wilson
from awaccli.data.remarks import Signs
from awaccli.reports.live import details, duration, rate, sparkline
from awaccli.reports.success import rate_text
from awaccli.reports.training_run import State, TrainingRun, training_run

_LINES = 20
"""Of the log: over so many the speed is measured."""
_UNITS = {"updates": "updates", "env_steps": "steps"}
_ELSEWHERE = ("eval/", "held_out/", "q_gap")
"""Beginnings of names that are told with their evaluation."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(_Record):
    """An evaluation during training, by rollouts or on held-out episodes."""

    updates: int
    env_steps: int
    values: dict[str, float]
    """By their names in ``metrics.jsonl``."""

    def text(self) -> str:
        """Return it as a line that a person reads."""
        at, found = f"{self.updates} updates, {self.env_steps} steps", self.values
        episodes = int(found.get("eval/episodes", found.get("held_out/episodes", 0)))
        if "eval/success_final" in found:
            success = wilson(round(found["eval/success_final"] * episodes), episodes)
            reward = f", return {found['eval/return_mean']:.2f}" if "eval/return_mean" in found else ""
            return f"{at}: success {rate_text(success)}{reward} ({episodes} episodes)"
        words = [f"{name.partition('/')[2].replace('_', ' ')} {value:.4g}" for name, value in found.items()]
        return f"{at}: held-out {', '.join(words)}"


class Watched(_Record):
    """A training, seen from outside."""

    schema_version: Literal[1] = 1
    path: str
    """The checkpoint that it makes."""
    state: State
    stage: str | None
    """None where it has only just begun."""
    algo: str | None
    counts: Axis
    """What ``done``, ``goal`` and ``rate`` are in."""
    done: int
    """By this run, as of the last line of its log."""
    goal: int | None
    rate: float | None
    """Per second."""
    left_s: float | None
    age_s: float | None
    """Since the last line of the log."""
    updates: int
    """In all, those of earlier stages included."""
    env_steps: int
    latest: dict[str, float]
    """The latest diagnostics, by their names in ``metrics.jsonl``."""
    evaluations: tuple[Measured, ...]
    held_out: tuple[Measured, ...]
    remarks: tuple[str, ...]
    """What the log means, in plain words."""


def watched(path: Path) -> Watched:
    """Return how the training is doing whose checkpoint, or its unfinished folder, is at ``path``.

    Raises:
        InputError: nothing there, no training, or a log that is damaged.
    """
    run = training_run(path)
    last = run.rows[-1] if run.rows else {}
    start = getattr(run.start, run.axis) if run.start else 0
    counters = {name: getattr(run.end, name) if run.end else last.get(name, 0) for name in _UNITS}
    done, goal = max(0, counters[run.axis] - start), run.goal if run.start else None
    speed, age_s = _rate(run, start), _age_s(run)
    left_s = (goal - done) / speed if goal is not None and speed else None
    return Watched(
        path=str(run.path),
        state=run.state,
        stage=run.recipe.stage if run.recipe else None,
        algo=str(run.recipe.settings.get("algo")) if run.recipe else None,
        counts=run.axis,
        done=done,
        goal=goal,
        rate=speed,
        left_s=max(0.0, left_s - (age_s or 0.0)) if left_s is not None and run.state == "running" else None,
        age_s=age_s,
        updates=counters["updates"],
        env_steps=counters["env_steps"],
        latest=_latest(run.rows),
        evaluations=_measured(run.rows, ("eval/success_final", "eval/episodes")),
        held_out=_measured(run.rows, ("held_out/log_likelihood",)),
        remarks=tuple(remarks(run)),
    )


def _rate(run: TrainingRun, start: int) -> float | None:
    """Return the speed of the process that wrote the last lines; its clock began with it."""
    begins = [0] + [
        number
        for number, (a, b) in enumerate(zip(run.rows, run.rows[1:], strict=False), start=1)
        if b["wall_s"] < a["wall_s"]
    ]
    rows = run.rows[begins[-1] :][-_LINES:]
    if not rows:
        return None
    first = rows[0] if len(rows) > 1 else {run.axis: start, "wall_s": 0.0}
    if len(rows) == 1 and len(begins) > 1:
        return None
    passed = rows[-1]["wall_s"] - first["wall_s"]
    return max(0.0, (rows[-1][run.axis] - first[run.axis]) / passed) if passed else None


def _age_s(run: TrainingRun) -> float | None:
    try:
        return max(0.0, time.time() - run.log.stat().st_mtime)
    except FileNotFoundError:
        return None


def _latest(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Return the last line of diagnostics, whatever evaluations follow it."""
    found: dict[str, float] = {}
    for row in rows:
        found = {name: v for name, v in curves(row).items() if not name.startswith(_ELSEWHERE)} or found
    return found


def _measured(rows: Iterable[dict[str, Any]], needed: tuple[str, ...]) -> tuple[Measured, ...]:
    return tuple(
        Measured(
            updates=row["updates"],
            env_steps=row["env_steps"],
            values={name: value for name, value in curves(row).items() if name.startswith(_ELSEWHERE)},
        )
        for row in rows
        if row.keys() >= set(needed)
    )


def remarks(run: TrainingRun) -> Iterable[str]:
    """Yield what the run said, or will have said, of its log."""
    if run.recipe is None or run.start is None:
        return
    try:
        settings = AwacSettings.model_validate(run.recipe.settings.get("awac", {}))
    except ValidationError:
        return  # settings of another version
    if run.recipe.stage == "finetune":  # what comes first offline is over
        settings = settings.model_copy(update={"bc_updates": 0})
    signs = Signs(settings, env_steps=run.start.env_steps)
    for row in run.rows:
        if "eval/success_final" not in row or "eval/episodes" in row:
            yield from signs.read(row)


def counted(found: Watched) -> str:
    """Return how far a training is, in words."""
    if found.stage is None:
        return "it has only just begun"
    goal = "" if found.goal is None else f"/{found.goal}"
    words = [f"{found.done}{goal} {_UNITS[found.counts]}"]
    if found.rate is not None:
        words.append(rate(found.rate))
    if found.state == "running":
        words.append(f"{duration(found.left_s)} left")
    name = "fine-tune" if found.stage == "finetune" else found.stage
    return f"{name} {found.algo}: {', '.join(words)}"


def line(found: Watched) -> str:
    """Return all that matters now, in one line."""
    return ", ".join([counted(found), *details(found.latest)])


def watched_text(found: Watched, levels: str) -> str:
    """Return the whole view as lines that a person reads; ``levels``: characters of sparklines."""
    age = f", last line {duration(found.age_s)} ago" if found.state == "running" and found.age_s else ""
    lines = [f"{found.path}: {found.state}{age}", counted(found)]
    if found.latest:
        lines.append(", ".join(details(found.latest)))
    if found.evaluations:
        rates = [one.values["eval/success_final"] for one in found.evaluations]
        lines += [f"success  {sparkline(rates, levels, low=0, high=1)}", f"  {found.evaluations[-1].text()}"]
    if found.held_out:
        likely = [one.values["held_out/log_likelihood"] for one in found.held_out]
        lines += [f"held-out {sparkline(likely, levels)}", f"  {found.held_out[-1].text()}"]
    return "\n".join([*lines, *(f"note: {remark}" for remark in found.remarks)])
