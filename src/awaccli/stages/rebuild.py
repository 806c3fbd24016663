"""``awac rebuild --run``: run the commands that make an artifact again, one after the other."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.config.settings import EvaluateSettings, Execution
from awaccli.data.evaluation import Outcome
from awaccli.errors import (
    AwacError,
    CheckError,
    InputError,
    InterruptedRunError,
    OutputExistsError,
    RunError,
    UsageError,
)
from awaccli.protocols import SILENT, Reporter
from awaccli.stages.evaluate import evaluate

_LOOK_S = 0.2
NO_FILES: Mapping[Path, str] = MappingProxyType({})
_ERRORS = {cls.exit_code: cls for cls in (UsageError, InputError, OutputExistsError, RunError, CheckError)}


def run_commands(
    commands: Sequence[Sequence[str]],
    folder: Path,
    *,
    files: Mapping[Path, str] = NO_FILES,
    options: Sequence[str] = (),
    quiet: bool = False,
    report: Reporter = SILENT,
) -> None:
    """Run ``awac`` with each list of arguments, in processes of their own; the first failure ends it.

    Every command goes on where an earlier run of it stopped. Its progress goes to stderr, its result nowhere.

    Args:
        commands: arguments after ``awac``.
        folder: made first, if it is not there.
        files: texts that commands read, written before the first of them.
        options: further arguments of every command but those of ``awac data``, which do not have them.
        quiet: tell every command to show no progress.
        report: told which command runs; asked whether to stop.

    Raises:
        AwacError: a command failed, with its exit code.
        InterruptedRunError: a signal came; the command that ran has saved what it had.
    """
    _make(folder)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    with report.phase("rebuild", len(commands), "commands"):
        for number, arguments in enumerate(commands, 1):
            text = shlex.join(["awac", *arguments])
            report.note(f"[{number}/{len(commands)}] {text}")
            further = () if arguments[0] == "data" else options
            silence = ["--quiet"] if quiet else []
            code = _run([*arguments, *further, *silence, "--resume"], report)
            if code:
                raise _failure(
                    code, f"command {number} of {len(commands)} ended with exit code {code}: {text}"
                )
            if number < len(commands) and (received := report.interrupted()):
                raise _failure(128 + received, f"stopped after command {number} of {len(commands)}")


def measure(path: Path, *, episodes: int, execution: Execution, report: Reporter = SILENT) -> Outcome | None:
    """Return what the checkpoint at ``path`` achieves by mean actions, or None where it has no simulator.

    Raises:
        AwacError: it is damaged, or its environment fails.
    """
    checkpoint = open_checkpoint(path)
    task = checkpoint.manifest.task
    if task is None or task.env_id is None:
        return None
    return evaluate(
        checkpoint, EvaluateSettings(episodes=episodes), execution=execution, report=report
    ).outcome


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(f"`{folder}` is a file, not a folder", hint="choose another --dir") from error


def _run(arguments: Sequence[str], report: Reporter) -> int:
    """Return the exit code of one command; hand it a signal that comes meanwhile, once."""
    told = False
    with subprocess.Popen(
        [sys.executable, "-m", "awaccli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C reaches this process alone: a second signal would stop the command at once
    ) as process:
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)
                if not told and (received := report.interrupted()):
                    process.send_signal(received)
                    told = True
        except BaseException:
            process.kill()
            raise
    return process.returncode


def _failure(code: int, message: str) -> AwacError:
    """Return the error that ends this program as a command ended."""
    again = "repeat the same rebuild to go on"
    if code < 0:
        return RunError(f"{message} (killed by {signal.Signals(-code).name})", hint=again)
    if code > 128:
        return InterruptedRunError(code - 128, message, hint=again)
    if code == OutputExistsError.exit_code:
        again = "remove what is there, or choose another --dir"
    return _ERRORS.get(code, AwacError)(message, hint=again)
