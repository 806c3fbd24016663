"""``metrics.jsonl``: one JSON object a line, appended while a run goes on, cut back when it resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from awaccli.artifacts.identity import json_finite


class MetricsLog:
    """The metrics file of one run."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self._path = path

    def write(self, row: dict[str, Any]) -> None:
        """Append one line; NaN and infinities become null."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(json_finite(row)) + "\n")

    def has(self, key: str, *, updates: int, env_steps: int) -> bool:
        """Return whether ``key`` was logged at exactly these counters."""
        rows = read_metrics(self._path)
        return any(key in row and (row["updates"], row["env_steps"]) == (updates, env_steps) for row in rows)

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
