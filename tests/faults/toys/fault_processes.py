"""`awac` in processes of their own, to be killed and looked at."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE_S = 100
_TOKEN = "FAULT_RUN"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_ENVIRONMENT = os.environ | _ONE_THREAD | {"PYTHONPATH": str(HERE)}


class Server:
    """Forks processes that have everything imported; see `fault_server`."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, HERE / "fault_server.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_ENVIRONMENT,
            text=True,
        )

    def start(self, function, *arguments):
        """Return the process id of a child that calls ``module:function``."""
        return self._ask([*function.split(":"), arguments])

    def end_of(self, pid):
        """Return the exit code of a child, negative for a signal, once it has ended."""
        assert _ends_within(pid, PATIENCE_S), f"no end after {PATIENCE_S} s"
        return self._ask(pid)

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _ask(self, request):
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


def _ends_within(pid, seconds):
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


@dataclass
class Run:
    """An `awac` that was started."""

    server: Server
    pid: int
    fresh: subprocess.Popen | None
    says: Path
    """Where what it prints goes: beside its folder."""
    token: str
    started: float
    code: int | None = None

    @property
    def out(self):
        return (self.says / f"{self.token}.out").read_text()

    @property
    def err(self):
        return (self.says / f"{self.token}.err").read_text()

    def kill(self, number=signal.SIGKILL):
        """Send a signal, if nobody has seen its end yet: after that the id may be another process's."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def after(self, delay_s, number=signal.SIGKILL):
        """Send a signal this long after the start, if it is still there then."""
        if not _ends_within(self.pid, max(0.0, self.started + delay_s - time.monotonic())):
            self.kill(number)

    def wait(self):
        """Return the exit code, negative for a signal."""
        if self.code is None:
            self.code = self.fresh.wait(PATIENCE_S) if self.fresh else self.server.end_of(self.pid)
        return self.code

    def succeeded(self):
        """Wait, check that it went well, and return how long it took, in seconds."""
        code = self.wait()
        assert code == 0, f"exit {code}: {self.err}"
        return time.monotonic() - self.started

    def failed(self, code, *words):
        """Wait, and check the exit code and that it ends in an error with these words and a hint."""
        found = self.wait()
        assert (found, self.out) == (code, ""), self.err
        assert "Traceback" not in self.err
        error, hint = self.err.splitlines()[-2:]
        assert error.startswith("error: "), self.err
        assert hint.startswith("hint: "), self.err
        for word in words:
            assert word in f"{error}\n{hint}", f"{word!r} is not in\n{error}\n{hint}"

    def orphans(self):
        """Return the ids of processes that it started and that do not end."""
        deadline = time.monotonic() + 10
        while (found := _started_with(self.token)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found


def awac(server, words, folder, *, fresh=False, limits=(), uid=None, kill_at=None, **variables):
    """Start `awac WORDS` in ``folder``.

    Args:
        server: who forks it.
        words: the arguments.
        folder: where it runs.
        fresh: in a new interpreter, as its user would.
        limits: pairs of a resource and its limit.
        uid: the user to be.
        kill_at: kill itself when it is about to change the file system for this time, from 0.
        variables: of its environment.
    """
    token = uuid.uuid4().hex
    environment = {name: str(value) for name, value in variables.items()} | {_TOKEN: token}
    words, says = [str(word) for word in words], folder.parent
    outputs = [str(says / f"{token}.{name}") for name in ("out", "err")]
    for output in outputs:
        Path(output).touch()
    started = time.monotonic()
    if not fresh:
        pid = server.start(
            "fault_processes:_main", words, str(folder), environment, outputs, limits, uid, kill_at
        )
        return Run(server, pid, None, says, token, started)
    with open(outputs[0], "w") as out, open(outputs[1], "w") as err:  # noqa: PTH123 - two at once
        process = subprocess.Popen(
            [sys.executable, "-m", "awaccli", *words],
            cwd=folder,
            env=_ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    return Run(server, process.pid, process, says, token, started)


def _main(words, folder, environment, outputs, limits, uid, kill_at):
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    for descriptor, path in enumerate(outputs, 1):
        file = os.open(path, os.O_WRONLY)
        os.dup2(file, descriptor)
        os.close(file)
    for name, limit in limits:
        resource.setrlimit(name, (limit, resource.getrlimit(name)[1]))
    if uid is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    _adapt(environment)
    if kill_at is not None:
        kill_at_event(kill_at)
    sys.argv = ["awac", *words]
    from awaccli.cli.app import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()


def _adapt(environment):
    """Make of milliseconds what takes seconds in real life, and count what is to be counted."""
    from awaccli.artifacts import disk
    from awaccli.data import writer
    from awaccli.stages.training import Training

    os.fsync = lambda descriptor: None  # it protects from power cuts, which no test makes
    writer._COMMIT_S = writer._COMMIT_COSTS = (
        0  # episodes of milliseconds are committed one by one, as long ones are
    )
    if environment.get("FAULT_SYSTEM") == "two-renames":
        disk._exchange = lambda a, b: False
    if log := environment.get("FAULT_UPDATES"):
        for name in ("update", "save"):
            setattr(Training, name, _logged(getattr(Training, name), name, log))


def _logged(method, name, log):
    """Return a method that writes a line when it is done: its name, the time, how long it took."""

    def logged(*arguments):
        begun = time.monotonic()
        method(*arguments)
        done = time.monotonic()
        with Path(log).open("a") as file:
            file.write(f"{name} {done} {done - begun}\n")

    return logged


_CHANGES = {"mkdir", "rename", "remove", "rmdir", "truncate", "utime", "link", "symlink"}


def kill_at_event(number):
    """Send this process SIGKILL when it is about to change the file system for the ``number``-th time."""
    left = number

    def watch(event, arguments):
        nonlocal left
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event.removeprefix("os.") in _CHANGES:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def _started_with(token):
    mark, found = f"{_TOKEN}={token}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found
