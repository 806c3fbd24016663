"""Training rows that do not fit into memory: an uncompressed file, mapped, kept for the next run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np


def mapped_rows(path: Path, shape: tuple[int, int], fill: Callable[[np.ndarray], None]) -> np.ndarray:
    """Return the float32 matrix in ``path``, made by ``fill`` where it is not there yet.

    Rows are read from the disk when they are asked for; what is written to them stays in this process.
    """
    size_bytes = shape[0] * shape[1] * np.dtype(np.float32).itemsize
    if not path.is_file() or path.stat().st_size != size_bytes:
        path.parent.mkdir(parents=True, exist_ok=True)
        growing = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            rows = np.memmap(growing, np.float32, "w+", shape=shape)
            fill(rows)
            rows.flush()
            growing.replace(path)
        finally:
            growing.unlink(missing_ok=True)
    return np.memmap(path, np.float32, "c", shape=shape)
