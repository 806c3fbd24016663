"""Gaussians squashed into the action box by tanh: sampling and densities."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from awaccli.algorithms.losses import gaussian_log_prob

_INSIDE = 0.999
"""Logged actions are taken to lie at most here: at the box's limit tanh has no inverse."""


def sampled(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return actions and the log density of each, float [B, A] and [B]; gradients pass through both.

    Args:
        mean: float [B, A], before the tanh.
        log_std: float [B, A].
        noise: standard normal draws, float [B, A].
    """
    raw = mean + log_std.exp() * noise
    density = gaussian_log_prob(raw, mean, log_std) - _log_slope(raw).sum(dim=1)
    return torch.tanh(raw), density


def log_prob(actions: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log density of logged actions, float [B], which are moved off the box's limits first.

    Args:
        actions: float [B, A], in [-1, 1].
        mean: float [B, A], before the tanh.
        log_std: float [B, A].
    """
    # DEVIATION: SAC has no logged actions to imitate.
    raw = torch.atanh(actions.clamp(-_INSIDE, _INSIDE))
    return gaussian_log_prob(raw, mean, log_std) - _log_slope(raw).sum(dim=1)


def _log_slope(raw: Tensor) -> Tensor:
    """Return ``log(1 - tanh(x)^2)``.

    NUMERICS: written as ``2 (log 2 - x - softplus(-2 x))``, which neither overflows nor loses its digits.
    """
    return 2 * (math.log(2) - raw - functional.softplus(-2 * raw))
