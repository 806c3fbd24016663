"""From episodes to training rows: n-step rewards, bootstrap factors, returns; no loop over steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from awaccli.config.task import TaskFacts
from awaccli.data.dataset import Dataset
from awaccli.episode import Episode

_WINDOW_BYTES = 8 << 20
"""Of steps that become training rows at a time: making rows takes several times as much on the way."""


@dataclass(frozen=True, slots=True)
class Rollouts:
    """E episodes end to end: N steps in all."""

    observations: np.ndarray
    """float32 [N, O]."""
    actions: np.ndarray
    """float32 [N, A], as executed."""
    rewards: np.ndarray
    """float32 [N]."""
    final: np.ndarray
    """float32 [E, O]: after the last action."""
    lengths: np.ndarray
    """int64 [E]."""
    terminated: np.ndarray
    """bool [E]."""
    succeeded: np.ndarray
    """bool [E]: the goal is met after the last action."""

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> Iterator[Self]:
        """Take the episodes of a dataset in order, a window of them at a time."""
        table = dataset.episodes
        for first, stop in dataset.windows(0, dataset.n_episodes, most_bytes=_WINDOW_BYTES):
            lengths = table.length[first:stop].astype(np.int64)
            start, end = int(table.start[first]), int(table.start[first] + lengths.sum())
            yield cls(
                observations=dataset.rows("steps/observations", start, end),
                actions=dataset.rows("steps/actions", start, end),
                rewards=dataset.rows("steps/rewards", start, end),
                final=dataset.rows("final/observations", first, stop),
                lengths=lengths,
                terminated=dataset.rows("steps/terminations", start, end)[np.cumsum(lengths) - 1],
                succeeded=table.success[first:stop],
            )

    @classmethod
    def of_episodes(cls, episodes: Sequence[Episode]) -> Self:
        """Take episodes from memory, at least one."""
        return cls(
            observations=np.concatenate([episode.observations[:-1] for episode in episodes]),
            actions=np.concatenate([episode.actions for episode in episodes]),
            rewards=np.concatenate([episode.rewards for episode in episodes]),
            final=np.stack([episode.observations[-1] for episode in episodes]),
            lengths=np.array([len(episode) for episode in episodes], np.int64),
            terminated=np.array([episode.terminated for episode in episodes]),
            succeeded=np.array([episode.success[-1] for episode in episodes]),
        )


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """How recorded steps become what is learned from them."""

    discount: float
    """Per environment step, in (0, 1)."""
    n_step: int
    """Steps of logged reward before the target bootstraps, at least 1."""
    reward_floor: float | None
    """Reward of every step after a truncated failure, for Monte-Carlo returns; None counts as 0."""
    action_lead: int = 0
    """Steps from an observation to the action that stands beside it; beyond the last step it is the last."""


@dataclass(frozen=True, slots=True)
class ActionScale:
    """Maps the action box onto [-1, 1] per dimension; where it is infinite or flat, nothing is changed."""

    center: np.ndarray
    """float32 [A]."""
    half: np.ndarray
    """float32 [A], positive."""

    @classmethod
    def of(cls, task: TaskFacts) -> Self:
        """Return the scale of a task's action box."""
        low, high = np.array(task.action_low), np.array(task.action_high)
        bounded = np.isfinite(low) & np.isfinite(high) & (high > low)
        low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
        return cls(((high + low) / 2).astype(np.float32), ((high - low) / 2).astype(np.float32))

    def scaled(self, actions: np.ndarray) -> np.ndarray:
        """Return executed actions, float32 [..., A], in units of the box."""
        scaled: np.ndarray = (actions - self.center) / self.half
        return scaled


def training_rows(rollouts: Rollouts, targets: TargetSettings, scale: ActionScale) -> np.ndarray:
    """Return one row per step, float32 [N, 2 O + A + 3].

    Columns: observation, action, reward, bootstrap, next observation, return; see `protocols.Batch`. A row
    depends on its own episode only, so rows are the same however episodes are grouped.
    """
    left = _steps_left(rollouts.lengths)
    ahead = np.minimum(targets.n_step, left)
    episode = np.repeat(np.arange(len(rollouts.lengths)), rollouts.lengths)
    ends = rollouts.terminated[episode] & (ahead == left)
    bootstrap = np.where(ends, 0.0, targets.discount**ahead)
    # `final` belongs after each episode's last row, which shifts episode e by e places
    stops = np.cumsum(rollouts.lengths)
    observations = np.insert(rollouts.observations, stops, rollouts.final, axis=0)
    here = np.arange(len(left)) + episode
    led = np.arange(len(left)) + np.minimum(targets.action_lead, left - 1)
    columns = (
        rollouts.observations,
        scale.scaled(rollouts.actions[led]),
        _n_step_rewards(rollouts.rewards, left, targets)[:, None],
        bootstrap[:, None],
        observations[here + ahead],
        _returns(rollouts, left, targets)[:, None],
    )
    return np.concatenate(columns, axis=1, dtype=np.float32, casting="same_kind")


def _steps_left(lengths: np.ndarray) -> np.ndarray:
    """Return for every step how many its episode still has, itself included: T, ..., 1."""
    return np.repeat(np.cumsum(lengths), lengths) - np.arange(lengths.sum())


def _n_step_rewards(rewards: np.ndarray, left: np.ndarray, targets: TargetSettings) -> np.ndarray:
    rewards = rewards.astype(np.float64)
    total = rewards.copy()
    for k in range(1, min(targets.n_step, int(left.max()))):
        inside = left[:-k] > k
        total[:-k] += np.where(inside, targets.discount**k * rewards[k:], 0.0)
    return total


def _returns(rollouts: Rollouts, left: np.ndarray, targets: TargetSettings) -> np.ndarray:
    """Return the discounted return of every step, float64 [N], in log2(T) passes.

    After the pass with stride s a row holds the sum over its next 2 s steps. The tail stands for what comes
    after the last step: nothing after a termination; after a truncation a success is taken to last, at
    reward 0, and a failure to go on at the reward floor.
    """
    total: np.ndarray = rollouts.rewards.astype(np.float64)
    stride = 1
    while stride < left.max():
        inside = left[:-stride] > stride
        total[:-stride] += np.where(inside, targets.discount**stride * total[stride:], 0.0)
        stride *= 2
    floor = (targets.reward_floor or 0.0) / (1.0 - targets.discount)
    tail = np.where(rollouts.terminated | rollouts.succeeded, 0.0, floor)
    total += targets.discount**left * np.repeat(tail, rollouts.lengths)
    return total
