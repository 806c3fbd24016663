"""``awac data split``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.cli.data.making import Input, cost, opened, say
from awaccli.cli.makers import DATASET, existing, plan
from awaccli.errors import UsageError

if TYPE_CHECKING:
    from awaccli.data.dataset import Dataset
    from awaccli.data.split import Parts

_WAYS = ("source", "split")


def split(
    dataset: Input,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Beginning of the names: PREFIX makes PREFIX-train.zarr ...; PREFIX.h5 makes .h5 files.",
        ),
    ] = None,
    ratio: Annotated[
        str | None, typer.Option("--ratio", help="Shares of the parts, e.g. 0.8 or 0.7,0.2,0.1.")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="source: who acted; split: as the dataset's splits say.")
    ] = None,
    names: Annotated[
        str | None, typer.Option("--names", help="Of the parts, e.g. train,val; or which stored splits.")
    ] = None,
    seed: opt.Seed = 0,
    overwrite: opt.Overwrite = False,
    resume: opt.Resume = False,
    if_changed: opt.IfChanged = False,
    dry_run: opt.DryRun = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make a dataset of each part: a random share, a source, or a stored split.

    Copies of an episode always go to the same part. One path is printed for each part.

    Example: awac data split relocate.zarr --ratio 0.8 -o parts/relocate
    """
    report = reporter(quiet=quiet, verbose=False)
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    opt.choice("--by", by, _WAYS)
    found = opened(dataset, max_memory)
    parts = _parts(found, ratio, by, names.split(",") if names else (), seed)
    paths = [_path(output or Path(found.path.stem), name) for name in parts]
    from awaccli.artifacts.commit import check_free
    from awaccli.reports.info import info

    for part, path in zip(parts.values(), paths, strict=True):
        check_free(path, part.recipe, when)
        say(part, report)
    if dry_run:
        first = next(iter(parts.values()))
        sizes = {name: part.total for name, part in parts.items()}
        plan(first.recipe, paths[0], when, cost(first) | sizes, as_json=as_json, others=paths[1:])
        return
    for part, path in zip(parts.values(), paths, strict=True):
        part.write(path, existing=when, report=report)
        if not as_json:
            emit(str(path))
    if as_json:
        made = {name: info(path).model_dump(mode="json") for name, path in zip(parts, paths, strict=True)}
        emit_json({"schema_version": 1, "parts": made})


def _parts(dataset: Dataset, ratio: str | None, by: str | None, names: Sequence[str], seed: int) -> Parts:
    from awaccli.data.split import split_as_stored, split_by_ratio, split_by_source

    if (ratio is None) == (by is None):
        raise UsageError("how to split?", hint="give one of --ratio 0.8, --by source and --by split")
    if by == "split":
        return split_as_stored(dataset, names=names)
    if ratio is not None:
        return split_by_ratio(dataset, _ratios(ratio), names=names, seed=seed)
    if names:
        raise UsageError("--names with --by source", hint="parts are named after their sources")
    return split_by_source(dataset)


def _ratios(text: str) -> list[float]:
    try:
        return [float(share) for share in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--ratio {text} is no list of shares", hint="e.g. 0.8 or 0.7,0.2,0.1") from error


def _path(prefix: Path, name: str) -> Path:
    ending = prefix.suffix if prefix.suffix in DATASET else DATASET[0]
    stem = prefix.name.removesuffix(ending)
    return prefix.with_name(f"{stem}-{name}{ending}")
