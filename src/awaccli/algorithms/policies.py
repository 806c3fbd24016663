"""The policies that act: Gaussian, or squashed by a tanh; and what acting needs of them, as arrays."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from awaccli.algorithms.losses import gaussian_log_prob
from awaccli.algorithms.networks import (
    LAST_LAYER_BOUND,
    Dense,
    EnsembleDense,
    ObservationNormaliser,
    Spaces,
)
from awaccli.config.section import NetworkSettings
from awaccli.protocols import PolicyWeights


class GaussianPolicy(nn.Module):
    """``pi(a | s) = N(mean(s), std)``: a ReLU network for the mean, one std for all states.

    With more than one member it is as many networks that never see each other's outputs while they learn; the
    policy's mean is the average of theirs (before the ``tanh``).
    """

    def __init__(
        self, spaces: Spaces, settings: NetworkSettings, *, rng: np.random.Generator, members: int = 1
    ) -> None:
        super().__init__()
        widths = (spaces.observation_dim, *settings.policy_hidden)
        layer = partial(EnsembleDense, ensemble=members, rng=rng) if members > 1 else partial(Dense, rng=rng)
        self.layers = nn.ModuleList(layer(i, o) for i, o in itertools.pairwise(widths))
        self.head = layer(widths[-1], spaces.action_dim, bound=LAST_LAYER_BOUND)
        self.members = members
        self.mean_form = settings.mean
        self.min_log_std = settings.min_log_std
        share = 1 - math.log(settings.initial_std) / settings.min_log_std
        free = math.log(share / (1 - share))
        self.free_log_std = nn.Parameter(torch.full((spaces.action_dim,), free))

    def mean(self, observations: Tensor) -> Tensor:
        """Return the mean action, float32 [B, A], for normalised observations [B, O]."""
        return self._bounded(self._heads(observations).mean(dim=0))

    def mean_and_log_prob(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean action, float32 [B, A], and the log density of ``actions`` for a loss, float32 [B].

        It is the members' average, each with its own mean: every member alone learns to make them likely.
        """
        heads, log_std = self._heads(observations), self.log_std()
        means = self._bounded(heads)
        log_prob = gaussian_log_prob(actions.repeat(self.members, 1), means.flatten(0, 1), log_std)
        mean = means[0] if self.members == 1 else self._bounded(heads.mean(dim=0))
        return mean, log_prob.view(self.members, -1).mean(dim=0)

    def _heads(self, observations: Tensor) -> Tensor:
        """Return each member's mean before the ``tanh``, float32 [M, B, A]."""
        hidden = observations if self.members == 1 else observations.expand(self.members, -1, -1)
        for layer in self.layers:
            hidden = torch.relu_(layer(hidden))
        heads: Tensor = self.head(hidden)
        return heads.view(self.members, -1, heads.shape[-1])

    def _bounded(self, mean: Tensor) -> Tensor:
        return torch.tanh(mean) if self.mean_form == "tanh" else mean

    def log_std(self) -> Tensor:
        """Return the log standard deviation, float32 [A], in [min_log_std, 0], by a sigmoid."""
        return self.min_log_std * torch.sigmoid(-self.free_log_std)

    def weights(self, spaces: Spaces, normaliser: ObservationNormaliser) -> PolicyWeights:
        """Return copies of all that acting needs, as NumPy arrays."""
        tensors: dict[str, Tensor] = {
            **{f"layers.{name}": tensor for name, tensor in self.layers.named_parameters()},
            **{f"mean.{name}": tensor for name, tensor in self.head.named_parameters()},
        }
        if self.members > 1:
            tensors = _as_one_network(tensors, len(self.layers))
        tensors["log_std"] = self.log_std()
        config = {"activation": "relu", "mean": self.mean_form, "layers": len(self.layers)}
        return acting_weights("gaussian", config, tensors, spaces, normaliser)


def _as_one_network(members: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Return the network whose output is the average of M, of weights [M, in, out] and biases [M, 1, out].

    First layers see the same input and become one; later ones stay groups, [M, out, in]; the average of the
    last ones is one layer over all that they see.
    """
    one = {name: tensor.flatten() for name, tensor in members.items() if name.endswith("bias")}
    one |= {f"layers.{number}.weight": members[f"layers.{number}.weight"].mT for number in range(layers)}
    if layers:
        one["layers.0.weight"] = one["layers.0.weight"].flatten(0, 1)
    last = members["mean.weight"]
    one["mean.weight"] = (last.flatten(0, 1) if layers else last.sum(dim=0)).T / len(last)
    one["mean.bias"] = members["mean.bias"].mean(dim=(0, 1))
    return one


class SquashedGaussianPolicy(nn.Module):
    """``pi(a | s) = tanh(N(mean(s), std(s)))``: a ReLU network with heads for mean and std."""

    def __init__(self, spaces: Spaces, settings: NetworkSettings, *, rng: np.random.Generator) -> None:
        super().__init__()
        widths = (spaces.observation_dim, *settings.policy_hidden)
        self.layers = nn.ModuleList(Dense(i, o, rng=rng) for i, o in itertools.pairwise(widths))
        self.head = Dense(widths[-1], spaces.action_dim, rng=rng, bound=LAST_LAYER_BOUND)
        self.std_head = Dense(widths[-1], spaces.action_dim, rng=rng, bound=LAST_LAYER_BOUND)
        self.min_log_std = settings.min_log_std
        share = 1 - math.log(settings.initial_std) / settings.min_log_std
        nn.init.constant_(self.std_head.bias, math.log(share / (1 - share)))

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log std before the tanh, float32 [B, A] each; log std in [min_log_std, 0]."""
        hidden = observations
        for layer in self.layers:
            hidden = torch.relu_(layer(hidden))
        return self.head(hidden), self.min_log_std * torch.sigmoid(-self.std_head(hidden))

    def weights(self, spaces: Spaces, normaliser: ObservationNormaliser) -> PolicyWeights:
        """Return copies of all that acting needs, as NumPy arrays."""
        tensors = {
            **{f"layers.{name}": tensor for name, tensor in self.layers.named_parameters()},
            **{f"mean.{name}": tensor for name, tensor in self.head.named_parameters()},
            **{f"std.{name}": tensor for name, tensor in self.std_head.named_parameters()},
        }
        config = {"activation": "relu", "layers": len(self.layers), "min_log_std": self.min_log_std}
        return acting_weights("squashed-gaussian", config, tensors, spaces, normaliser)


def acting_weights(
    kind: str,
    config: Mapping[str, object],
    tensors: Mapping[str, Tensor],
    spaces: Spaces,
    normaliser: ObservationNormaliser,
) -> PolicyWeights:
    """Return a policy for acting: its tensors, how observations are scaled, and the action box, as copies."""
    observation = {f"observation.{name}": getattr(normaliser, name) for name in ("mean", "scale", "clip")}
    box = {"action.center": spaces.action_center, "action.half": spaces.action_half}
    return PolicyWeights(
        kind=kind,
        config=config,
        arrays={
            name: tensor.detach().cpu().numpy().copy() for name, tensor in {**observation, **tensors}.items()
        }
        | {name: np.array(array, dtype=np.float32) for name, array in box.items()},
    )
