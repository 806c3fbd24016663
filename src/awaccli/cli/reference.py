"""``docs/cli.md``: the help of every command, as Markdown. Run ``python -m awaccli.cli.reference``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from awaccli.cli.app import command
from awaccli.cli.console import emit

_WIDTH = 100
_HEAD = """\
# Command line reference

<!-- Written by `make docs` from the commands' own help; edit the docstrings in src/awaccli/cli instead. -->

What `awac COMMAND --help` says, for every command. How they fit together: [README](../README.md).
"""


def reference() -> str:
    """Return the page; the same on every terminal and machine."""
    blocks = (f"## {name}\n\n```text\n{text}\n```\n" for name, text in helps())
    return "\n".join([_HEAD, *blocks])


def helps() -> Iterator[tuple[str, str]]:
    """Yield every command as the user types it, with its help text."""
    yield from _helps(command(), "awac", None)


def _helps(node: Any, name: str, parent: typer.Context | None) -> Iterator[tuple[str, str]]:
    context = typer.Context(
        node,
        info_name=name.rpartition(" ")[2],
        parent=parent,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    yield name, "\n".join(line.rstrip() for line in node.get_help(context).splitlines())
    for child, subcommand in getattr(node, "commands", {}).items():
        if not subcommand.hidden:
            yield from _helps(subcommand, f"{name} {child}", context)


if __name__ == "__main__":
    emit(reference().rstrip())
