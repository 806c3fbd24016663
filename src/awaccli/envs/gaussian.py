"""A Gaussian policy as a NumPy multilayer perceptron, built from the arrays of ``policy.safetensors``."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from awaccli.errors import CheckpointError
from awaccli.protocols import PolicyWeights

_NO_CLIP = 1e9
_BLOCK_ENTRIES = 8192
_MAX_LAYERS = 100
_POSITIVE = (1e-30, 1e30)
_LOG_STD = (-1e30, 20.0)
"""Far wider than what is ever learned; outside, acting would overflow."""


class GaussianPolicy:
    """Acts by ``center + half * clip(m(x) + exp(log_std) * eps, -1, 1)``.

    ``x`` is the standardised, clipped observation and ``m`` the network's head, through tanh or not.

    Raises:
        CheckpointError: arrays are missing or do not fit each other.
    """

    def __init__(self, weights: PolicyWeights) -> None:
        layers, activation, bounded = _read_config(weights.config)
        arrays = weights.arrays
        self._mean = _take(arrays, "observation.mean", (None,))
        self.observation_dim = len(self._mean)
        self._scale = _take_within(arrays, "observation.scale", (self.observation_dim,), *_POSITIVE)
        self._clip = float(_take_within(arrays, "observation.clip", (), *_POSITIVE))
        self._hidden = []
        width = self.observation_dim
        for layer in range(layers):
            weight = _take(arrays, f"layers.{layer}.weight", (None, width))
            width = len(weight)
            bias = _take(arrays, f"layers.{layer}.bias", (width,))
            self._hidden.append((_blocks(weight), bias))
        weight = _take(arrays, "mean.weight", (None, width))
        self.action_dim = len(weight)
        shape = (self.action_dim,)
        self._head = (_blocks(weight), _take(arrays, "mean.bias", shape))
        self._std = np.exp(_take_within(arrays, "log_std", shape, *_LOG_STD))
        self._center = _take(arrays, "action.center", shape)
        self._half = _take_within(arrays, "action.half", shape, *_POSITIVE)
        self._activation = activation
        self._bounded = bounded

    def act(self, observation: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Return an action, float32 [A], for an observation, float32 [O]; the mean if ``rng`` is None."""
        x = (observation - self._mean) / self._scale
        if self._clip < _NO_CLIP:
            x = np.minimum(np.maximum(x, -self._clip), self._clip)
        for blocks, bias in self._hidden:
            x = _affine(blocks, bias, x)
            x = np.maximum(x, 0, out=x) if self._activation == "relu" else np.tanh(x, out=x)
        blocks, bias = self._head
        action = _affine(blocks, bias, x)
        if self._bounded:
            np.tanh(action, out=action)
        if rng is not None:
            action += self._std * rng.standard_normal(self.action_dim, np.float32)
        executed: np.ndarray = self._center + self._half * np.minimum(np.maximum(action, -1), 1)
        return executed


def _read_config(config: Mapping[str, object]) -> tuple[int, str, bool]:
    """Return the number of hidden layers, their activation, and whether the mean goes through tanh."""
    layers, activation, mean = (config.get(key) for key in ("layers", "activation", "mean"))
    if type(layers) is not int or not 0 <= layers <= _MAX_LAYERS:
        raise CheckpointError(f"policy has `layers` {layers!r}", hint="expected a number of hidden layers")
    if activation not in ("relu", "tanh") or mean not in ("tanh", "linear"):
        raise CheckpointError(
            f"policy has activation {activation!r} and mean {mean!r}",
            hint="expected activation relu or tanh, mean tanh or linear",
        )
    return layers, str(activation), mean == "tanh"


def _take_within(
    arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...], low: float, high: float
) -> np.ndarray:
    """Return array ``name`` as ``_take`` does, provided that its values lie between ``low`` and ``high``."""
    array = _take(arrays, name, shape)
    if not ((array >= low) & (array <= high)).all():
        raise CheckpointError(f"policy tensor `{name}` has values outside {low:g} to {high:g}")
    return array


def _take(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return array ``name`` as float32, checked; None in ``shape`` is any size."""
    if name not in arrays:
        raise CheckpointError(f"policy has no tensor `{name}`")
    array = np.asarray(arrays[name])
    fits = array.ndim == len(shape) and all(
        size > 0 and size == (wanted or size) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if array.dtype != np.float32 or not fits:
        wanted_text = ", ".join("any" if size is None else str(size) for size in shape)
        raise CheckpointError(
            f"policy tensor `{name}` is {array.dtype} {list(array.shape)}",
            hint=f"expected float32 [{wanted_text}]",
        )
    return array


def _blocks(weight: np.ndarray) -> np.ndarray:
    """Cut a weight [H, I] into blocks of rows [K, R, I], the last padded with zeros.

    NUMERICS: OpenBLAS spreads a larger matrix-vector product over threads, which may change its last bits.
    Blocks stay below its threshold (9216 entries), so a process with 64 threads acts like a worker with one.
    """
    height, width = weight.shape
    count = math.ceil(height / max(1, _BLOCK_ENTRIES // width))
    rows = math.ceil(height / count)
    padded = np.zeros((count * rows, width), np.float32)
    padded[:height] = weight
    return padded.reshape(count, rows, width)


def _affine(blocks: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    product: np.ndarray = (blocks @ x).reshape(-1)[: len(bias)] + bias
    return product
