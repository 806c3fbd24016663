"""``awac verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.errors import CheckError


def verify(
    artifacts: Annotated[
        list[Path], typer.Argument(help="Datasets, checkpoints, evaluations; or - for stdin.")
    ],
    deep: Annotated[
        bool, typer.Option("--deep", help="Also check derived values, and every ancestor that is found.")
    ] = False,
    parents: opt.Parents = None,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Check that artifacts are what their manifests say, down to the last byte.

    Every check is made on its own and all faults are reported; exit 6 if there is one. Parents may be
    absent, unless --parents names a folder: then each must be found.

    Example: awac verify --deep finetuned.ckpt
    """
    report = reporter(quiet=quiet, verbose=False)
    from awaccli.reports.verify import Verifications, Verifier, verification_text

    verifier = Verifier(deep=deep, parents=parents, max_memory=opt.memory_bytes(max_memory), report=report)
    results = []
    for path in opt.paths(artifacts, "artifact"):
        results.append(verifier.verify(path))
        if not as_json:
            emit(("\n" if len(results) > 1 else "") + verification_text(results[-1]))
    if as_json:
        several = Verifications(ok=all(result.ok for result in results), artifacts=tuple(results))
        emit_json((results[0] if len(results) == 1 else several).model_dump(mode="json"))
    damaged = [result.path for result in results if not result.ok]
    if damaged:
        raise CheckError(
            f"{', '.join(f'`{path}`' for path in damaged)}: not as recorded",
            hint="restore what FAILED from a copy, or make it again: awac rebuild ARTIFACT",
        )
