"""Whether a task that came in a file is made into an environment: making one can run code.

A task that the user names is trusted, as is a module that the user imports. One that came in a dataset or a
checkpoint was named by whoever made the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gymnasium.envs.registration import EnvSpec, registry

from awaccli.config.task import TaskSpec
from awaccli.envs.imports import INSTALLED_MODULES, import_named
from awaccli.errors import InputError

_PACKAGES = frozenset(module.partition(".")[0] for module in INSTALLED_MODULES)
_WORD = re.compile(r"[A-Za-z0-9_ -]*")
"""A text that is neither a path nor the name of a module."""


def require_trusted(task: TaskSpec, origin: Path, *, trust_env: bool) -> None:
    """Refuse a task whose environment could run or read what its author chose.

    Free of doubt are the environments of awac, gymnasium and gymnasium_robotics, as they are registered, with
    numbers and plain words as arguments. Nothing else is imported to find out.

    Args:
        task: as the file describes it.
        origin: the file.
        trust_env: the user trusts whoever made it.

    Raises:
        InputError: there is doubt, and no trust.
    """
    doubt = None if trust_env or task.env_id is None else _doubt(task, task.env_id)
    if doubt:
        raise InputError(
            f"`{origin}` describes the task `{task.name}`, {doubt}: making it could run that author's code",
            hint="if you trust who made it: --trust-env, in Python Execution(trust_env=True)",
        )


def _doubt(task: TaskSpec, env_id: str) -> str | None:
    """Return what speaks against a task, as the end of a sentence."""
    if task.module is not None and task.module not in INSTALLED_MODULES:
        return f"whose environment `{env_id}` is in the module `{task.module}`"
    if ":" in env_id:
        return f"whose environment `{env_id}` names a module"
    for name, value in task.kwargs.items():
        if not _is_harmless(value):
            return f"whose argument {name}={value!r} could name a file or a module"
    if task.module is not None:
        import_named(task.module)
    found = registry.get(env_id)
    if found is None:
        return f"whose environment `{env_id}` no package that awac knows has registered"
    package = _package(found)
    return None if package in _PACKAGES else f"whose environment `{env_id}` is made by `{package}`"


def _is_harmless(value: Any) -> bool:
    match value:
        case str():
            return _WORD.fullmatch(value) is not None
        case list() | tuple():
            return all(map(_is_harmless, value))
        case dict():
            return all(map(_is_harmless, [*value.keys(), *value.values()]))
        case _:
            return True


def _package(spec: EnvSpec) -> str:
    """Return the package that an environment's constructor comes from."""
    made_by = spec.entry_point
    module = made_by if isinstance(made_by, str) else getattr(made_by, "__module__", "")
    return module.partition(":")[0].partition(".")[0]
