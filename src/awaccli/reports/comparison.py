"""Groups of training runs side by side: final evaluations, intervals over seeds, cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from awaccli.data.evaluation import Evaluation, Rate, SuccessRates, SuccessRule, open_evaluation, wilson
from awaccli.errors import InputError, UsageError
from awaccli.reports.aggregates import (
    Estimate,
    estimate,
    interquartile_mean,
    mean,
    probability_of_improvement,
)
from awaccli.reports.grouping import grouped
from awaccli.reports.kind import kind_of
from awaccli.reports.runs import Line, Run, is_number, read_run
from awaccli.reports.success import Row, comparison

RULES: tuple[SuccessRule, ...] = ("final", "any", "held")
RankedBy = Literal["final", "return"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Final(_Record):
    """The one evaluation that stands for a run: of its last policy, never the best of several."""

    by: Literal["awac eval", "training"]
    """An evaluation given beside the checkpoint, or the last one that training made on its way."""
    file: str | None
    actions: Literal["mean", "sample"]
    episodes: int
    updates: int
    env_steps: int
    success: SuccessRates
    return_mean: float
    """Of the episodes, undiscounted."""


class RunSummary(_Record):
    """One run in a few numbers."""

    name: str
    path: str
    id: str
    algo: str
    task: str | None
    seed: int
    updates: int
    """In all, those of the checkpoints it went on from included; so for the others."""
    env_steps: int
    wall_s: float
    robot_min: float | None
    whole: bool
    """False: a checkpoint that it went on from was not found, and ``wall_s`` is without that one's time."""
    final: Final


class Aggregate(_Record):
    """Success by one definition, or the return, over the runs of a group."""

    mean: Estimate
    iqm: Estimate
    within: Rate | None
    """Success of a single run with the Wilson interval over episodes, which says nothing of other seeds."""
    worst: str
    """Name of the run that did worst."""
    worst_seed: int
    worst_value: float


class Improvement(_Record):
    """How likely a run of the first group is better than one of another."""

    over: str
    probability: Estimate


class GroupSummary(_Record):
    """Runs that are seeds of the same thing."""

    name: str
    tasks: tuple[str, ...]
    success: dict[SuccessRule, Aggregate]
    returns: Aggregate
    runs: tuple[RunSummary, ...]


class Comparison(_Record):
    """All that ``awac compare`` says."""

    schema_version: Literal[1] = 1
    rows: tuple[Row, ...]
    """Of evaluations that belong to none of the runs, and of datasets."""
    group_by: str
    groups: tuple[GroupSummary, ...]
    ranked_by: RankedBy
    """Success at the last step; mean return where no run ever succeeded, as in tasks without a goal."""
    improvements: tuple[Improvement, ...]
    """Of the first group over each other that has runs on a task of the first."""


@dataclass(frozen=True)
class Compared:
    """What was given, sorted out."""

    groups: Mapping[str, Sequence[Run]]
    measured: Mapping[str, tuple[Path, Evaluation]]
    """Evaluations that stand for a run, by its content id."""
    others: tuple[Path, ...]
    """Evaluations of other checkpoints, and datasets."""
    group_by: str

    @cached_property
    def names(self) -> dict[str, str]:
        """Names of runs by content id: of files, with their folders where that is not enough."""
        runs = [run for group in self.groups.values() for run in group]
        short = [run.name for run in runs]
        return {
            str(run.id): run.name if short.count(run.name) == 1 else str(run.path.with_suffix(""))
            for run in runs
        }


def read_all(paths: Sequence[Path], *, group_by: str = "settings") -> Compared:
    """Open checkpoints, and tell evaluations of them from everything else.

    Raises:
        InputError: missing or damaged, or the same checkpoint twice.
        UsageError: two evaluations of one checkpoint, or no run has the setting ``group_by``.
    """
    kinds = [(path, kind_of(path)) for path in paths]
    runs = [read_run(path) for path, kind in kinds if kind == "checkpoint"]
    _require_distinct(runs)
    tasks = {run.id: run.task for run in runs}
    measured: dict[str, tuple[Path, Evaluation]] = {}
    others = []
    for path, kind in kinds:
        found = open_evaluation(path) if kind == "evaluation" else None
        if found and found.checkpoint in tasks and found.task == tasks[found.checkpoint]:
            if found.checkpoint in measured:
                raise UsageError(
                    f"`{measured[found.checkpoint][0]}` and `{path}` measured the same checkpoint",
                    hint="give one of them: a run has one final evaluation",
                )
            measured[found.checkpoint] = path, found
        elif kind != "checkpoint":
            others.append(path)
    return Compared(grouped(runs, group_by) if runs else {}, measured, tuple(others), group_by)


def _require_distinct(runs: Iterable[Run]) -> None:
    seen: dict[str | None, Path] = {}
    for run in runs:
        if run.id in seen:
            raise InputError(
                f"`{seen[run.id]}` and `{run.path}` are the same checkpoint",
                hint="a copy is no further seed: leave one of them out",
            )
        seen[run.id] = run.path


