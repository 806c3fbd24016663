"""One recording as an episode of a task: what every import does, whatever the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from awaccli.data.formats import ForeignEpisode
from awaccli.data.schema import field_name
from awaccli.episode import EndReason, Episode
from awaccli.errors import InputError, UsageError

RECORDED = "reward_recorded"
"""The further column that a recorded reward moves to where the task has its own."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes episodes of one task of recordings."""

    parts: tuple[str, ...] | None = None
    """Keys of Dict observations, in order; None: the recording has one array."""
    low: np.ndarray | None = None
    """float32 [A]: actions below are clipped; None: bounds are not known yet."""
    high: np.ndarray | None = None
    judge: Callable[[np.ndarray], np.ndarray] | None = None
    """The task's own rule of success: ``next_observations [T, O] -> bool [T]``."""
    binary: bool = False
    """The reward is the task's, 0 on success and -1 otherwise; a recorded one moves aside."""
    keep_recorded: bool = True
    """False: a recorded reward is the task's anyway, and needs no column of its own."""
    success_by_reward: bool = True
    """Where nothing else says it: a reward of 0 is success, if all rewards are 0 or -1."""
    success_at_end: bool = False
    """Where nothing else says it: every episode ends in success."""
    infos: frozenset[str] | None = None
    """Further columns that every recording has; None: not known yet, keep all."""
    sim: frozenset[str] | None = None
    sources: bool = True
    """False: who acted is known better than the recording knows."""
    observation_dim: int | None = None
    """None: not known yet."""
    action_dim: int | None = None


def episode_of(recording: ForeignEpisode, rules: Rules, where: str) -> Episode | None:
    """Return the episode, or None where a single action without an outcome is all there is.

    The transition after which no observation is recorded is dropped.

    Raises:
        InputError: arrays do not fit each other; ``where`` names file and episode.
        UsageError: there is no reward, and no rule that gives one.
    """
    wanted = _matrix(recording.actions, "actions", where, size=rules.action_dim)
    observations = flat_observations(recording.observations, rules.parts, where)
    _require_size(observations, "observations", where, rules.observation_dim)
    steps = len(observations) - 1
    if steps not in (len(wanted), len(wanted) - 1):
        raise InputError(
            f"{where}: {len(observations)} observations do not fit {len(wanted)} actions",
            hint="expected as many, or one more: that after the last action",
        )
    if steps < 1:
        return None
    actions = wanted[:steps]
    if rules.low is not None and rules.high is not None:
        actions = np.minimum(np.maximum(actions, rules.low), rules.high)
    recorded = _column(recording.rewards, "rewards", len(wanted), where)
    success = _success(recording, rules, observations[1:], where)
    terminated, reason = _ending(recording, complete=steps == len(wanted))
    return Episode(
        observations=observations,
        actions=actions,
        rewards=_rewards(rules, recorded, success, steps, where),
        success=np.zeros(steps, bool) if success is None else success,
        terminated=terminated,
        truncated=bool(recording.truncated) or not terminated,
        end_reason=reason,
        seed=_seed(recording.seed, where),
        source=recording.source if rules.sources else 0,
        infos=_infos(recording, rules, recorded, steps, where),
        sim={
            name: np.array(recording.sim[name][: steps + 1], np.float64)
            for name in states_of(recording)
            if rules.sim is None or name in rules.sim
        },
        sim_init=None if recording.sim_init is None else np.array(recording.sim_init, np.float64),
        model={name: np.array(values, np.float64).reshape(-1) for name, values in recording.model.items()},
        clipped=int(np.count_nonzero(actions != wanted[:steps])),
    )


def vector_parts(observations: np.ndarray | Mapping[str, np.ndarray]) -> tuple[str, ...] | None:
    """Return the keys of a Dict observation whose values are vectors of numbers; None for one array."""
    if not isinstance(observations, Mapping):
        return None
    return tuple(key for key, part in observations.items() if part.ndim <= 2 and part.dtype.kind in "biuf")


def flat_observations(
    observations: np.ndarray | Mapping[str, np.ndarray], parts: tuple[str, ...] | None, where: str
) -> np.ndarray:
    """Return observations, float32 [T, O] or [T+1, O], the named parts side by side."""
    if not isinstance(observations, Mapping):
        return _matrix(observations, "observations", where)
    keys = parts or ()
    for key in keys:
        if key not in observations:
            raise InputError(
                f"{where} has no observation `{key}`",
                hint=f"it has {', '.join(observations)}; choose with --obs-keys",
            )
    if not keys:
        raise UsageError(
            f"{where} has the observations {', '.join(observations)}", hint="choose some: --obs-keys a,b"
        )
    found = [_matrix(observations[key], f"observation `{key}`", where) for key in keys]
    if len({len(part) for part in found}) > 1:
        counts = ", ".join(f"{len(part)} of {key}" for key, part in zip(keys, found, strict=True))
        raise InputError(f"{where} has {counts}", hint="all parts of an observation are recorded together")
    return np.concatenate(found, axis=1)


