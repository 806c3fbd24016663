"""``awac data``: one file per verb."""

from __future__ import annotations

import typer

from awaccli.cli.data.repair import repair

data_app = typer.Typer(help="Work on datasets.", rich_markup_mode=None, no_args_is_help=True)
data_app.command("repair")(repair)
