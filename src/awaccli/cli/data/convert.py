"""``awac data convert``."""

from __future__ import annotations

from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import reporter
from awaccli.cli.data.making import Input, make, opened
from awaccli.cli.makers import existing


def convert(
    dataset: Input,
    output: opt.Output = None,
    chunk_bytes: Annotated[
        int, typer.Option("--chunk-bytes", help="Size of the pieces of a field, before compression.")
    ] = 1 << 20,
    overwrite: opt.Overwrite = False,
    resume: opt.Resume = False,
    if_changed: opt.IfChanged = False,
    dry_run: opt.DryRun = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write a dataset as the other container, or in pieces of another size; its id stays the same.

    Example: awac data convert relocate.zarr -o relocate.h5
    """
    report = reporter(quiet=quiet, verbose=False)
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    from awaccli.data.convert import converted

    found = opened(dataset, max_memory)
    other = f"{found.path.stem}{'.h5' if found.path.is_dir() else '.zarr'}"
    make(
        converted(found, chunk_bytes=chunk_bytes),
        output,
        other,
        when,
        dry_run=dry_run,
        as_json=as_json,
        report=report,
    )
