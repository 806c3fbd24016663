"""What every verb that makes a dataset does around its function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.makers import DATASET, announce, output_path, plan

if TYPE_CHECKING:
    from awaccli.artifacts.commit import Existing
    from awaccli.data.dataset import Dataset
    from awaccli.data.derivation import Derivation
    from awaccli.protocols import Reporter

Input = Annotated[Path, typer.Argument(metavar="DATASET", help="A .zarr or .h5; or - for stdin.")]


def opened(path: Path, max_memory: str | None = None) -> Dataset:
    """Open the dataset that a command was given."""
    from awaccli.data.dataset import open_dataset

    return open_dataset(opt.one_path(path, "dataset"), max_memory=opt.memory_bytes(max_memory))


def default_output(dataset: Dataset, what: str) -> str:
    """Return a plain name beside nothing: that of the dataset, and what became of it."""
    suffix = dataset.path.suffix if dataset.path.suffix in DATASET else DATASET[0]
    return f"{dataset.path.stem}-{what}{suffix}"


def make(
    derivation: Derivation,
    output: Path | None,
    default: str,
    when: Existing,
    *,
    dry_run: bool,
    as_json: bool,
    report: Reporter,
) -> None:
    """Make one dataset and print its path, or print the plan."""
    out = output_path(output, DATASET, default)
    say(derivation, report)
    if dry_run:
        plan(derivation.recipe, out, when, cost(derivation), as_json=as_json)
        return
    derivation.write(out, existing=when, report=report)
    announce(out, as_json=as_json)


def say(derivation: Derivation, report: Reporter) -> None:
    """Say what is worth knowing of a dataset before it is made."""
    for note in derivation.notes:
        report.note(note)
    for warning in derivation.warnings:
        report.warn(warning)


def cost(derivation: Derivation) -> dict[str, object]:
    """Return what a plan says besides the recipe."""
    same = {"same content as": derivation.id} if derivation.known else {}
    return {"verb": f"data {derivation.verb}", "episodes": derivation.total} | same
