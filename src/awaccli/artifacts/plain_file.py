"""Files that are no artifacts, such as pictures and videos: whole or not there, never lost by accident."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from awaccli.artifacts.commit import require_writable
from awaccli.errors import OutputExistsError


def require_free(path: Path, *, overwrite: bool) -> None:
    """Check that the file may be written, before work is spent on it.

    Raises:
        UsageError: its folder does not exist or cannot be written.
        OutputExistsError: it is there, and not to be replaced.
    """
    require_writable(path)
    if path.exists() and not overwrite:
        raise OutputExistsError(f"`{path}` already exists", hint="use --overwrite, or another name")


@contextmanager
def appearing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield where to write a file that becomes ``path`` in one step at the end; an error leaves nothing.

    Raises:
        UsageError, OutputExistsError: see `require_free`.
    """
    require_free(path, overwrite=overwrite)
    unfinished = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
