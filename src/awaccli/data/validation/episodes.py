"""Checks of whole episodes: how they end, how long they are, and what is derived from their steps."""

from __future__ import annotations

import numpy as np

from awaccli.data.dataset import Dataset
from awaccli.data.validation.findings import Findings, counted
from awaccli.data.validation.recordings import Recording
from awaccli.episode import EndReason

LENGTH_DEVIATIONS = 5.0
"""Robust standard deviations of the logarithm of the length, and at least a factor of two."""
FEWEST_EPISODES = 8
"""With fewer, no length is called an outlier."""
_MAD_TO_STD = 1.4826


def check_flags(recording: Recording, dataset: Dataset, findings: Findings) -> None:
    """Check where an episode is flagged to end, and that its end reason says the same."""
    terminations, truncations = recording["steps/terminations"], recording["steps/truncations"]
    if terminations is None or truncations is None:
        return
    index, last = recording.index, len(terminations) - 1
    for name, flags in (("steps/terminations", terminations), ("steps/truncations", truncations)):
        inside = np.flatnonzero(flags[:last])
        if len(inside):
            findings.add(
                "flag-inside-episode",
                f"set after {counted(len(inside), 'step')} before the last one, which is step {last}",
                field=name,
                episode=index,
                step=int(inside[0]),
            )
    if not (terminations[last] or truncations[last]):
        findings.add("no-end-flag", "it ends neither terminated nor truncated", episode=index, step=last)
        return
    reason = int(dataset.episodes.end_reason[index])
    if reason > max(EndReason):
        findings.add(
            "end-reason-invalid",
            f"the end reason is {reason}, known are 0 to {max(EndReason):d}",
            field="episodes/end_reason",
            episode=index,
        )
    elif _contradicts(EndReason(reason), terminated=bool(terminations[last])):
        state = "is" if terminations[last] else "is not"
        findings.add(
            "end-reason-contradicts-flags",
            f"the end reason is {EndReason(reason).name}, the last step {state} a termination",
            field="episodes/end_reason",
            episode=index,
            step=last,
        )


def _contradicts(reason: EndReason, *, terminated: bool) -> bool:
    if terminated:
        return reason in (EndReason.TIME_LIMIT, EndReason.STOPPED)
    return reason is EndReason.TERMINATED


def check_derived(recording: Recording, dataset: Dataset, findings: Findings) -> None:
    """Compare what the table says of an episode with its steps."""
    table, index = dataset.episodes, recording.index
    found: dict[str, tuple[float, float]] = {}
    if (rewards := recording["steps/rewards"]) is not None and np.isfinite(rewards).all():
        found["return"] = float(table.return_[index]), float(rewards.sum(dtype=np.float64))
    if (success := recording["steps/success"]) is not None:
        found["success"] = bool(table.success[index]), bool(success[-1])
        found["success_steps"] = int(table.success_steps[index]), int(success.sum())
    for name, (recorded, actual) in found.items():
        # NUMERICS: processors may add the same rewards in another order
        if not np.isclose(recorded, actual, rtol=1e-9, atol=1e-9):
            findings.add(
                "derived-mismatch",
                f"it is {recorded}, the steps of the episode say {actual}",
                field=f"episodes/{name}",
                episode=index,
            )


def check_lengths(dataset: Dataset, findings: Findings) -> None:
    """Find episodes that are longer than the task allows, or unlike all others."""
    table, horizon = dataset.episodes, dataset.task.spec.horizon
    if horizon is not None:
        for index in np.flatnonzero(table.length > horizon).tolist():
            findings.add(
                "episode-longer-than-horizon",
                f"it has {table.length[index]} steps, the task stops at {horizon}",
                field="episodes/length",
                episode=index,
                step=horizon,
            )
    # who cuts an episode short says so: these lengths are no surprise
    natural = np.flatnonzero(~np.isin(table.end_reason, (EndReason.STOPPED, EndReason.SEGMENT)))
    if len(natural) < FEWEST_EPISODES:
        return
    logs = np.log(table.length[natural])
    distance = np.abs(logs - np.median(logs))
    limit = max(LENGTH_DEVIATIONS * _MAD_TO_STD * float(np.median(distance)), np.log(2))
    for index in natural[distance > limit].tolist():
        findings.add(
            "length-outlier",
            f"it has {counted(table.length[index], 'step')}, the median is {np.median(table.length):g}",
            field="episodes/length",
            episode=index,
        )


def check_end_reasons(dataset: Dataset, findings: Findings) -> None:
    """Say how many episodes do not tell why they ended."""
    unknown = np.flatnonzero(dataset.episodes.end_reason == EndReason.UNKNOWN)
    if len(unknown):
        findings.add(
            "end-reason-unknown",
            f"{len(unknown)} of {counted(len(dataset), 'episode')} do not say why they ended",
            field="episodes/end_reason",
            episode=int(unknown[0]),
        )


class FinalObservations:
    """Finds final observations that are copies of the last one: the recorder did not have them."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._copies = 0

    def see(self, recording: Recording) -> None:
        """Take an episode."""
        observations = recording.observations
        if observations is None or len(observations) < 3:
            return
        same = (observations[1:] == observations[:-1]).all(axis=1)
        if same[-1] and not same[:-1].any():
            self._copies += 1
            self._first = recording.index if self._first is None else self._first

    def close(self, dataset: Dataset, findings: Findings) -> None:
        """Report, where most episodes end that way."""
        if 2 * self._copies >= len(dataset):
            findings.add(
                "final-observation-repeated",
                f"{self._copies} of {counted(len(dataset), 'episode')} end in a copy of the observation "
                "before, and nowhere else stand still",
                field="final/observations",
                episode=self._first,
                step=None if self._first is None else int(dataset.episodes.length[self._first]),
            )
