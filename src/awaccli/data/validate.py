"""The doctor: looks through a dataset for whatever would spoil learning from it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.stores import Store
from awaccli.data.validation.copies import Copies
from awaccli.data.validation.episodes import (
    FinalObservations,
    check_derived,
    check_end_reasons,
    check_flags,
    check_lengths,
)
from awaccli.data.validation.findings import CODES, Finding, Findings, Severity, counted
from awaccli.data.validation.jumps import Jumps
from awaccli.data.validation.provenance import check_provenance
from awaccli.data.validation.recordings import recordings
from awaccli.data.validation.structure import check_counts, check_index, check_structure, open_raw
from awaccli.data.validation.values import (
    Actions,
    Ranges,
    Successes,
    check_finite,
    check_frozen,
    check_rewards,
)
from awaccli.errors import InterruptedRunError
from awaccli.protocols import SILENT, Reporter


class Validation(BaseModel):
    """What was found in a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    ok: bool
    """No error; where it was asked for, no warning either."""
    path: str
    n_episodes: int
    n_steps: int
    counts: dict[Severity, int]
    codes: dict[str, int]
    """How often each code was found; the list of findings has the first thousand of each."""
    findings: tuple[Finding, ...]
    """Errors first."""


def validated(
    path: Path,
    *,
    against: Path | None = None,
    strict: bool = False,
    max_memory: int | None = None,
    report: Reporter = SILENT,
) -> Validation:
    """Look through the dataset at ``path`` once, some episodes at a time, and say what is wrong.

    Args:
        path: a ``.zarr`` directory, an ``.h5`` file, or the ``.part`` of either.
        against: a dataset that should have no episode in common with it.
        strict: warnings count, too.
        max_memory: see `Dataset.max_memory`.
        report: whom to tell how far it is.

    Raises:
        InputError: nothing there, or no dataset of awac; ``against`` cannot be opened.
        UsageError: an episode, or a piece that it is stored in, takes more memory than is allowed.
        InterruptedRunError: a signal came.
    """
    other = open_dataset(against, unfinished=True, max_memory=max_memory) if against else None
    findings = Findings()
    opened = open_raw(path, findings, max_memory=max_memory)
    dataset = opened[0] if opened else None
    if opened and check_structure(opened[0], findings):
        opened[0].require_small_pieces()
        _look_through(*opened, other, findings, report)
    counts = _by_severity(findings.counts)
    return Validation(
        ok=not counts["error"] and not (strict and counts["warning"]),
        path=str(path),
        n_episodes=dataset.n_episodes if dataset else 0,
        n_steps=dataset.n_steps if dataset else 0,
        counts=counts,
        codes={code: findings.counts[code] for code in CODES if findings.counts[code]},
        findings=findings.sorted(),
    )


def _look_through(
    dataset: Dataset, store: Store, other: Dataset | None, findings: Findings, report: Reporter
) -> None:
    """Make all checks of a dataset whose index is sound."""
    check_counts(dataset, findings)
    check_lengths(dataset, findings)
    check_end_reasons(dataset, findings)
    check_provenance(dataset, findings)
    copies, final, ranges = Copies(dataset, other), FinalObservations(), Ranges()
    actions, successes = Actions(dataset), Successes()
    jumps = Jumps(dataset.task.observation_dim)
    with report.phase("validate", len(dataset), "episodes") as progress:
        for recording in recordings(dataset, store, findings):
            check_flags(recording, dataset, findings)
            check_finite(recording, findings)
            check_frozen(recording, findings)
            check_rewards(recording, dataset, findings)
            check_derived(recording, dataset, findings)
            copies.see(recording, findings)
            actions.see(recording, dataset, findings)
            successes.see(recording, dataset)
            for watcher in (final, ranges, jumps):
                watcher.see(recording)
            progress.update(recording.index + 1)
            if signal := report.interrupted():
                raise InterruptedRunError(signal, f"stopped after {recording.index + 1} episodes")
    final.close(dataset, findings)
    actions.close(dataset, findings)
    successes.close(dataset, findings)
    ranges.close(dataset, findings)
    jumps.close(findings)
    check_index(dataset, findings)


def _by_severity(codes: Counter[str]) -> dict[Severity, int]:
    found: dict[Severity, int] = {"error": 0, "warning": 0, "note": 0}
    for code, count in codes.items():
        found[CODES[code]] += count
    return found


def validation_text(found: Validation) -> str:
    """Return findings as a table, a line for each code with its first place, and a line with the verdict."""
    first: dict[str, Finding] = {}
    for finding in found.findings:
        first.setdefault(finding.code, finding)
    rows = [(finding.severity, code, str(found.codes[code])) for code, finding in first.items()]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        f"{severity:<{widths[0]}}  {code:<{widths[1]}}  {count:>{widths[2]}}  {_placed(first[code])}"
        for severity, code, count in rows
    ]
    amounts = ", ".join(counted(count, severity) for severity, count in found.counts.items())
    size = f"{counted(found.n_episodes, 'episode')}, {counted(found.n_steps, 'step')}"
    verdict = "ok" if found.ok else "NOT ok"
    return "\n".join([*lines, f"{found.path} ({size}): {verdict}: {amounts}"])


def _placed(finding: Finding) -> str:
    """Return the message after where it applies."""
    episode = None if finding.episode is None else f"episode {finding.episode}"
    step = None if finding.step is None else f"step {finding.step}"
    place = ", ".join(part for part in (finding.field, episode, step) if part)
    return f"{place}: {finding.message}" if place else finding.message
