"""All or nothing: an artifact is built in ``X.part`` beside its target and appears by one rename.

``X.part`` holds ``begun.json``, what the run needs to go on, and ``payload``: the artifact itself, growing.
The commit renames the payload alone, so that a kill before it leaves all that a resumed run needs, and one
after it leaves a whole artifact and a folder that the next run removes. A reader sees the old artifact, the
new one, or none. A lock beside the target, which the kernel frees when its owner dies, keeps others out.
Folders are renamed before they are removed, so that no run takes the rest of one for progress.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from awaccli.artifacts import disk
from awaccli.artifacts.manifest import Ancestor, Recipe, damaged_files, read_manifest
from awaccli.artifacts.urls import RemotePath, as_path
from awaccli.errors import InputError, OutputExistsError, UsageError

PART = ".part"
_BEGUN = "begun.json"
_PAYLOAD = "payload"
_ASIDE = "replaced"
"""Where the old artifact waits, in the scratch folder, on systems that cannot exchange it for the new one."""


class Existing(StrEnum):
    """What to do where the output, or an unfinished one, is already there."""

    REFUSE = "refuse"
    OVERWRITE = "overwrite"
    RESUME = "resume"
    IF_CHANGED = "if-changed"


class Begun(BaseModel):
    """What an unfinished run was begun for; it has no manifest yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Recipe
    ancestors: dict[str, Ancestor] = Field(default_factory=dict)
    replaces: bool = False
    """True: it may take the place of the artifact that was there when it was begun."""


@dataclass(frozen=True, slots=True)
class Target:
    """An output that this process alone may write."""

    path: Path
    resuming: bool
    """True: ``scratch`` holds what an earlier run with the same recipe left."""
    finished: bool
    """True: the artifact is already there, nothing is to be done."""

    @property
    def scratch(self) -> Path:
        """Folder for what the run needs to go on; on the same file system as the artifact."""
        return part_of(self.path)

    @property
    def payload(self) -> Path:
        """Where the artifact is built: a folder or a file, made by whoever fills it."""
        return payload_of(self.scratch)

    def commit(self, source: Path | None = None) -> None:
        """Make ``source``, in ``scratch`` (default: the payload), the artifact, atomically and durably."""
        source = source or self.payload
        disk.sync_tree(source)
        os.utime(source)
        disk.swap_in(source, self.path, aside=self.scratch / _ASIDE)
        disk.sync(self.path.parent)
        _drop(self.scratch)


def part_of(path: Path) -> Path:
    """Return the folder that the artifact ``path`` is built in."""
    return path.with_name(path.name + PART)


def payload_of(part: Path) -> Path:
    """Return where, in the folder of an unfinished run, the artifact itself grows."""
    return part / _PAYLOAD


@contextmanager
def claimed(
    path: Path,
    recipe: Recipe,
    existing: Existing = Existing.REFUSE,
    *,
    ancestors: Mapping[str, Ancestor] | None = None,
) -> Iterator[Target]:
    """Hold the output ``path`` while it is built from ``recipe``; ``ancestors``: its inputs' recipes, by id.

    Leaving without a commit keeps the scratch directory if it holds progress and removes it if it is empty.

    Raises:
        OutputExistsError: the output or an unfinished one exists (and ``existing`` does not allow it), or
            another process is writing it.
        UsageError: the folder does not exist or cannot be written.
    """
    require_writable(path)
    with disk.locked(path), disk.named_in_errors(part_of(path)):
        _recover(path)
        target = _resolve(path, recipe, existing)
        if target.finished:
            _tidy(target, recipe)
            if existing is Existing.IF_CHANGED:
                os.utime(path)
        try:
            if not target.finished and not target.resuming:
                _drop(target.scratch)
                target.scratch.mkdir()
                begun = Begun(recipe=recipe, ancestors=dict(ancestors or {}), replaces=path.exists())
                (target.scratch / _BEGUN).write_text(begun.model_dump_json())
            yield target
        finally:
            _drop_if_empty(target.scratch)


@contextmanager
def taken_over(path: Path) -> Iterator[Target]:
    """Hold the unfinished output ``path``, whatever its recipe, to make an artifact of what is there.

    Raises:
        OutputExistsError: the output itself exists, or another process is writing it.
        UsageError: the folder cannot be written.
    """
    require_writable(path)
    with disk.locked(path), disk.named_in_errors(part_of(path)):
        _recover(path)
        if path.exists():
            raise OutputExistsError(
                f"`{path}` already exists",
                hint=f"give `{part_of(path)}` another name, such as new-{part_of(path)}",
            )
        yield Target(path, resuming=True, finished=False)


def check_free(path: Path, recipe: Recipe, existing: Existing) -> bool:
    """Check an output without touching it, for dry runs; return True if it is already there and valid."""
    require_writable(path)
    return _resolve(path, recipe, existing).finished


