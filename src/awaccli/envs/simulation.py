"""One environment behind plain NumPy: flat float32 observations, clipped actions, success per step."""

from __future__ import annotations

import contextlib
import math
from importlib import metadata
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import load_env_creator

from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.envs.hands import Hand, find_hand
from awaccli.envs.imports import closest, import_named
from awaccli.envs.mujoco_state import MujocoState, hear_mujoco, model_sha256
from awaccli.errors import AwacError, UsageError


class Step(NamedTuple):
    """What one environment step gave."""

    observation: np.ndarray
    """float32 [O]: after the action."""
    action: np.ndarray
    """float32 [A]: as executed."""
    reward: float
    success: bool
    terminated: bool
    truncated: bool
    """By the task's horizon or by the environment itself."""
    clipped: int
    """Entries of the action that were outside the box."""


class Simulation:
    """The environment of a task.

    Raises:
        UsageError: it cannot be made, or its spaces are not supported.
    """

    def __init__(self, task: TaskSpec) -> None:
        self._env = _make(task)
        inner: Any = self._env.unwrapped
        self._layout = _observation_layout(task, self._env.observation_space)
        self.observation_dim = sum(size for _, size in self._layout)
        self._keys = task.obs_keys
        self.low, self.high = _action_bounds(task, self._env.action_space)
        self.task = task.model_copy(update={"horizon": task.horizon or _registered_horizon(task)})
        """The task, with the horizon its package registered if it has none of its own."""
        has_model = hasattr(inner, "model") and hasattr(inner, "data") and hasattr(inner.model, "opt")
        self._model_sha256 = model_sha256(inner.model) if has_model else None
        self.state = MujocoState(inner, task.env_id) if has_model else None
        """The simulator's state, where the environment is a MuJoCo one."""
        self._steps = 0

    @property
    def env(self) -> gym.Env[Any, Any]:
        """The environment itself, for whoever draws it."""
        return self._env

    def facts(self) -> TaskFacts:
        """Return what there is to know about the task."""
        task = self.task
        hand = find_hand(task.env_id)
        return TaskFacts(
            spec=task,
            observation_dim=self.observation_dim,
            action_dim=len(self.low),
            observation_layout=self._layout,
            action_low=tuple(self.low.tolist()),
            action_high=tuple(self.high.tolist()),
            reward_kind="binary" if task.binary_reward else "dense",
            reward_range=(-1.0, 0.0) if task.binary_reward else None,
            success_rule=_success_rule(task, hand),
            held_steps=hand.held_steps if hand else 25,
            control_dt=_control_dt(self._env.unwrapped),
            versions=_versions(self._env.unwrapped),
            mjcf_sha256=self._model_sha256,
        )

    def reset(self, seed: int) -> np.ndarray:
        """Start an episode; return its first observation, float32 [O]."""
        self._steps = 0
        observation, _ = self._env.reset(seed=seed)
        return self._flat(observation)

    def step(self, action: np.ndarray) -> Step:
        """Execute an action, float [A], cast to float32 and clipped to the box."""
        wanted = action.astype(np.float32, copy=False)
        executed = np.maximum(wanted, self.low)
        np.minimum(executed, self.high, out=executed)
        observation, reward, terminated, truncated, info = self._env.step(executed)
        self._steps += 1
        horizon = self.task.horizon
        return Step(  # by position: names take as long again as all of it
            self._flat(observation),
            executed,
            float(reward),
            bool(info.get(self.task.success_key, False)),
            bool(terminated),
            bool(truncated) or (horizon is not None and self._steps >= horizon),
            _differing(wanted, executed),
        )

    def close(self) -> None:
        """Free the environment."""
        self._env.close()

    def _flat(self, observation: Any) -> np.ndarray:
        if self._keys is None:
            return np.array(observation, np.float32).reshape(-1)
        return np.concatenate([np.asarray(observation[key], np.float32).reshape(-1) for key in self._keys])


def _differing(wanted: np.ndarray, executed: np.ndarray) -> int:
    """Count the entries that differ; in almost every step none does, which their bytes say soonest."""
    same = wanted.tobytes() == executed.tobytes()
    return 0 if same else int(np.count_nonzero(wanted != executed))


