"""Artifacts that are one JSON file, in a layout that follows from their values: no byte can change unseen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from awaccli.config.json_value import parse_json
from awaccli.errors import InputError

MAX_JSON_BYTES = 16 << 20
"""A manifest lists a file in about 130 bytes, so this is one of 120 000 files."""

_MANIFEST = "manifest"


def read_json_bytes(path: Path) -> bytes:
    """Return the bytes of a file that should hold JSON.

    Raises:
        InputError: it is larger than any honest one.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MAX_JSON_BYTES:
        raise InputError(
            f"`{path}` has {size_bytes} bytes of JSON",
            hint=f"expected at most {MAX_JSON_BYTES}; the file is damaged or hostile",
        )
    return path.read_bytes()


def json_artifact(body: Mapping[str, Any], manifest: bytes) -> bytes:
    """Return the bytes of an artifact with these values and this manifest."""
    return json.dumps({**body, _MANIFEST: manifest.decode()}, indent=1).encode() + b"\n"


def read_json_artifact(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Return values and manifest of an artifact, or None where the file is something else.

    Raises:
        InputError: it is larger than any honest one.
    """
    try:
        record = parse_json(read_json_bytes(path))
    except ValueError:
        return None
    manifest = record.pop(_MANIFEST, None) if isinstance(record, dict) else None
    return (record, manifest.encode()) if isinstance(manifest, str) else None


def json_problem(path: Path) -> str | None:
    """Return what is wrong with the bytes of an artifact, in words, or None."""
    found = read_json_artifact(path)
    same = found is not None and json_artifact(*found) == path.read_bytes()
    return None if same else "its bytes are not those that awac wrote"
