"""Changes to bytes and to JSON values, drawn from a seeded generator."""

from __future__ import annotations

import json
import random
from typing import Any

_RAW = {"#inf#": "1e999", "#huge#": "9" * 5000, "#deep#": "[" * 5000 + "]" * 5000, "#nan#": "NaN"}
"""Stand for texts that ``json.dumps`` does not write."""
_VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        7,
        0.5,
        -0.0,
        1e-320,
        1e308,
        2**31,
        2**31 - 1,
        2**32,
        2**53,
        2**63,
        2**64,
    ),
    *(
        -(2**63),
        10**30,
        "",
        "x",
        "0",
        "nan",
        "inf",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "a\0b",
        "\ud800",
    ),
    *(
        "steps/../../x",
        "évil\u202e",
        "os:system",
        "\x1b[31m",
        "w" * 300,
        [],
        {},
        [[]],
        [0],
        {"x": 0},
        {"": []},
    ),
    *([0] * 50, "evaluation", "dataset", "checkpoint", "float64", "bool", "object", *_RAW),
)
_INTEGERS = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1)


def changed_bytes(rng: random.Random, data: bytes, first: int = 0, last: int | None = None) -> bytes:
    """Return ``data`` with one to four changes between two places."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        end = max(first + 1, min(len(content), last or len(content)))
        at = rng.randrange(first, end)
        size = rng.choice((1, 2, 4, 8, 16, 64))
        match rng.randrange(8):
            case 0 | 1:
                content[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                content[at : at + 1] = bytes(
                    [(content[at] if at < len(content) else 0) ^ 1 << rng.randrange(8)]
                )
            case 3:
                width = rng.choice((2, 4, 8))
                number = rng.choice((*_INTEGERS, len(data), rng.randrange(len(data) + 1))) % 256**width
                content[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
            case 4:
                other = rng.randrange(first, end)
                content[at : at + size] = content[other : other + size]
            case 5:
                del content[at : at + size]
            case 6:
                content[at:at] = rng.randbytes(size)
            case 7:
                del content[at:]
        if not content:
            return b""
    return bytes(content)


def changed_json(rng: random.Random, value: Any) -> str:
    """Return the text of a JSON value with one to three changes to its structure."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        holders = list(_holders(value))
        if not holders:
            break
        _change(rng, rng.choice(holders), holders)
    text = json.dumps(value, separators=(",", ":"))
    for mark, raw in _RAW.items():
        text = text.replace(f'"{mark}"', raw)
    if rng.random() < 0.05:  # a key that is there twice
        text = text.replace("{", '{"x":1,"x":2,', 1) if rng.random() < 0.5 else f"{text[:-1]},{text[1:]}"
    return text


def _holders(value: Any) -> Any:
    if isinstance(value, dict | list):
        if value:
            yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from _holders(child)


def _change(rng: random.Random, holder: Any, holders: list[Any]) -> None:
    """Make one change to a list or an object."""
    key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    rng.choice(_CHANGES)(rng, holder, key, holders)


def _replace(rng: random.Random, holder: Any, key: Any, holders: list[Any]) -> None:
    holder[key] = rng.choice(_VALUES)


def _vary(rng: random.Random, holder: Any, key: Any, holders: list[Any]) -> None:
    match holder[key]:
        case bool() | None | list() | dict() as old:
            holder[key] = [old]
        case int() | float() as old:
            holder[key] = rng.choice((old + 1, old - 1, -old, old * 2, old * 10**6, float(old), str(old)))
        case str() as old:
            holder[key] = rng.choice((old[:-1], old + "x", old.upper(), [old], {"name": old}))


def _drop(rng: random.Random, holder: Any, key: Any, holders: list[Any]) -> None:
    del holder[key]


def _double(rng: random.Random, holder: Any, key: Any, holders: list[Any]) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(("x", "", "schema", "path", "kind", f"{key}2"))] = holder[key]
    else:
        holder.insert(key, holder[key])


def _rename(rng: random.Random, holder: Any, key: Any, holders: list[Any]) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(("x", "..", "a/b", key.upper() or "y"))] = holder.pop(key)
    else:
        rng.shuffle(holder)


def _swap(rng: random.Random, holder: Any, key: Any, holders: list[Any]) -> None:
    other = rng.choice(holders)
    place = rng.choice(list(other)) if isinstance(other, dict) else rng.randrange(len(other))
    first, second = json.dumps(holder[key]), json.dumps(other[place])
    holder[key], other[place] = json.loads(second), json.loads(first)


def _nest(rng: random.Random, holder: Any, key: Any, holders: list[Any]) -> None:
    holder[key] = json.loads(json.dumps(rng.choice(holders)))


_CHANGES = (_replace, _replace, _replace, _vary, _vary, _drop, _double, _rename, _swap, _nest)
