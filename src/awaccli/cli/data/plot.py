"""``awac data plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.cli.makers import output_path


def plot(
    datasets: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATASET...", help="One, taken apart by source, or up to six to compare; or - for stdin."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .png, .svg or .pdf to draw [default: text on stdout]."),
    ] = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Draw a dataset: returns, lengths, success, actions at a bound, state coverage, ranges.

    State coverage shows 20 000 random steps on the first two principal components of their standardised
    observations. `--json` gives the numbers behind the panels.

    Example: awac data plot relocate.zarr -o relocate.png
    """
    report = reporter(quiet=quiet, verbose=False)
    from awaccli.artifacts.plain_file import require_free
    from awaccli.data.dataset import open_dataset
    from awaccli.data.distributions import dataset_distributions
    from awaccli.reports.figures import SUFFIXES

    if output is not None:
        require_free(output_path(output, SUFFIXES, ""), overwrite=overwrite)
    opened = [open_dataset(path, unfinished=True) for path in opt.paths(datasets, "dataset")]
    found = dataset_distributions(opened, report=report)
    if output is not None:
        from awaccli.reports.data_plot import plot_distributions

        plot_distributions(found, output, overwrite=overwrite)
    if as_json:
        emit_json(found.model_dump(mode="json"))
    elif output is not None:
        emit(str(output))
    else:
        from awaccli.reports.data_plot_text import distributions_text

        emit(distributions_text(found))
