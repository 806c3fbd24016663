"""``awac watch``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import Signals, emit, emit_json, printable
from awaccli.errors import RunError, UsageError
from awaccli.reports.live import levels_for

if TYPE_CHECKING:
    from awaccli.reports.watch import Watched

_LOOK_S = 0.5
_SAY_S = 10.0


def watch(
    run: Annotated[
        Path, typer.Argument(help="Checkpoint that is being made, its .part folder, or a finished one.")
    ],
    once: Annotated[bool, typer.Option("--once", help="Show how it stands now, and end.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Follow a training from another terminal, until it ends.

    At a terminal the view is drawn anew twice a second. On a pipe there is a line for every evaluation, and
    one every 10 s. The training knows nothing of it. Exit 0: it is committed; 5: it has stopped.

    Example: awac watch pretrained.ckpt
    """
    from awaccli.reports.watch import watched, watched_text

    if as_json and not once:
        raise UsageError("--json prints one object", hint="give --once too, and repeat the command")
    Signals()
    path = opt.one_path(run, "training")
    found = watched(path)
    if once and as_json:
        emit_json(found.model_dump(mode="json"))
    elif once:
        emit(watched_text(found, levels_for(sys.stdout)))
    else:
        _follow(path)


def _follow(path: Path) -> None:
    last = _draw(path) if sys.stdout.isatty() else _tell(path)
    if last.state == "stopped":
        goal = "" if last.goal is None else f" of {last.goal}"
        raise RunError(
            f"the training of `{last.path}` has stopped; its log ends at {last.done}{goal} "
            f"{last.counts.replace('_', ' ')}",
            hint="repeat its command with --resume to go on",
        )


def _looks(path: Path) -> Iterator[Watched]:
    """Yield how a training stands, again and again, until it has ended."""
    from awaccli.reports.watch import watched

    while (found := watched(path)).state == "running":
        yield found
        time.sleep(_LOOK_S)
    yield found


def _draw(path: Path) -> Watched:
    """Draw the view at a terminal until the training has ended; return how it then is."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from awaccli.reports.watch import watched_text

    levels = levels_for(sys.stdout)
    with Live(console=Console(markup=False, highlight=False), auto_refresh=False) as live:
        for found in _looks(path):
            live.update(Text(printable(watched_text(found, levels))), refresh=True)
    return found


def _tell(path: Path) -> Watched:
    """Print a line for every evaluation, and one now and then, until the training has ended."""
    from awaccli.reports.watch import counted, line

    told: set[str] = set()
    next_s = time.monotonic()
    for found in _looks(path):
        for measured in (*found.evaluations, *found.held_out):
            if (text := measured.text()) not in told:
                told.add(text)
                emit(text)
        if time.monotonic() >= next_s and found.state == "running":
            next_s = time.monotonic() + _SAY_S
            emit(line(found))
    emit(f"{found.state}: {counted(found)}")
    return found
