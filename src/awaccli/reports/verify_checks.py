"""Checks of one artifact: each is made on its own, so that all that is wrong is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from awaccli.artifacts.manifest import Manifest
from awaccli.errors import AwacError

_Found = TypeVar("_Found")


class Check(BaseModel):
    """One thing that was looked at; a check that finds several faults is there once for each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    ok: bool
    message: str


class Checks:
    """The checks of one artifact, in the order in which they were made."""

    def __init__(self) -> None:
        self.made: list[Check] = []

    def note(self, name: str, message: str) -> None:
        """Add a check that found nothing wrong."""
        self.made.append(Check(name=name, ok=True, message=message))

    def fail(self, name: str, message: str) -> None:
        """Add a fault."""
        self.made.append(Check(name=name, ok=False, message=message))

    def none_of(self, name: str, faults: Iterable[str], otherwise: str) -> bool:
        """Add every fault, an error while looking included, or that there is none; return True if none."""
        before = len(self.made)
        try:
            for fault in faults:
                self.fail(name, fault)
        except AwacError as error:
            self.fail(name, str(error))
        sound = len(self.made) == before
        if sound:
            self.note(name, otherwise)
        return sound

    def attempt(self, name: str, act: Callable[[], _Found], otherwise: str) -> _Found | None:
        """Return what ``act`` returns, or None where it fails; add which of the two."""
        try:
            found = act()
        except AwacError as error:
            self.fail(name, str(error))
            return None
        self.note(name, otherwise)
        return found


def short(identity: str) -> str:
    """Return enough of an id to tell it from others."""
    return identity[:12]


def check_id(checks: Checks, found: str, manifest: Manifest | None) -> None:
    """Compare a content id that was computed anew with the recorded one."""
    if manifest is None:
        checks.fail("id", f"the content has id {short(found)}; no manifest is left to compare it with")
    elif found != manifest.id:
        checks.fail("id", f"the content has id {short(found)}, the manifest says {short(manifest.id)}")
    else:
        checks.note("id", "the content id follows from the content")
