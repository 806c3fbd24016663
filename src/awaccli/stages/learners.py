"""From datasets and settings to a learner: the one place where their shapes meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from awaccli.algorithms.make import ObservationStatistics, make_learner
from awaccli.artifacts.checkpoint import Checkpoint
from awaccli.config.algorithms import section_of
from awaccli.config.tree import Settings
from awaccli.data.buffer import Memory, ReplayBuffer, common_task
from awaccli.data.dataset import Dataset
from awaccli.data.statistics import Statistics
from awaccli.data.transitions import ActionScale
from awaccli.errors import CheckpointError, DatasetError, UsageError
from awaccli.protocols import Learner
from awaccli.stages.compute import to_tensors

_FOLLOWED = {"target_policy": "policy", "target_critic": "critic", "average": "policy", "clone": "policy"}
"""Where one of these is missing, it starts as a copy of what it follows."""
_NETWORKS = {"normaliser", "policy", "critic", *_FOLLOWED}
"""What another algorithm can go on with."""


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


def load_learner(checkpoint: Checkpoint, learner: Learner, algo: str, device: str) -> Learner:
    """Give ``learner``, which is of ``algo``, the weights and counters of a checkpoint.

    From a checkpoint of another algorithm it takes the networks that both have, and nothing of the optimiser.

    Raises:
        CheckpointError: a tensor is missing or does not fit; or the algorithms have no network in common.
    """
    saved = to_tensors(checkpoint.trainer(), device)
    if algo == checkpoint.content.algo:
        learner.load(saved)
        return learner
    own, shared = learner.tensors(), {}
    for name, tensor in own.items():
        network, _, rest = name.partition(".")
        candidates = (name, f"{_FOLLOWED.get(network, network)}.{rest}")
        found = next((saved[known] for known in candidates if known in saved), None)
        if network in _NETWORKS and found is not None and found.shape == tensor.shape:
            shared[name] = found
    if not shared.keys() >= {name for name in own if name.startswith("policy.")}:
        raise CheckpointError(
            f"`{checkpoint.path}` is of {checkpoint.content.algo}: its policy does not fit {algo}",
            hint=f"start from one that `awac pretrain --algo {algo}` made, or give it the same networks",
        )
    learner.load(own | shared)
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
    facts, section = common_task(data), section_of(algo)
    targets = settings.awac if section == "bc" else getattr(settings, section)  # a clone has no use for them
    if getattr(targets, "return_updates", 0) and facts.reward_range is None:
        raise UsageError(
            f"{section}.return_updates needs a task whose rewards have a known range",
            hint=f"use --set {section}.return_updates=0",
        )
    return ReplayBuffer(
        data,
        discount=targets.discount,
        n_step=getattr(targets, "n_step", 1),
        reward_floor=facts.reward_range[0] if facts.reward_range else None,
        capacity=capacity,
        device=device,
        action_lead=settings.bc.action_lead if section == "bc" else 0,
        memory=memory,
    )


def require_successes(data: Sequence[Dataset], share: float, setting: str) -> None:
    """Check that there is something to draw from where every row is to be of a success.

    Args:
        data: all that is drawn from.
        share: of a batch that comes from episodes that end in success.
        setting: its name, for the message.

    Raises:
        DatasetError: the share is 1, and no episode ends in success.
    """
    if share == 1 and not any(dataset.episodes.success.any() for dataset in data):
        paths = ", ".join(f"`{dataset.path}`" for dataset in data)
        raise DatasetError(
            f"{setting} = 1 trains on episodes that end in success only, and {paths} has none",
            hint="give data with successes, or a smaller share: awac info shows how many there are",
        )


def used_settings(algo: str, settings: Settings, *sections: str) -> dict[str, Any]:
    """Return the settings that decide a run's numbers: the algorithm's section and the named ones."""
    tree = settings.model_dump(mode="json")
    return {"algo": algo} | {name: tree[name] for name in (section_of(algo), *sections)}
