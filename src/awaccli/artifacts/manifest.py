"""The manifest: what an artifact is, its identity, the recipe that made it, and its ancestors' recipes.

It is canonical JSON that ends in its own SHA-256, so a flipped byte in the manifest itself is found too.
``id`` and ``recipe`` are facts of the content; everything that depends on the hour or the host is in ``run``.
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import hashlib
import os
import platform
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from awaccli.artifacts.containment import InsidePath, RelativePath, require_own_files
from awaccli.artifacts.identity import canonical_json, sha256_file, sha256_json
from awaccli.artifacts.json_file import json_problem, read_json_artifact, read_json_bytes
from awaccli.artifacts.urls import RemotePath
from awaccli.config.json_value import first_problem, parse_json
from awaccli.config.settings import Execution
from awaccli.config.task import TaskSpec
from awaccli.errors import InputError

MANIFEST = "manifest.json"
SCHEMA: Literal["awac-manifest/1"] = "awac-manifest/1"
Kind = Literal["dataset", "checkpoint", "evaluation"]
_PACKAGES = ("awaccli", "torch", "numpy", "zarr", "h5py", "gymnasium", "gymnasium-robotics", "mujoco")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Record):
    """One file of the payload."""

    path: InsidePath
    size: int
    sha256: str


class InputRef(_Record):
    """One parent of an artifact."""

    role: str
    """What the parent was for: ``demos``, ``data``, ``policy``, ``checkpoint`` ..."""
    id: str
    key: str
    """Recipe key of the parent, equal on every machine."""


class Recipe(_Record):
    """What to do to get this artifact, without when and where."""

    stage: str
    version: int
    """Raised when the stage's numbers change, not with every commit."""
    settings: dict[str, Any]
    seed: int
    inputs: tuple[InputRef, ...] = ()

    @property
    def key(self) -> str:
        """SHA-256 of the recipe with its parents' keys: equal on every machine."""
        content = self.model_dump(mode="json")
        content["inputs"] = [[ref.role, ref.key] for ref in self.inputs]
        return sha256_json(content)


class Ancestor(_Record):
    """A recipe kept after the artifact itself is gone."""

    kind: Kind
    recipe: Recipe


class Run(_Record):
    """When, where and how: recorded, never hashed into an identity."""

    started: str
    wall_s: float = Field(allow_inf_nan=False)
    versions: dict[str, str]
    platform: str
    execution: dict[str, Any]
    precision: str = "float32"
    mode: str = "eager"
    paths: dict[str, RelativePath] = Field(default_factory=dict)
    """Where each input was, by id: relative to this artifact, or the URL it was read from."""


class Manifest(_Record):
    """Everything about an artifact but its payload."""

    schema_: Literal["awac-manifest/1"] = Field(default=SCHEMA, alias="schema")
    kind: Kind
    id: str
    task: TaskSpec | None
    content: dict[str, Any]
    """By kind: a dataset's counts, a checkpoint's counters and data ids, how an evaluation acted."""
    files: tuple[FileEntry, ...]
    recipe: Recipe
    ancestors: dict[str, Ancestor]
    run: Run

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def to_bytes(self) -> bytes:
        """Return the canonical text, its own SHA-256 last."""
        body = canonical_json(self.model_dump(mode="json", by_alias=True))
        return body[:-1] + f',"sha256":"{_sha256(body)}"}}'.encode() + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes, *, origin: str) -> Self:
        """Read ``to_bytes`` back.

        Raises:
            InputError: not a manifest, damaged, or of another schema; ``origin`` names the file.
        """
        head, separator, tail = text.rstrip(b"\n").rpartition(b',"sha256":"')
        body = head + b"}"
        if not separator or tail != f'{_sha256(body)}"}}'.encode():
            raise InputError(
                f"the manifest of `{origin}` is damaged: its own checksum does not match",
                hint="restore the artifact from a copy, or make it again with the command in its lineage",
            )
        try:
            return cls.model_validate(parse_json(body))
        except ValueError as error:
            problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
            raise InputError(
                f"the manifest of `{origin}` is not one this version reads: {problem}",
                hint="it was made by another version of awac; `run.versions` in it names which",
            ) from error

    def reference(self, role: str) -> InputRef:
        """Return this artifact as a parent in ``role``."""
        return InputRef(role=role, id=self.id, key=self.recipe.key)

    def lineage(self) -> dict[str, Ancestor]:
        """Return the recipes of this artifact and all its ancestors, by id."""
        return self.ancestors | {self.id: Ancestor(kind=self.kind, recipe=self.recipe)}


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def ancestors_of(parents: Iterable[Manifest]) -> dict[str, Ancestor]:
    """Return the recipes of all parents and their ancestors."""
    found: dict[str, Ancestor] = {}
    for parent in parents:
        found |= parent.lineage()
    return found


