"""The artifacts in a folder, a row each: a quick look that does not read what is in them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from awaccli.artifacts.commit import PART, describe_progress
from awaccli.artifacts.manifest import Manifest, read_manifest
from awaccli.data.evaluation import Rate, open_evaluation, wilson
from awaccli.data.stores import open_store
from awaccli.errors import InputError
from awaccli.reports.info import size_bytes
from awaccli.reports.success import rate_text

HEADER = ("name", "kind", "task", "id", "holds", "success", "size", "age")
_SUFFIXES = (".zarr", ".h5", ".hdf5", ".ckpt", ".json", PART)
_Kind = Literal["dataset", "checkpoint", "evaluation", "unfinished", "damaged"]
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class FolderRow(BaseModel):
    """One artifact, finished or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: _Kind
    task: str | None
    id: str | None
    holds: str
    """Episodes, or updates, in words; of what is unfinished or damaged, what is known."""
    success: Rate | None
    """After the last action: of a dataset's episodes, or of an evaluation."""
    size_bytes: int
    age_s: float
    """Since it was made, or touched by ``--if-changed``."""

    def cells(self) -> list[str]:
        """Return the row as text, in the order of ``HEADER``."""
        success = rate_text(self.success) if self.success else ""
        about = [self.name, self.kind, self.task or "", (self.id or "")[:12], self.holds, success]
        return [*about, f"{self.size_bytes / 1e6:.2f} MB", _age(self.age_s)]


class Folder(BaseModel):
    """What is in a folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: Literal["folder"] = "folder"
    path: str
    artifacts: tuple[FolderRow, ...]


def is_folder_of_artifacts(path: Path) -> bool:
    """Return whether a path is a plain folder: neither an artifact nor, by its name, what is left of one."""
    marks = ("manifest.json", "zarr.json")
    named = path.suffix in _SUFFIXES
    return path.is_dir() and not named and not any((path / mark).exists() for mark in marks)


def folder(path: Path) -> Folder:
    """Return a row for every artifact in a folder, by name; what is below in other folders is left out.

    Raises:
        InputError: there is none.
    """
    rows = [row for entry in sorted(path.iterdir()) if entry.suffix in _SUFFIXES for row in _rows(entry)]
    if not rows:
        raise InputError(
            f"`{path}` holds no artifact", hint="expected .zarr, .h5, .ckpt or .json made by awac"
        )
    return Folder(path=str(path), artifacts=tuple(rows))


def _rows(path: Path) -> list[FolderRow]:
    """Return the row of an artifact, or of what is left of one; JSON of somebody else has none."""
    if path.suffix == PART:
        return [_row(path, "unfinished", describe_progress(path))]
    try:
        return [_artifact(path, read_manifest(path))]
    except InputError as error:
        return [] if path.suffix == ".json" else [_row(path, "damaged", str(error))]


def _artifact(path: Path, manifest: Manifest) -> FolderRow:
    match manifest.kind:
        case "dataset":
            episodes = manifest.content.get("n_episodes")
            if not isinstance(episodes, int):
                raise InputError("its manifest does not say how many episodes it has")
            flags = open_store(path).read("episodes/success", 0, episodes)
            rate = wilson(int(flags.sum()), episodes)
            return _row(path, "dataset", f"{episodes} episodes", manifest=manifest, success=rate)
        case "checkpoint":
            return _row(path, "checkpoint", f"{manifest.content.get('updates')} updates", manifest=manifest)
        case "evaluation":
            outcome = open_evaluation(path).outcome
            holds, rate = f"{outcome.episodes} episodes", outcome.success.final
            return _row(path, "evaluation", holds, manifest=manifest, success=rate)


def _row(
    path: Path, kind: _Kind, holds: str, *, manifest: Manifest | None = None, success: Rate | None = None
) -> FolderRow:
    task = manifest.task.name if manifest and manifest.task else None
    return FolderRow(
        name=path.name,
        kind=kind,
        task=task,
        id=manifest.id if manifest else None,
        holds=holds,
        success=success,
        size_bytes=size_bytes(path),
        age_s=max(0.0, time.time() - path.stat().st_mtime),
    )


def _age(seconds: float) -> str:
    size, unit = next((pair for pair in _UNITS if seconds >= pair[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"
