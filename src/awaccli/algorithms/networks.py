"""Layers, critics and observation scaling. Weights come from a NumPy generator: no global random numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from awaccli.config.section import NetworkSettings

OBSERVATION_CLIP = 5.0
"""Standardised observations are clipped here: a surprise must not throw the networks off."""
NO_CLIP = 1e9
"""Clip of the identity; finite, as everything in a policy file is."""
LAST_LAYER_BOUND = 1e-3
"""Last layers start almost at zero: the mean at the box's centre, values at 0."""


@dataclass(frozen=True, slots=True)
class Spaces:
    """What a learner must know of a task's observations and actions."""

    observation_dim: int
    action_center: np.ndarray
    """float [A]: centre of the action box, in the environment's units."""
    action_half: np.ndarray
    """float [A]: half its width; a learner's actions are ``(action - center) / half``."""
    normaliser: tuple[np.ndarray, np.ndarray] | None = None
    """Mean and scale of the observations, float [O] each; None: networks see them as they are."""

    @property
    def action_dim(self) -> int:
        """Length of an action."""
        return len(self.action_center)


def observation_scale(mean: np.ndarray, std: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the divisor that standardises each dimension, float32 [O], above zero.

    The standard deviation, but at least a hundredth of the dimension's range: what hardly moved in the
    demonstrations must not be blown up when it does. A dimension that never changed is divided by 1.

    Args:
        mean: float [O], over the offline data, like the others.
        std: float [O].
        low: float [O], smallest value seen.
        high: float [O], largest value seen.
    """
    span = np.asarray(high, dtype=np.float64) - low
    constant = span <= 1e-6 * np.maximum(1.0, np.abs(mean))
    return np.where(constant, 1.0, np.maximum(std, 1e-2 * span)).astype(np.float32)


class ObservationNormaliser(nn.Module):
    """``clip((observation - mean) / scale)``, with fixed statistics; the identity where there are none."""

    mean: Tensor
    scale: Tensor
    clip: Tensor

    def __init__(self, spaces: Spaces) -> None:
        super().__init__()
        identity = np.zeros(spaces.observation_dim), np.ones(spaces.observation_dim)
        mean, scale = spaces.normaliser or identity
        clip = OBSERVATION_CLIP if spaces.normaliser else NO_CLIP
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("clip", torch.tensor(clip, dtype=torch.float32))
        assert self.mean.shape == self.scale.shape == (spaces.observation_dim,)

    def forward(self, observations: Tensor) -> Tensor:
        """Return scaled observations, float32 [B, O]."""
        return ((observations - self.mean) / self.scale).clamp(-self.clip, self.clip)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], bound: float) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(rng.uniform(-bound, bound, shape).astype(np.float32)))


class Dense(nn.Module):
    """An affine layer: weight [out, in] uniform in +-``bound`` (default ``1 / sqrt(in)``), bias zero."""

    def __init__(
        self, fan_in: int, fan_out: int, *, rng: np.random.Generator, bound: float | None = None
    ) -> None:
        super().__init__()
        self.weight = _uniform(rng, (fan_out, fan_in), bound or 1 / math.sqrt(fan_in))
        self.bias = nn.Parameter(torch.zeros(fan_out))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return float32 [B, out] for [B, in]."""
        return (inputs @ self.weight.T).add_(self.bias)


class EnsembleDense(nn.Module):
    """E affine layers side by side: weight [E, in, out], initialised as in ``Dense``."""

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        *,
        ensemble: int,
        rng: np.random.Generator,
        bound: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = _uniform(rng, (ensemble, fan_in, fan_out), bound or 1 / math.sqrt(fan_in))
        self.bias = nn.Parameter(torch.zeros(ensemble, 1, fan_out))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return float32 [E, B, out] for [E, B, in]."""
        if self.weight.shape[2] == 1:
            # A product with a single column is bound by memory, and a matrix library takes 7 times as long.
            return (inputs * self.weight.mT).sum(dim=2, keepdim=True) + self.bias
        # Product and sum apart: PyTorch's operations for both copy the bias over the result first.
        return torch.bmm(inputs, self.weight).add_(self.bias)


class EnsembleLayerNorm(nn.Module):
    """LayerNorm over the hidden units, with a gain and a shift of each member's own, [E, 1, H]."""

    def __init__(self, width: int, *, ensemble: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(ensemble, 1, width))
        self.shift = nn.Parameter(torch.zeros(ensemble, 1, width))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return float32 [E, B, H] for the same shape."""
        return torch.addcmul(self.shift, functional.layer_norm(inputs, inputs.shape[-1:]), self.gain)


class TwinCritic(nn.Module):
    """E independent estimates of Q(s, a), two unless told, evaluated together by batched products."""

    def __init__(
        self, spaces: Spaces, settings: NetworkSettings, *, rng: np.random.Generator, ensemble: int = 2
    ) -> None:
        super().__init__()
        self.ensemble = ensemble
        inputs = spaces.observation_dim + spaces.action_dim
        self.layers = _value_layers(inputs, settings, ensemble=ensemble, rng=rng)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return each critic's value, float32 [E, B], for normalised observations and actions."""
        inputs = torch.cat((observations, actions), dim=1)
        q: Tensor = self.layers(inputs.expand(self.ensemble, -1, -1))
        return q.squeeze(2)


class StateValue(nn.Module):
    """One estimate of V(s): shaped like a critic that sees no action."""

    def __init__(self, spaces: Spaces, settings: NetworkSettings, *, rng: np.random.Generator) -> None:
        super().__init__()
        self.layers = _value_layers(spaces.observation_dim, settings, ensemble=1, rng=rng)

    def forward(self, observations: Tensor) -> Tensor:
        """Return values, float32 [B], for normalised observations."""
        v: Tensor = self.layers(observations.unsqueeze(0))
        return v.flatten()


def _value_layers(
    inputs: int, settings: NetworkSettings, *, ensemble: int, rng: np.random.Generator
) -> nn.Sequential:
    """Return E networks side by side, each from ``inputs`` numbers to one."""
    layers: list[nn.Module] = []
    width = inputs
    for hidden in settings.critic_hidden:
        layers.append(EnsembleDense(width, hidden, ensemble=ensemble, rng=rng))
        if settings.layer_norm:
            layers.append(EnsembleLayerNorm(hidden, ensemble=ensemble))
        layers.append(nn.ReLU(inplace=True))
        width = hidden
    layers.append(EnsembleDense(width, 1, ensemble=ensemble, rng=rng, bound=LAST_LAYER_BOUND))
    return nn.Sequential(*layers)
