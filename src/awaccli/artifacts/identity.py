"""Content hashes: of canonical content, never of compressed bytes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of ``value``: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def json_finite(value: Any) -> Any:
    """Return ``value`` with NaN and infinities replaced by None, for JSON that others read."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: json_finite(item) for key, item in value.items()}
        case list() | tuple():
            return [json_finite(item) for item in value]
        case _:
            return value


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of ``value``, hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def little_endian(array: np.ndarray) -> np.ndarray:
    """Return ``array`` in C order and little-endian byte order."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def sha256_arrays(arrays: Mapping[str, np.ndarray], *, extra: bytes = b"") -> bytes:
    """Return the SHA-256 over named arrays in order of their names, then ``extra``; 32 bytes.

    Each array enters as a header ``name|dtype|shape`` and its C-order little-endian bytes.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = little_endian(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{'x'.join(map(str, array.shape))}\n".encode())
        digest.update(array.data if array.size else b"")
    digest.update(extra)
    return digest.digest()
