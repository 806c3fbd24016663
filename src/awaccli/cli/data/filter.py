"""``awac data filter``."""

from __future__ import annotations

from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import reporter
from awaccli.cli.data.making import Input, default_output, make, opened
from awaccli.cli.makers import existing


def filter_(
    dataset: Input,
    condition: Annotated[
        str, typer.Argument(metavar="CONDITION", help="On columns of episodes, in Python's spelling.")
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
    """Keep the episodes for which a condition holds.

    Columns: index, length, return, success, success_any, success_held, success_steps, clipped, seed,
    end_reason, source, kind (of the source), split. They are combined with comparisons, and, or, not,
    + - * /, and `in` with a list.

    Example: awac data filter demos.zarr 'success and length < 200'
    """
    report = reporter(quiet=quiet, verbose=False)
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    from awaccli.data.filter import filtered

    found = opened(dataset, max_memory)
    make(
        filtered(found, condition),
        output,
        default_output(found, "filtered"),
        when,
        dry_run=dry_run,
        as_json=as_json,
        report=report,
    )
