"""One seed, many named streams. The only place where random generators are made.

A stream is a pure function of the seed and of counters (episode index, update number), so no generator
state is ever saved: a resumed run asks for the same stream again.
"""

from __future__ import annotations

import hashlib

import numpy as np


def _key(seed: int, names: tuple[str | int, ...]) -> int:
    """Return 128 bits that depend on the seed and on every name."""
    text = "|".join([f"{type(name).__name__}:{name}" for name in (seed, *names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator of the stream ``(seed, *names)``, e.g. ``stream(0, "update", 17)``.

    Philox is counter based: streams with different keys are independent.
    """
    return np.random.Generator(np.random.Philox(key=_key(seed, names)))


def integer(seed: int, *names: str | int, bits: int = 31) -> int:
    """Return an integer in [0, 2**bits) that belongs to ``(seed, *names)``; 31 do for ``env.reset``."""
    return _key(seed, names) & ((1 << bits) - 1)
