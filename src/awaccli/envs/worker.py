"""A worker process: reads jobs from its connection, answers with episodes, and dies with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from awaccli.config.task import TaskSpec
from awaccli.envs.acting import ActorSpec
from awaccli.envs.recording import Job, Recorder, SimState
from awaccli.episode import Episode
from awaccli.errors import AwacError

_PR_SET_PDEATHSIG = 1


class _Worker:
    def __init__(self, task: TaskSpec, sim_state: SimState) -> None:
        self._task = task
        self._sim_state = sim_state
        self._recorder: Recorder | None = None

    def answer(self, actor: ActorSpec, job: Job) -> Episode | Exception:
        """Return the episode of a job, or what went wrong."""
        try:
            if self._recorder is None:
                self._recorder = Recorder(self._task, self._sim_state)
            return self._recorder.record(actor, job)
        except AwacError as error:
            return error
        except Exception:  # noqa: BLE001 - a bug in awac: let the parent show where
            return RuntimeError(f"in a worker process:\n{traceback.format_exc()}")


def _listen(connection: Connection, inbox: SimpleQueue[Any]) -> None:
    """Pass on what arrives; leave at once when the parent is gone, even in the middle of an episode."""
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)


def _die_with(owner: int) -> None:
    """Have the kernel end this process with its owner: code that holds Python's lock hears of nothing."""
    if owner and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner:
            os._exit(0)


def _send(connection: Connection, message: tuple[int, Episode | Exception] | None) -> None:
    """Tell the parent, or leave at once if it is gone."""
    try:
        connection.send(message)
    except OSError:
        os._exit(0)


def main() -> None:
    """Serve until the connection closes. Arguments: its file descriptor, and the process not to outlive."""
    _die_with(int(sys.argv[2]))
    connection = Connection(int(sys.argv[1]))
    inbox: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    worker = _Worker(*inbox.get())
    _send(connection, None)  # from now on an episode may be late; starting Python does not count
    while True:
        ticket, actor, job = inbox.get()
        _send(connection, (ticket, worker.answer(actor, job)))


if __name__ == "__main__":
    main()
