"""The command line, run in this process as its user would, on toy environments that cost milliseconds."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from awaccli.cli import app
from awaccli.cli.console import LOG

TOYS = (Path(__file__).parents[1] / "envs" / "toys", Path(__file__).parent / "toys")
SHORT = {
    "TOY": ("cli_toys:cli/Toy-v0", "--success-key", "reached"),
    "TINY": ("--preset", "smoke", "--workers", "1", "--threads", "1"),
    "RANDOM": ("--policy", "random", "-n", "2", "--workers", "1"),
}
"""Words that stand for several arguments in these tests."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE)


@contextmanager
def _handlers_kept():
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def own_handlers():
    """Let a test set signal handlers and timers of its own."""
    with _handlers_kept():
        yield


READS_TASK = {"bc-rollout", "pretrain", "finetune", "eval"}
"""Commands that find the task in a file: these toys are in a module that only its maker trusts."""


def spelled_out(arguments):
    words = [str(word) for argument in arguments for word in SHORT.get(argument, (argument,))]
    return [*words, "--trust-env"] if words and words[0] in READS_TASK else words


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        assert self.code in (0, 6), self.err
        assert self.out.count("\n") == 1
        found = json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert isinstance(found, dict)
        assert found["schema_version"] == 1
        return found

    def failed(self, code, message, hint=""):
        """Check an error of awac: its exit code, its two lines, and that there is nothing else."""
        assert (self.code, self.out) == (code, ""), self.err
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if line.startswith(("error: ", "hint: "))]
        assert lines[0].startswith("error: ")
        assert message in lines[0], lines
        assert any(line.startswith("hint: ") and hint in line for line in lines), lines
        return self

    def made(self, path):
        """Check that a maker printed the path of what it made, and nothing else, on stdout."""
        assert (self.code, self.out) == (0, f"{path}\n"), self.err
        assert Path(path).exists()
        return self


class _Stdin:
    """Lines, or a terminal."""

    def __init__(self, lines):
        self._lines = lines

    def isatty(self):
        return self._lines is None

    def __iter__(self):
        assert self._lines is not None, "reading a terminal would hang"
        return iter(self._lines)


@pytest.fixture
def awac(monkeypatch, capsys, tmp_path, own_handlers):
    """Return a function that runs `awac ARGUMENTS` in an empty folder; `stdin` is a list of lines."""
    monkeypatch.chdir(tmp_path)
    for folder in TOYS:
        monkeypatch.syspath_prepend(folder)
    hook = sys.excepthook

    def run(*arguments, stdin=None):
        monkeypatch.setattr(sys, "argv", ["awac", *spelled_out(arguments)])
        monkeypatch.setattr(sys, "stdin", _Stdin(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            app.main()
        signal.setitimer(signal.ITIMER_REAL, 0)
        return Result(end.value.code, *capsys.readouterr())

    yield run
    LOG.setLevel(logging.NOTSET)
    LOG.handlers.clear()
    sys.excepthook = hook


@pytest.fixture(scope="session", autouse=True)
def _no_power_cuts():
    """Leave out fsync: it protects from power cuts, which no test makes, and costs a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """Return a folder with one artifact of each kind, made once; never changed by tests."""
    folder = tmp_path_factory.mktemp("shelf")
    commands = (
        ("collect-demos", "TOY", "--policy", "random", "-n", 4, "-o", "demos.zarr", "--workers", 1),
        ("collect-demos", "TOY", "--policy", "random", "-n", 4, "-o", "demos.h5", "--workers", 1),
        ("bc-rollout", "--demos", "demos.zarr", "-n", 5, "-o", "toy.zarr", "TINY"),
        ("pretrain", "--data", "toy.zarr", "--updates", 6, "-o", "pretrained.ckpt", "TINY"),
        ("finetune", "pretrained.ckpt", "--env-steps", 25, "-o", "finetuned.ckpt", "TINY"),
        ("eval", "finetuned.ckpt", "-n", 3, "-o", "result.json", "--workers", 1),
        (
            "collect-demos",
            "cli_toys:cli/Wide-v0",
            "--policy",
            "random",
            "-n",
            3,
            "-o",
            "wide.zarr",
            "--workers",
            1,
        ),
    )
    with pytest.MonkeyPatch.context() as patch, _handlers_kept():
        patch.chdir(folder)
        for toys in TOYS:
            patch.syspath_prepend(toys)
        for command in commands:
            patch.setattr(sys, "argv", ["awac", *spelled_out(command)])
            with pytest.raises(SystemExit) as end:
                app.main()
            assert end.value.code == 0, command
    return folder


@pytest.fixture
def artifact(shelf, tmp_path):
    """Return a function that puts a copy of an artifact of the shelf into this test's folder."""

    def take(name, as_name=None):
        target = tmp_path / (as_name or name)
        copy = shutil.copytree if (shelf / name).is_dir() else shutil.copy2
        copy(shelf / name, target)
        return Path(target.name)

    return take


@pytest.fixture
def linked(shelf, tmp_path):
    """Return a function that puts a link to an artifact of the shelf into this test's folder, to read it."""

    def take(name):
        (tmp_path / name).symlink_to(shelf / name)
        return Path(name)

    return take


@pytest.fixture(scope="module")
def script():
    """Return a function that starts a shell script with `awac` in a process group of its own."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(map(str, TOYS)),
        "OMP_NUM_THREADS": "1",
    }
    started = []

    def start(text, folder, **variables):
        process = subprocess.Popen(
            ["bash", "-c", f"set -o pipefail; {text}"],
            cwd=folder,
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
