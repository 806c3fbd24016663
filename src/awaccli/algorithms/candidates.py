"""Several actions for one state, of which the critic picks the best: how BEAR and BCQ value and act."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from awaccli.algorithms.networks import EnsembleDense, EnsembleLayerNorm, TwinCritic
from awaccli.protocols import PolicyWeights
from awaccli.seeding import stream


def fixed_draws(samples: int, width: int) -> Tensor:
    """Return the standard normal draws, float32 [N, width], of a policy that is to act without noise."""
    return torch.from_numpy(stream(0, "candidates").standard_normal((samples, width), np.float32))


def q_of_samples(critic: TwinCritic, observations: Tensor, actions: Tensor) -> Tensor:
    """Return values, float32 [E, N, B], of normalised observations [B, O] and actions [N, B, A]."""
    repeated = observations.expand(len(actions), -1, -1)
    q: Tensor = critic(repeated.flatten(0, 1), actions.flatten(0, 1))
    return q.view(len(q), *actions.shape[:2])


def value_of_best(critic: TwinCritic, observations: Tensor, actions: Tensor) -> Tensor:
    """Return ``min_j Q_j``, float32 [B], of the action [N, B, A] that the first critic takes for the best."""
    q = q_of_samples(critic, observations, actions)
    best = q[0].argmax(dim=0, keepdim=True)
    return q.amin(dim=0).gather(0, best).squeeze(0)


def best_of_weights(generator: PolicyWeights, critic: TwinCritic, draws: Tensor) -> PolicyWeights:
    """Return a policy that makes an action of each of its draws and takes that of the highest value.

    Args:
        generator: what makes an action of an observation and a draw.
        critic: its first member judges.
        draws: float32 [N, width], for acting without noise; N is the number of candidates, always.
    """
    tensors, depth, norms = _first_member(critic)
    config = {"generator": generator.kind, "critic_layers": depth, "critic_norm": norms}
    arrays = {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
    return replace(
        generator,
        kind="best-of",
        config={**generator.config, **config},
        arrays={**generator.arrays, **arrays, "draws": draws.cpu().numpy().copy()},
    )


def _first_member(critic: TwinCritic) -> tuple[dict[str, Tensor], int, bool]:
    """Return the first critic's tensors (weights as [out, in]), its depth, and whether it has norms."""
    tensors, depth = {}, -1
    for layer in critic.layers:
        if isinstance(layer, EnsembleDense):
            depth += 1
            tensors[f"critic.{depth}.weight"] = layer.weight[0].T
            tensors[f"critic.{depth}.bias"] = layer.bias[0, 0]
        elif isinstance(layer, EnsembleLayerNorm):
            tensors[f"critic.{depth}.gain"] = layer.gain[0, 0]
            tensors[f"critic.{depth}.shift"] = layer.shift[0, 0]
    return tensors, depth, "critic.0.gain" in tensors
