"""Flat observations as the parts they were made of."""

from __future__ import annotations

import numpy as np

from awaccli.config.task import TaskFacts


def observation_parts(task: TaskFacts, observations: np.ndarray) -> dict[str, np.ndarray]:
    """Return the parts of flat observations [..., O], by name.

    Slashes in names, which would lead into groups, become dots.
    """
    sizes = [size for _, size in task.observation_layout]
    pieces = np.split(observations, np.cumsum(sizes)[:-1], axis=-1)
    return {
        key.replace("/", "."): piece
        for (key, _), piece in zip(task.observation_layout, pieces, strict=True)
        if piece.shape[-1]
    }


def is_one_array(task: TaskFacts) -> bool:
    """Return whether the environment gives one array, not a dictionary of them."""
    return len(task.observation_layout) == 1 and not task.spec.obs_keys
