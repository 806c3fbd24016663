"""``awac verify``: whether an artifact is what its manifest says, down to the last byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from awaccli.artifacts.hdf5 import seal_problem
from awaccli.artifacts.manifest import SCHEMA, Kind
from awaccli.artifacts.urls import RemotePath
from awaccli.errors import InputError
from awaccli.protocols import SILENT, Reporter
from awaccli.reports.verify_checkpoint import check_checkpoint
from awaccli.reports.verify_checks import Check, Checks
from awaccli.reports.verify_dataset import check_dataset
from awaccli.reports.verify_evaluation import check_evaluation
from awaccli.reports.verify_manifest import Identified, file_faults, identify, stored_files
from awaccli.reports.verify_parents import Shelf, check_parents, check_recipe


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Examined(_Record):
    """An artifact and the checks it went through."""

    ok: bool
    path: str
    kind: Kind
    id: str | None
    """From its manifest; None where none is left."""
    checks: tuple[Check, ...]
    """A check that finds several faults is there once for each; one that needs what is broken is left out."""


class Verification(Examined):
    """The result for one artifact; ``ok`` includes the ancestors that were examined with it."""

    schema_version: Literal[1] = 1
    parents: tuple[Examined, ...] = ()
    """All ancestors that were found, for ``deep`` only."""


class Verifications(_Record):
    """The results for several artifacts."""

    schema_version: Literal[1] = 1
    ok: bool
    artifacts: tuple[Verification, ...]


class Verifier:
    """Verifies artifacts one by one; in depth, an ancestor that several share is examined once."""

    def __init__(
        self,
        *,
        deep: bool = False,
        parents: Path | None = None,
        max_memory: int | None = None,
        report: Reporter = SILENT,
    ) -> None:
        """Take how far to look.

        Args:
            deep: also check what follows from the arrays, and every ancestor that is found.
            parents: folder that must hold all direct parents that are not elsewhere.
            max_memory: see `Dataset.max_memory`.
            report: whom to tell how far it is.

        Raises:
            InputError: ``parents`` is no folder.
        """
        if parents is not None and not parents.is_dir():
            raise InputError(f"the folder `{parents}` does not exist", hint="--parents names where to look")
        self._deep = deep
        self._parents = parents
        self._max_memory = max_memory
        self._report = report
        self._shelf = Shelf()
        self._examined: set[Path] = set()

    def verify(self, path: Path) -> Verification:
        """Check the artifact at ``path`` in every way that still makes sense where others fail.

        Raises:
            InputError: nothing there, unfinished, or no artifact.
        """
        result, places = self._examine(path)
        ancestors = list(self._ancestors(places)) if self._deep else []
        sound = result.ok and all(ancestor.ok for ancestor in ancestors)
        return Verification(**dict(result) | {"ok": sound}, parents=tuple(ancestors))

    def _ancestors(self, places: list[Path]) -> Iterator[Examined]:
        waiting = list(places)
        while waiting:
            place = waiting.pop(0)
            if place.resolve() not in self._examined:
                result, further = self._examine(place)
                waiting += further
                yield result

    def _examine(self, path: Path) -> tuple[Examined, list[Path]]:
        """Return the checks of one artifact, and where its parents are."""
        self._examined.add(path.resolve())
        found, checks = identify(path), Checks()
        parents: list[Path] = []
        if _check_container(checks, path, found, self._report):
            self._check_content(checks, path, found)
        if found.manifest is not None and found.fault is None:
            check_recipe(checks, found.manifest)
            parents = check_parents(checks, path, found.manifest, shelf=self._shelf, folder=self._parents)
        result = Examined(
            ok=all(check.ok for check in checks.made),
            path=str(path),
            kind=found.kind,
            id=found.manifest.id if found.manifest else None,
            checks=tuple(checks.made),
        )
        return result, parents

    def _check_content(self, checks: Checks, path: Path, found: Identified) -> None:
        if (found.kind == "evaluation") != (path.suffix == ".json") or (
            found.kind == "checkpoint" and not path.is_dir()
        ):
            checks.fail("manifest", f"it says {found.kind}, but `{path.name}` holds something else")
            return
        match found.kind:
            case "dataset":
                check_dataset(
                    checks,
                    path,
                    found.manifest,
                    deep=self._deep,
                    max_memory=self._max_memory,
                    report=self._report,
                )
            case "checkpoint":
                check_checkpoint(checks, path, found.manifest)
            case "evaluation":
                check_evaluation(checks, path, found.manifest)


def _check_container(checks: Checks, path: Path, found: Identified, report: Reporter) -> bool:
    """Compare bytes with checksums; return whether what is inside may be looked at."""
    if found.kind == "dataset" and path.is_file():
        problem = seal_problem(path)
        faults = [f"`{path}`: {problem}, so nothing inside was looked at"] if problem else []
        if not checks.none_of("seal", faults, "all bytes have the checksum that the file begins with"):
            return False
    faults = [found.fault] if found.fault else []
    checks.none_of("manifest", faults, f"{SCHEMA}, with the checksum that it ends in")
    if isinstance(path, RemotePath):
        _check_remote(checks, path, found, report)
    if path.is_dir() and found.manifest:
        stored, listed = stored_files(path), found.manifest.files
        checks.none_of(
            "files", file_faults(stored, listed), f"{len(listed)} files, as the manifest lists them"
        )
        extra = sorted(stored.keys() - {entry.path for entry in listed})
        if extra:
            checks.note("unlisted", f"the manifest does not list {', '.join(extra)}")
    return True


def _check_remote(checks: Checks, path: RemotePath, found: Identified, report: Reporter) -> None:
    """Fetch all files of a dataset behind a URL; what its manifest does not list cannot be seen from here."""
    from awaccli.artifacts.remote import remote_faults

    listed = found.manifest.files if found.manifest else ()
    checks.none_of("files", remote_faults(path, report), f"{len(listed)} files, as the manifest lists them")


def verification_text(found: Verification) -> str:
    """Return the checks as lines that a person reads, the verdict last."""
    lines = []
    for artifact in (found, *found.parents):
        width = max(len(check.name) for check in artifact.checks)
        lines.append(f"{artifact.kind}  {artifact.path}")
        lines += [
            f"{check.name:<{width}}  {'ok' if check.ok else 'FAILED':<6}  {check.message}"
            for check in artifact.checks
        ]
        lines.append("")
    return "\n".join([*lines, verdict(found)])


def verdict(found: Verification) -> str:
    """Return one line that says how it went."""
    checks = [check for artifact in (found, *found.parents) for check in artifact.checks]
    failed = sum(not check.ok for check in checks)
    ancestors = f", ancestors examined: {len(found.parents)}" if found.parents else ""
    outcome = f"{failed} of {len(checks)} checks FAILED" if failed else f"all {len(checks)} checks ok"
    return f"{found.path}: {outcome}{ancestors}"
