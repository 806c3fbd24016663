"""``awac plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json
from awaccli.cli.makers import output_path


def plot(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Up to seven checkpoints, or X.ckpt.part of running ones; or - for stdin."
        ),
    ],
    metric: Annotated[
        list[str],
        typer.Option(
            "--metric", metavar="<name>", help="What to draw; repeats [default: success, main diagnostics]."
        ),
    ] = [],  # noqa: B006 - Typer copies it
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .png, .svg or .pdf to draw [default: text on stdout]."),
    ] = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    """Draw what training runs logged: success, effective sample size, Q against its range, policy loss.

    Offline updates are at the left, online steps at the right. The folder of a run that is still going
    works too. `--json` gives the series.

    Example: awac plot finetuned.ckpt --metric q/mean -o q.png
    """
    from awaccli.artifacts.plain_file import require_free
    from awaccli.reports.curves import curves
    from awaccli.reports.figures import SUFFIXES
    from awaccli.reports.runs import read_run

    if output is not None:
        require_free(output_path(output, SUFFIXES, ""), overwrite=overwrite)
    found = curves([read_run(path) for path in opt.paths(runs, "run")], metric)
    if output is not None:
        from awaccli.reports.curves_figure import plot_curves

        plot_curves(found, output, overwrite=overwrite)
    if as_json:
        emit_json(found.model_dump(mode="json"))
    elif output is not None:
        emit(str(output))
    else:
        from awaccli.reports.curves_text import curves_text

        emit(curves_text(found))
