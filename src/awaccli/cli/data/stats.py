"""``awac data stats``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter, table


def stats(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="A .zarr or .h5, or the .part of one; or - for stdin.")
    ],
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Measure a dataset: success, returns and lengths by source; every number of every field.

    Quantiles are those of 20 000 random steps where there are more. `at bound` is the share of steps at
    which an action is at a bound of its box.

    Example: awac data stats relocate.zarr
    """
    report = reporter(quiet=quiet, verbose=False)
    from awaccli.data.dataset import open_dataset
    from awaccli.data.stats import dataset_stats
    from awaccli.reports.stats import DIMENSION_HEADER, SOURCE_HEADER, dimension_rows, source_rows

    path, limit = opt.one_path(dataset, "dataset"), opt.memory_bytes(max_memory)
    found = dataset_stats(open_dataset(path, unfinished=True, max_memory=limit), report=report)
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(table(source_rows(found), SOURCE_HEADER))
        emit("")
        emit(table(dimension_rows(found), DIMENSION_HEADER))
