"""``awac diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.artifacts.urls import as_path
from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter, table
from awaccli.errors import CheckError


def diff(
    a: Annotated[Path, typer.Argument(help="Dataset, checkpoint or evaluation.")],
    b: Annotated[Path, typer.Argument(help="Another one of the same kind.")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 6 if the contents are not the same.")
    ] = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Compare two artifacts: recipes and inputs, then episodes, tensors or rates, then statistics.

    Example: awac diff demos.zarr relocate.zarr
    """
    report = reporter(quiet=quiet, verbose=False)
    from awaccli.reports.diff import difference
    from awaccli.reports.diff_text import sections, verdict_text

    found = difference(as_path(a), as_path(b), max_memory=opt.memory_bytes(max_memory), report=report)
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(verdict_text(found))
        for title, header, rows in sections(found):
            body = table(rows, header) if header else "\n".join(row[0] for row in rows)
            emit(f"\n{title}\n{body}")
    if exit_code and found.a.id != found.b.id:
        raise CheckError(f"the contents of `{a}` and `{b}` are not the same")
