"""Rules of tasks for ``awac data relabel``: what needs an environment, or what is known of one."""

from __future__ import annotations

import numpy as np

from awaccli.config.task import TaskSpec
from awaccli.data.dataset import Dataset
from awaccli.data.hindsight import GoalRule
from awaccli.data.relabel import SuccessRule
from awaccli.envs.goals import goal_reward
from awaccli.envs.hands import HANDS, find_hand
from awaccli.envs.trust import require_trusted
from awaccli.errors import DatasetError, UsageError

_MOST_SPARSE_REWARDS = 2


def hand_success(dataset: Dataset, task: TaskSpec) -> SuccessRule:
    """Return the success rule of a hand task, for a dataset with its observations.

    Raises:
        UsageError: another task: its rule is known to its environment alone.
        DatasetError: the observations are not of this task.
    """
    hand = find_hand(task.env_id)
    if hand is None:
        raise UsageError(
            f"task `{task.name}` has no rule that observations alone decide",
            hint=f"{', '.join(known.name for known in HANDS)} have; for others there is --success",
        )
    if dataset.task.observation_dim != hand.observation_dim:
        raise DatasetError(
            f"`{dataset.path}` has observations of {dataset.task.observation_dim} numbers, "
            f"task `{task.name}` has {hand.observation_dim}",
            hint="is it of this task? see `awac info`",
        )
    return SuccessRule(
        of=lambda episode: hand.success(episode.observations[1:]),
        words=hand.success_rule,
        held_steps=hand.held_steps,
        settings={"task": hand.name},
    )


def environment_goals(
    dataset: Dataset,
    *,
    task: TaskSpec | None = None,
    threshold: float | None = None,
    trust_env: bool = False,
) -> GoalRule:
    """Return reward and success as the environment of a goal-conditioned task computes them.

    Args:
        dataset: its own task is made into an environment, if that is free of doubt.
        task: another one, named by the user.
        threshold: distance below which the goal is met; default: where the reward is what it is at the goal
            itself, which only a reward of two values tells.
        trust_env: make the environment of the dataset even where it could run code of its author.

    Raises:
        InputError: the environment of the dataset could run code, and is not trusted.
        UsageError: it cannot be made, has no goals, or does not tell where they are met.
    """
    if task is None:
        require_trusted(dataset.task.spec, dataset.path, trust_env=trust_env)
    made = task or dataset.task.spec
    reward = goal_reward(made)

    def of(achieved: np.ndarray, desired: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rewards = reward(achieved, desired)
        if threshold is not None:
            return rewards.astype(np.float32), np.linalg.norm(achieved - desired, axis=-1) < threshold
        at_goal = reward(desired, desired)
        if len(np.unique(np.concatenate([rewards, at_goal]))) > _MOST_SPARSE_REWARDS:
            raise UsageError(
                f"rewards of task `{made.name}` do not tell where its goal is met",
                hint="say how near is near enough: --goal-threshold",
            )
        return rewards.astype(np.float32), rewards == at_goal

    return GoalRule(
        of,
        f"the reward of {made.env_id}",
        {"task": task and task.model_dump(mode="json"), "threshold": threshold},
    )
