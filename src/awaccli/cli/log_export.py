"""``awac log-export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.artifacts.urls import here
from awaccli.cli import options as opt
from awaccli.cli.console import emit, reporter

_TO = ("tensorboard", "wandb")


def log_export(
    run: Annotated[Path, typer.Argument(help="Checkpoint, finished or being made; or - for stdin.")],
    to: Annotated[str, typer.Option("--to", help="For which tool: tensorboard or wandb.")] = "tensorboard",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to make [default: <stem>-<tool>].")
    ] = None,
    quiet: opt.Quiet = False,
) -> None:
    """Write the metrics of a training for TensorBoard or Weights & Biases, under the same names.

    Curves are drawn over updates, and over environment steps where the run took any. Nothing is sent
    anywhere: for Weights & Biases an offline run is written, which `wandb sync` uploads.

    Example: awac log-export pretrained.ckpt --to tensorboard
    """
    from awaccli.reports.log_export import log_export as export

    opt.choice("--to", to, _TO)
    report = reporter(quiet=quiet, verbose=False)
    path = opt.one_path(run, "training")
    out = output or here(path).with_name(f"{path.name.removesuffix('.part').removesuffix('.ckpt')}-{to}")
    lines = export(path, to, out)
    look = f"wandb sync {out}/wandb/offline-run-*" if to == "wandb" else f"tensorboard --logdir {out}"
    report.note(f"{lines} lines of metrics; look at them: {look}")
    emit(str(out))
