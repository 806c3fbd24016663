"""The `awac` command: registers the commands and turns errors into exit codes."""

from __future__ import annotations

import errno
import functools
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

import typer
from typer.main import get_command

from awaccli.cli.bc_rollout import bc_rollout
from awaccli.cli.collect_demos import collect_demos
from awaccli.cli.compare import compare
from awaccli.cli.config import config_app
from awaccli.cli.console import LOG, ImmediateStop, abandon_stdout, complain
from awaccli.cli.data import data_app
from awaccli.cli.diff import diff
from awaccli.cli.evaluate import evaluate
from awaccli.cli.finetune import finetune
from awaccli.cli.info import info
from awaccli.cli.lineage import lineage
from awaccli.cli.log_export import log_export
from awaccli.cli.plot import plot
from awaccli.cli.pretrain import pretrain
from awaccli.cli.rebuild import rebuild
from awaccli.cli.report import report
from awaccli.cli.tasks import tasks
from awaccli.cli.verify import verify
from awaccli.cli.watch import watch
from awaccli.errors import AwacError, InterruptedRunError, RunError, exit_code_of, exit_code_table

_KEPT = "what was committed is safe; "
_MACHINE_SAYS_NO = {
    errno.ENOSPC: f"{_KEPT}free some space, then repeat the command with --resume",
    errno.EDQUOT: f"{_KEPT}free some of your quota, then repeat the command with --resume",
    errno.EFBIG: f"{_KEPT}raise the limit on file sizes (ulimit -f), then repeat the command with --resume",
    errno.EIO: "the disk failed; look at the system's log",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "you may not read or write it: check its owner and mode, or choose another folder",
    errno.EPERM: "you may not do that: check its owner and mode, or choose another folder",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n), or use fewer --workers",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder, a file was expected",
    errno.ENOMEM: "out of memory: try a smaller --batch-size, or fewer --workers",
    errno.EAGAIN: "the system starts no more processes: use fewer --workers",
}
"""What to do about refusals of the operating system; other OSErrors are bugs."""

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
app.command("lineage")(lineage)
app.command("rebuild")(rebuild)
app.command("verify")(verify)
app.command("diff")(diff)
app.command("compare")(compare)
app.command("plot")(plot)
app.command("report")(report)
app.command("watch")(watch)
app.command("log-export")(log_export)
app.command("tasks")(tasks)
app.add_typer(data_app, name="data")
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
        False,
        "--version",
        help="Print the version.",
        callback=lambda value: _version(value=value),
        is_eager=True,
    ),
) -> None:
    """A few demonstrations in, a competent robot policy out; every step in between is a file."""


@functools.cache
def command() -> Any:
    """Return all commands as Typer parses them."""
    return get_command(app)


def main() -> NoReturn:
    """Run the command line; the one place where errors become exit codes."""
    code = _exit_code()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)  # whoever still wants to stop us now, may
    sys.exit(code)


def _exit_code() -> int:
    try:
        command()(prog_name="awac")
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # where nobody reads its help, Typer ends with 1
            return _complain_about(end.__context__)
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:  # before anybody minds signals
        return _complain_about(ImmediateStop(signal.SIGINT))
    except (Exception, ImmediateStop) as error:  # noqa: BLE001 - the last door
        return _complain_about(error)
    return 0


def _complain_about(problem: BaseException) -> int:
    """Say what went wrong, in the user's words where it has a known cause; return the exit code."""
    problem = _stop_behind(problem) or problem
    error = _known(problem)
    if error is None:
        traceback.print_exception(problem)
        error = AwacError(
            "this is a bug in awac, not in what you did",
            hint="please report it with the lines above, the command, and `awac --version`",
        )
    else:
        LOG.debug("where it happened", exc_info=problem)
    if isinstance(problem, OSError):
        abandon_stdout()
    complain(error)
    return exit_code_of(error)


def _stop_behind(problem: BaseException) -> BaseException | None:
    """Return the signal that an error comes from: compiled code makes errors of what interrupts it."""
    link: BaseException | None = problem
    while link and not isinstance(link, ImmediateStop):
        link = link.__cause__ or link.__context__
    return link


def _known(problem: BaseException) -> AwacError | None:
    """Return the error with a clear cause that ``problem`` is, or None: a bug."""
    match problem:
        case AwacError():
            return problem
        case ImmediateStop():
            return InterruptedRunError(problem.signal)
        case BrokenPipeError():
            return InterruptedRunError(signal.SIGPIPE, "")
        case MemoryError():
            return RunError("out of memory", hint="try a smaller --batch-size, or fewer --workers")
        case OSError(errno=int(code), filename=place) if code in _MACHINE_SAYS_NO:
            where = f"`{place}`: " if place else ""
            return RunError(f"{where}{os.strerror(code)}", hint=_MACHINE_SAYS_NO[code])
        case _:
            return None
