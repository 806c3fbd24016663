"""``awac data head``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter, table
from awaccli.errors import OutputExistsError, UsageError


def head(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="A .zarr or .h5, or the .part of one; or - for stdin.")
    ],
    count: Annotated[
        int, typer.Option("-n", min=1, help="How many episodes, or steps of the one that is named.")
    ] = 5,
    episode: Annotated[
        int | None, typer.Option("--episode", help="Show steps of this one, from 0; -1 is the last.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="A:B", help="Which steps of it: from A to before B.")
    ] = None,
    ndjson: Annotated[bool, typer.Option("--ndjson", help="Print a JSON object a line.")] = False,
    npz: Annotated[
        Path | None, typer.Option("--npz", help="Write the arrays to this file instead; - is stdout.")
    ] = None,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
) -> None:
    """Show the first episodes of a dataset, or steps of one.

    Example: awac data head demos.zarr --episode 3 --steps 0:10
    """
    if steps is not None and episode is None:
        raise UsageError("--steps of which episode?", hint="name it: --episode 0")
    if ndjson + as_json + (npz is not None) > 1:
        raise UsageError("--json, --ndjson and --npz exclude each other", hint="keep one of them")
    from awaccli.data.dataset import open_dataset
    from awaccli.reports import head as view

    path, limit = opt.one_path(dataset, "dataset"), opt.memory_bytes(max_memory)
    found = open_dataset(path, unfinished=True, max_memory=limit)
    if episode is None:
        if npz is not None:
            from awaccli.data.formats.npz import write_fields

            report, names = reporter(quiet=False, verbose=False), {name: name for name in found.header.fields}
            _write(lambda out: write_fields(found, names, out, report, episodes=count), npz)
            return
        first = view.first_episodes(found, count)
        rows = [row.model_dump(mode="json") for row in first]
        text = table([row.cells() for row in first], view.EPISODE_HEADER)
    else:
        shown = view.episode_at(found, episode)
        span = _span(steps or f":{count}", len(shown))
        if npz is not None:
            import numpy as np

            arrays: dict[str, Any] = view.episode_arrays(shown, span)
            _write(lambda out: np.savez(out, **arrays), npz)
            return
        rows = view.step_rows(shown, found.task, span)
        text = "\n".join(map(view.step_text, rows))
    if ndjson:
        emit("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    elif as_json:
        emit_json({"schema_version": 1, "episodes" if episode is None else "steps": rows})
    else:
        emit(text)


def _span(text: str, length: int) -> range:
    match = re.fullmatch(r"(-?\d*):(-?\d*)", text)
    if match is None or "-" in (match[1], match[2]):
        raise UsageError(f"--steps {text} is no range", hint="expected A:B, as in 0:10 or -5:")
    span = range(length)[slice(*(int(end) if end else None for end in match.groups()))]
    if not span:
        raise UsageError(f"--steps {text}: the episode has {length} steps", hint="they are counted from 0")
    return span


def _write(archive: Callable[[IO[bytes]], None], target: Path) -> None:
    """Let an npz file be written to its place."""
    if str(target) != "-":
        try:
            with target.open("xb") as file:
                archive(file)
        except FileExistsError as error:
            raise OutputExistsError(f"`{target}` already exists", hint="choose another name") from error
        emit(str(target))
    elif sys.stdout.isatty():
        raise UsageError("an npz file is no text", hint="send it on: --npz - | ..., or name a file")
    else:
        archive(sys.stdout.buffer)
        sys.stdout.flush()
