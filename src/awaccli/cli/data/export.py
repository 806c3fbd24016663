"""``awac data export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from awaccli.artifacts.urls import RemotePath, as_path
from awaccli.cli import options as opt
from awaccli.cli.console import PlainReporter, emit, emit_json, reporter
from awaccli.cli.makers import DATASET
from awaccli.errors import UsageError

if TYPE_CHECKING:
    from awaccli.data.dataset import Dataset
    from awaccli.stages.export_data import ExportReport


def export(
    dataset: Annotated[Path, typer.Argument(help="Dataset, or - for a path on stdin.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="dapg, d4rl, minari, robomimic, lerobot or npz [default: npz; to a URL: as it is].",
        ),
    ] = None,
    output: opt.Output = None,
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Write a dataset in another format, or to a URL; say what that format cannot hold.

    To a URL that ends in .zarr or .h5 it goes as it is, file by file, the manifest last.

    Example: awac data export demos.zarr --format d4rl -o demos.hdf5
    """
    report = reporter(quiet=quiet, verbose=verbose)
    path, target = opt.one_path(dataset, "dataset"), as_path(output) if output else None
    limit = opt.memory_bytes(max_memory)
    from awaccli.data.dataset import open_dataset

    if isinstance(target, RemotePath):
        opened = open_dataset(path, max_memory=limit)
        _publish(opened, form, target, overwrite=overwrite, dry_run=dry_run, as_json=as_json, report=report)
        return
    from awaccli.data.formats.registry import export_of
    from awaccli.stages.export_data import export_data, export_report, require_free

    form = form or "npz"
    ending = export_of(form).ending
    out = output or Path(f"{path.stem}{ending or f'-{form}'}")
    _require_ending(out, ending)
    opened = open_dataset(path, max_memory=limit)
    if dry_run:
        require_free(out, overwrite=overwrite)
        found = export_report(opened, form)
    else:
        found = export_data(opened, form, out, overwrite=overwrite, report=report)
    _tell(found, out, dry_run=dry_run, as_json=as_json, report=report)


def _publish(
    opened: Dataset,
    form: str | None,
    url: RemotePath,
    *,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
    report: PlainReporter,
) -> None:
    from awaccli.data.formats.registry import export_of
    from awaccli.stages.publish import AS_IS, publish, publish_report, require_free_url

    form = form or (AS_IS if url.suffix in DATASET else "npz")
    if form != AS_IS:
        _require_ending(url, export_of(form).ending)
    if dry_run:
        require_free_url(url, overwrite=overwrite)
        found = publish_report(opened, form)
    else:
        found = publish(opened, form, url, overwrite=overwrite, report=report)
    _tell(found, url, dry_run=dry_run, as_json=as_json, report=report)


def _require_ending(out: Path, ending: str) -> None:
    if ending and out.suffix != ending:
        raise UsageError(
            f"`{out}` cannot be the output: its name must end in {ending}", hint=f"-o {out}{ending}"
        )


def _tell(found: ExportReport, out: Path, *, dry_run: bool, as_json: bool, report: PlainReporter) -> None:
    for sentence in found.losses:
        report.note(f"- {sentence}")
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(f"would write {out} as {found.format}" if dry_run else str(out))
