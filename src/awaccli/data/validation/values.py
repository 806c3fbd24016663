"""Checks of numbers: finite, moving, inside their bounds, and in agreement with each other."""

from __future__ import annotations

import numpy as np

from awaccli.data.columns import TRAINING
from awaccli.data.dataset import Dataset
from awaccli.data.validation.findings import Findings, counted, numbers
from awaccli.data.validation.recordings import Recording

FROZEN_STEPS = 10
"""Observations that do not change for as many steps are called frozen."""
FEWEST_STEPS = 10
"""With fewer, no dimension is called constant."""
SATURATED_SHARE = 0.5
"""Of the steps that an action dimension spends at a bound of its box."""
CLIPPED_SHARE = 0.05
"""Of all action entries that were beyond the box."""
RARE_SUCCESS = 0.5
"""Of the episodes; below, success counts as rare."""


def check_finite(recording: Recording, findings: Findings) -> None:
    """Count what is NaN or infinite, in every field."""
    for name, rows in recording.columns.items():
        finite = np.isfinite(rows)
        if finite.all():
            continue
        row = int(np.argwhere(~finite)[0, 0])
        steps = {"steps": row, "final": _length(recording)}
        findings.add(
            "not-finite" if name in TRAINING else "not-finite-extra",
            f"{int((~finite).sum())} of {counted(rows.size, 'value')} are NaN or infinite",
            field=name,
            episode=recording.index,
            step=steps.get(name.partition("/")[0]),
        )


def _length(recording: Recording) -> int | None:
    steps = [len(rows) for name, rows in recording.columns.items() if name.startswith("steps/")]
    return steps[0] if steps else None


def check_frozen(recording: Recording, findings: Findings) -> None:
    """Find the longest time for which no number of the observation changes."""
    observations = recording.observations
    if observations is None:
        return
    moves = np.flatnonzero((observations[1:] != observations[:-1]).any(axis=1))
    edges = np.concatenate([[-1], moves, [len(observations) - 1]])
    still = np.diff(edges) - 1
    longest = int(still.argmax())
    if still[longest] >= FROZEN_STEPS:
        findings.add(
            "frozen-observation",
            f"nothing changes for {still[longest]} steps",
            field="steps/observations",
            episode=recording.index,
            step=int(edges[longest]) + 1,
        )


def check_rewards(recording: Recording, dataset: Dataset, findings: Findings) -> None:
    """Compare rewards with what the task declares, and with success."""
    rewards, binary = recording["steps/rewards"], dataset.task.reward_kind == "binary"
    declared = (-1.0, 0.0) if binary else dataset.task.reward_range
    if rewards is None or declared is None:
        return
    low, high = np.array(declared, np.float32)
    known = np.isin(rewards, declared) if binary else (rewards >= low) & (rewards <= high)
    beyond = np.flatnonzero(~known & np.isfinite(rewards))
    if len(beyond):
        findings.add(
            "reward-out-of-range",
            f"{rewards[beyond[0]]:g}, and {len(beyond)} such in all; the task declares "
            f"{low:g} {'or' if binary else 'to'} {high:g}",
            field="steps/rewards",
            episode=recording.index,
            step=int(beyond[0]),
        )
    success = recording["steps/success"]
    if binary and success is not None:
        _check_success(recording, np.flatnonzero(known & ((rewards == 0) != success)), findings)


def _check_success(recording: Recording, odd: np.ndarray, findings: Findings) -> None:
    """Report steps whose reward says one thing and whose success says another."""
    if len(odd):
        reward, met = recording.columns["steps/rewards"][odd[0]], recording.columns["steps/success"][odd[0]]
        findings.add(
            "success-contradicts-reward",
            f"the reward is {reward:g} where success is {bool(met)}; {len(odd)} such in all",
            field="steps/success",
            episode=recording.index,
            step=int(odd[0]),
        )


