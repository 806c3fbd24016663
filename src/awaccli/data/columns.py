"""An episode as rows of the dataset's arrays: which field of an `Episode` is stored where."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from awaccli.artifacts.identity import little_endian
from awaccli.episode import Episode

TRAINING = ("steps/observations", "final/observations", "steps/actions", "steps/rewards")
"""Fields that must be finite."""

REQUIRED: Mapping[str, str] = {
    "steps/observations": "<f4",
    "steps/actions": "<f4",
    "steps/rewards": "<f4",
    "steps/terminations": "|b1",
    "steps/truncations": "|b1",
    "steps/success": "|b1",
    "final/observations": "<f4",
    "episodes/start": "<i8",
    "episodes/length": "<i4",
    "episodes/return": "<f8",
    "episodes/success": "|b1",
    "episodes/success_steps": "<i4",
    "episodes/end_reason": "|u1",
    "episodes/seed": "<u8",
    "episodes/has_seed": "|b1",
    "episodes/source": "<i4",
    "episodes/clipped": "<i4",
    "episodes/sha256": "|u1",
}
"""Fields of every dataset, with their dtype."""

DOCS: Mapping[str, str] = {
    "steps/observations": "what the policy saw before the action",
    "steps/actions": "as executed, inside the action box",
    "steps/rewards": "the task's reward for the action",
    "steps/terminations": "the task ended the episode after the action",
    "steps/truncations": "the clock or the collector ended the episode after the action",
    "steps/success": "the goal is met after the action",
    "final/observations": "observation after the last action of the episode",
    "episodes/start": "first row of the episode in steps/",
    "episodes/length": "number of steps",
    "episodes/return": "undiscounted sum of rewards",
    "episodes/success": "the goal is met after the last action",
    "episodes/success_steps": "number of steps after which the goal is met",
    "episodes/end_reason": "0 terminated, 1 time limit, 2 stopped, 3 segment, 4 unknown",
    "episodes/seed": "seed of the reset; valid where has_seed",
    "episodes/has_seed": "the seed of the reset is known",
    "episodes/source": "who acted: index into sources",
    "episodes/clipped": "action entries outside the box before execution",
    "episodes/sim_init": "integration state of the simulator at the start",
    "episodes/sha256": "content hash of the episode",
}


def content_columns(episode: Episode) -> dict[str, np.ndarray]:
    """Return what an episode is, by field name: T rows each under ``steps/``, one row each elsewhere."""
    columns = {
        "steps/observations": episode.observations[:-1],
        "steps/actions": episode.actions,
        "steps/rewards": episode.rewards,
        "steps/terminations": _last_only(episode.terminated, len(episode)),
        "steps/truncations": _last_only(episode.truncated, len(episode)),
        "steps/success": episode.success,
        "final/observations": episode.observations[-1:],
        "episodes/end_reason": np.array([episode.end_reason], np.uint8),
        "episodes/seed": np.array([episode.seed or 0], np.uint64),
        "episodes/has_seed": np.array([episode.seed is not None]),
    }
    for name, column in episode.infos.items():
        columns[f"steps/infos/{name}"] = column
    for name, states in episode.sim.items():
        columns[f"steps/sim/{name}"] = states[:-1]
        columns[f"final/sim/{name}"] = states[-1:]
    for name, values in episode.model.items():
        columns[f"episodes/model/{name}"] = values[None]
    if episode.sim_init is not None:
        columns["episodes/sim_init"] = episode.sim_init[None]
    return {name: little_endian(column) for name, column in columns.items()}


def derived_columns(episode: Episode) -> dict[str, np.ndarray]:
    """Return what follows from an episode's content, and who made it; one row each."""
    return {
        "episodes/length": np.array([len(episode)], np.int32),
        "episodes/return": np.array([episode.return_], np.float64),
        "episodes/success": episode.success[-1:],
        "episodes/success_steps": np.array([episode.success.sum()], np.int32),
        "episodes/source": np.array([episode.source], np.int32),
        "episodes/clipped": np.array([episode.clipped], np.int32),
    }


def _last_only(flag: bool, steps: int) -> np.ndarray:
    column = np.zeros(steps, bool)
    column[-1] = flag
    return column
