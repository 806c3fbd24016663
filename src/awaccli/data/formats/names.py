"""Names of arrays in messages, and in the order that people count."""

from __future__ import annotations

import re
from collections.abc import Iterable


def listed(names: Iterable[str], most: int = 12) -> str:
    """Return names for a message: the first few, and how many more there are."""
    found = [f"`{name}`" for name in names]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) or "nothing") + more


def counted(name: str) -> list[str | int]:
    """Return a key that sorts ``demo_2`` before ``demo_10``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
