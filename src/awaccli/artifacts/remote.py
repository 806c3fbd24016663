"""Datasets behind URLs: what is needed of them is fetched, checked against their manifest, and kept.

The manifest comes first and ends in its own checksum; it tells name, size and SHA-256 of every other file.
Files are kept in the user's cache under their hash, so that nothing is fetched twice, from wherever.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from awaccli.artifacts import hdf5, transport
from awaccli.artifacts.hdf5_reader import USER_BLOCK_BYTES
from awaccli.artifacts.identity import sha256_file
from awaccli.artifacts.json_file import MAX_JSON_BYTES
from awaccli.artifacts.manifest import MANIFEST, FileEntry, Manifest
from awaccli.artifacts.remote_file import RESTORE, fetch_sealed, keep, kept_at, sealed_copy, stop_if_asked
from awaccli.artifacts.urls import RemotePath
from awaccli.errors import DatasetError, InputError
from awaccli.protocols import SILENT, Reporter

_HDF5_SUFFIXES = (".h5", ".hdf5")
MAX_FILE_BYTES = 512 << 20
"""Of one file of a folder: no honest chunk is larger, and each is in memory for a moment."""
_AT_ONCE = 8
_SHA256 = re.compile("[0-9a-f]{64}")


class RemoteFiles:
    """The files of a Zarr dataset behind a URL."""

    def __init__(self, path: RemotePath) -> None:
        """Fetch the manifest.

        Raises:
            InputError: nothing there, not a dataset, damaged, or it cannot be read.
        """
        self._path = path
        text = _manifest_text(path)
        manifest = Manifest.from_bytes(text, origin=str(path))
        if manifest.kind != "dataset":
            raise InputError(
                f"`{path}` is not a dataset, it is: {manifest.kind}",
                hint="only datasets are read from URLs: copy it to this machine first",
            )
        for entry in manifest.files:
            if not _SHA256.fullmatch(entry.sha256) or not 0 <= entry.size <= MAX_FILE_BYTES:
                raise DatasetError(
                    f"the manifest of `{path}` gives {entry.path} {entry.size} bytes, {entry.sha256:.70}",
                    hint=f"expected at most {MAX_FILE_BYTES} and a SHA-256; it is damaged or hostile",
                )
        self.manifest = manifest
        own = FileEntry(path=MANIFEST, size=len(text), sha256=hashlib.sha256(text).hexdigest())
        keep(text, own.sha256)
        self._listed = {entry.path: entry for entry in (*manifest.files, own)}
        self._here = {MANIFEST}
        self.size_bytes = sum(entry.size for entry in self._listed.values())
        """What all files take, as the manifest says."""

    @property
    def names(self) -> list[str]:
        """The files of the dataset, by their names in it."""
        return list(self._listed)

    def find(self, name: str) -> Path | None:
        """Return where a file is now, fetched if need be, or None where the manifest lists none.

        Raises:
            InputError: it cannot be fetched, or is not what the manifest says.
        """
        if name not in self._listed:
            return None
        self.fetch([name])
        return kept_at(self._listed[name].sha256)

    def fetch(self, names: Iterable[str], report: Reporter = SILENT) -> None:
        """Bring files here, several at a time; those that are here already cost a look.

        Raises:
            InputError: one cannot be fetched, or is not what the manifest says.
            InterruptedRunError: a signal came.
        """
        entries = [self._listed[n] for n in names if n in self._listed and n not in self._here]
        for entry, problem in self._each(self._be_here, entries, report):
            if problem:
                raise DatasetError(f"`{self._path}` is damaged: {entry.path} {problem}", hint=RESTORE)
            self._here.add(entry.path)

    def faults(self, report: Reporter = SILENT) -> Iterator[str]:
        """Yield, in words, which files are not what the manifest says; reads all of them there, now.

        Raises:
            InputError: the server cannot be asked.
            InterruptedRunError: a signal came.
        """
        entries = [self._listed[name] for name in self.names if name != MANIFEST]
        found = [
            (entry.path, problem) for entry, problem in self._each(self._arrive, entries, report) if problem
        ]
        yield from (f"{name} {problem}" for name, problem in sorted(found))

    def _each(
        self, act: Callable[[FileEntry], str | None], entries: list[FileEntry], report: Reporter
    ) -> Iterator[tuple[FileEntry, str | None]]:
        """Yield files as they are dealt with, several at a time, each with what is wrong with it."""
        if not entries:
            return
        pool, done = ThreadPoolExecutor(min(_AT_ONCE, len(entries))), 0
        try:
            tasks = {pool.submit(act, entry): entry for entry in entries}
            total = sum(entry.size for entry in entries)
            with report.phase(f"fetch {self._path.name}", total, "bytes") as progress:
                for task in as_completed(tasks):
                    entry = tasks[task]
                    yield entry, task.result()
                    done += entry.size
                    progress.update(done)
                    stop_if_asked(report)
        finally:
            pool.shutdown(cancel_futures=True)

    def _be_here(self, entry: FileEntry) -> str | None:
        """Fetch a file, if it is not here; return what is wrong with it, in words."""
        kept = kept_at(entry.sha256)
        if kept.is_file() and kept.stat().st_size == entry.size and sha256_file(kept) == entry.sha256:
            return None
        return self._arrive(entry)

    def _arrive(self, entry: FileEntry) -> str | None:
        """Fetch a file and keep it; return what is wrong with it, in words."""
        try:
            found = transport.read(transport.below(self._path, entry.path), entry.size + 1)
        except transport.MissingFileError:
            return "is missing"
        if len(found) < entry.size:
            return f"is truncated: {len(found)} of {entry.size} bytes"
        if hashlib.sha256(found).hexdigest() != entry.sha256:
            return "has changed"
        keep(found, entry.sha256)
        return None


def remote_manifest(path: RemotePath) -> Manifest:
    """Return the manifest of a dataset behind a URL; of an HDF5 file, after fetching it.

    Raises:
        InputError: see `RemoteFiles` and `sealed_copy`.
    """
    if path.suffix not in _HDF5_SUFFIXES:
        return RemoteFiles(path).manifest
    text = hdf5.SealedFile(sealed_copy(path)).text("manifest")
    if text is None:
        raise DatasetError(f"`{path}` has no manifest", hint="expected a .h5 made by awac")
    return Manifest.from_bytes(text, origin=str(path))


def fetch_all(path: Path, report: Reporter) -> None:
    """Bring all of a dataset here, with progress; a dataset of this disk is here already.

    Raises:
        InputError: it cannot be fetched, or is not what its manifest says.
        InterruptedRunError: a signal came; what has arrived is kept.
    """
    if not isinstance(path, RemotePath):
        return
    if path.suffix in _HDF5_SUFFIXES:
        sealed_copy(path, report)
    else:
        files = RemoteFiles(path)
        files.fetch(files.names, report)


def stored_bytes(path: RemotePath) -> int:
    """Return what a dataset behind a URL takes there.

    Raises:
        InputError: see `RemoteFiles` and `sealed_copy`.
    """
    if path.suffix in _HDF5_SUFFIXES:
        return sealed_copy(path).stat().st_size
    return RemoteFiles(path).size_bytes


def remote_faults(path: RemotePath, report: Reporter = SILENT) -> list[str]:
    """Return, in words, which files of a dataset behind a URL are not what its manifest says.

    Raises:
        InputError: its manifest is damaged already, or it cannot be read.
        InterruptedRunError: a signal came.
    """
    if path.suffix in _HDF5_SUFFIXES:
        try:
            fetch_sealed(path, transport.read(path, USER_BLOCK_BYTES), report)
        except DatasetError as error:
            return [str(error)]
        return []
    return list(RemoteFiles(path).faults(report))


def _manifest_text(path: RemotePath) -> bytes:
    try:
        text = transport.read(transport.below(path, MANIFEST), MAX_JSON_BYTES + 1)
    except transport.MissingFileError as error:
        raise transport.MissingFileError(
            f"`{path}` is not there, or was never finished: it has no {MANIFEST}", hint=error.hint
        ) from error
    if len(text) > MAX_JSON_BYTES:
        raise DatasetError(
            f"the manifest of `{path}` has more than {MAX_JSON_BYTES} bytes", hint="it is damaged or hostile"
        )
    return text
