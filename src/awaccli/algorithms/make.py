"""From an algorithm's name to a learner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from awaccli.algorithms.abm import Abm
from awaccli.algorithms.awac import Awac
from awaccli.algorithms.awr import Awr
from awaccli.algorithms.bc import BehaviourCloning
from awaccli.algorithms.bcq import Bcq
from awaccli.algorithms.bear import Bear
from awaccli.algorithms.brac import Brac
from awaccli.algorithms.cql import Cql
from awaccli.algorithms.dapg import Dapg
from awaccli.algorithms.iql import Iql
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.mpo import Mpo
from awaccli.algorithms.networks import Spaces, observation_scale
from awaccli.algorithms.rlpd import Rlpd
from awaccli.algorithms.sac import Sac
from awaccli.algorithms.td3bc import Td3Bc
from awaccli.config.algorithms import section_of
from awaccli.config.tree import Settings
from awaccli.protocols import Learner

LEARNERS: dict[str, Callable[[Any, Setup], Learner]] = {
    "awac": Awac,
    "bc": BehaviourCloning,
    "sac": Sac,
    "brac": Brac,
    "bear": Bear,
    "bcq": Bcq,
    "td3bc": Td3Bc,
    "rlpd": Rlpd,
    "cql": Cql,
    "iql": Iql,
    "awr": Awr,
    "mpo": Mpo,
    "abm": Abm,
    "dapg": Dapg,
}
"""Who reads which section of the settings."""


class ObservationStatistics(NamedTuple):
    """Of the offline observations, per dimension, float [O] each; a plain tuple of the four serves too."""

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    """Smallest value seen."""
    high: np.ndarray
    """Largest value seen."""


def make_learner(
    algo: str,
    settings: Settings,
    *,
    observation_dim: int,
    action_dim: int,
    observation_statistics: ObservationStatistics | None,
    action_center: np.ndarray,
    action_half: np.ndarray,
    reward_range: tuple[float, float] | None,
    seed: int,
    device: str | torch.device = "cpu",
    compiled: bool = False,
) -> Learner:
    """Return a learner with fresh weights.

    Args:
        algo: one of ``config.algorithms.ALGORITHMS``.
        settings: the whole tree; each algorithm reads its section.
        observation_dim: length of the flat observation.
        action_dim: length of the action.
        observation_statistics: used where the network settings say ``normalize_observations``; None where the
            statistics are about to be loaded from a checkpoint.
        action_center: float [A], centre of the action box in the environment's units.
        action_half: float [A], half its width.
        reward_range: smallest and largest reward of a step, where known.
        seed: initial weights are functions of it.
        device: where tensors live.
        compiled: let PyTorch's compiler make updates faster.

    Raises:
        UsageError: no algorithm of that name.
    """
    assert len(action_center) == len(action_half) == action_dim

    section = section_of(algo)
    own = getattr(settings, section)
    statistics = (
        _normaliser(observation_statistics, observation_dim) if own.network.normalize_observations else None
    )
    spaces = Spaces(observation_dim, action_center, action_half, statistics)
    return LEARNERS[section](own, Setup(spaces, seed, reward_range, device, compiled))


def _normaliser(
    statistics: ObservationStatistics | None, observation_dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of the observations; placeholders of the right shape where there are none yet."""
    if statistics is None:
        return np.zeros(observation_dim), np.ones(observation_dim)
    mean, std, low, high = statistics
    return mean, observation_scale(mean, std, low, high)
