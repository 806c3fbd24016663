"""The replay buffer: all offline transitions, and a ring of online ones. The only torch door of this room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from awaccli.artifacts.identity import sha256_json
from awaccli.config.task import TaskFacts
from awaccli.data.dataset import Dataset
from awaccli.data.row_cache import mapped_rows
from awaccli.data.transitions import ActionScale, Rollouts, TargetSettings, training_rows
from awaccli.episode import Episode
from awaccli.errors import DatasetError
from awaccli.protocols import Batch, Draws

_ROWS_VERSION = 1
"""Raised when a row's layout or numbers change: mapped rows of another version are not used."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How much of it the offline rows may take, and where they go if they need more."""

    max_bytes: int
    cache: Path
    """Folder for mapped rows, by the datasets' ids."""


class ReplayBuffer:
    """Transitions as rows of two float32 matrices, so that a batch is one gather from each.

    Offline rows are never evicted. Online rows lie in a ring: once there are ``capacity`` of them, the
    oldest are overwritten. Its storage grows as they come. Indices count offline rows first.
    """

    def __init__(
        self,
        offline: Sequence[Dataset],
        *,
        discount: float,
        n_step: int,
        reward_floor: float | None,
        capacity: int,
        device: str,
        action_lead: int = 0,
        task: TaskFacts | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Load all of ``offline``.

        Args:
            offline: datasets of one task; may be empty if ``task`` is given.
            discount: per environment step, in (0, 1).
            n_step: steps of logged reward before the target bootstraps.
            reward_floor: reward that a truncated failure is taken to go on with; None counts as 0.
            capacity: online transitions kept, at least 1.
            device: where the rows live.
            action_lead: steps by which the actions of rows are ahead of their observations.
            task: what online episodes are of; default: the task of the offline data.
            memory: where offline rows go that are too many for it; default: everything is loaded.

        Raises:
            DatasetError: the datasets do not fit each other, or no task is known.
        """
        self.task = common_task(offline, task)
        self._targets = TargetSettings(discount, n_step, reward_floor, action_lead)
        self._scale = ActionScale.of(self.task)
        self._capacity = capacity
        self._device = torch.device(device)
        self._width = 2 * self.task.observation_dim + self.task.action_dim + 3
        self._offline = self._load(offline, memory)
        self._online = torch.empty((0, self._width), device=self._device)
        self._succeeded = np.concatenate(
            [np.empty(0, bool), *(np.repeat(d.episodes.success, d.episodes.length) for d in offline)]
        )
        rewards = (block for data in offline for block in data.blocks("steps/rewards"))
        self._largest_reward = max((float(np.abs(block).max()) for block in rewards), default=0.0)
        self.n_offline = len(self._offline)
        """Transitions from the datasets."""
        self.n_online = 0
        """Online transitions held now, at most the capacity."""
        self._written = 0
        self._find_successes()

    def _load(self, offline: Sequence[Dataset], memory: Memory | None) -> Tensor:
        """Return the rows of all datasets: in memory, or mapped from a file where there is not enough."""
        shape = (sum(dataset.n_steps for dataset in offline), self._width)

        def fill(rows: np.ndarray) -> None:
            done = 0
            for dataset in offline:
                for rollouts in Rollouts.of_dataset(dataset):
                    found = self._rows_of(rollouts)
                    rows[done : done + len(found)] = found
                    done += len(found)

        if memory and 4 * math.prod(shape) > memory.max_bytes:
            key = sha256_json([_ROWS_VERSION, [dataset.id for dataset in offline], asdict(self._targets)])
            return torch.from_numpy(mapped_rows(memory.cache / f"{key}.f32", shape, fill))
        rows = np.empty(shape, np.float32)
        fill(rows)
        return torch.from_numpy(rows).to(self._device)

    def extend(self, episodes: Sequence[Episode]) -> None:
        """Add online episodes, in order."""
        if not episodes:
            return
        rollouts = Rollouts.of_episodes(episodes)
        rows = self._rows_of(rollouts)
        self._reserve(min(self._written + len(rows), self._capacity))
        places = (self._written + np.arange(len(rows))) % self._capacity
        self._written += len(rows)
        self.n_online = min(self._written, self._capacity)
        kept = slice(-self._capacity, None)
        index = torch.from_numpy(places[kept]).to(self._device)
        self._online.index_copy_(0, index, torch.from_numpy(rows[kept]).to(self._device))
        self._succeeded[self.n_offline + places[kept]] = np.repeat(rollouts.succeeded, rollouts.lengths)[kept]
        self._find_successes()
        self._largest_reward = max(self._largest_reward, float(np.abs(rollouts.rewards).max()))

    def sample(
        self,
        draws: Draws,
        batch_size: int,
        offline_ratio: float | None = None,
        success_ratio: float = 0.0,
    ) -> Batch:
        """Draw a batch with replacement.

        Args:
            draws: source of the indices.
            batch_size: B.
            offline_ratio: share of offline rows, in [0, 1]; None: uniform over all rows. A side that is empty
                leaves its share to the other.
            success_ratio: share of the batch, in [0, 1], that is drawn first, from all episodes that end in
                success; ``offline_ratio`` shares out the rest. Where no episode succeeds it is 0.

        Raises:
            DatasetError: the buffer is empty.
        """
        total = self.n_offline + self.n_online
        if total == 0:
            raise DatasetError("no transitions to learn from", hint="give --data, or collect before updating")
        n_success = round(success_ratio * batch_size) if len(self._successes) else 0
        parts = [self._successes[draws.integers(len(self._successes), n_success)]] if n_success else []
        rest = batch_size - n_success
        if offline_ratio is None or self.n_offline == 0 or self.n_online == 0:
            parts.append(draws.integers(total, rest))
            shares = (1 / total, 1 / total)
        else:
            n_offline = round(offline_ratio * rest)
            parts.append(draws.integers(self.n_offline, n_offline))
            parts.append(self.n_offline + draws.integers(self.n_online, rest - n_offline))
            shares = (offline_ratio / self.n_offline, (1 - offline_ratio) / self.n_online)
        indices = torch.cat(parts)
        return self.gather(indices, self._importance(indices, n_success / batch_size, shares))

    def returns_at_start(self, episodes: Sequence[Episode]) -> np.ndarray:
        """Return each episode's Monte-Carlo return from its first step, float32 [E]; see `Batch`."""
        rollouts = Rollouts.of_episodes(episodes)
        starts = np.cumsum(rollouts.lengths) - rollouts.lengths
        returns: np.ndarray = self._rows_of(rollouts)[starts, -1]
        return returns

    def value_bound(self) -> float:
        """Return what no discounted sum of rewards exceeds in size, going by the rewards stored so far."""
        return self._largest_reward / (1 - self._targets.discount)

    def _importance(self, indices: Tensor, preferred: float, shares: tuple[float, float]) -> Tensor | None:
        """Return the rows' importance, float32 [B]; None: all are drawn as they would be.

        Args:
            indices: of the rows, int64 [B].
            preferred: share of the batch that is drawn from successes alone.
            shares: with which an offline and an online row are drawn for the rest.
        """
        if not preferred:
            return None
        share = torch.where(indices < self.n_offline, *shares)
        extra = torch.where(self._in_success[indices], preferred / len(self._successes), 0.0)
        return share / ((1 - preferred) * share + extra)

    def gather(self, indices: Tensor, importance: Tensor | None = None) -> Batch:
        """Return the rows at ``indices``, int64 [B]: offline from 0, the online ring from ``n_offline``.

        On a GPU nothing waits for the indices, not even a check of their range. ``importance`` is that of the
        rows, float32 [B]; by default 1.
        """
        if importance is None:
            importance = torch.ones(len(indices), device=self._device)
        assert indices.is_cuda or bool((indices < self.n_offline + self.n_online).all())
        offline = indices < self.n_offline
        if self.n_online == 0:
            return self._batch(self._take(self._offline, indices), offline, importance)
        online = self._take(self._online, (indices - self.n_offline).clamp(min=0))
        if self.n_offline == 0:
            return self._batch(online, offline, importance)
        known = self._take(self._offline, indices.clamp(max=self.n_offline - 1))
        return self._batch(torch.where(offline.unsqueeze(1), known, online), offline, importance)

    def _take(self, side: Tensor, indices: Tensor) -> Tensor:
        return side.index_select(0, indices.to(side.device)).to(self._device)

    def _find_successes(self) -> None:
        """Tell the device which rows are of episodes that end in success, and their indices."""
        held = self._succeeded[: self.n_offline + self.n_online].copy()
        self._in_success = torch.from_numpy(held).to(self._device)
        self._successes = torch.from_numpy(np.flatnonzero(held)).to(self._device)

    def _batch(self, rows: Tensor, offline: Tensor, importance: Tensor) -> Batch:
        widths = [self.task.observation_dim, self.task.action_dim, 1, 1, self.task.observation_dim, 1]
        observations, actions, rewards, bootstraps, next_observations, returns = torch.split(
            rows, widths, dim=1
        )
        return Batch(
            observations=observations,
            actions=actions,
            rewards=rewards.squeeze(1),
            bootstraps=bootstraps.squeeze(1),
            next_observations=next_observations,
            returns=returns.squeeze(1),
            offline=offline,
            importance=importance,
        )

    def _rows_of(self, rollouts: Rollouts) -> np.ndarray:
        return training_rows(rollouts, self._targets, self._scale)

    def _reserve(self, n_online: int) -> None:
        """Make room for ``n_online`` rows of the ring, by doubling."""
        have = len(self._online)
        if n_online <= have:
            return
        room = min(max(n_online, 2 * have), self._capacity)
        grown = torch.empty((room, self._width), device=self._device)
        grown[:have] = self._online
        self._online = grown
        self._succeeded = np.pad(self._succeeded, (0, room - have))


def common_task(offline: Sequence[Dataset], task: TaskFacts | None = None) -> TaskFacts:
    """Return the task of all data.

    Raises:
        DatasetError: no task is known, or observations, action boxes or kinds of reward differ.
    """
    if task is None and not offline:
        raise DatasetError("no dataset and no task", hint="give at least one dataset")
    first = task or offline[0].task
    for dataset in offline:
        for fact in ("observation_layout", "action_low", "action_high", "reward_kind"):
            found, expected = getattr(dataset.task, fact), getattr(first, fact)
            if found != expected:
                raise DatasetError(
                    f"`{dataset.path}` does not fit the other data: {fact} is {found}, expected {expected}",
                    hint="train on datasets of one task",
                )
    return first
