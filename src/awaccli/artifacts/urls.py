"""URLs where paths are expected: recognised, shown as URLs, and never taken for files of this disk."""

from __future__ import annotations

import os
import re
from pathlib import Path, PosixPath

from awaccli.errors import UsageError

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "https": "http", "http": "http"}
"""By scheme: the extra of awac that brings its library."""
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+([^/?#]+)([^?#]*)(?:\?([^#]*))?(?:#.*)?")
_KNOWN = "s3://, gs://, https:// or http://"


class RemotePath(PosixPath):
    """A URL where a path is expected: its text is the URL, and nothing on this disk has that name."""

    query = ""
    """What followed a question mark. It may be a signature, so it is sent, and neither shown nor recorded."""

    def __str__(self) -> str:
        """Return the URL, without its query; pathlib keeps one slash of two."""
        scheme, separator, rest = super().__str__().partition(":/")
        return f"{scheme}://{rest}" if separator and scheme in EXTRAS else super().__str__()

    @property
    def scheme(self) -> str:
        """What comes before the colon."""
        return str(self).partition(":")[0]


def here(path: Path) -> Path:
    """Return where what belongs beside an artifact goes: for one behind a URL, into this folder."""
    return Path(path.name) if isinstance(path, RemotePath) else path


def as_path(value: str | Path) -> Path:
    """Return a `RemotePath` for a URL, whole or with the one slash that pathlib leaves, else a plain path.

    Raises:
        UsageError: it has a password in it, or is of a kind that is not read.
    """
    match = _URL.fullmatch(str(value))
    if isinstance(value, RemotePath) or match is None or os.path.lexists(value):
        return Path(value) if isinstance(value, str) else value
    scheme, place, rest, query = match.groups()
    if scheme not in EXTRAS:
        raise UsageError(
            f"`{scheme}://{place.rpartition('@')[2]}{rest}` is not read: awac knows no {scheme}://",
            hint=f"expected {_KNOWN}, or a path of this machine",
        )
    if "@" in place:
        raise UsageError(
            f"`{scheme}://...@{place.rpartition('@')[2]}{rest}` has a user name or password in it",
            hint="leave it out: credentials come from the environment, see docs/remote.md",
        )
    if query and EXTRAS[scheme] != "http":
        raise UsageError(f"`{scheme}://{place}{rest}` is followed by a query", hint="leave out `?...`")
    path = RemotePath(f"{scheme}:/{place}{rest}")
    path.query = query or ""
    return path
