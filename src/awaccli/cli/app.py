"""The `awac` command: registers the commands and turns errors into exit codes."""

from __future__ import annotations

import os
import sys

import typer

from awaccli.cli.bc_rollout import bc_rollout
from awaccli.cli.collect_demos import collect_demos
from awaccli.cli.compare import compare
from awaccli.cli.config import config_app
from awaccli.cli.console import complain
from awaccli.cli.evaluate import evaluate
from awaccli.cli.finetune import finetune
from awaccli.cli.info import info
from awaccli.cli.pretrain import pretrain
from awaccli.cli.tasks import tasks
from awaccli.errors import AwacError, exit_code_of, exit_code_table

_EXIT_CODES = "Exit codes: " + " · ".join(f"{code} {meaning}" for code, meaning in exit_code_table().items())

app = typer.Typer(
    name="awac",
    help="A few demonstrations in, a competent robot policy out; every step in between is a file.",
    epilog=_EXIT_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("collect-demos")(collect_demos)
app.command("collect", hidden=True)(collect_demos)
app.command("bc-rollout")(bc_rollout)
app.command("pretrain")(pretrain)
app.command("finetune")(finetune)
app.command("eval")(evaluate)
app.command("info")(info)
app.command("compare")(compare)
app.command("tasks")(tasks)
app.add_typer(config_app, name="config")


def _version(*, value: bool) -> None:
    if value:
        from awaccli import __version__
        from awaccli.cli.console import emit

        emit(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=lambda value: _version(value=value), is_eager=True
    ),
) -> None:
    """A few demonstrations in, a competent robot policy out; every step in between is a file."""


def main() -> None:
    """Run the command line; the one place where errors become exit codes."""
    try:
        app()
    except AwacError as error:
        complain(error)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - nothing may be written at exit
        sys.exit(exit_code_of(error))
