"""``metrics.jsonl``: one JSON object a line, appended while a run goes on, cut back when it resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from awaccli.artifacts.identity import json_finite
from awaccli.protocols import SILENT, Reporter

Rows = Sequence[dict[str, Any]]


class MetricsLog:
    """The metrics file of one run."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self._path = path
        self._follower: Callable[[Rows], None] | None = None
        self._report = SILENT

    def write(self, row: dict[str, Any]) -> None:
        """Append one line; NaN and infinities become null."""
        finite = json_finite(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite) + "\n")
        self._pass_on([finite])

    def follow(self, follower: Callable[[Rows], None], report: Reporter) -> None:
        """Hand ``follower`` every line so far and all to come; if it fails, ``report`` that and drop it."""
        self._follower, self._report = follower, report
        self._pass_on(read_metrics(self._path))

    def _pass_on(self, rows: Rows) -> None:
        if self._follower is None:
            return
        try:
            self._follower(rows)
        except Exception as error:  # noqa: BLE001 - whatever a logger meets, the run goes on
            self._follower = None
            self._report.warn(f"no more lines are logged beside {self._path.name}: {error}")

    def has(self, key: str, *, updates: int, env_steps: int) -> bool:
        """Return whether ``key`` was logged at exactly these counters."""
        rows = read_metrics(self._path)
        return any(key in row and (row["updates"], row["env_steps"]) == (updates, env_steps) for row in rows)

    def numbers(self, key: str) -> list[float]:
        """Return the numbers that were logged as ``key``, in order."""
        return [row[key] for row in read_metrics(self._path) if isinstance(row.get(key), int | float)]

    def rewind(self, *, updates: int, env_steps: int = 0) -> None:
        """Drop what was logged after a snapshot, so that a resumed run repeats no line."""
        if not self._path.is_file():
            return
        kept = [row for row in read_metrics(self._path) if _not_after(row, updates, env_steps)]
        scratch = self._path.with_name(f".{self._path.name}.new")
        scratch.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        scratch.replace(self._path)


def _not_after(row: dict[str, Any], updates: int, env_steps: int) -> bool:
    return bool(row.get("updates", 0) <= updates and row.get("env_steps", 0) <= env_steps)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return all complete lines of a metrics file; a line torn by a kill is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows
