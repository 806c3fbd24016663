"""From what the user calls a task to a `TaskSpec`, without loading a simulator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gymnasium.envs.registration import registry

from awaccli.config.task import TaskSpec
from awaccli.envs.experts import find_expert
from awaccli.envs.hands import HANDS, HORIZON
from awaccli.envs.imports import closest, import_named
from awaccli.errors import UsageError


@dataclass(frozen=True)
class ListedTask:
    """A task with a short name, as `awac tasks` shows it."""

    name: str
    env_id: str
    about: str
    """What has to be done."""
    horizon: int
    """Steps of an episode."""
    has_expert: bool
    """A built-in expert can make demonstrations."""


def _hand_specs() -> dict[str, tuple[TaskSpec, str]]:
    specs = {
        hand.name: (
            TaskSpec(
                name=hand.name,
                env_id=hand.env_id,
                module="awaccli.envs",
                horizon=HORIZON,
                binary_reward=True,
            ),
            hand.about,
        )
        for hand in HANDS
    }
    pen, about = specs["pen"]
    specs["pen-100"] = (
        pen.model_copy(update={"name": "pen-100", "horizon": 100}),
        f"{about}, in half the time",
    )
    return specs


_GYMNASIUM = {
    "half-cheetah": ("HalfCheetah-v5", 1000, "run forward on two legs, in a plane"),
    "walker2d": ("Walker2d-v5", 1000, "walk forward on two legs, in a plane"),
    "ant": ("Ant-v5", 1000, "run forward on four legs"),
    "hopper": ("Hopper-v5", 1000, "hop forward on one leg, in a plane"),
    "pendulum": ("Pendulum-v1", 200, "swing a pendulum up and hold it"),
}
_TASKS: dict[str, tuple[TaskSpec, str]] = {
    **_hand_specs(),
    **{
        name: (TaskSpec(name=name, env_id=env_id, horizon=horizon), about)
        for name, (env_id, horizon, about) in _GYMNASIUM.items()
    },
}


def list_tasks() -> list[ListedTask]:
    """Return the tasks that have short names."""
    return [
        ListedTask(
            name, str(spec.env_id), about, spec.horizon or 0, has_expert=find_expert(spec.env_id) is not None
        )
        for name, (spec, about) in _TASKS.items()
    ]


def resolve_task(
    text: str,
    *,
    kwargs: Mapping[str, Any] | None = None,
    horizon: int | None = None,
    obs_keys: tuple[str, ...] | None = None,
    success_key: str | None = None,
) -> TaskSpec:
    """Return the task that ``text`` names.

    Args:
        text: a short name, a registered Gymnasium id, or ``package:Id-v0``.
        kwargs: keyword arguments of the environment; ``max_episode_steps`` among them sets the horizon.
        horizon: steps of an episode, instead of the task's own.
        obs_keys: keys of a Dict observation to use, in this order.
        success_key: entry of ``info`` that says the goal is met.

    Raises:
        UsageError: unknown, or its package does not import.
    """
    spec = _named(text)
    arguments = {**spec.kwargs, **(kwargs or {})}
    from_kwargs = arguments.pop("max_episode_steps", spec.horizon)
    horizon = from_kwargs if horizon is None else horizon
    if horizon is not None and (not isinstance(horizon, int) or horizon < 1):
        raise UsageError(
            f"horizon of task `{spec.name}` is {horizon!r}", hint="expected a whole number of steps, >= 1"
        )
    changes = {
        "kwargs": arguments,
        "horizon": horizon,
        "obs_keys": obs_keys or spec.obs_keys,
        "success_key": success_key or spec.success_key,
    }
    return spec.model_copy(update=changes)


def task_text(spec: TaskSpec) -> str | None:
    """Return the text that ``resolve_task`` makes ``spec`` from, its other arguments aside, or None.

    Imports nothing: a recorded task may name any package.
    """
    env_id = spec.env_id or ""
    given = spec.model_dump(include={"kwargs", "horizon", "obs_keys", "success_key"})
    if spec.name in _TASKS and _TASKS[spec.name][0].model_copy(update=given) == spec:
        return spec.name
    other = TaskSpec(name=_file_name(env_id), env_id=spec.env_id, module=spec.module, **given)
    if spec.env_id is None or other != spec:
        return None
    return f"{spec.module}:{env_id}" if spec.module else env_id


def _named(text: str) -> TaskSpec:
    if text in _TASKS:
        return _TASKS[text][0]
    module, _, env_id = text.rpartition(":")
    for spec, _about in _TASKS.values():
        if spec.env_id == env_id and module in {"", spec.module}:
            return spec
    if module:
        import_named(module)
    if env_id not in registry:
        raise UsageError(
            f"unknown task `{text}`",
            hint=closest(text, [*_TASKS, *(f"{module}:{known}" if module else known for known in registry)])
            or "`awac tasks` lists short names; environments of other packages are written `package:Id-v0`",
        )
    return TaskSpec(name=_file_name(env_id), env_id=env_id, module=module or None)


def _file_name(env_id: str) -> str:
    """Return ``half-cheetah`` for ``namespace/HalfCheetah-v5``."""
    bare = re.sub(r"-v\d+$", "", env_id.rpartition("/")[2])
    dashed = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", bare)
    return re.sub(r"[^a-z0-9-]+", "-", dashed.lower()).strip("-") or "task"
