"""``awac data export``: a dataset in a foreign format, and what that format cannot hold."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from awaccli.artifacts.commit import Existing, claimed
from awaccli.artifacts.manifest import Recipe
from awaccli.data.dataset import Dataset
from awaccli.data.formats.losses import export_losses
from awaccli.data.formats.registry import export_of
from awaccli.errors import OutputExistsError, UsageError
from awaccli.protocols import SILENT, Reporter

_STAGE = "data-export"


class ExportReport(BaseModel):
    """What an export makes, or would make, of a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    path: str | None
    """Of the file or folder; None: a dry run."""
    format: str
    dataset: str
    """Content id."""
    n_episodes: int
    n_steps: int
    losses: tuple[str, ...]


def export_report(dataset: Dataset, form: str, path: Path | None = None) -> ExportReport:
    """Return what becomes of a dataset in a foreign format.

    Raises:
        UsageError: no such format.
    """
    return ExportReport(
        path=str(path) if path else None,
        format=form,
        dataset=dataset.id,
        n_episodes=dataset.n_episodes,
        n_steps=dataset.n_steps,
        losses=export_losses(dataset, export_of(form)),
    )


def export_data(
    dataset: Dataset, form: str, out: Path, *, overwrite: bool = False, report: Reporter = SILENT
) -> ExportReport:
    """Write a dataset in a foreign format; ``out`` appears when it is whole.

    Raises:
        UsageError: no such format, or the folder cannot be written.
        OutputExistsError: ``out`` is there, or is being written by another process.
        DatasetError: the dataset is unfinished.
    """
    export = export_of(form)
    require_free(out, overwrite=overwrite)
    recipe = Recipe(
        stage=_STAGE,
        version=1,
        settings={"format": form},
        seed=0,
        inputs=(dataset.sealed().reference("data"),),
    )
    with claimed(out, recipe, Existing.OVERWRITE) as target:
        export.write(dataset, target.payload, report)
        target.commit()
    return export_report(dataset, form, out)


def require_free(out: Path, *, overwrite: bool) -> None:
    """Stop where the output is there already.

    Raises:
        OutputExistsError: it is.
        UsageError: its folder is not.
    """
    if out.exists() and not overwrite:
        raise OutputExistsError(f"`{out}` already exists", hint="use --overwrite, or another -o/--output")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"the folder `{out.parent}` does not exist", hint=f"mkdir -p {out.parent}")
