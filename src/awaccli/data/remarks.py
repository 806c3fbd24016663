"""What the diagnostics of a training mean, in plain words, each said once.

The limits are those of `docs/algorithms.md`. A sign has to stand in several lines of the log before it is
spoken of: one batch says little.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from awaccli.config.settings import AwacSettings
from awaccli.data.evaluation import Rate, wilson

_LINES = 4
"""Of the log, one after the other, that have to agree."""
_UNIFORM, _FEW = 0.95, 0.01
"""Effective sample size, as a share of the batch: above, and below."""
_LAGGING = 0.6
"""Share of the way to the logged returns that critics should have come."""
_TIME_TO_MOVE = 4000
"""Updates before anything is said of it."""


class Sign(NamedTuple):
    """Something of which a run speaks once."""

    name: str
    words: str
    """What it means, and what to do about it."""


class Signs:
    """Reads the lines of a run's log in their order."""

    def __init__(self, settings: AwacSettings, *, env_steps: int = 0) -> None:
        """Start with a run that goes on from a policy of so many environment steps."""
        self._settings, self._env_steps = settings, env_steps
        self._said: set[str] = set()
        self._last: deque[Mapping[str, Any]] = deque(maxlen=_LINES)
        self._start: Rate | None = None

    def read(self, row: Mapping[str, Any]) -> list[str]:
        """Look at one line, with its counters; return in words the signs that it is the first to complete."""
        new = [sign for sign in self._signs(row) if sign.name not in self._said]
        self._said |= {sign.name for sign in new}
        return [sign.words for sign in new]

    def _signs(self, row: Mapping[str, Any]) -> Iterator[Sign]:
        """Yield every sign that stands after this line, told before or not."""
        if "eval/success_final" in row and row["phase"] == "online":
            yield from self._of_success(row)
        if "weights/ess" in row and row["updates"] > self._settings.bc_updates:
            self._last.append(row)
            if len(self._last) == _LINES:
                yield from self._of_weights()
                yield from self._of_critics()

    def _of_weights(self) -> Iterator[Sign]:
        shares = [row["weights/ess"] for row in self._last]
        if min(shares) > _UNIFORM:
            yield Sign(
                "uniform weights",
                f"the weights are nearly uniform (effective sample size {shares[-1]:.0%} of the batch): "
                "this is behaviour cloning; a smaller --lam tells better actions from worse",
            )
        if max(shares) < _FEW:
            yield Sign(
                "few samples",
                f"a few samples dominate (effective sample size {shares[-1]:.1%} of the batch): the policy "
                "imitates those; try a larger --lam, or awac.advantage_cap",
            )

    def _of_critics(self) -> Iterator[Sign]:
        row, settings = self._last[-1], self._settings
        if row["phase"] != "offline" or row["updates"] < settings.return_updates + _TIME_TO_MOVE:
            return
        pairs = [(line.get("q/range_share", 1.0), line.get("q/return_share", 0.0)) for line in self._last]
        if all(critics < _LAGGING * returns for critics, returns in pairs):
            critics, returns = pairs[-1]
            constant = 1 / (settings.tau * (1 - settings.discount))
            yield Sign(
                "lagging critics",
                f"the critics are at {critics:.0%} of their range, where the logged returns are at "
                f"{returns:.0%}: with this tau and discount they take some {constant:,.0f} updates, and what "
                "--lam means changes until then; awac.return_updates, --n-step or a larger awac.tau help",
            )

    def _of_success(self, row: Mapping[str, Any]) -> Iterator[Sign]:
        episodes = row["eval/episodes"]
        found = wilson(round(row["eval/success_final"] * episodes), episodes)
        if row["env_steps"] == self._env_steps:
            self._start = found
        elif self._start and found.high < self._start.low:
            yield Sign(
                "fall of success",
                f"success fell from {self._start.rate:.0%} to {found.rate:.0%} since online data came in: "
                "the policy loses what it had; try a larger --offline-ratio, or finetune.warmup_steps",
            )
