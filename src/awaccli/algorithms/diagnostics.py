"""Numbers that tell how a training run is doing: functions from tensors to metrics, by name."""

from __future__ import annotations

import torch
from torch import Tensor

from awaccli.algorithms import losses, squashed
from awaccli.config.settings import AwacSettings

AT_LIMIT = 0.999
"""A mean action beyond this share of the box counts as at its limit."""


def of_weights(advantage: Tensor, weights: Tensor, settings: AwacSettings) -> dict[str, Tensor]:
    """Return how the weights, float [B], of the advantages, float [B], spread over the batch.

    ``weights/ess`` above 0.95 is behaviour cloning, below 0.01 imitation of a single sample.
    ``weights/capped`` is the share of rows held down by ``advantage_cap`` or ``max_weight``.
    """
    capped = torch.zeros_like(weights, dtype=torch.bool)
    if settings.advantage_cap is not None:
        seen = losses.normalised_advantage(advantage) if settings.normalize_advantage else advantage
        capped |= seen > settings.advantage_cap
    if settings.weights == "exp":
        capped |= at_most(weights, settings.max_weight)
    return of_weighting(advantage, weights, capped)


def at_most(weights: Tensor, max_weight: float) -> Tensor:
    """Return which weights have reached the largest that is allowed, bool [B]."""
    return weights >= max_weight * (1 - 1e-6)


def of_weighting(advantage: Tensor, weights: Tensor, capped: Tensor) -> dict[str, Tensor]:
    """Return the same of any weights, float [B], of which some are held down, bool [B]."""
    return {
        "weights/ess": losses.effective_sample_size(weights),
        "weights/max": weights.max(),
        "weights/capped": capped.float().mean(),
        "advantage/mean": advantage.mean(),
        "advantage/std": advantage.std(correction=0),
    }


def of_critic(q: Tensor, returns: Tensor, reachable: tuple[float, float] | None) -> dict[str, Tensor]:
    """Return where the values of logged actions, float [B], lie, and the returns that were logged, float [B].

    ``q/range_share`` is how far they have come on their way from 0, where critics start, to the farthest
    value that the rewards can reach: the advantage's scale, and with it what ``lam`` means, grows along.
    ``q/return_share`` is where the logged returns lie on the same way.
    """
    found = {"q/mean": q.mean(), "q/min": q.min(), "q/max": q.max()}
    farthest = max(reachable, key=abs) if reachable else 0.0
    if farthest:
        found["q/range_share"] = (q / farthest).clamp(0, 1).mean()
        found["q/return_share"] = (returns / farthest).clamp(0, 1).mean()
    return found


def of_policy(mean: Tensor, log_std: Tensor, actions: Tensor) -> dict[str, Tensor]:
    """Return the policy's spread (the action box is 2 wide), and how likely it finds the logged actions.

    Args:
        mean: float [B, A], the policy's.
        log_std: float [A].
        actions: float [B, A], logged in the same states.
    """
    std = log_std.exp()
    return {
        "policy/std": std,
        "policy/std_mean": std.mean(),
        "policy/std_min": std.min(),
        "policy/std_max": std.max(),
        "policy/at_limits": (mean.abs() > AT_LIMIT).float().mean(),
        "policy/nll": -losses.gaussian_log_prob(actions, mean, log_std).mean(),
    }


def of_squashed_policy(mean: Tensor, log_std: Tensor, actions: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """Return a squashed policy's spread, its entropy, and how likely it finds the logged actions.

    Args:
        mean: float [B, A], before the tanh.
        log_std: float [B, A].
        actions: float [B, A], logged in the same states.
        noise: standard normal draws, float [B, A].
    """
    drawn, density = squashed.sampled(mean, log_std, noise)
    return {
        "policy/std_mean": log_std.exp().mean(),
        "policy/entropy": -density.mean(),
        "policy/at_limits": (drawn.abs() > AT_LIMIT).float().mean(),
        "policy/nll": -squashed.log_prob(actions, mean, log_std).mean(),
    }
