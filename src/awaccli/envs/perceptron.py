"""What policies in NumPy are made of: scaled observations, layers, the action box; and arrays, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from awaccli.errors import CheckpointError

_ZERO = np.zeros(1, np.float32)
"""As an array: to make one of a number takes NumPy as long again as the operation, at every call."""
_NO_CLIP = 1e9
_BLOCK_ENTRIES = 8192
_MAX_LAYERS = 100
_POSITIVE = (1e-30, 1e30)
"""Far wider than what is ever learned; outside, acting would overflow."""


class Observations:
    """Standardises an observation, float32 [O], and clips it; the result is overwritten by the next call.

    Raises:
        CheckpointError: an array ``observation.*`` is missing, or does not fit the others.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._mean = take(arrays, "observation.mean", (None,))
        self.dim = len(self._mean)
        """O."""
        self._scale = take_within(arrays, "observation.scale", (self.dim,), *_POSITIVE)
        limit = take_within(arrays, "observation.clip", (), *_POSITIVE).reshape(1)
        self._clips = (-limit, limit) if limit < _NO_CLIP else None
        self._scaled = np.empty(self.dim, np.float32)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Return what the network sees, float32 [O]."""
        x = self._scaled
        np.subtract(observation, self._mean, out=x)
        np.divide(x, self._scale, out=x)
        if self._clips:
            clip(x, *self._clips)
        return x


class HiddenLayers:
    """Affine layers ``layers.<number>.weight`` and ``.bias``, each with an activation behind it.

    Raises:
        CheckpointError: the policy's facts name no such network, or an array does not fit.
    """

    def __init__(self, config: Mapping[str, object], arrays: Mapping[str, np.ndarray], width: int) -> None:
        """Read the layers behind an input of length ``width``."""
        count, activation = _read_config(config)
        self._layers = []
        for number in range(count):
            self._layers.append(Affine(arrays, f"layers.{number}", width))
            width = self._layers[-1].width
        self.width = width
        """Of the last layer: H, or that of the input where there is none."""
        self._relu = activation == "relu"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the last layer's activations, float32 [H]."""
        for layer in self._layers:
            x = layer(x)
            if self._relu:
                np.maximum(x, _ZERO, out=x)
            else:
                np.tanh(x, out=x)
        return x


class Affine:
    """One layer without its activation, ``weight @ x + bias``; its result is overwritten by the next call.

    A weight [G, H, I] is G layers side by side, each of which sees its own I entries of ``x``.

    Raises:
        CheckpointError: an array is missing, or does not fit.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], name: str, fan_in: int) -> None:
        """Read ``<name>.weight`` and ``<name>.bias`` for inputs of length ``fan_in``."""
        weight = _take_groups(arrays, f"{name}.weight", fan_in)
        groups, height, _ = weight.shape
        self.width = groups * height
        """Length of the result."""
        self._bias = take(arrays, f"{name}.bias", (self.width,)).reshape(groups, height)
        self._blocks = np.stack([blocks(one, entries=_BLOCK_ENTRIES) for one in weight])
        self._inputs: tuple[int, ...] = (groups, 1, -1, 1)
        self._products = np.empty((*self._blocks.shape[:3], 1), np.float32)
        if groups == 1:  # NumPy is faster on fewer dimensions
            self._blocks, self._products, self._inputs = self._blocks[0], self._products[0, :, :, 0], (-1,)
        self._outputs = self._products.reshape(groups, -1)[:, :height]
        self._result = np.empty(self.width, np.float32)
        self._results = self._result.reshape(groups, height)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the layer's output, float32 [width]."""
        np.matmul(self._blocks, x.reshape(self._inputs), out=self._products)
        np.add(self._outputs, self._bias, out=self._results)
        return self._result


def _take_groups(arrays: Mapping[str, np.ndarray], name: str, fan_in: int) -> np.ndarray:
    """Return a weight as groups, float32 [G, H, I] with ``G * I = fan_in``; a plain one is one group."""
    groups = len(arrays[name]) if name in arrays and arrays[name].ndim == 3 else 0
    if groups and fan_in % groups == 0:
        return take(arrays, name, (groups, None, fan_in // groups))
    return take(arrays, name, (None, fan_in))[np.newaxis]


class ActionBox:
    """From actions in [-1, 1] to those of the environment, ``center + half * action``.

    Raises:
        CheckpointError: an array ``action.*`` is missing, or does not fit.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], dim: int) -> None:
        self._center = take(arrays, "action.center", (dim,))
        self._half = take_within(arrays, "action.half", (dim,), *_POSITIVE)

    def __call__(self, action: np.ndarray) -> np.ndarray:
        """Return the action to execute, float32 [A], in memory of its own."""
        executed: np.ndarray = self._half * action
        executed += self._center
        return executed


def clip(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Clip ``x`` in place; limits are arrays of one number each."""
    np.maximum(x, low, out=x)
    np.minimum(x, high, out=x)


def take_within(
    arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...], low: float, high: float
) -> np.ndarray:
    """Return array ``name`` as ``take`` does, provided that its values lie between ``low`` and ``high``.

    Raises:
        CheckpointError: it is missing, has another type or shape, or values that are outside.
    """
    array = take(arrays, name, shape)
    if not ((array >= low) & (array <= high)).all():
        raise CheckpointError(f"policy tensor `{name}` has values outside {low:g} to {high:g}")
    return array


def take(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return array ``name`` as float32, checked; None in ``shape`` is any size.

    Raises:
        CheckpointError: it is missing, or has another type or shape.
    """
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


def _read_config(config: Mapping[str, object]) -> tuple[int, str]:
    """Return the number of hidden layers, and their activation."""
    layers, activation = config.get("layers"), config.get("activation")
    if type(layers) is not int or not 0 <= layers <= _MAX_LAYERS:
        raise CheckpointError(f"policy has `layers` {layers!r}", hint="expected a number of hidden layers")
    if activation not in ("relu", "tanh"):
        raise CheckpointError(f"policy has activation {activation!r}", hint="expected relu or tanh")
    return layers, str(activation)


def blocks(weight: np.ndarray, *, entries: int) -> np.ndarray:
    """Cut a weight [H, I] into blocks of rows [K, R, I] of so many entries, the last padded with zeros.

    NUMERICS: OpenBLAS spreads a larger matrix-vector product over threads, which may change its last bits.
    Blocks stay below its threshold (9216 entries), so a process with 64 threads acts like a worker with one.
    """
    height, width = weight.shape
    count = math.ceil(height / max(1, entries // width))
    rows = math.ceil(height / count)
    padded = np.zeros((count * rows, width), np.float32)
    padded[:height] = weight
    return padded.reshape(count, rows, width)
