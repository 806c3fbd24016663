"""What can be wrong with a dataset, and the list of what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["error", "warning", "note"]

CODES: Mapping[str, Severity] = MappingProxyType(
    {
        # structure
        "unreadable": "error",
        "schema": "error",
        "index": "error",
        "damaged-data": "error",
        "file-changed": "error",
        "manifest-damaged": "error",
        "id-mismatch": "error",
        "hash-mismatch": "error",
        "statistics-mismatch": "error",
        "split-out-of-range": "error",
        "unfinished": "warning",
        # episodes
        "flag-inside-episode": "error",
        "no-end-flag": "error",
        "end-reason-invalid": "error",
        "end-reason-contradicts-flags": "error",
        "end-reason-unknown": "warning",
        "derived-mismatch": "error",
        "episode-longer-than-horizon": "warning",
        "length-outlier": "note",
        "final-observation-repeated": "warning",
        # values
        "not-finite": "error",
        "not-finite-extra": "warning",
        "constant-action": "warning",
        "constant-observation": "note",
        "jumping-dimension": "warning",
        "frozen-observation": "warning",
        "action-outside-box": "error",
        "action-saturated": "warning",
        "action-clipped": "warning",
        "reward-out-of-range": "error",
        "success-contradicts-reward": "error",
        "success-rare": "note",
        # copies
        "leak": "error",
        "shared-seed": "warning",
        "duplicate-episode": "warning",
        "same-seed": "note",
        # provenance
        "source-out-of-range": "error",
        "source-unused": "note",
        "source-unnamed": "note",
        "seed-missing": "note",
        "credits-missing": "note",
        "import-loss": "note",
        "version-differs": "note",
    }
)
"""Every code with its severity. An error: do not train on it. A warning: look first. A note: know it."""

MOST_LISTED = 1000
"""Findings of one code that are listed; all are counted."""
_MOST_NUMBERS = 12


class Finding(BaseModel):
    """One thing that is worth knowing about a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity
    code: str
    """One of `CODES`; `docs/validate.md` explains each."""
    field: str | None = None
    """Name of an array, such as ``steps/actions``."""
    episode: int | None = None
    """The only, or the first one that is meant."""
    step: int | None = None
    """Row of the episode, from 0; the episode's length is the final observation."""
    message: str


class Findings:
    """What was found so far: every finding is counted, the first of each code are kept."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Finding]] = {}
        self.counts: Counter[str] = Counter()
        """By code."""

    def add(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        episode: int | None = None,
        step: int | None = None,
    ) -> None:
        """Note a finding; its severity is that of the code."""
        self.counts[code] += 1
        kept = self._kept.setdefault(code, [])
        if len(kept) < MOST_LISTED:
            kept.append(
                Finding(
                    severity=CODES[code], code=code, field=field, episode=episode, step=step, message=message
                )
            )

    def has_errors(self) -> bool:
        """Return whether an error was found so far."""
        return any(CODES[code] == "error" for code in self.counts)

    def sorted(self) -> tuple[Finding, ...]:
        """Return what was kept, in the order of `CODES` by severity, then by place."""
        order = sorted(CODES, key=lambda code: ("error", "warning", "note").index(CODES[code]))
        return tuple(finding for code in order for finding in self._kept.get(code, ()))


def numbers(values: Sequence[int]) -> str:
    """Return a few numbers as text, and how many more there are."""
    text = ", ".join(map(str, values[:_MOST_NUMBERS]))
    left = len(values) - _MOST_NUMBERS
    return f"{text} and {left} more" if left > 0 else text


def counted(count: int, what: str) -> str:
    """Return ``1 step``, ``2 steps``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
