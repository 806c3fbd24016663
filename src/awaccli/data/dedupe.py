"""Episodes that are there more than once."""

from __future__ import annotations

import numpy as np

from awaccli.data.dataset import Dataset
from awaccli.data.derivation import Derivation, selection


def duplicates(dataset: Dataset) -> dict[int, int]:
    """Return, by index, every episode whose content came before, and the index of the first like it."""
    first: dict[bytes, int] = {}
    found = {}
    for index, row in enumerate(dataset.column("episodes/sha256")):
        original = first.setdefault(row.tobytes(), index)
        if original != index:
            found[index] = original
    return found


def deduplicated(dataset: Dataset) -> Derivation:
    """Return every episode once: the first of those with equal content hashes."""
    again = duplicates(dataset)
    indices = np.setdiff1d(np.arange(len(dataset)), list(again))
    notes = [f"dropped episode {index}: the same as episode {original}" for index, original in again.items()]
    return selection("dedupe", dataset, indices, {}, notes=tuple(notes) or ("no episode is there twice",))
