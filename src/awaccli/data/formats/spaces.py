"""Gymnasium spaces as Minari writes them: JSON, read as plain facts; no space is ever made.

Source: ``minari/serialization.py``, version 0.5.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from awaccli.data.formats.folders import plain_json
from awaccli.errors import InputError


@dataclass(frozen=True, slots=True)
class Leaf:
    """One array of a space."""

    path: str
    """Keys from the outermost in, with slashes; empty where the space is one array."""
    kind: str
    """``Box``, ``Discrete``, ``Text`` ..."""
    shape: tuple[int, ...]
    dtype: str
    low: np.ndarray | None
    """[k], for boxes: bounds, flat."""
    high: np.ndarray | None

    @property
    def is_vector(self) -> bool:
        """Whether it is a box of numbers that is no image."""
        return self.kind == "Box" and len(self.shape) <= 2 and self.dtype != "uint8"


def leaves(text: object, *, origin: str) -> list[Leaf]:
    """Return the arrays of a space.

    Raises:
        InputError: it is not a space as Minari writes it; ``origin`` names file and key.
    """
    try:
        return list(_leaves(plain_json(str(text)), ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{origin} is not a space as Minari writes it: {error}", hint="the file is damaged: get it again"
        ) from error


def _leaves(space: Mapping[str, Any], path: str) -> Iterator[Leaf]:
    match space["type"]:
        case "Dict":
            for key, part in space["subspaces"].items():
                yield from _leaves(part, f"{path}/{key}".lstrip("/"))
        case "Tuple":
            for index, part in enumerate(space["subspaces"]):
                yield from _leaves(part, f"{path}/{index}".lstrip("/"))
        case "Box":
            shape = tuple(int(size) for size in space["shape"])
            yield Leaf(path, "Box", shape, str(space["dtype"]), _bounds(space, "low"), _bounds(space, "high"))
        case kind:
            yield Leaf(path, str(kind), (), "", None, None)


def _bounds(space: Mapping[str, Any], name: str) -> np.ndarray:
    bounds = np.array(space[name], np.float64).ravel()
    if len(bounds) != math.prod(space["shape"]):
        raise ValueError(f"`{name}` has {len(bounds)} numbers for a shape of {space['shape']}")
    return bounds


def box(size: int, low: object = -math.inf, high: object = math.inf) -> dict[str, Any]:
    """Return a box of float32 numbers [size], as Minari writes it."""
    return {
        "type": "Box",
        "dtype": "float32",
        "shape": [size],
        "low": np.broadcast_to(np.asarray(low, np.float32), size).tolist(),
        "high": np.broadcast_to(np.asarray(high, np.float32), size).tolist(),
    }
