"""Staying inside an artifact: what a stranger packed leads nowhere else and blocks nobody who reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from awaccli.errors import InputError

_MAX_PATH = 4095
_MAX_NAME = 255


def require_own_files(root: Path) -> None:
    """Check that an artifact has its files itself; ``root`` may be a link, which its user made.

    Raises:
        InputError: something inside is a link, or neither a file nor a folder.
    """
    for _ in _own_files(root):
        pass


def own_size_bytes(root: Path) -> int:
    """Return how many bytes the files of an artifact have, checked by ``require_own_files``."""
    return sum(file.stat().st_size for file in _own_files(root))


def _own_files(root: Path) -> Iterator[Path | os.DirEntry[str]]:
    if not root.is_dir():
        _require(root, ok=root.is_file(), what="is neither a file nor a folder")
        yield root
        return
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                _require(path, ok=not entry.is_symlink(), what="is a link, artifacts have files of their own")
                if entry.is_dir():
                    folders.append(path)
                else:
                    _require(path, ok=entry.is_file(), what="is neither a file nor a folder")
                    yield entry


def _require(path: Path, *, ok: bool, what: str) -> None:
    if not ok:
        raise InputError(
            f"`{path}` {what}", hint="if its links are yours, copy the artifact without them: cp -rL"
        )


def _inside(path: str) -> str:
    _possible(path)
    if path.startswith("/") or {"", ".", ".."} & set(path.split("/")):
        raise ValueError(f"`{path}` does not lie inside the artifact")
    return path


def _relative(path: str) -> str:
    _possible(path)
    if path.startswith("/"):
        raise ValueError(f"`{path}` is not relative to the artifact")
    return path


def _possible(path: str) -> None:
    if "\0" in path or len(path) > _MAX_PATH or any(len(os.fsencode(p)) > _MAX_NAME for p in path.split("/")):
        raise ValueError("no file can have this path")


InsidePath = Annotated[str, AfterValidator(_inside)]
"""Path of a file of the artifact, relative to its folder."""

RelativePath = Annotated[str, AfterValidator(_relative)]
"""Where another artifact was, relative to the folder that this one is in, or as a URL."""