class Ranges:
    """Finds dimensions of observations and actions that never change."""

    def __init__(self) -> None:
        self._low: dict[str, np.ndarray] = {}
        self._high: dict[str, np.ndarray] = {}

    def see(self, recording: Recording) -> None:
        """Take an episode."""
        for code, rows in (
            ("constant-observation", recording.observations),
            ("constant-action", recording["steps/actions"]),
        ):
            if rows is None:
                continue
            low, high = np.fmin.reduce(rows), np.fmax.reduce(rows)  # over the steps; NaN is left out
            self._low[code] = np.fmin(self._low[code], low) if code in self._low else low
            self._high[code] = np.fmax(self._high[code], high) if code in self._high else high

    def close(self, dataset: Dataset, findings: Findings) -> None:
        """Report."""
        for code, low in self._low.items() if dataset.n_steps >= FEWEST_STEPS else ():
            constant = np.flatnonzero(low == self._high[code])
            if len(constant):
                findings.add(
                    code,
                    f"{len(constant)} of {counted(len(low), 'dimension')} never change: "
                    f"{numbers(constant.tolist())}",
                    field=f"steps/{code.removeprefix('constant-')}s",
                )


class Actions:
    """Compares actions with their box."""

    def __init__(self, dataset: Dataset) -> None:
        task = dataset.task
        self._low = np.array(task.action_low, np.float32)
        self._high = np.array(task.action_high, np.float32)
        self._steps = 0
        self._at_bound = np.zeros(task.action_dim, np.int64)

    def see(self, recording: Recording, dataset: Dataset, findings: Findings) -> None:
        """Take an episode."""
        actions = recording["steps/actions"]
        if actions is None:
            return
        outside = (actions < self._low) | (actions > self._high)
        if outside.any():
            step, dimension = np.argwhere(outside)[0].tolist()
            findings.add(
                "action-outside-box",
                f"dimension {dimension} is {actions[step, dimension]:g}, its box goes from "
                f"{self._low[dimension]:g} to {self._high[dimension]:g}; {int(outside.sum())} such in all",
                field="steps/actions",
                episode=recording.index,
                step=step,
            )
        at_bound = (actions <= self._low) | (actions >= self._high)
        self._at_bound += at_bound.sum(axis=0)
        self._steps += len(actions)
        clipped = int(dataset.episodes.clipped[recording.index])
        if not 0 <= clipped <= at_bound.sum():
            findings.add(
                "derived-mismatch",
                f"it counts {clipped} clipped entries, {at_bound.sum()} are at a bound",
                field="episodes/clipped",
                episode=recording.index,
            )

    def close(self, dataset: Dataset, findings: Findings) -> None:
        """Report what is true of all episodes together."""
        if not self._steps:
            return
        shares = self._at_bound / self._steps
        saturated = np.flatnonzero(shares > SATURATED_SHARE)
        if len(saturated):
            findings.add(
                "action-saturated",
                f"at a bound of the box in more than {SATURATED_SHARE:.0%} of the steps: dimensions "
                f"{numbers(saturated.tolist())}; {shares.mean():.1%} of all entries are",
                field="steps/actions",
            )
        clipped = dataset.episodes.clipped
        share = clipped.sum() / (dataset.n_steps * dataset.task.action_dim)
        if share >= CLIPPED_SHARE:
            findings.add(
                "action-clipped",
                f"{share:.1%} of all entries were beyond the box, and are stored as executed: at its bound",
                field="episodes/clipped",
                episode=int(np.argmax(clipped > 0)),
            )


class Successes:
    """Says where a binary-reward dataset has little success to learn from."""

    def __init__(self) -> None:
        self._within = 0

    def see(self, recording: Recording, dataset: Dataset) -> None:
        """Take an episode."""
        success = recording["steps/success"]
        if success is not None:
            self._within += bool(success[: dataset.task.spec.horizon].any())

    def close(self, dataset: Dataset, findings: Findings) -> None:
        """Report."""
        table, horizon = dataset.episodes, dataset.task.spec.horizon
        if dataset.task.reward_kind != "binary" or table.success.mean() >= RARE_SUCCESS:
            return
        longer = horizon is not None and (table.length > horizon).any()
        findings.add(
            "success-rare",
            f"{table.success.sum()} of {counted(len(table), 'episode')} end in success, "
            f"{table.success_any.sum()} reach it at some step"
            + (f", {self._within} within the first {horizon}" if longer else ""),
            field="episodes/success",
        )
