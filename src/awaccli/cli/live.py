"""Progress at a terminal: a bar for every open loop, and below it what matters of the work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from awaccli.cli.console import PlainReporter
from awaccli.protocols import Progress
from awaccli.reports.live import Shown, details, levels_for, rate

_INTERVAL_S = 0.1
"""Between two looks at what a loop says of itself; it may say it a thousand times a second."""


class RichReporter(PlainReporter):
    """Progress as live bars: for people at a terminal."""

    _display: _Display | None = None

    @contextmanager
    def phase(self, title: str, total: int, unit: str) -> Iterator[Progress]:
        """Open a long loop; one inside of another has its bar below that one's."""
        with self._signals.noted(), self._opened() as display:
            task = display.add_task(title, total=total, unit=unit, shown={})
            try:
                yield _RichProgress(display, task)
            finally:
                display.remove_task(task)

    @contextmanager
    def _opened(self) -> Iterator[_Display]:
        if self._display:
            yield self._display
            return
        with _Display() as display:
            self._display = display
            try:
                yield display
            finally:
                self._display = None


class _RichProgress:
    def __init__(self, display: _Display, task: TaskID) -> None:
        self._display, self._task = display, task
        self._next_s = 0.0

    def update(self, done: int, **shown: float | Sequence[float]) -> None:
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + _INTERVAL_S
            self._display.update(self._task, completed=done, shown=shown)


class _Display(Bars):
    def __init__(self) -> None:
        self._levels = levels_for(sys.stderr)
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            _Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(stderr=True, markup=False, highlight=False),
            transient=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bars, and under them a line for each that has something to show."""
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            shown: Shown = task.fields["shown"]
            if words := details(shown, self._levels):
                yield Text(f"  {'  '.join(words)}", no_wrap=True, overflow="crop")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return how fast a loop goes."""
        return Text(rate(task.speed) if task.speed else "")
