"""Environments that are told a goal: what a step towards another goal would have been worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from awaccli.config.task import TaskSpec
from awaccli.envs.imports import import_named
from awaccli.errors import UsageError

GoalReward = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``(achieved [T, G], desired [T, G]) -> rewards [T]``."""
_INSTEAD = "say how near is near enough: --goal-threshold"


def goal_reward(task: TaskSpec) -> GoalReward:
    """Return the ``compute_reward`` of a task's environment; see `require_trusted` for tasks out of files.

    Raises:
        UsageError: the environment cannot be made, or has no goals.
    """
    environment: Any = _made(task).unwrapped
    if not callable(getattr(environment, "compute_reward", None)):
        raise UsageError(f"task `{task.name}` has no `compute_reward`: it is not told a goal", hint=_INSTEAD)

    def reward(achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        return np.asarray(environment.compute_reward(achieved, desired, {}), np.float64).reshape(-1)

    return reward


def _made(task: TaskSpec) -> gym.Env[Any, Any]:
    if task.module:
        import_named(task.module)
    if task.env_id is None or task.env_id not in gym.registry:
        raise UsageError(f"task `{task.name}`: no environment `{task.env_id}` is registered", hint=_INSTEAD)
    try:
        return gym.make(task.env_id, max_episode_steps=-1, disable_env_checker=True, **task.kwargs)
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"task `{task.name}`: cannot make `{task.env_id}`: {type(error).__name__}: {error}", hint=_INSTEAD
        ) from error
