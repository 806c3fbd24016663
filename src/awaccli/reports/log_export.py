"""The log of a training for other tools: TensorBoard's event files, or an offline run of Weights & Biases."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

from awaccli.artifacts.commit import require_writable
from awaccli.artifacts.event_file import EventFile, curves
from awaccli.errors import InputError, OutputExistsError, UsageError
from awaccli.reports.training_run import TrainingRun, training_run


def log_export(path: Path, to: str, out: Path) -> int:
    """Write the log of the training at ``path`` into the new folder ``out``; return how many lines it has.

    Args:
        path: a checkpoint, or the unfinished folder of one.
        to: a name in ``EXPORTS``.
        out: a folder that is not there, or empty.

    Raises:
        InputError: no training, or one without a log.
        OutputExistsError: there is something in the folder.
        UsageError: the folder cannot be made, or the tool's package is missing.
    """
    export = EXPORTS[to]
    run = training_run(path)
    if not run.rows:
        raise InputError(
            f"`{run.path}` has no line of metrics", hint="one comes every 500 updates and every evaluation"
        )
    require_writable(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputExistsError(f"`{out}` already exists", hint="remove it, or choose another -o/--output")
    export(run, out)
    return len(run.rows)


def _to_tensorboard(run: TrainingRun, out: Path) -> None:
    began_s = run.log.stat().st_mtime - run.rows[-1]["wall_s"]
    EventFile(out, run.axis, began_s=began_s).write(run.rows)


def _to_wandb(run: TrainingRun, out: Path) -> None:
    if importlib.util.find_spec("wandb") is None:
        raise UsageError("the export needs the package wandb", hint="pip install wandb")
    import wandb

    out.mkdir(exist_ok=True)
    with wandb.init(
        project="awac",
        name=run.path.stem,
        dir=out,
        mode="offline",
        config=run.recipe.settings if run.recipe else None,
        settings=wandb.Settings(silent=True, console="off"),
    ) as copy:
        copy.define_metric("*", step_metric=run.axis)
        for row in run.rows:
            copy.log(curves(row) | {run.axis: row[run.axis]})


EXPORTS: Mapping[str, Callable[[TrainingRun, Path], None]] = {
    "tensorboard": _to_tensorboard,
    "wandb": _to_wandb,
}
