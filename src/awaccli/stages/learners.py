"""From datasets and settings to a learner: the one place where their shapes meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from awaccli.algorithms.make import ObservationStatistics, make_learner
from awaccli.artifacts.checkpoint import Checkpoint
from awaccli.config.settings import Settings
from awaccli.data.buffer import Memory, ReplayBuffer, common_task
from awaccli.data.dataset import Dataset
from awaccli.data.statistics import Statistics
from awaccli.data.transitions import ActionScale
from awaccli.errors import UsageError
from awaccli.protocols import Learner
from awaccli.stages.compute import to_tensors


def build_learner(
    algo: str,
    settings: Settings,
    data: Sequence[Dataset],
    *,
    seed: int,
    device: str,
    compiled: bool = False,
) -> Learner:
    """Make the learner of ``algo`` for the task and the statistics of ``data``."""
    facts = common_task(data)
    scale = ActionScale.of(facts)
    columns = ("steps/observations", "final/observations")
    seen = Statistics.of(block for dataset in data for name in columns for block in dataset.parts(name))
    return make_learner(
        algo,
        settings,
        observation_dim=facts.observation_dim,
        action_dim=facts.action_dim,
        observation_statistics=ObservationStatistics(seen.mean, seen.std, seen.min, seen.max),
        action_center=scale.center,
        action_half=scale.half,
        reward_range=facts.reward_range,
        seed=seed,
        device=device,
        compiled=compiled,
    )


def load_learner(checkpoint: Checkpoint, learner: Learner, device: str) -> Learner:
    """Give ``learner`` the weights and counters of a checkpoint."""
    learner.load(to_tensors(checkpoint.trainer(), device))
    return learner


def build_buffer(
    algo: str,
    settings: Settings,
    data: Sequence[Dataset],
    *,
    capacity: int,
    device: str,
    memory: Memory | None = None,
) -> ReplayBuffer:
    """Load datasets as transitions with the returns that the algorithm's settings ask for.

    Raises:
        UsageError: Monte-Carlo targets are asked for where the rewards' range is unknown.
    """
    facts = common_task(data)
    if algo == "awac" and settings.awac.return_updates and facts.reward_range is None:
        raise UsageError(
            "awac.return_updates needs a task whose rewards have a known range",
            hint="use --set awac.return_updates=0",
        )
    return ReplayBuffer(
        data,
        discount=settings.awac.discount,
        n_step=settings.awac.n_step,
        reward_floor=facts.reward_range[0] if facts.reward_range else None,
        capacity=capacity,
        device=device,
        memory=memory,
    )


def used_settings(algo: str, settings: Settings, *sections: str) -> dict[str, Any]:
    """Return the settings that decide a run's numbers: the algorithm's section and the named ones."""
    tree = settings.model_dump(mode="json")
    return {"algo": algo} | {name: tree[name] for name in (algo, *sections)}
