"""``awac data validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.errors import CheckError


def validate(
    dataset: Annotated[Path, typer.Argument(help="Dataset, or what is there of an unfinished one.")],
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Dataset that shares no episode with it, such as the other split."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count, too.")] = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Look for whatever would spoil learning from a dataset; exit 6 if there is an error.

    A line for each code that was found: its severity, how often, the first place. docs/validate.md explains
    every code.

    Example: awac data validate train.zarr --against test.zarr
    """
    report = reporter(quiet=quiet, verbose=False)
    from awaccli.data.validate import validated, validation_text

    found = validated(
        opt.one_path(dataset, "dataset"),
        against=against,
        strict=strict,
        max_memory=opt.memory_bytes(max_memory),
        report=report,
    )
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(validation_text(found))
    if not found.ok:
        counting = ("error", "warning") if strict else ("error",)
        codes = {finding.code: None for finding in found.findings if finding.severity in counting}
        raise CheckError(
            f"`{found.path}`: {', '.join(codes)}", hint="docs/validate.md says what each code means"
        )
