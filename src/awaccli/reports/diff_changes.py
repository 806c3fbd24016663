"""Named values of two artifacts, and those of them that are not the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A part of a comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(Record):
    """A named value that A and B do not share."""

    name: str
    a: Any
    b: Any
    only: Literal["a", "b"] | None = None
    """Where it has a value in one of them alone: in which."""


def changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what differs between two trees of values, by dotted names in order of A, then of B."""
    flat_a, flat_b = dict(_flat(a)), dict(_flat(b))
    return tuple(
        Change(name=name, a=flat_a.get(name), b=flat_b.get(name), only=_only(name, flat_a, flat_b))
        for name in flat_a | flat_b
        if name not in flat_a or name not in flat_b or flat_a[name] != flat_b[name]
    )


def _only(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Literal["a", "b"] | None:
    if name in a and name in b:
        return None
    return "a" if name in a else "b"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
