"""``awac data subsample``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import reporter
from awaccli.cli.data.making import Input, default_output, make, opened
from awaccli.cli.makers import existing

if TYPE_CHECKING:
    from awaccli.data.subsample import Stratum


def subsample(
    dataset: Input,
    output: opt.Output = None,
    episodes: Annotated[int | None, typer.Option("-n", "--episodes", help="How many to keep.")] = None,
    fraction: Annotated[
        float | None, typer.Option("--fraction", help="Share to keep, more than 0 and at most 1.")
    ] = None,
    stratify: Annotated[
        str | None, typer.Option("--stratify", help="Keep the shares of: success or source.")
    ] = None,
    seed: opt.Seed = 0,
    overwrite: opt.Overwrite = False,
    resume: opt.Resume = False,
    if_changed: opt.IfChanged = False,
    dry_run: opt.DryRun = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Keep a random part of the episodes, in their order.

    Example: awac data subsample relocate.zarr -n 100 --stratify source
    """
    report = reporter(quiet=quiet, verbose=False)
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    opt.choice("--stratify", stratify, ("success", "source"))
    from awaccli.data.subsample import subsampled

    found = opened(dataset, max_memory)
    make(
        subsampled(
            found,
            episodes=episodes,
            fraction=fraction,
            stratify=cast("Stratum | None", stratify),
            seed=seed,
        ),
        output,
        default_output(found, "subsampled"),
        when,
        dry_run=dry_run,
        as_json=as_json,
        report=report,
    )
