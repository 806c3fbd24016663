"""``awac lineage``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json
from awaccli.errors import UsageError


def lineage(
    artifact: Annotated[Path, typer.Argument(help="Dataset, checkpoint or evaluation; or - for stdin.")],
    parents: opt.Parents = None,
    as_dot: Annotated[bool, typer.Option("--dot", help="Print Graphviz source.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Draw the whole chain that an artifact comes from, even after its parents are deleted.

    Example: awac lineage finetuned.ckpt
    """
    from awaccli.reports.lineage import dot_text, tree_text
    from awaccli.reports.lineage import lineage as trace

    if as_dot and as_json:
        raise UsageError("--dot and --json exclude each other", hint="keep one of them")
    found = trace(opt.one_path(artifact, "artifact"), parents)
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(dot_text(found) if as_dot else tree_text(found))
