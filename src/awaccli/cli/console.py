"""What goes to stdout (results only) and to stderr (everything else), and how long work is shown."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from awaccli.errors import AwacError, InterruptedRunError
from awaccli.protocols import Progress
from awaccli.reports.live import details, duration, rate

LOG = logging.getLogger("awaccli")
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
"""Characters that are no text, with what is shown instead; tab and newline are text."""
_PLAIN_INTERVAL_S = 10.0
_VERBOSE_INTERVAL_S = 1.0
_WAKE_INTERVAL_S = 0.5


def emit(text: str) -> None:
    """Print a result. A reader that went away ends the program quietly with 141."""
    try:
        sys.stdout.write(_shown(text, sys.stdout) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()
        raise InterruptedRunError(signal.SIGPIPE, "") from None


def _shown(text: str, stream: Any) -> str:
    return printable(text) if stream.isatty() else text


def printable(text: str) -> str:
    """Return ``text`` as a terminal may have it: names in files of strangers can hold its commands."""
    return text.translate(_CONTROLS)


def abandon_stdout() -> None:
    """Send what stdout still holds nowhere, so that Python's flush at exit cannot fail."""
    with suppress(OSError, ValueError):
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
        os.close(sink)


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object; NaN and infinities become null."""
    from awaccli.artifacts.identity import json_finite

    emit(json.dumps(json_finite(value), ensure_ascii=False))


def complain(error: AwacError) -> None:
    """Print an error and its hint."""
    if str(error):
        print(_shown(f"error: {error}", sys.stderr), file=sys.stderr)
    for note in getattr(error, "__notes__", ()):
        print(f"note: {note}", file=sys.stderr)
    if error.hint:
        print(_shown(f"hint: {error.hint}", sys.stderr), file=sys.stderr)


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Return rows as aligned columns: numbers read well right-aligned, the first column is a name."""
    cells = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            _pad(cell, width, index) for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


class ImmediateStop(BaseException):
    """A signal that ends the program now; no ``except Exception`` of an environment may hold it up."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted")
        self.signal = signal_number


class Signals:
    """The signals a run reacts to: noted while a long loop is open, fatal at once outside of one."""

    def __init__(self, time_limit_s: float | None = None) -> None:
        self.received = 0
        self._open_loops = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._handle)
        if time_limit_s is not None:
            signal.signal(signal.SIGALRM, self._handle)
            signal.setitimer(signal.ITIMER_REAL, time_limit_s)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal's protocol
        number = number if number in (signal.SIGINT, signal.SIGTERM) else signal.SIGTERM
        if self.received or not self._open_loops:
            raise ImmediateStop(number)
        self.received = number
        # Python handles a signal that comes just before a sleep only after it: alarms cut sleeps short.
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, _WAKE_INTERVAL_S, _WAKE_INTERVAL_S)
        print("stopping after saving; once more to stop at once", file=sys.stderr)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Only note signals inside: the loop asks for them when its state is whole."""
        self._open_loops += 1
        try:
            yield
        finally:
            self._open_loops -= 1
            if self.received and not self._open_loops:
                signal.setitimer(signal.ITIMER_REAL, 0)  # at the end of Python an alarm would kill it


class PlainReporter:
    """Progress as a line every ten seconds (one, where verbose): for pipes, logs and CI."""

    def __init__(self, signals: Signals, *, quiet: bool = False, verbose: bool = False) -> None:
        self._signals = signals
        self._quiet = quiet
        self.interval_s = _VERBOSE_INTERVAL_S if verbose else _PLAIN_INTERVAL_S

    @contextmanager
    def phase(self, title: str, total: int, unit: str) -> Iterator[Progress]:
        """Open a long loop."""
        with self._signals.noted():
            yield _PlainProgress(self, title, total, unit)

    def note(self, message: str) -> None:
        """Say something worth knowing."""
        if not self._quiet:
            print(_shown(message, sys.stderr), file=sys.stderr)

    def warn(self, message: str) -> None:
        """Say something that needs attention."""
        print(_shown(f"warning: {message}", sys.stderr), file=sys.stderr)

    def interrupted(self) -> int:
        """Return the signal that asked to stop, or 0."""
        return self._signals.received


class _PlainProgress:
    def __init__(self, reporter: PlainReporter, title: str, total: int, unit: str) -> None:
        self._reporter, self._title, self._total, self._unit = reporter, title, total, unit
        self._started = self._said = time.monotonic()
        self._first: int | None = None

    def update(self, done: int, **shown: float | Sequence[float]) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if now - self._said < self._reporter.interval_s:
            return
        self._said = now
        speed = (done - self._first) / (now - self._started)
        left = (self._total - done) / speed if speed else None
        words = [rate(speed), f"{duration(left)} left", *details(shown)]
        self._reporter.note(f"{self._title}: {done}/{self._total} {self._unit}, {', '.join(words)}")


def reporter(*, quiet: bool, verbose: bool, time_limit_s: float | None = None) -> PlainReporter:
    """Return the reporter that fits this terminal, and start minding signals and log messages."""
    if verbose:
        LOG.addHandler(logging.StreamHandler(sys.stderr))
        LOG.setLevel(logging.DEBUG)
    signals = Signals(time_limit_s)
    if quiet or not sys.stderr.isatty():
        return PlainReporter(signals, quiet=quiet, verbose=verbose)
    from awaccli.cli.live import RichReporter

    return RichReporter(signals, verbose=verbose)