def _make(task: TaskSpec) -> gym.Env[Any, Any]:
    if task.env_id is None:
        raise UsageError(
            f"task `{task.name}` was recorded without a simulator: there is no environment to step"
        )
    if task.module:
        import_named(task.module)
    try:
        if (spec := gym.registry.get(task.env_id)) and isinstance(spec.entry_point, str):
            load_env_creator(spec.entry_point)  # imports MuJoCo if the environment needs it
        hear_mujoco()
        # The horizon is counted here: wrappers that count and check cost time at every step.
        return gym.make(task.env_id, max_episode_steps=-1, disable_env_checker=True, **task.kwargs)
    except AwacError:
        raise
    except gym.error.NameNotFound as error:
        raise UsageError(
            f"task `{task.name}`: no environment `{task.env_id}` is registered",
            hint=closest(task.env_id, list(gym.registry)) or "write it `package:Id-v0` to import its package",
        ) from error
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise UsageError(f"task `{task.name}` needs a package that is missing: {error}") from error
    except (Exception, SystemExit) as error:  # foreign code: a constructor may raise anything
        given = f" with {task.kwargs}" if task.kwargs else ""
        raise UsageError(
            f"task `{task.name}`: cannot make `{task.env_id}`{given}: {type(error).__name__}: {error}",
            hint="check --env-kwargs" if task.kwargs else None,
        ) from error


def _registered_horizon(task: TaskSpec) -> int | None:
    spec = gym.registry.get(task.env_id or "")
    return spec.max_episode_steps if spec else None


def _observation_layout(task: TaskSpec, space: spaces.Space[Any]) -> tuple[tuple[str, int], ...]:
    """Return (key, size) of each part of the flat observation."""
    if isinstance(space, spaces.Dict):
        available = ", ".join(space.spaces)
        if not task.obs_keys:
            raise UsageError(
                f"task `{task.name}` has Dict observations: {available}",
                hint=f"choose what to use, e.g. --obs-keys {available.replace(' ', '')}",
            )
        for key in task.obs_keys:
            if key not in space.spaces:
                raise UsageError(
                    f"task `{task.name}` has no observation `{key}`",
                    hint=closest(key, list(space.spaces)) or f"its keys are {available}",
                )
        parts = {key: space.spaces[key] for key in task.obs_keys}
    elif task.obs_keys:
        raise UsageError(f"task `{task.name}` has one array as observation", hint="leave out --obs-keys")
    else:
        parts = {"observation": space}
    for key, part in parts.items():
        if not isinstance(part, spaces.Box) or len(part.shape) > 2:
            raise UsageError(
                f"task `{task.name}`: observation `{key}` is {part}",
                hint="vectors of numbers (Box spaces) are supported, images and discrete values are not",
            )
    return tuple((key, math.prod(part.shape or ())) for key, part in parts.items())


def _action_bounds(task: TaskSpec, space: spaces.Space[Any]) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise UsageError(
            f"task `{task.name}`: actions are {space}", hint="a Box of one dimension is supported"
        )
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise UsageError(
            f"task `{task.name}`: the action box is not finite: low {low.tolist()}, high {high.tolist()}",
            hint="wrap the environment in gymnasium.wrappers.RescaleAction and register that",
        )
    return low, high


def _success_rule(task: TaskSpec, hand: Hand | None) -> str:
    if hand:
        return hand.success_rule
    return f"`{task.success_key}` in the environment's info is true; steps without that entry are no success"


def _control_dt(env: Any) -> float | None:
    dt = getattr(env, "dt", None)
    return float(dt) if isinstance(dt, int | float) else None


def _versions(env: Any) -> dict[str, str]:
    """Return the versions of the packages that the environment's classes come from."""
    packages = {cls.__module__.partition(".")[0] for cls in type(env).__mro__} - {"awaccli"}
    if hasattr(env, "model"):
        packages.add("mujoco")
    versions = {}
    for package in sorted(packages):
        with contextlib.suppress(metadata.PackageNotFoundError):
            name = package.replace("_", "-")
            versions[name] = metadata.version(name)
    return versions


def describe(task: TaskSpec) -> TaskFacts:
    """Return what the task's environment says of itself.

    Raises:
        UsageError: it cannot be made here.
    """
    simulation = Simulation(task)
    try:
        return simulation.facts()
    finally:
        simulation.close()
