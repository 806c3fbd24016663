"""``awac compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter, table
from awaccli.cli.makers import output_path
from awaccli.errors import UsageError

if TYPE_CHECKING:
    from awaccli.reports.comparison import Compared, Comparison


def compare(
    artifacts: Annotated[
        list[Path],
        typer.Argument(help="Checkpoints, evaluations and datasets, in the order of the rows."),
    ],
    group_by: Annotated[
        str,
        typer.Option(
            "--group-by",
            metavar="<name>",
            help="Which runs are seeds of one: settings, name, algo, awac.lam.",
        ),
    ] = "settings",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .png, .svg or .pdf with learning curves."),
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", metavar="<name>", help="What the learning curves show.")
    ] = "eval/success_final",
    aggregate: Annotated[
        str, typer.Option("--aggregate", metavar="<name>", help="The bold curve of a group: mean or iqm.")
    ] = "mean",
    csv: Annotated[
        Path | None, typer.Option("--csv", help="A .csv with a row for each evaluation of each run.")
    ] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print tables for LaTeX (booktabs).")] = False,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    """Put training runs, evaluations and datasets side by side, with 95 % intervals.

    Checkpoints are grouped by `--group-by`; a group has the success of its final evaluations, aggregated
    over seeds, and what it cost. An evaluation of one of the checkpoints is its final one; else the last
    that training made. A dataset has a row for everyone who acted in it.

    Example: awac compare awac-*.ckpt bc-*.ckpt -o curves.png --csv curves.csv
    """
    from awaccli.reports.comparison import compare as compare_all
    from awaccli.reports.comparison import read_all
    from awaccli.reports.comparison_text import latex_text, notes, sheets

    if latex and as_json:
        raise UsageError("--latex and --json exclude each other", hint="keep one of them")
    opt.choice("--aggregate", aggregate, ("mean", "iqm"))
    _check_outputs(output, csv, overwrite=overwrite)
    read = read_all(opt.paths(artifacts, "artifact"), group_by=group_by)
    found = compare_all(read)
    _write(read, output, csv, metric=metric, aggregate=aggregate, overwrite=overwrite)
    if as_json:
        emit_json(found.model_dump(mode="json"))
    elif latex:
        emit(latex_text(sheets(found), notes(found)))
    else:
        emit(_text(found))


def _text(found: Comparison) -> str:
    from awaccli.reports.comparison_text import notes, sheets

    parts = [table(sheet.rows, sheet.header) for sheet in sheets(found)]
    return "\n\n".join([*parts, *(["\n".join(notes(found))] if notes(found) else [])])


def _check_outputs(output: Path | None, csv: Path | None, *, overwrite: bool) -> None:
    from awaccli.artifacts.plain_file import require_free
    from awaccli.reports.figures import SUFFIXES

    for path, endings in ((output, SUFFIXES), (csv, (".csv",))):
        if path is not None:
            require_free(output_path(path, endings, ""), overwrite=overwrite)


def _write(
    read: Compared,
    output: Path | None,
    csv: Path | None,
    *,
    metric: str,
    aggregate: str,
    overwrite: bool,
) -> None:
    """Write the files that were asked for, and say so on stderr: stdout has the tables."""
    if (output or csv) and not read.groups:
        raise UsageError("no checkpoint is given: only training runs have curves", hint="awac compare X.ckpt")
    report = reporter(quiet=False, verbose=False)
    if output:
        from awaccli.reports.curves import group_curves
        from awaccli.reports.curves_figure import plot_groups

        curves = group_curves(read.groups, metric, aggregate=aggregate)
        plot_groups(curves, output, metric=metric, aggregate=aggregate, overwrite=overwrite)
        report.note(f"made {output}")
    if csv:
        from awaccli.artifacts.plain_file import appearing
        from awaccli.reports.comparison_text import tidy_csv

        with appearing(csv, overwrite=overwrite) as file:
            file.write_text(tidy_csv(read), encoding="utf-8")
        report.note(f"made {csv}")
