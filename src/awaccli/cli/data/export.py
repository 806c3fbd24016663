"""``awac data export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.errors import UsageError


def export(
    dataset: Annotated[Path, typer.Argument(help="Dataset, or - for a path on stdin.")],
    form: Annotated[
        str, typer.Option("--format", help="dapg, d4rl, minari, robomimic, lerobot or npz.")
    ] = "npz",
    output: opt.Output = None,
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Write a dataset in another format; say what that format cannot hold.

    Example: awac data export demos.zarr --format d4rl -o demos.hdf5
    """
    report = reporter(quiet=quiet, verbose=verbose)
    path = opt.one_path(dataset, "dataset")
    from awaccli.data.dataset import open_dataset
    from awaccli.data.formats.registry import export_of
    from awaccli.stages.export_data import export_data, export_report, require_free

    ending = export_of(form).ending
    out = output or Path(f"{path.stem}{ending or f'-{form}'}")
    if out.suffix != ending and ending:
        raise UsageError(
            f"`{out}` cannot be the output: its name must end in {ending}", hint=f"-o {out}{ending}"
        )
    opened = open_dataset(path)
    if dry_run:
        require_free(out, overwrite=overwrite)
        found = export_report(opened, form)
    else:
        found = export_data(opened, form, out, overwrite=overwrite, report=report)
    for sentence in found.losses:
        report.note(f"- {sentence}")
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(f"would write {out} as {form}" if dry_run else str(out))
