"""From an algorithm's name to a learner. No registry: a match serves a dozen."""

from __future__ import annotations

import difflib
from typing import NamedTuple

import numpy as np
import torch

from awaccli.algorithms.awac import Awac
from awaccli.algorithms.bc import BehaviourCloning
from awaccli.algorithms.networks import Spaces, observation_scale
from awaccli.config.settings import NetworkSettings, Settings
from awaccli.errors import UsageError
from awaccli.protocols import Learner

ALGORITHMS = ("awac", "bc")
"""Names that ``make_learner`` knows."""


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
        algo: one of ``ALGORITHMS``.
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

    def spaces(network: NetworkSettings) -> Spaces:
        if not network.normalize_observations:
            return Spaces(observation_dim, action_center, action_half)
        normaliser = _normaliser(observation_statistics, observation_dim)
        return Spaces(observation_dim, action_center, action_half, normaliser)

    match algo:
        case "awac":
            section = settings.awac
            return Awac(
                section,
                spaces(section.network),
                reward_range=reward_range,
                seed=seed,
                device=device,
                compiled=compiled,
            )
        case "bc":
            network = spaces(settings.bc.network)
            return BehaviourCloning(settings.bc, network, seed=seed, device=device, compiled=compiled)
        case _:
            close = difflib.get_close_matches(algo, ALGORITHMS, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"expected one of {', '.join(ALGORITHMS)}"
            raise UsageError(f"there is no algorithm `{algo}`", hint=hint)


def _normaliser(
    statistics: ObservationStatistics | None, observation_dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of the observations; placeholders of the right shape where there are none yet."""
    if statistics is None:
        return np.zeros(observation_dim), np.ones(observation_dim)
    mean, std, low, high = statistics
    return mean, observation_scale(mean, std, low, high)
