"""Artifacts that are one JSON file, in a layout that follows from their values: no byte can change unseen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MANIFEST = "manifest"


def json_artifact(body: Mapping[str, Any], manifest: bytes) -> bytes:
    """Return the bytes of an artifact with these values and this manifest."""
    return json.dumps({**body, _MANIFEST: manifest.decode()}, indent=1).encode() + b"\n"


def read_json_artifact(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Return values and manifest of an artifact, or None where the file is something else."""
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    manifest = record.pop(_MANIFEST, None) if isinstance(record, dict) else None
    return (record, manifest.encode()) if isinstance(manifest, str) else None


def json_problem(path: Path) -> str | None:
    """Return what is wrong with the bytes of an artifact, in words, or None."""
    found = read_json_artifact(path)
    same = found is not None and json_artifact(*found) == path.read_bytes()
    return None if same else "its bytes are not those that awac wrote"
