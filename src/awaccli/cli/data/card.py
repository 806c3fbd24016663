"""``awac data card``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, reporter
from awaccli.cli.data.making import Input, opened
from awaccli.errors import OutputExistsError


def card(
    dataset: Input,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Markdown file to write [default: stdout].")
    ] = None,
    overwrite: opt.Overwrite = False,
    max_memory: opt.MaxMemory = None,
    quiet: opt.Quiet = False,
) -> None:
    """Write a dataset's card as Markdown: what it is, how it was made, by whom, and on what terms.

    Example: awac data card relocate.zarr -o CARD.md
    """
    report = reporter(quiet=quiet, verbose=False)
    if output is not None and output.exists() and not overwrite:
        raise OutputExistsError(f"`{output}` already exists", hint="use --overwrite or another -o/--output")
    from awaccli.data.stats import dataset_stats
    from awaccli.reports.card import card as describe

    found = opened(dataset, max_memory)
    text = describe(found, dataset_stats(found, report=report))
    if output is None:
        emit(text.rstrip("\n"))
    else:
        output.write_text(text, encoding="utf-8")
        emit(str(output))
