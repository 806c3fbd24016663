"""The same dataset in another container, or in pieces of another size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from awaccli.data.dataset import Dataset
from awaccli.data.derivation import Derivation, selection
from awaccli.data.memory import require_pieces
from awaccli.data.stores import CHUNK_BYTES
from awaccli.errors import UsageError

MIN_CHUNK_BYTES, MAX_CHUNK_BYTES = 1 << 10, 64 << 20


def converted(dataset: Dataset, *, chunk_bytes: int = CHUNK_BYTES) -> Derivation:
    """Return all of a dataset; where it is written decides the container: ``.zarr`` or ``.h5``.

    Content id, recipe and lineage stay as they are: neither container nor chunks are part of them.

    Args:
        dataset: what to copy.
        chunk_bytes: about how large the pieces are that a field is stored in, before compression.

    Raises:
        UsageError: pieces too small, or too large, also for the memory that is allowed.
    """
    if not MIN_CHUNK_BYTES <= chunk_bytes <= MAX_CHUNK_BYTES:
        raise UsageError(
            f"--chunk-bytes {chunk_bytes}", hint=f"expected {MIN_CHUNK_BYTES} to {MAX_CHUNK_BYTES}"
        )
    require_pieces(f"a piece of --chunk-bytes {chunk_bytes}", chunk_bytes, dataset.max_memory)
    everything = selection("convert", dataset, np.arange(len(dataset)), {})
    return replace(everything, header=dataset.header, episodes=dataset.__iter__, chunk_bytes=chunk_bytes)
