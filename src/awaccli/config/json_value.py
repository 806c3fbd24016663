"""JSON from strangers: of bounded size and depth, with finite numbers and whole numbers of 64 bits."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import ValidationError

MAX_DEPTH = 32
MAX_VALUES = 600_000
"""Each costs up to a kilobyte while a record is checked."""
_LISTED_PROBLEMS = 1000
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON text that somebody else wrote; it can be written again as it was read.

    Raises:
        ValueError: it is not JSON, has more than ``MAX_VALUES`` values or ``MAX_DEPTH`` levels, a number that
            is NaN, infinite or beyond 64 bits, or a text that is no Unicode.
    """
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES} values")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    _require_plain(value)
    return value


def _require_plain(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        for item in level:
            _require_plain_item(item)
        level = [child for item in level if isinstance(item, dict | list) for child in _children(item)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _children(item: dict[str, Any] | list[Any]) -> list[Any]:
    return [*item.keys(), *item.values()] if isinstance(item, dict) else item


def _require_plain_item(item: Any) -> None:
    match item:
        case str():
            item.encode()
        case float() if not math.isfinite(item):
            raise ValueError(f"the number {item} is not finite")
        case int() if not _LOWEST <= item <= _HIGHEST:
            raise ValueError("a whole number needs more than 64 bits")


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with a record: which value, and what was expected."""
    if error.error_count() > _LISTED_PROBLEMS:  # listing them takes a kilobyte each
        return f"{error.error_count()} values are not what was expected"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
