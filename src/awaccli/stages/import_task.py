"""Which task a foreign file's episodes are of, and the rules that make them: decided once for all formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from awaccli.config.json_value import first_problem
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.data.formats import Foreign, ForeignEpisode
from awaccli.data.import_settings import ImportSettings
from awaccli.envs.hands import find_hand
from awaccli.errors import InputError, UsageError
from awaccli.stages.import_episode import Rules, flat_observations, vector_parts
from awaccli.stages.import_losses import Box, Decisions, Judged
from awaccli.stages.import_survey import Survey

Layout = tuple[tuple[str, int], ...]
"""(key, size) of each part of an observation."""


def first_rules(
    foreign: Foreign, settings: ImportSettings, task: TaskFacts | None, first: ForeignEpisode, where: str
) -> tuple[Rules, Layout]:
    """Return what can be known before the file has been gone through, and the parts of the observation."""
    keys = (task.spec.obs_keys if task else settings.obs_keys) or vector_parts(first.observations)
    parts = keys if isinstance(first.observations, Mapping) else None
    sizes = [(key, flat_observations(first.observations, (key,), where).shape[1]) for key in parts or ()]
    layout = tuple(sizes) or (("observation", flat_observations(first.observations, None, where).shape[1]),)
    hand = find_hand(task.spec.env_id) if task else None
    low, high = _box(foreign, task, first.actions.reshape(len(first.actions), -1).shape[1])
    rules = Rules(
        parts=parts,
        low=low,
        high=high,
        judge=hand.success if hand else None,
        binary=bool(task and task.spec.binary_reward and not settings.keep_reward),
        keep_recorded=False,
        success_at_end=settings.success_at_end,
        sources=settings.source is None,
        observation_dim=task.observation_dim if task else sum(size for _, size in layout),
        action_dim=task.action_dim if task else first.actions.reshape(len(first.actions), -1).shape[1],
    )
    return rules, layout


def _box(foreign: Foreign, task: TaskFacts | None, size: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the action box of the task or the file, float32 [A] each, or None without a finite one."""
    if task:
        return np.array(task.action_low, np.float32), np.array(task.action_high, np.float32)
    if foreign.action_low is None or foreign.action_high is None:
        return None, None
    bounds = [np.array(bound, np.float32).reshape(-1) for bound in (foreign.action_low, foreign.action_high)]
    if any(len(bound) not in (1, size) for bound in bounds):
        raise InputError(
            f"`{foreign.path}`: {len(bounds[0])} and {len(bounds[1])} bounds do not fit {size} actions",
            hint="expected one number, or one for each action",
        )
    low, high = (np.broadcast_to(bound, size) for bound in bounds)
    if (low > high).any():
        raise InputError(f"`{foreign.path}`: a lower bound of actions exceeds the upper one")
    return (low, high) if np.isfinite(low).all() and np.isfinite(high).all() else (None, None)


def decisions(
    foreign: Foreign,
    settings: ImportSettings,
    task: TaskFacts | None,
    rules: Rules,
    layout: Layout,
    survey: Survey,
) -> Decisions:
    """Return the task, and the rules that make its episodes, once the whole file has been seen.

    Raises:
        InputError: rewards lie outside the range that the file declares.
        UsageError: only the task's simulator could tell the rewards.
    """
    assert survey.action_low is not None
    assert survey.action_high is not None
    box: Box = "declared"
    low, high = rules.low, rules.high
    if low is None or high is None:
        inside = survey.action_low.min() >= -1 and survey.action_high.max() <= 1
        box = "unit" if inside else "recorded"
        low, high = survey.action_low.astype(np.float32), survey.action_high.astype(np.float32)
        low, high = (np.full_like(low, -1), np.full_like(high, 1)) if inside else (low, high)
    judged = _judged(rules, survey)
    facts = _own_facts(foreign, settings, layout, survey, judged, low, high) if task is None else task
    if task and not task.spec.binary_reward and not survey.rewarded:
        raise UsageError(
            f"`{foreign.path}` has no rewards, and only the simulator of `{task.spec.name}` could tell them",
            hint="leave out --task",
        )
    if task and task.spec.binary_reward and settings.keep_reward:
        facts = _without_environment(task, survey)
    final = replace(
        rules,
        low=low,
        high=high,
        keep_recorded=not survey.rewards_agree,
        success_by_reward=judged == "reward",
        infos=survey.everywhere(survey.infos),
        sim=survey.everywhere(survey.sim),
    )
    return Decisions(facts, final, judged, box, simulated=facts.spec.env_id is not None)


def _judged(rules: Rules, survey: Survey) -> Judged:
    if rules.judge:
        return "task"
    if survey.judged:
        return "recorded"
    if rules.success_at_end:
        return "assumed"
    return "reward" if survey.rewarded and survey.binary else "unknown"


def _own_facts(
    foreign: Foreign,
    settings: ImportSettings,
    layout: Layout,
    survey: Survey,
    judged: Judged,
    low: np.ndarray,
    high: np.ndarray,
) -> TaskFacts:
    """Return the task of a robot that has no environment here."""
    kind = _reward_kind(survey)
    span = foreign.reward_range or ((-1.0, 0.0) if kind == "binary" else None)
    if span and survey.rewarded and not span[0] <= survey.reward_low <= survey.reward_high <= span[1]:
        raise InputError(
            f"`{foreign.path}` has rewards from {survey.reward_low:g} to {survey.reward_high:g}, "
            f"declared are {span[0]:g} to {span[1]:g}",
            hint="correct reward_range, or leave it out",
        )
    rule = {
        "assumed": "assumed: the last step of every episode",
        "reward": "a reward of 0",
        "unknown": "unknown: no step counts as success",
    }.get(judged, foreign.success_rule or "as recorded")
    return TaskFacts(
        spec=_spec(
            name=settings.name or foreign.name or foreign.env_id or "recording",
            horizon=survey.horizon,
            binary_reward=kind == "binary",
        ),
        observation_dim=sum(size for _, size in layout),
        action_dim=len(low),
        observation_layout=layout,
        action_low=tuple(low.tolist()),
        action_high=tuple(high.tolist()),
        reward_kind=kind,
        reward_range=span,
        success_rule=rule,
        held_steps=survey.held_steps,
        control_dt=foreign.control_dt,
    )


def _spec(**values: Any) -> TaskSpec:
    try:
        return TaskSpec(**values)
    except ValidationError as error:
        raise UsageError(
            f"the task cannot be described: {first_problem(error)}", hint="see --name"
        ) from error


def _reward_kind(survey: Survey) -> str:
    return "binary" if survey.binary else "dense"


def _without_environment(task: TaskFacts, survey: Survey) -> TaskFacts:
    """Return a task that has a recorded reward in place of its own: no environment of it gives that."""
    kind = _reward_kind(survey)
    spec = task.spec.model_copy(
        update={"env_id": None, "module": None, "kwargs": {}, "binary_reward": kind == "binary"}
    )
    changes = {"spec": spec, "reward_kind": kind, "reward_range": None, "versions": {}, "mjcf_sha256": None}
    return task.model_copy(update=changes)
