"""Random draws as tensors: NumPy's streams where updates run on the CPU, the device's own elsewhere.

Both are functions of a seed and of names, so a resumed run draws again what it would have drawn.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from awaccli.protocols import Draws
from awaccli.seeding import integer, stream


def draws(device: str, seed: int, *names: str | int) -> Draws:
    """Return the draws of the stream ``(seed, *names)``, as tensors on ``device``.

    The CPU's are the same on every machine; a GPU's are others, and drawn without waiting for it.
    """
    if torch.device(device).type == "cpu":
        return NumpyDraws(stream(seed, *names))
    generator = torch.Generator(device).manual_seed(integer(seed, *names, bits=63))
    return DeviceDraws(generator)


class NumpyDraws:
    """Draws of a NumPy generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def integers(self, high: int, size: int) -> Tensor:
        """Return integers in [0, ``high``), int64 [``size``]."""
        return torch.from_numpy(self._rng.integers(high, size=size))

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Return standard normal numbers, float32."""
        return torch.from_numpy(self._rng.standard_normal(shape, dtype=np.float32))


class DeviceDraws:
    """Draws of a generator of PyTorch's, where that generator lives."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def integers(self, high: int, size: int) -> Tensor:
        """Return integers in [0, ``high``), int64 [``size``]."""
        return torch.randint(high, (size,), generator=self._generator, device=self._generator.device)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Return standard normal numbers, float32."""
        return torch.randn(shape, generator=self._generator, device=self._generator.device)
