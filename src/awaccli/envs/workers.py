"""Worker processes, seen from the process that owns them.

Each is a fresh interpreter (never a fork: forks hang after threaded torch) that runs ``awaccli.envs.worker``.
It does not import the user's main script, so scripts need no main guard and nothing drags torch in.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

from awaccli.config.task import TaskSpec
from awaccli.envs.acting import ActorSpec
from awaccli.envs.recording import Job, SimState
from awaccli.episode import Episode
from awaccli.errors import RunError

AHEAD_PER_WORKER = 3
"""Episodes a worker has at most: one running, and two waiting so that it need not wait for a commit."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}
_PATIENCE_S = 2.0
_GRACE_S = 0.01
"""Added to a wait, so that what was waited for is over after it."""


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    jobs: dict[int, Job] = field(default_factory=dict)
    """Handed over and not answered yet, by ticket; it works on the first."""
    busy_since_s: float = 0.0
    """When it was seen to begin with the first of its jobs, on the monotonic clock."""


class WorkerPool:
    """Workers of one task, started when first needed and kept until closed.

    A worker that says nothing for ``timeout_s`` seconds (0: for ever) while it has an episode to work on
    counts as hung. It says when it has started, and when an episode is done.
    """

    def __init__(self, task: TaskSpec, count: int, sim_state: SimState, *, timeout_s: float) -> None:
        self._task = task
        self._count = count
        self._sim_state = sim_state
        self._timeout_s = timeout_s or float("inf")
        self._workers: list[_Worker] = []
        self._next_ticket = 0
        self._answers: dict[int, Episode | Exception | None] = {}
        """What is awaited, by ticket; None until it is there."""

    @property
    def pids(self) -> list[int]:
        """Processes that are running."""
        return [worker.process.pid for worker in self._workers]

    @property
    def look_ahead(self) -> int:
        """How many episodes are worth submitting before the first is asked for."""
        return AHEAD_PER_WORKER * self._count

    def submit(self, actor: ActorSpec, job: Job) -> int:
        """Hand a job to the least busy worker; return the ticket to ask for its episode with."""
        ticket = self._next_ticket
        self._next_ticket += 1
        worker = self._least_busy()
        if not worker.jobs:
            worker.busy_since_s = time.monotonic()
        worker.jobs[ticket] = job
        self._answers[ticket] = None
        try:
            worker.connection.send((ticket, actor, job))
        except OSError as error:
            raise self._lost(worker) from error
        return ticket

    def result(self, ticket: int) -> Episode:
        """Wait for the episode of a ticket.

        Raises:
            AwacError: what the worker raised, or RunError if a worker died or hung.
        """
        while self._answers[ticket] is None:
            self._receive()
        answer = self._answers.pop(ticket)
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    def forget(self, tickets: Iterable[int]) -> None:
        """Drop episodes that nobody will ask for; workers finish those they have begun."""
        for ticket in tickets:
            self._answers.pop(ticket, None)

    def close(self) -> None:
        """End all workers. They notice that the connection is gone; one that does not is killed."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            try:
                worker.process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def _least_busy(self) -> _Worker:
        worker = min(self._workers, key=lambda worker: len(worker.jobs), default=None)
        if worker is None or (worker.jobs and len(self._workers) < self._count):
            worker = _start()
            self._workers.append(worker)
            try:
                worker.connection.send((self._task, self._sim_state))
            except OSError as error:
                raise self._lost(worker) from error
        return worker

    def _receive(self) -> None:
        """Take what workers have to say, or wait until one has."""
        by_connection = {worker.connection: worker for worker in self._workers}
        ready = wait(list(by_connection), self._patience_s())
        for connection in ready:
            worker = by_connection.pop(connection)  # type: ignore[call-overload]
            try:
                message = worker.connection.recv()
            except (EOFError, OSError) as error:
                raise self._lost(worker) from error
            worker.busy_since_s = time.monotonic()
            if message is not None:
                self._take(worker, *message)
        for worker in by_connection.values():
            if worker.jobs and time.monotonic() - worker.busy_since_s > self._timeout_s:
                raise self._hung(worker)

    def _take(self, worker: _Worker, ticket: int, answer: Episode | Exception) -> None:
        del worker.jobs[ticket]
        if ticket in self._answers:
            self._answers[ticket] = answer

    def _patience_s(self) -> float | None:
        """Return how long the first worker to be late has left, or None where none can be."""
        left_s = min(worker.busy_since_s for worker in self._workers if worker.jobs) + self._timeout_s
        return None if left_s == float("inf") else max(0.0, left_s - time.monotonic()) + _GRACE_S

    def _hung(self, worker: _Worker) -> RunError:
        """Say which episode does not end; end all workers, this one by force."""
        worker.process.kill()
        self.close()
        job = next(iter(worker.jobs.values()))
        return RunError(
            f"task `{self._task.name}`, episode {job.index}: no answer for {self._timeout_s:g} s; "
            "its worker process was killed",
            hint="repeat the command with --resume; if episodes may take longer: --episode-timeout 1h",
        )

    def _lost(self, worker: _Worker) -> RunError:
        """Say which episode took a worker down; end the others, so that the next run starts afresh."""
        self.close()
        code = worker.process.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        job = next(iter(worker.jobs.values()), None)
        running = f"episode {job.index}" if job else "no episode"
        return RunError(
            f"a worker process of task `{self._task.name}` died ({how}) with {running}",
            hint="out of memory, perhaps: try fewer --workers; --resume continues where it stopped",
        )


def _start() -> _Worker:
    ours, theirs = Pipe()
    environment = {
        **os.environ,
        **dict.fromkeys(_THREADS, "1"),
        # The same modules as here, those beside a user's script included.
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
    # Blocked signals stay blocked across exec: a Ctrl-C or a cluster's warning reaches us alone, from the
    # worker's first moment on. Workers end when their connection does.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "awaccli.envs.worker", str(theirs.fileno()), _owner()],
            env=environment,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=2,  # what an environment prints is not our result
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    return _Worker(process, ours)


def _owner() -> str:
    """Return the process that a new worker shall not outlive; 0 where that would be a mere thread."""
    return str(os.getpid()) if threading.current_thread() is threading.main_thread() else "0"
