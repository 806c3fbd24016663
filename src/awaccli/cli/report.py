"""``awac report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.cli.makers import output_path


def report(
    artifacts: Annotated[
        list[Path],
        typer.Argument(
            metavar="X...",
            help="Artifacts, X.ckpt.part of a running training, or folders of them; or - for stdin.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The .html to make [default: <stem>.html, or report.html]."),
    ] = None,
    video: Annotated[
        bool,
        typer.Option("--video/--no-video", help="Film a success and a failure, where possible."),
    ] = True,
    overwrite: opt.Overwrite = False,
    trust_env: opt.TrustEnv = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make one HTML page about artifacts: success, curves, diagnostics, films, chain, data, versions.

    The page needs nothing but itself: no network, no script, no other file. Of a folder it shows every
    artifact in it, with a table that leads to each.

    Example: awac report finetuned.ckpt -o report.html
    """
    from functools import partial

    from awaccli.artifacts.plain_file import appearing, require_free
    from awaccli.config.settings import Execution
    from awaccli.reports.report import page_name, read_report, summary
    from awaccli.reports.report_page import page_html

    messages = reporter(quiet=quiet, verbose=False)
    paths = opt.paths(artifacts, "artifact")
    page = output_path(output or page_name(paths), (".html",), "")
    require_free(page, overwrite=overwrite)
    film = None
    if video:
        from awaccli.stages.clips import clips

        film = partial(clips, execution=Execution(trust_env=trust_env))
    found = read_report(paths, film=film, trust_env=trust_env, report=messages)
    with appearing(page, overwrite=overwrite) as file:
        file.write_text(page_html(found), encoding="utf-8")
    for what, why in found.notes.items():
        messages.note(f"{what} left out: {why}")
    if as_json:
        emit_json(summary(found, page).model_dump(mode="json"))
    else:
        emit(str(page))
