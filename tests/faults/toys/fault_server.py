"""A process that has imported all of awac and forks: its children are ready to run in milliseconds.

It has one thread and has made no tensor, so what it forks is as good as a fresh interpreter.
Requests are lines of JSON on its stdin: [module, function, arguments] starts a child, a number waits for one.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path


def _serve():
    _import_everything()
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads must not be forked"
    for line in sys.stdin:
        request = json.loads(line)
        answer = _end_of(request) if isinstance(request, int) else _child(*request)
        print(answer, flush=True)


def _import_everything():
    from awaccli.envs.imports import silence_robotics_notice

    silence_robotics_notice()
    for name in ("collect_demos", "bc_rollout", "pretrain", "finetune", "evaluate"):
        importlib.import_module(f"awaccli.stages.{name}")
        importlib.import_module(f"awaccli.cli.{name}")
    for name in ("app", "makers"):
        importlib.import_module(f"awaccli.cli.{name}")
    # the last is what torch imports when the first optimiser is made
    for name in ("h5py", "zarr", "mujoco", "gymnasium_robotics", "torch._dynamo"):
        importlib.import_module(name)


def _end_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _child(module, function, arguments):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        getattr(importlib.import_module(module), function)(*arguments)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - whatever it was, the child must not serve
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
