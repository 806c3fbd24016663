"""Folders and JSON of foreign formats: what a stranger packed, and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from awaccli.artifacts.identity import sha256_file, sha256_json
from awaccli.artifacts.json_file import read_json_bytes
from awaccli.errors import InputError


def plain_json(text: bytes | str) -> Any:
    """Return the value of a JSON text; NaN and infinities, which it should not hold, become texts.

    Unlike our own files it may have millions of values: the bounds of an image are one number per pixel.

    Raises:
        ValueError: it is not JSON, nested too deep, or its texts are no Unicode.
    """
    try:
        value = json.loads(text, parse_constant=str)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value


def period_s(rate: object) -> float | None:
    """Return the seconds per step that steps per second, as a file gives them, make; None for nonsense."""
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        return None
    return 1 / rate if 1e-6 <= rate <= 1e6 else None


def json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        InputError: there is none, it is damaged, or larger than any honest one.
    """
    if not path.is_file():
        raise InputError(f"`{path}` does not exist", hint="a file of the dataset is missing: get it again")
    try:
        value = plain_json(read_json_bytes(path))
    except ValueError as error:
        raise InputError(f"`{path}` is not valid JSON: {error}", hint="get it again") from error
    if not isinstance(value, dict):
        raise InputError(f"`{path}` holds no JSON object", hint="get it again")
    return value


def folder_sha256(root: Path, files: Iterable[Path]) -> str:
    """Return the SHA-256 of the canonical list of files with their hashes, hexadecimal."""
    return sha256_json({path.relative_to(root).as_posix(): sha256_file(path) for path in files})