def compare(found: Compared) -> Comparison:
    """Aggregate the final evaluations of runs over seeds, group by group.

    Raises:
        InputError: a run without any evaluation.
        UsageError: a group with evaluations by mean and by sampled actions.
    """
    groups = tuple(_group(name, runs, found) for name, runs in found.groups.items())
    succeeded = any(run.final.success.any.rate for group in groups for run in group.runs)
    ranked_by: RankedBy = "final" if succeeded or not groups else "return"
    return Comparison(
        rows=tuple(comparison(found.others)),
        group_by=found.group_by,
        groups=groups,
        ranked_by=ranked_by,
        improvements=tuple(_improvements(groups, _score(ranked_by))),
    )


def _group(name: str, runs: Sequence[Run], found: Compared) -> GroupSummary:
    summaries = tuple(_summary(run, found) for run in runs)
    if len({summary.final.actions for summary in summaries}) > 1:
        raise UsageError(
            f"group `{name}`: some runs were measured by mean actions, others by sampled ones",
            hint="give an evaluation of each run, all by the same `awac eval --actions`; training uses mean",
        )
    return GroupSummary(
        name=name,
        tasks=tuple(dict.fromkeys(summary.task or "?" for summary in summaries)),
        success={rule: _aggregate(summaries, _score(rule), _within(summaries, rule)) for rule in RULES},
        returns=_aggregate(summaries, _score("return")),
        runs=summaries,
    )


def _summary(run: Run, found: Compared) -> RunSummary:
    identity = str(run.id)
    return RunSummary(
        name=found.names[identity],
        path=str(run.path),
        id=identity,
        algo=run.algo,
        task=run.task,
        seed=run.seed,
        updates=run.updates,
        env_steps=run.env_steps,
        wall_s=run.wall_s,
        robot_min=run.robot_min,
        whole=run.whole,
        final=_final(run, found.measured.get(identity)),
    )


def _final(run: Run, measured: tuple[Path, Evaluation] | None) -> Final:
    if measured:
        path, result = measured
        return Final(
            by="awac eval",
            file=str(path),
            actions=result.actions,
            episodes=result.outcome.episodes,
            updates=result.updates,
            env_steps=result.env_steps,
            success=result.outcome.success,
            return_mean=result.outcome.returns.mean,
        )
    last = next((line for line in reversed(run.lines) if is_evaluation(line)), None)
    if last is None:
        raise InputError(
            f"`{run.path}` is a checkpoint without any evaluation",
            hint=f"measure it: awac eval {run.path} -o result.json, and compare both",
        )
    return Final(
        by="training",
        file=None,
        actions="mean",
        episodes=last["eval/episodes"],
        updates=last["updates"],
        env_steps=last["env_steps"],
        success=logged_rates(last),
        return_mean=last["eval/return_mean"],
    )


def is_evaluation(line: Line) -> bool:
    """Return whether a line of a log is a whole evaluation."""
    episodes = line.get("eval/episodes")
    rates = [line.get(f"eval/success_{rule}") for rule in RULES]
    return (
        type(episodes) is int
        and episodes > 0
        and all(is_number(rate) and 0 <= rate <= 1 for rate in rates)
        and is_number(line.get("eval/return_mean"))
    )


def logged_rates(line: Line) -> SuccessRates:
    """Return success as an evaluation in a log has it."""
    return SuccessRates(**{rule: _logged_rate(line, rule) for rule in RULES})


def _logged_rate(line: Line, rule: SuccessRule) -> Rate:
    episodes = line["eval/episodes"]
    return wilson(round(line[f"eval/success_{rule}"] * episodes), episodes)


Score = Callable[[RunSummary], float]


def _score(by: SuccessRule | Literal["return"]) -> Score:
    """Return what a run is ranked by."""
    return lambda run: run.final.return_mean if by == "return" else getattr(run.final.success, by).rate


def _within(runs: Sequence[RunSummary], rule: SuccessRule) -> Rate | None:
    return getattr(runs[0].final.success, rule) if len(runs) == 1 else None


def _aggregate(runs: Sequence[RunSummary], score: Score, within: Rate | None = None) -> Aggregate:
    strata = list(_by_task(runs, score).values())
    worst = min(runs, key=score)
    return Aggregate(
        mean=estimate(strata, mean),
        iqm=estimate(strata, interquartile_mean),
        within=within,
        worst=worst.name,
        worst_seed=worst.seed,
        worst_value=score(worst),
    )


def _by_task(runs: Sequence[RunSummary], score: Score) -> dict[str, np.ndarray]:
    """Return the scores of runs, float64 [R], by their task."""
    scores: dict[str, list[float]] = {}
    for run in runs:
        scores.setdefault(run.task or "?", []).append(score(run))
    return {task: np.array(values) for task, values in scores.items()}


def _improvements(groups: Sequence[GroupSummary], score: Score) -> Iterator[Improvement]:
    first, *others = [_by_task(group.runs, score) for group in groups] or [{}]
    for group, scores in zip(groups[1:], others, strict=True):
        if probability := probability_of_improvement(first, scores):
            yield Improvement(over=group.name, probability=probability)
