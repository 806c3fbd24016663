"""``awac info``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, table


def info(
    artifact: Annotated[
        Path, typer.Argument(help="Dataset, checkpoint, evaluation, or a folder of them; or - for stdin.")
    ],
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
) -> None:
    """Say what an artifact is, what is in it, and what made it; of a folder, a row for each.

    Example: awac info relocate.zarr
    """
    from awaccli.reports.folder import HEADER, folder, is_folder_of_artifacts
    from awaccli.reports.info import info as describe
    from awaccli.reports.info import info_text

    path = opt.one_path(artifact, "artifact")
    if is_folder_of_artifacts(path):
        listed = folder(path)
        if as_json:
            emit_json(listed.model_dump(mode="json"))
        else:
            emit(table([row.cells() for row in listed.artifacts], HEADER))
        return
    found = describe(path, max_memory=opt.memory_bytes(max_memory))
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(info_text(found))
