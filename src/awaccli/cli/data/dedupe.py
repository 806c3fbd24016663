"""``awac data dedupe``."""

from __future__ import annotations

from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.cli.data.making import Input, default_output, make, opened
from awaccli.cli.makers import existing
from awaccli.errors import CheckError, UsageError


def dedupe(
    dataset: Input,
    output: opt.Output = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only name the copies; exit 6 if there are any.")
    ] = False,
    overwrite: opt.Overwrite = False,
    resume: opt.Resume = False,
    if_changed: opt.IfChanged = False,
    dry_run: opt.DryRun = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Keep the first of episodes with equal content, and name the others.

    Example: awac data dedupe merged.zarr -o distinct.zarr
    """
    report = reporter(quiet=quiet, verbose=False)
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    from awaccli.data.dedupe import deduplicated, duplicates

    found = opened(dataset, max_memory)
    if not check:
        make(
            deduplicated(found),
            output,
            default_output(found, "distinct"),
            when,
            dry_run=dry_run,
            as_json=as_json,
            report=report,
        )
        return
    if output is not None:
        raise UsageError("--check makes nothing", hint="leave out -o, or --check")
    copies = duplicates(found)
    if as_json:
        rows = [{"episode": index, "copy_of": original} for index, original in copies.items()]
        emit_json({"schema_version": 1, "ok": not copies, "duplicates": rows})
    else:
        for index, original in copies.items():
            emit(f"episode {index} is a copy of episode {original}")
    if copies:
        raise CheckError(
            f"`{found.path}`: {len(copies)} of {len(found)} episodes are copies of others",
            hint=f"keep one of each: awac data dedupe {found.path}",
        )
