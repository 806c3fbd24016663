"""Rolling out many episodes, in this process or in several; the episodes are the same, bit for bit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.envs.acting import ActorSpec
from awaccli.envs.recording import Job, Recorder, SimState
from awaccli.envs.workers import WorkerPool
from awaccli.episode import Episode

__all__ = ["Job", "Rollouts"]


class Rollouts:
    """Where episodes of a task are rolled out; a context manager, since it may own processes.

    Args:
        task: what to roll out.
        workers: processes that step environments; 1 is this very process.
        sim_state: simulator state to keep: none, at the start of every episode, or at every step.
        timeout_s: seconds after which an episode in a worker counts as hung; 0: never. What runs in this very
            process cannot be watched from it.
    """

    def __init__(
        self, task: TaskSpec, *, workers: int, sim_state: SimState = "none", timeout_s: float = 0.0
    ) -> None:
        self._task = task
        self._sim_state: SimState = sim_state
        self._recorder: Recorder | None = None
        self._pool = WorkerPool(task, workers, sim_state, timeout_s=timeout_s) if workers > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def facts(self) -> TaskFacts:
        """What the task's environment says of itself; makes one in this process.

        Raises:
            UsageError: the environment cannot be made.
        """
        return self._here().facts

    @property
    def worker_pids(self) -> list[int]:
        """Processes that are running for us, none before the first episode."""
        return self._pool.pids if self._pool else []

    def run(self, actors: Sequence[ActorSpec], jobs: Iterable[Job]) -> Iterator[Episode]:
        """Roll out jobs; yield their episodes in the order of the jobs.

        ``jobs`` may be endless: few are started ahead, and closing this generator drops them.

        Raises:
            CheckpointError, UsageError: an actor does not load.
            RunError: an environment or policy failed, or a worker died or hung.
        """
        if self._pool is None:
            for job in jobs:
                yield self._here().record(actors[job.actor], job)
            return
        ahead: deque[int] = deque()
        try:
            for job in jobs:
                ahead.append(self._pool.submit(actors[job.actor], job))
                if len(ahead) == self._pool.look_ahead:
                    yield replace(self._pool.result(ahead.popleft()))
            while ahead:
                yield replace(self._pool.result(ahead.popleft()))
        finally:
            self._pool.forget(ahead)

    def close(self) -> None:
        """Free the environment and end the worker processes."""
        if self._recorder:
            self._recorder.close()
            self._recorder = None
        if self._pool:
            self._pool.close()

    def _here(self) -> Recorder:
        if self._recorder is None:
            self._recorder = Recorder(self._task, self._sim_state)
        return self._recorder
