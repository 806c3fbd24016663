"""Single files behind URLs, fetched whole into the user's cache: each version of them once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from awaccli.artifacts import hdf5, transport
from awaccli.artifacts.cache import cache_folder
from awaccli.artifacts.hdf5_reader import USER_BLOCK_BYTES
from awaccli.artifacts.identity import canonical_json
from awaccli.artifacts.urls import RemotePath
from awaccli.errors import DatasetError, InputError, InterruptedRunError, UsageError
from awaccli.protocols import SILENT, Reporter

RESTORE = "it is not what was written there: export it again, or read another copy"


def sealed_copy(path: RemotePath, report: Reporter = SILENT) -> Path:
    """Return where a sealed HDF5 file behind a URL is now, fetched if need be, its seal intact.

    Raises:
        InputError: nothing there, not a sealed file, damaged, or it cannot be read.
        InterruptedRunError: a signal came.
    """
    block = transport.read(path, USER_BLOCK_BYTES)
    kept = _kept_sealed(block)
    return kept if _is_sealed_with(kept, block) else fetch_sealed(path, block, report)


def fetch_sealed(path: RemotePath, block: bytes, report: Reporter) -> Path:
    """Fetch a sealed file that begins with ``block``; return where it is now.

    Raises:
        DatasetError: it is not sealed, or its seal is broken.
        InputError: it cannot be read.
        InterruptedRunError: a signal came.
    """
    kept = _kept_sealed(block)
    with _growing(kept) as growing:
        _download(path, growing, transport.facts(path)["size"], report)
        if not hdf5.is_sealed(growing):
            raise DatasetError(f"`{path}` is not a dataset of awac", hint="expected a .h5 made by awac")
        if not _is_sealed_with(growing, block):
            raise DatasetError(f"`{path}` is damaged or truncated: its checksum does not match", hint=RESTORE)
    return kept


def file_copy(path: RemotePath, report: Reporter = SILENT) -> Path:
    """Return where any file behind a URL is now, fetched unless the same version of it is here.

    Raises:
        InputError: nothing there, a folder, or it cannot be read.
        InterruptedRunError: a signal came.
    """
    if path.name == "..":
        raise UsageError(f"`{path}` names no file", hint="expected the URL of one file")
    facts = transport.facts(path)
    version = hashlib.sha256(canonical_json([str(path), facts])).hexdigest()
    kept = _remote_folder() / "files" / version / path.name
    if len(facts) == 1 or not kept.is_file():
        report.note(f"fetching {path}" + (f": {facts['size']} bytes" if facts["size"] is not None else ""))
        with _growing(kept) as growing:
            _download(path, growing, facts["size"], report)
    return kept


def _download(path: RemotePath, target: Path, size: int | None, report: Reporter) -> None:
    done = 0
    with (
        target.open("wb") as file,
        report.phase(f"fetch {path.name}", size or 0, "bytes") as progress,
    ):
        for block in transport.blocks(path):
            file.write(block)
            done += len(block)
            progress.update(done)
            stop_if_asked(report)
            if size is not None and done > size:
                break
    if size not in (None, done):
        raise InputError(
            f"`{path}`: {done} bytes arrived, the server had announced {size}", hint="repeat the command"
        )


def stop_if_asked(report: Reporter) -> None:
    """Stop between two pieces of work.

    Raises:
        InterruptedRunError: a signal came.
    """
    if signal := report.interrupted():
        raise InterruptedRunError(
            signal, "stopped while fetching", hint="repeat the command: whole files that arrived are kept"
        )


def _is_sealed_with(file: Path, block: bytes) -> bool:
    """Return whether a file is whole and begins with this user block."""
    if not file.is_file():
        return False
    with file.open("rb") as raw:
        begins = raw.read(USER_BLOCK_BYTES) == block
    return begins and hdf5.seal_problem(file) is None


def _remote_folder() -> Path:
    return cache_folder() / "remote"


def kept_at(digest: str) -> Path:
    """Return where a file with this SHA-256 is, if it is here."""
    return _remote_folder() / digest[:2] / digest


def _kept_sealed(block: bytes) -> Path:
    return kept_at(hashlib.sha256(block).hexdigest()).with_suffix(".h5")


def keep(content: bytes, digest: str) -> None:
    """Keep a file with this SHA-256."""
    with _growing(kept_at(digest)) as growing:
        growing.write_bytes(content)


@contextmanager
def _growing(path: Path) -> Iterator[Path]:
    """Give a name to write to; ``path`` appears when that went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    growing = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield growing
        growing.replace(path)
    finally:
        growing.unlink(missing_ok=True)
