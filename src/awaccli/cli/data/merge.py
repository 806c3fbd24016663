"""``awac data merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import reporter
from awaccli.cli.data.making import make
from awaccli.cli.makers import existing, open_all


def merge(
    datasets: Annotated[
        list[Path], typer.Argument(metavar="DATASET...", help="Two or more; or - for stdin.")
    ],
    output: opt.Output = None,
    overwrite: opt.Overwrite = False,
    resume: opt.Resume = False,
    if_changed: opt.IfChanged = False,
    dry_run: opt.DryRun = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Put the episodes of several datasets of one task into one, one dataset after the other.

    Seeds, sources, credits and splits of all are kept; fields that not all have are dropped, and named.

    Example: awac data merge demos.zarr rollouts.h5 -o all.zarr
    """
    report = reporter(quiet=quiet, verbose=False)
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    from awaccli.data.merge import merged

    watcher = None if dry_run else report
    found = open_all(opt.paths(datasets, "dataset"), watcher, max_memory=max_memory)
    make(merged(found), output, "merged.zarr", when, dry_run=dry_run, as_json=as_json, report=report)
