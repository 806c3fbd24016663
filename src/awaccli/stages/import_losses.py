"""What an import guessed, changed or could not know, in sentences with numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from awaccli.config.task import TaskFacts
from awaccli.data.evaluation import SuccessRates
from awaccli.data.formats import Foreign
from awaccli.stages.import_episode import RECORDED, Rules
from awaccli.stages.import_survey import Survey

Judged = Literal["task", "recorded", "assumed", "reward", "unknown"]
"""Who says what success is."""
Box = Literal["declared", "unit", "recorded"]
"""Where the action box comes from: task or file, [-1, 1] because all actions lie inside, or the actions."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was decided about a file once all of it had been seen."""

    facts: TaskFacts
    rules: Rules
    judged: Judged
    box: Box
    simulated: bool
    """The task has an environment."""


def import_losses(foreign: Foreign, survey: Survey, made: Decisions) -> tuple[str, ...]:
    """Return the loss report of an import."""
    return (
        *foreign.losses,
        *_structure(survey),
        *_ends(survey, made),
        *_actions(survey, made),
        *_rewards(survey, made),
        *_success(survey, made),
        *_horizon(survey),
        *_identity(foreign, survey, made),
    )


def _structure(survey: Survey) -> Iterator[str]:
    if survey.too_short:
        yield f"{survey.too_short} recordings without a complete transition are left out."
    if survey.without_last:
        yield (
            f"The observation after the last action is not recorded in {survey.without_last} of "
            f"{survey.n_episodes} episodes: the last transition of each is left out."
        )
    if survey.lost_terminations:
        yield (
            f"{survey.lost_terminations} of these were terminations: their last reward is lost, and they "
            "count as segments."
        )
    if survey.left_out:
        yield f"Not stored, as no numbers of one row per step: {', '.join(sorted(survey.left_out))}."
    everywhere = survey.everywhere(survey.infos) | survey.everywhere(survey.sim)
    if partial := (survey.infos.keys() | survey.sim.keys()) - everywhere:
        yield f"Not stored, as only some episodes have them: {', '.join(sorted(partial))}."
    if survey.wide:
        yield f"Recorded in 64 bits, stored as float32: {', '.join(sorted(survey.wide))}."
    if survey.repeated:
        yield f"{survey.repeated} of {survey.n_episodes} episodes repeat an earlier one: `awac data dedupe`."


def _ends(survey: Survey, made: Decisions) -> Iterator[str]:
    if survey.unknown_ends:
        yield (
            f"Why {survey.unknown_ends} of {survey.n_episodes} episodes ended is not recorded: they count as "
            "truncated, for an unknown reason."
        )
    if survey.without_seed and made.simulated:
        yield f"{survey.without_seed} of {survey.n_episodes} episodes have no seed of a reset."


def _actions(survey: Survey, made: Decisions) -> Iterator[str]:
    if made.box == "unit":
        yield "The action box is not recorded: [-1, 1] is taken, all actions lie inside."
    if made.box == "recorded":
        yield "The action box is not recorded: the smallest and largest action of each dimension are taken."
    if survey.clipped and survey.action_low is not None and survey.action_high is not None:
        entries = survey.n_steps * made.facts.action_dim
        largest = float(np.abs(np.stack([survey.action_low, survey.action_high])).max())
        yield (
            f"{survey.clipped} of {entries} action entries ({survey.clipped / entries:.1%}) lay outside the "
            f"box and were clipped, in {survey.clipped_episodes} of {survey.n_episodes} episodes; the "
            f"largest was {largest:.2f}."
        )


def _rewards(survey: Survey, made: Decisions) -> Iterator[str]:
    recorded = f"from {survey.reward_low:g} to {survey.reward_high:g}"
    if made.rules.binary and survey.rewarded and not survey.rewards_agree:
        yield f"Recorded rewards, {recorded}, moved to infos/{RECORDED}: the reward is the task's, 0 or -1."
    elif made.rules.binary and not survey.rewarded:
        yield "No rewards are recorded: the reward is the task's, 0 or -1."
    elif not made.rules.binary and not survey.rewarded:
        yield "No rewards are recorded: the reward is 0 on success and -1 otherwise."
    elif not made.rules.binary and made.simulated:
        yield f"Rewards are as recorded, {recorded}: whether today's environment gives them is not checked."


def _success(survey: Survey, made: Decisions) -> Iterator[str]:
    count = survey.n_episodes
    match made.judged:
        case "task" if survey.judged:
            yield f"Success is computed by the task's rule, not as {survey.judged} of {count} recordings say."
        case "task":
            yield f"Success is not recorded: it is computed by the task's rule ({made.facts.success_rule})."
        case "recorded" if survey.judged < count:
            yield f"{count - survey.judged} of {count} recordings do not say what succeeded: nothing counts."
        case "assumed":
            yield f"Success is not recorded: all {count} episodes are taken to succeed at their last step."
        case "reward":
            yield "Success is not recorded: a reward of 0 is taken for it, all others are -1."
        case "unknown":
            yield "Success is not recorded: every step counts as a failure."


def _horizon(survey: Survey) -> Iterator[str]:
    if not survey.longer:
        return
    yield (
        f"{len(survey.longer)} of {survey.n_episodes} episodes are longer than the horizon of "
        f"{survey.horizon} steps ({min(survey.longer)} to {max(survey.longer)}): they are kept whole."
    )
    count = survey.n_episodes
    within, full = (_counts(survey.rates(full_length=full), count) for full in (False, True))
    yield (
        f"Of {count} episodes, {within[0]} reach the goal within {survey.horizon} steps and {within[1]} hold "
        f"it for more than {survey.held_steps} steps; at full length {full[0]} and {full[1]}."
    )


def _counts(rates: SuccessRates, count: int) -> tuple[int, int]:
    return round(rates.any.rate * count), round(rates.held.rate * count)


def _identity(foreign: Foreign, survey: Survey, made: Decisions) -> Iterator[str]:
    env_id = made.facts.spec.env_id
    if foreign.env_id and env_id and foreign.env_id != env_id:
        yield (
            f"Recorded in `{foreign.env_id}`, imported as `{env_id}`: the physics of the two may differ, and "
            "package versions are those of today."
        )
    if foreign.env_id and not env_id:
        yield f"Recorded in `{foreign.env_id}`, imported without an environment: --task gives it one."
    if survey.rewarded and made.facts.reward_kind == "dense" and not made.simulated and made.rules.judge:
        yield "The recorded reward is kept, which no environment of this task gives: it names none."
