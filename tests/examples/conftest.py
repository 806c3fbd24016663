"""Examples as Make plans them, in a copy; their commands run in this process, to save time."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from awaccli.cli.app import command

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE)


class Chain:
    """A folder with a Makefile: Make plans, this process works."""

    def __init__(self, folder: Path, options: list[str]) -> None:
        self.folder = folder
        self.options = options

    def make(self, *arguments, check=True):
        environment = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run(
            ["make", *self.options, *arguments],
            cwd=self.folder,
            check=check,
            env=environment,
            timeout=110,
            capture_output=True,
            text=True,
        )

    def plan(self, *targets):
        """Return the commands that Make would start, in order."""
        return self.make("-n", *targets).stdout.replace("\\\n", " ").splitlines()

    def work(self, line):
        """Run a line of a recipe."""
        line, _, output = (part.strip() for part in line.partition(">"))
        program, *words = shlex.split(line)
        with contextlib.chdir(self.folder):
            if program != "awac":
                subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL)
                return
            with Path(output or os.devnull).open("w") as file, contextlib.redirect_stdout(file):
                command()(words, prog_name="awac", standalone_mode=False)


@pytest.fixture(scope="module")
def make_chain():
    """Return ``Chain``; commands may set signal handlers, which are set back in the end."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield Chain
    for number, handler in handlers.items():
        signal.signal(number, handler)
