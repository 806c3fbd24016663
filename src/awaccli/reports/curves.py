"""Learning curves: what runs logged against offline updates and online steps, and aggregates over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from awaccli.config.resolve import did_you_mean
from awaccli.errors import InputError, UsageError
from awaccli.reports.aggregates import Estimate, estimate, interquartile_mean, mean
from awaccli.reports.runs import COUNTERS, Run, is_number

Phase = Literal["offline", "online"]
CLOCKS: dict[Phase, str] = {"offline": "updates", "online": "env_steps"}
"""What each phase is drawn against."""
AGGREGATES = {"mean": mean, "iqm": interquartile_mean}
SUCCESS = "eval/success_final"
WORDS = {
    SUCCESS: "success at the last step",
    "eval/success_any": "success at any step",
    "eval/success_held": "success held",
    "eval/return_mean": "return",
    "weights/ess": "effective sample size / batch",
    "q/range_share": "Q: share of its range",
    "q/mean": "Q of logged actions",
    "loss/policy": "policy loss",
    "loss/critic": "critic loss",
}
_MAIN = ((SUCCESS,), ("weights/ess",), ("q/range_share", "q/mean"), ("loss/policy",))
"""What is drawn where nothing is asked for: of each line the first that was logged."""


def is_share(metric: str) -> bool:
    """Return whether a metric is drawn on a scale from 0 to 1."""
    return metric.startswith("eval/success_") or metric == "q/range_share"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(_Record):
    """A logged number."""

    at: int
    """Updates offline, environment steps online."""
    value: float


class Curve(_Record):
    """What one run logged under one name: of several lines at the same place, the last."""

    offline: tuple[Point, ...]
    online: tuple[Point, ...]

    def phase(self, phase: Phase) -> tuple[Point, ...]:
        """Return the points of a phase."""
        points: tuple[Point, ...] = getattr(self, phase)
        return points


class BandPoint(_Record):
    """An aggregate over runs at one place."""

    at: float
    estimate: Estimate


class GroupCurve(_Record):
    """The curves of a group's runs, and what they have in common."""

    name: str
    runs: tuple[Curve, ...]
    bands: dict[Phase, tuple[BandPoint, ...]]
    """Empty for a phase in which no run logged the metric."""


class Series(_Record):
    """One run as ``awac plot`` shows it."""

    name: str
    path: str
    algo: str
    seed: int
    unfinished: bool
    updates: int
    env_steps: int
    curves: dict[str, Curve]


class Curves(_Record):
    """All that ``awac plot`` shows."""

    schema_version: Literal[1] = 1
    metrics: tuple[str, ...]
    runs: tuple[Series, ...]


def curve(run: Run, metric: str) -> Curve:
    """Return what a run, and the checkpoints it went on from, logged under a name."""
    points: dict[Phase, dict[int, float]] = {"offline": {}, "online": {}}
    for line in run.log:
        if is_number(value := line.get(metric)):
            phase: Phase = line["phase"]
            points[phase][line[CLOCKS[phase]]] = float(value)
    found = {
        phase: tuple(Point(at=at, value=value) for at, value in sorted(values.items()))
        for phase, values in points.items()
    }
    return Curve(offline=found["offline"], online=found["online"])


def curves(runs: Sequence[Run], metrics: Sequence[str] = ()) -> Curves:
    """Return series of ``metrics``, by default success and the main diagnostics.

    Raises:
        UsageError: no run logged a metric of that name.
        InputError: the runs logged nothing yet.
    """
    known = require_metrics(runs, metrics)
    main = [next(name for name in names if name in known) for names in _MAIN if known & set(names)]
    chosen = tuple(dict.fromkeys(metrics or main or sorted(known)[:1]))
    return Curves(
        metrics=chosen,
        runs=tuple(
            Series(
                name=run.name,
                path=str(run.path),
                algo=run.algo,
                seed=run.seed,
                unfinished=run.id is None,
                updates=run.updates,
                env_steps=run.env_steps,
                curves={name: curve(run, name) for name in chosen},
            )
            for run in runs
        ),
    )


def require_metrics(runs: Sequence[Run], metrics: Sequence[str]) -> set[str]:
    """Return the names of all numbers that the runs logged, ``metrics`` among them.

    Raises:
        UsageError: no run logged a metric of that name.
        InputError: the runs logged nothing yet.
    """
    lines = [line for run in runs for line in run.log]
    known = {name for line in lines for name, value in line.items() if is_number(value)} - set(COUNTERS)
    if not known:
        raise InputError(
            f"`{runs[0].path}` has no metrics yet", hint="training logs its first line after some updates"
        )
    for name in metrics:
        if name not in known:
            raise UsageError(f"--metric {name}: no run logged it", hint=did_you_mean(name, sorted(known)))
    return known


def group_curves(groups: Mapping[str, Sequence[Run]], metric: str, *, aggregate: str) -> list[GroupCurve]:
    """Return the curves of groups; ``aggregate``: ``mean`` or ``iqm`` over the runs of each.

    Raises:
        UsageError: no run logged a metric of that name.
        InputError: the runs logged nothing yet.
    """
    require_metrics([run for runs in groups.values() for run in runs], [metric])
    found = []
    for name, runs in groups.items():
        own = [curve(run, metric) for run in runs]
        tasks = [run.task for run in runs]
        bands = {phase: _band(own, tasks, phase, AGGREGATES[aggregate]) for phase in CLOCKS}
        found.append(GroupCurve(name=name, runs=tuple(own), bands=bands))
    return found


def _band(
    curves: Sequence[Curve],
    tasks: Sequence[str | None],
    phase: Phase,
    statistic: Callable[[np.ndarray], np.ndarray],
) -> tuple[BandPoint, ...]:
    """Aggregate over runs wherever one of them has a point, as far as all of them reach.

    Between its own points a run counts with a straight line.
    """
    drawn = [(task, curve.phase(phase)) for task, curve in zip(tasks, curves, strict=True)]
    drawn = [(task, points) for task, points in drawn if points]
    if not drawn:
        return ()
    first = max(points[0].at for _, points in drawn)
    last = min(points[-1].at for _, points in drawn)
    places = sorted({point.at for _, points in drawn for point in points if first <= point.at <= last})
    values: dict[str | None, list[np.ndarray]] = {}
    for task, points in drawn:
        at, logged = [point.at for point in points], [point.value for point in points]
        values.setdefault(task, []).append(np.interp(places, at, logged))
    strata = [np.stack(rows, axis=1) for rows in values.values()]
    return tuple(
        BandPoint(at=place, estimate=estimate([rows[index] for rows in strata], statistic))
        for index, place in enumerate(places)
    )
