"""``awac data repair``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter


def repair(
    part: Annotated[
        Path, typer.Argument(help="What a stopped or killed run left: X.zarr.part or X.h5.part.")
    ],
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Seal the whole episodes of an unfinished dataset, and say what is dropped.

    The run that was writing it can then no longer be resumed. Repeated, it does nothing.

    Example: awac data repair demos.zarr.part
    """
    report = reporter(quiet=quiet, verbose=False)
    from awaccli.data.repair import repair as mend

    done = mend(part, max_memory=opt.memory_bytes(max_memory), report=report)
    kept = f"{done.n_episodes} episodes, {done.n_steps} steps"
    if done.already:
        report.note(f"`{done.path}` is sealed already: {kept}")
    else:
        report.note(f"sealed {kept}")
    if done.dropped_episodes:
        report.warn(f"dropped damaged episodes {', '.join(map(str, done.dropped_episodes))}")
    if done.uncommitted_steps:
        report.warn(f"dropped {done.uncommitted_steps} steps behind the last commit")
    if as_json:
        emit_json({"schema_version": 1} | asdict(done) | {"path": str(done.path)})
    else:
        emit(str(done.path))
