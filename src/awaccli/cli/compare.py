"""``awac compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, table


def compare(
    artifacts: Annotated[
        list[Path], typer.Argument(help="Evaluations and datasets, in the order of the rows.")
    ],
    as_json: opt.Json = False,
) -> None:
    """Put the success of evaluations and datasets side by side, with 95 % intervals.

    A dataset has a row for everyone who acted in it.

    Example: awac compare demos.zarr bc-mean.json finetuned-mean.json
    """
    from awaccli.reports.success import HEADER, comparison

    rows = comparison(opt.paths(artifacts, "artifact"))
    if as_json:
        emit_json({"schema_version": 1, "rows": [row.model_dump(mode="json") for row in rows]})
    else:
        emit(table([row.cells() for row in rows], HEADER))