def states_of(recording: ForeignEpisode) -> set[str]:
    """Return the simulator states that are recorded for every observation."""
    observations = recording.observations
    rows = len(next(iter(observations.values())) if isinstance(observations, Mapping) else observations)
    return {name for name, states in recording.sim.items() if len(states) >= rows}


def storable(name: str, column: np.ndarray, steps: int) -> bool:
    """Return whether a further column can be stored: numbers, one row per step, a name for a path."""
    try:
        field_name(f"steps/infos/{name}")
    except ValueError:
        return False
    known = column.dtype.kind in "biu" or (column.dtype.kind == "f" and column.dtype.itemsize <= 8)
    return known and len(column) == steps


def _matrix(array: np.ndarray, what: str, where: str, *, size: int | None = None) -> np.ndarray:
    """Return rows of numbers, float32 [n, k]."""
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
        raise InputError(
            f"{where}: {what} are {array.dtype} of shape {list(array.shape)}",
            hint="vectors of numbers are supported, images are not: choose parts with --obs-keys",
        )
    with np.errstate(
        over="ignore"
    ):  # what does not fit float32 becomes infinite, and is refused with its place
        rows = np.array(array.reshape(len(array), -1) if array.size else array, np.float32, ndmin=2)
    _require_size(rows, what, where, size)
    return rows


def _require_size(rows: np.ndarray, what: str, where: str, size: int | None) -> None:
    if size is not None and rows.shape[1] != size:
        raise InputError(
            f"{where}: {what} have {rows.shape[1]} numbers, expected {size}",
            hint="another --task, or other --obs-keys",
        )


def _column(array: np.ndarray | None, what: str, steps: int, where: str) -> np.ndarray | None:
    if array is None:
        return None
    if array.size != steps or array.dtype.kind not in "biuf":
        raise InputError(
            f"{where}: {what} are {array.dtype} of shape {list(array.shape)}, there are {steps} actions",
            hint="expected one number per action",
        )
    return array.reshape(steps)


def _success(
    recording: ForeignEpisode, rules: Rules, next_observations: np.ndarray, where: str
) -> np.ndarray | None:
    """Return bool [T], or None where nobody knows."""
    steps = len(next_observations)
    if rules.judge is not None:
        return rules.judge(next_observations)
    recorded = _column(recording.success, "flags of success", len(recording.actions), where)
    if recorded is not None:
        return np.asarray(recorded[:steps], bool)
    if rules.success_at_end:
        return np.asarray(np.arange(steps) == steps - 1)
    if rules.success_by_reward and recording.rewards is not None and is_binary(recording.rewards):
        return np.asarray(recording.rewards.reshape(-1)[:steps] == 0)
    return None


def is_binary(rewards: np.ndarray) -> bool:
    """Return whether all rewards are 0 or -1."""
    return bool(((rewards == 0) | (rewards == -1)).all())


def _rewards(
    rules: Rules, recorded: np.ndarray | None, success: np.ndarray | None, steps: int, where: str
) -> np.ndarray:
    if recorded is not None and not rules.binary:
        with np.errstate(over="ignore"):
            return np.array(recorded[:steps], np.float32)
    if success is None:
        raise UsageError(
            f"{where} has neither rewards nor success",
            hint="give a rule: by --task, in a --map, or --success-at-end if all episodes succeed",
        )
    return success.astype(np.float32) - np.float32(1)


def _infos(
    recording: ForeignEpisode, rules: Rules, recorded: np.ndarray | None, steps: int, where: str
) -> dict[str, np.ndarray]:
    total = len(recording.actions)
    infos: dict[str, Any] = {
        name: np.array(column[:steps])
        for name, column in recording.infos.items()
        if storable(name, column, total) and (rules.infos is None or name in rules.infos)
    }
    if recorded is not None and rules.binary and rules.keep_recorded:
        if RECORDED in infos:
            raise InputError(
                f"{where} has rewards and a column `{RECORDED}`",
                hint="it was imported once: import the original, or name another --task",
            )
        infos[RECORDED] = np.array(recorded[:steps])
    return infos


def _ending(recording: ForeignEpisode, *, complete: bool) -> tuple[bool, EndReason]:
    """Return whether the task ended the episode, and why it ended; without its last step, it did not."""
    if recording.terminated:
        return complete, EndReason.TERMINATED if complete else EndReason.SEGMENT
    reason = recording.end_reason
    return False, EndReason.UNKNOWN if reason is EndReason.TERMINATED else reason


def _seed(seed: int | None, where: str) -> int | None:
    if seed is not None and not 0 <= seed < 1 << 64:
        raise InputError(f"{where} has the seed {seed}", hint="expected 0 to 2^64 - 1")
    return seed
