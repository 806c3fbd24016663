"""Public datasets from the network: resumable, checked, and never half there under their own name.

A file grows as ``X.partial``, locked while somebody writes it, and is renamed when it is whole.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from awaccli.artifacts.identity import sha256_file
from awaccli.config.resolve import did_you_mean
from awaccli.data.public_sets import PUBLIC_SETS, PublicFile, PublicSet
from awaccli.errors import InputError, InterruptedRunError, OutputExistsError, UsageError
from awaccli.protocols import SILENT, Reporter

TIMEOUT_S = 30.0
_BLOCK_BYTES = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that is there now."""

    path: Path
    size_bytes: int
    sha256: str
    pinned: bool
    """The hash was known beforehand, and is that."""
    already: bool
    """It was there before."""


def find_public_set(name: str) -> PublicSet:
    """Return a public dataset by name.

    Raises:
        UsageError: there is none.
    """
    if name not in PUBLIC_SETS:
        raise UsageError(f"no public set `{name}` is known", hint=did_you_mean(name, list(PUBLIC_SETS)))
    return PUBLIC_SETS[name]


def download(
    chosen: PublicSet, folder: Path, *, mirror: str | None = None, report: Reporter = SILENT
) -> list[Downloaded]:
    """Bring the files of a public dataset to ``folder``; those that are there already are only checked.

    Args:
        chosen: what to get.
        folder: where its folder goes; made if need be.
        mirror: address below which the files are, by name, in place of the published one.
        report: whom to tell.

    Raises:
        InputError: no network, no such file there, or another file than the one that is known.
        OutputExistsError: another process is getting it.
        InterruptedRunError: a signal came; the next call goes on.
    """
    found = []
    for file in chosen.files:
        url = f"{mirror.rstrip('/')}/{file.name}" if mirror else file.url
        found.append(_fetch(file, url, folder / chosen.name / file.name, report))
    return found


def _fetch(file: PublicFile, url: str, path: Path, report: Reporter) -> Downloaded:
    if path.is_file():
        digest = sha256_file(path)
        if file.sha256 in (None, digest):
            return Downloaded(path, path.stat().st_size, digest, file.sha256 is not None, already=True)
        report.warn(f"`{path}` has changed since it was downloaded: it is fetched again")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with _owned(partial) as growing:
        _grow(file, url, growing, partial, report)
        growing.flush()
        os.fsync(growing.fileno())
        digest = sha256_file(partial)
        if file.sha256 not in (None, digest):
            partial.unlink()
            _tag_of(partial).unlink(missing_ok=True)
            raise InputError(
                f"{url} has SHA-256 {digest[:16]}..., expected {str(file.sha256)[:16]}...: nothing was kept",
                hint="the published file has changed, or something between here and there changed it",
            )
        partial.replace(path)
        _tag_of(partial).unlink(missing_ok=True)
    return Downloaded(path, path.stat().st_size, digest, file.sha256 is not None, already=False)


@contextmanager
def _owned(partial: Path) -> Iterator[IO[bytes]]:
    """Open a growing file that nobody else is writing; the lock ends with its owner."""
    with partial.open("ab") as growing:
        try:
            fcntl.flock(growing, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(growing.fileno()).st_ino == partial.stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise OutputExistsError(f"`{partial}` is being written by another process", hint="wait for it")
        try:
            yield growing
        finally:
            if partial.is_file() and not partial.stat().st_size:
                partial.unlink()


def _grow(file: PublicFile, url: str, growing: IO[bytes], partial: Path, report: Reporter) -> None:
    """Append what is missing; where the server does not go on from there, start over."""
    done = growing.seek(0, os.SEEK_END)
    if done and done == file.size_bytes:
        return
    with _answer(url, done, _tag_of(partial)) as answer:
        start, total = _extent(answer, done)
        if file.size_bytes not in (None, total):
            raise InputError(
                f"{url} has {total} bytes, expected {file.size_bytes}",
                hint="the published file has changed, or this is no copy of it",
            )
        if start != done:
            growing.truncate(0)
        _tag_of(partial).write_text(_tag(answer.headers), encoding="utf-8")
        with report.phase(f"download {file.name}", total or 0, "bytes") as progress:
            for block in _blocks(answer, url):
                growing.write(block)
                start += len(block)
                progress.update(start)
                if signal := report.interrupted():
                    raise InterruptedRunError(
                        signal, f"stopped after {start} bytes", hint="repeat the command to go on"
                    )
    if total is not None and start != total:
        raise _cut_off(url, start, total)


@contextmanager
def _answer(url: str, done: int, tag: Path) -> Iterator[Any]:
    """Ask for a file from byte ``done`` on, if it is still the one whose beginning is there."""
    headers = {"User-Agent": "awac", "Accept-Encoding": "identity"}
    known = tag.read_text(encoding="utf-8") if done and tag.is_file() else ""
    if known:
        headers |= {"Range": f"bytes={done}-", "If-Range": known}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(
            f"{url}: the server says {error.code} {error.reason}", hint=_elsewhere(url)
        ) from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise InputError(f"{url} cannot be reached: {reason}", hint=_elsewhere(url)) from error
    with answer:
        if url.startswith("https:") and not answer.url.startswith("https:"):
            raise InputError(f"{url} leads to {answer.url}, which is not HTTPS", hint=_elsewhere(url))
        yield answer


def _extent(answer: Any, done: int) -> tuple[int, int | None]:
    """Return where the answer begins, and how many bytes the whole file has, if the server says so."""
    ranged = _RANGE.fullmatch(answer.headers.get("Content-Range", "")) if answer.status == 206 else None
    if ranged and int(ranged[1]) == done:
        return done, None if ranged[2] == "*" else int(ranged[2])
    length = answer.headers.get("Content-Length")
    return 0, int(length) if length else None


def _blocks(answer: Any, url: str) -> Iterator[bytes]:
    while True:
        try:
            block = answer.read(_BLOCK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise InputError(f"{url}: the connection broke: {error}", hint=_GO_ON) from error
        if not block:
            return
        yield block


_GO_ON = "what has arrived is kept: repeat the command to go on"


def _cut_off(url: str, done: int, total: int) -> InputError:
    return InputError(f"{url}: the connection ended after {done} of {total} bytes", hint=_GO_ON)


def _elsewhere(url: str) -> str:
    return (
        f"without a way to it, get {url} on another machine and give the file to `awac data import`, "
        "or name a copy: --mirror"
    )


def _tag(headers: Mapping[str, str]) -> str:
    """Return what tells one version of a file from the next; empty where the server does not say."""
    strong = headers.get("ETag", "")
    return headers.get("Last-Modified", "") if strong.startswith("W/") or not strong else strong


def _tag_of(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.tag")
