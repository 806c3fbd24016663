"""Timing side by side: every contestant runs once per round, and rounds repeat, so that drift hits all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One quantity of several contestants; ours is the first."""

    name: str
    values: Mapping[str, float]
    unit: str
    note: str = ""

    def cells(self, columns: list[str]) -> list[str]:
        """Return what is printed: each value, and for others how many times worse they are."""
        ours = next(iter(self.values.values()))
        cells = []
        for column in columns:
            value = self.values.get(column)
            if value is None:
                cells.append("-")
            elif value is ours:
                cells.append(f"{value:,.4g}")
            else:
                worse = value / ours if self.unit in LOWER_IS_BETTER else ours / value
                cells.append(f"{value:,.4g} ({worse:.2g}x)")
        return [self.name, self.unit, *cells, self.note]


LOWER_IS_BETTER = ("s", "ms", "MB", "bytes")


def seconds(work: Work) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def medians(contestants: Mapping[str, Work], *, rounds: int) -> dict[str, float]:
    """Return the median seconds of each, all of them run once in every round after one to warm up."""
    for work in contestants.values():
        work()
    times = [{name: seconds(work) for name, work in contestants.items()} for _ in range(rounds)]
    return {name: statistics.median(times_[name] for times_ in times) for name in contestants}


def table(title: str, rows: list[Row]) -> str:
    """Return rows as a Markdown table."""
    columns = list(dict.fromkeys(column for row in rows for column in row.values))
    header = ["", "unit", *columns, ""]
    lines = [header, ["---"] * len(header), *(row.cells(columns) for row in rows)]
    return "\n".join([f"### {title}", "", *("| " + " | ".join(line) + " |" for line in lines), ""])