def _resolve(path: Path, recipe: Recipe, existing: Existing) -> Target:
    """Decide what the files that are there mean."""
    scratch = part_of(path)
    if path.exists() and existing is not Existing.OVERWRITE and _is_finished(path, recipe, existing):
        return Target(path, resuming=False, finished=True)
    resuming = (
        _holds_progress(scratch)
        and existing is not Existing.OVERWRITE
        and _is_resumable(scratch, recipe, existing)
    )
    return Target(path, resuming=resuming, finished=False)


def _is_finished(path: Path, recipe: Recipe, existing: Existing) -> bool:
    if existing is Existing.REFUSE:
        raise OutputExistsError(
            f"`{path}` already exists", hint="use --overwrite, --if-changed or another -o/--output"
        )
    obstacle = _obstacle(path, recipe)
    if obstacle and existing is Existing.RESUME and not _replaces(part_of(path), recipe):
        raise OutputExistsError(
            f"`{path}` exists and {obstacle}", hint="use --overwrite to replace it, or another -o/--output"
        )
    return obstacle is None


def _obstacle(path: Path, recipe: Recipe) -> str | None:
    """Return why the artifact at ``path`` is not what ``recipe`` makes, in words, or None if it is."""
    try:
        manifest = read_manifest(path)
        if manifest.recipe.key != recipe.key:
            return "was made with other settings or inputs"
        problems = damaged_files(path, manifest)
    except InputError as error:
        return f"cannot be used: {error}"
    return f"is damaged: {problems[0]}" if problems else None


def _replaces(part: Path, recipe: Recipe) -> bool:
    """Return whether an unfinished run of ``recipe`` was told to replace what is there."""
    begun = begun_in(part)
    return begun is not None and begun.replaces and begun.recipe == recipe


def _recover(path: Path) -> None:
    """Complete what a kill interrupted: a removal, or the exchange of an old artifact for a new one."""
    aside = part_of(path) / _ASIDE
    if aside.exists() and not path.exists():
        aside.rename(path)
    disk.remove(_trash_of(path))


def _tidy(target: Target, recipe: Recipe) -> None:
    """Remove what a kill right after the commit left: the same recipe's folder."""
    if target.scratch.is_dir() and _recipe_of(target.scratch) in (recipe, None):
        _drop(target.scratch)


def _is_resumable(scratch: Path, recipe: Recipe, existing: Existing) -> bool:
    progress = describe_progress(scratch)
    if existing is Existing.REFUSE:
        raise OutputExistsError(
            f"`{scratch}` is an unfinished run ({progress})",
            hint="use --resume to go on, --overwrite to drop it",
        )
    begun = begun_in(scratch)
    if begun and begun.recipe == recipe:
        return True
    if existing is Existing.RESUME and begun is None:
        raise OutputExistsError(
            f"`{scratch}` is an unfinished run whose {_BEGUN} is missing or damaged",
            hint="seal its episodes with `awac data repair`, or drop it with --overwrite",
        )
    if existing is Existing.RESUME:
        raise OutputExistsError(
            f"`{scratch}` was begun with other settings or inputs ({progress})",
            hint="repeat its command to go on, or --overwrite to drop it",
        )
    return False


def begun_in(part: Path) -> Begun | None:
    """Return what an unfinished run was begun for, or None where that cannot be read."""
    try:
        return Begun.model_validate_json((part / _BEGUN).read_bytes())
    except (OSError, ValueError):
        return None


def _recipe_of(part: Path) -> Recipe | None:
    begun = begun_in(part)
    return begun.recipe if begun else None


def describe_progress(scratch: Path) -> str:
    """Say in a few words what an unfinished run holds."""
    recipe = _recipe_of(scratch)
    size_mb = sum(file.stat().st_size for file in scratch.rglob("*") if file.is_file()) / 1e6
    return f"{recipe.stage if recipe else 'unknown stage'}, {size_mb:.1f} MB"


def require_writable(path: Path) -> None:
    """Check that a file or folder of this name can be made.

    Raises:
        UsageError: it is no name, or its folder does not exist or cannot be written.
    """
    if isinstance(as_path(path), RemotePath):
        raise UsageError(
            f"`{as_path(path)}` is a URL: only `awac data export` writes there",
            hint="make it on this machine, then: awac data export DATASET -o URL",
        )
    if path.name in ("", ".."):
        raise UsageError(f"`{path}` is a folder, not the name of an output", hint="e.g. -o relocate.zarr")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"the folder `{folder}` does not exist", hint=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise disk.unwritable(folder)


def _drop_if_empty(scratch: Path) -> None:
    if scratch.is_dir() and not _holds_progress(scratch):
        _drop(scratch)


def _drop(scratch: Path) -> None:
    """Remove a scratch folder, if it is there."""
    if scratch.exists():
        trash = _trash_of(scratch.with_suffix(""))
        disk.remove(trash)
        scratch.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def _trash_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _holds_progress(scratch: Path) -> bool:
    return any(entry.is_file() and entry.name != _BEGUN for entry in scratch.rglob("*"))
