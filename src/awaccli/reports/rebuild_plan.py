"""What a rebuild will do, as data and as lines for a shell."""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import BaseModel, ConfigDict

from awaccli.artifacts.manifest import Kind


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Made(_Record):
    """An artifact that a command makes again."""

    id: str
    """As recorded."""
    kind: Kind
    recipe_key: str
    path: str
    """Where the command puts it."""
    recorded_path: str | None
    """Where the recorded one is, if it is on disk."""


class Command(_Record):
    """One call of ``awac``."""

    arguments: tuple[str, ...]
    makes: tuple[Made, ...]

    def __str__(self) -> str:
        """Return the line for a shell."""
        return shlex.join(["awac", *self.arguments])


class Used(_Record):
    """An artifact that is taken as it is on disk."""

    id: str
    path: str


class Written(_Record):
    """A text file that a command reads."""

    path: str
    text: str

    def __str__(self) -> str:
        """Return the lines for a shell."""
        return f"cat > {shlex.quote(self.path)} <<'END'\n{self.text}END"


class Plan(_Record):
    """How to make an artifact again."""

    schema_version: Literal[1] = 1
    id: str
    path: str
    folder: str
    files: tuple[Written, ...] = ()
    """Written before the commands: descriptions of arrays, for imports that need one."""
    commands: tuple[Command, ...]
    uses: tuple[Used, ...]
    notes: tuple[str, ...]
    """What the reader should know: what is used as it is, what is assumed."""
    doubts: tuple[str, ...]
    """Whose code the commands would run, where it need not be that of whoever runs them."""

    def lines(self) -> list[str]:
        """Return the lines for a shell."""
        return [shlex.join(["mkdir", "-p", self.folder]), *map(str, self.files), *map(str, self.commands)]
