"""A running training puts what its log shows into words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from awaccli.config.settings import AwacSettings
from awaccli.data.remarks import Signs
from awaccli.protocols import Reporter


class Remarks:
    """Reads the lines of a run's log as they are written."""

    def __init__(self, settings: AwacSettings, report: Reporter, *, env_steps: int = 0) -> None:
        """Start with a run that goes on from a policy of so many environment steps."""
        self._signs, self._report = Signs(settings, env_steps=env_steps), report

    def read(self, row: Mapping[str, Any]) -> None:
        """Look at one line, with its counters; warn if it completes a sign."""
        for words in self._signs.read(row):
            self._report.warn(words)
