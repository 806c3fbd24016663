"""``awac info``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json


def info(
    artifact: Annotated[Path, typer.Argument(help="Dataset, checkpoint or evaluation; or - for stdin.")],
    as_json: opt.Json = False,
) -> None:
    """Say what an artifact is, what is in it, and what made it.

    Example: awac info relocate.zarr
    """
    from awaccli.reports.info import info as describe
    from awaccli.reports.info import info_text

    found = describe(opt.one_path(artifact, "artifact"))
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(info_text(found))
