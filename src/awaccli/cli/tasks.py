"""``awac tasks``."""

from __future__ import annotations

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, table


def tasks(as_json: opt.Json = False) -> None:
    """List the tasks with a short name.

    Any other Gymnasium id works too: `package:Id-v0` imports the package that registers it.

    Example: awac tasks
    """
    from dataclasses import asdict

    from awaccli.envs.registry import list_tasks

    known = list_tasks()
    if as_json:
        emit_json({"schema_version": 1, "tasks": [asdict(task) for task in known]})
        return
    rows = [
        [task.name, task.env_id, str(task.horizon), "yes" if task.has_expert else "", task.about]
        for task in known
    ]
    emit(table(rows, ["task", "id", "horizon", "expert", "what it is"]))