def inventory(root: Path) -> tuple[FileEntry, ...]:
    """Return every file below ``root`` but the manifest, in order of their paths."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path != root / MANIFEST)
    return tuple(
        FileEntry(path=path.relative_to(root).as_posix(), size=path.stat().st_size, sha256=sha256_file(path))
        for path in files
    )


def damaged_files(root: Path, manifest: Manifest) -> list[str]:
    """Return which files of an artifact are not as its manifest or their own checksum say, in words."""
    if root.is_file():
        problem = json_problem(root) if root.suffix == ".json" else _seal_problem(root)
        return [problem] if problem else []
    problems = []
    for entry in manifest.files:
        path = root / entry.path
        if not path.is_file():
            problems.append(f"{entry.path} is missing")
        elif path.stat().st_size != entry.size or sha256_file(path) != entry.sha256:
            problems.append(f"{entry.path} has changed")
    return problems


@functools.cache
def versions() -> Mapping[str, str]:
    """Return the installed versions of the packages that decide numbers."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return MappingProxyType(found)


class Clock:
    """Started with a run, to describe it when it commits."""

    def __init__(self, execution: Execution, *, precision: str = "float32", mode: str = "eager") -> None:
        self.execution = execution
        self._precision, self._mode = precision, mode
        self._started = dt.datetime.now(dt.UTC)
        self._tick = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run started, without those between a stop and its resumption."""
        return time.monotonic() - self._tick

    def resume(self, elapsed_s: float) -> None:
        """Go on with a run that had taken so many seconds when it was stopped."""
        self._tick -= elapsed_s

    def run(self, target: Path, inputs: Mapping[str, Path]) -> Run:
        """Describe the run that made ``target`` from ``inputs`` (paths by artifact id)."""
        return Run(
            started=self._started.isoformat(timespec="seconds"),
            wall_s=round(self.elapsed_s, 3),
            versions=dict(versions()),
            platform=f"{platform.system()}-{platform.machine()}",
            execution=self.execution.model_dump(mode="json"),
            precision=self._precision,
            mode=self._mode,
            paths={key: _relative(path, target.parent) for key, path in inputs.items()},
        )


def _relative(path: Path, start: Path) -> str:
    if isinstance(path, RemotePath):
        return str(path)
    return Path(os.path.relpath(path.absolute(), start.absolute())).as_posix()


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of any artifact: a directory, an HDF5 dataset, an evaluation, a dataset at a URL.

    Raises:
        InputError: nothing there, not an artifact, unfinished, or damaged.
    """
    if isinstance(path, RemotePath):
        from awaccli.artifacts.remote import remote_manifest

        return remote_manifest(path)
    if not path.exists():
        raise InputError(f"`{path}` does not exist", hint=_missing_hint(path))
    try:
        text = _manifest_bytes(path)
    except OSError as error:
        raise InputError(
            f"`{path}` cannot be read: {error.strerror or error}",
            hint="restore it from a copy, or make it again",
        ) from error
    if text is None:
        raise InputError(
            f"`{path}` is not an awac artifact: it has no manifest",
            hint="expected a dataset (.zarr, .h5), checkpoint (.ckpt) or evaluation (.json) made by awac",
        )
    manifest = Manifest.from_bytes(text, origin=str(path))
    if manifest.kind not in _kinds_stored_as(path):
        raise InputError(
            f"the manifest of `{path}` claims that it is: {manifest.kind}, which is stored in another way",
            hint="restore the artifact from a copy, or make it again",
        )
    return manifest


def _kinds_stored_as(path: Path) -> tuple[Kind, ...]:
    if path.is_dir():
        return ("dataset", "checkpoint")
    return ("evaluation",) if path.suffix == ".json" else ("dataset",)


def _manifest_bytes(path: Path) -> bytes | None:
    file = path / MANIFEST
    if path.is_dir() and not os.path.lexists(file):
        return None  # any folder: it is not searched
    require_own_files(path)
    if path.is_dir():
        return read_json_bytes(file)
    if path.suffix == ".json":
        found = read_json_artifact(path)
        return found[1] if found else None
    return _manifest_in_hdf5(path)


def _manifest_in_hdf5(path: Path) -> bytes | None:
    from awaccli.artifacts import hdf5

    return hdf5.SealedFile(path).text("manifest") if hdf5.is_sealed(path) else None


def _seal_problem(path: Path) -> str | None:
    from awaccli.artifacts import hdf5

    return hdf5.seal_problem(path)


def _missing_hint(path: Path) -> str:
    part = path.with_name(path.name + ".part") if path.name else path
    if part.exists():
        return f"`{part}` is an unfinished run: repeat its command with --resume"
    beside = [entry.name for entry in path.parent.glob("*")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"did you mean `{path.with_name(near[0])}`?" if near else f"nothing like it in `{path.parent}`"
