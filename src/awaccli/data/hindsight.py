"""Hindsight: what an episode did reach becomes the goal it was after.

Every relabelled pass over an episode cuts it into segments, and the goal of a segment is what is achieved at
its end. The first segment ends at a step drawn uniformly from all that follow, the next one begins there, and
so on to the end of the episode. Whatever the step, the end of its segment is then uniform over the steps
after it: the distribution that hindsight experience replay ("future") draws for single transitions. But the
pieces are episodes, so n-step targets and returns are right too.

Source: Andrychowicz et al., Hindsight Experience Replay, arXiv:1707.01495, section 4.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from awaccli.config.task import TaskFacts
from awaccli.data.dataset import Dataset
from awaccli.data.derivation import Derivation
from awaccli.data.progress import watched
from awaccli.episode import EndReason, Episode
from awaccli.errors import DatasetError, UsageError
from awaccli.protocols import SILENT, Reporter
from awaccli.seeding import stream

ACHIEVED, DESIRED = ("achieved_goal",), ("desired_goal",)
_TOLERANCE = 1e-4
_MOST_WRONG = 0.01
"""Share of recorded rewards that may differ from the rule's: rounded observations can change a few."""


@dataclass(frozen=True, slots=True)
class GoalRule:
    """Reward and success of steps that reached ``achieved`` where ``desired`` was the goal."""

    of: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    """``(achieved float64 [T, G], desired float64 [T, G]) -> (rewards float32 [T], success bool [T])``."""
    words: str
    """What counts as success, for a reader."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What enters the recipe."""


def goal_within(threshold: float) -> GoalRule:
    """Return the rule: reward 0 and success closer than ``threshold`` to the goal, else -1.

    Raises:
        UsageError: it is not positive.
    """
    if not threshold > 0:
        raise UsageError(f"--goal-threshold {threshold}", hint="expected a positive distance")

    def of(achieved: np.ndarray, desired: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        success = np.linalg.norm(achieved - desired, axis=-1) < threshold
        return success.astype(np.float32) - 1, success

    return GoalRule(of, f"within {threshold:g} of the goal", {"threshold": threshold})


def with_hindsight(
    dataset: Dataset,
    rule: GoalRule,
    *,
    passes: int = 4,
    achieved: Sequence[str] = ACHIEVED,
    desired: Sequence[str] = DESIRED,
    seed: int = 0,
    report: Reporter = SILENT,
) -> Derivation:
    """Return the episodes as they are, then ``passes`` relabelled passes over each, as segments.

    A segment is an episode of its own: truncated, end reason SEGMENT, no seed, and a simulator state at the
    start of NaN where datasets have one, since nobody can restart it. Its source is "hindsight of" the
    episode's, and it is in the same splits.

    Args:
        dataset: observations must have the parts that are named.
        rule: how reward and success follow from a goal.
        passes: relabelled transitions per recorded one, at least 1.
        achieved: parts of the observation that say what is achieved, in order.
        desired: parts that hold the goal.
        seed: of the ends of the segments.
        report: whom to tell how far the check of the rule is.

    Raises:
        UsageError: no such parts, or of different sizes.
        DatasetError: recorded rewards are not those of the rule: the pieces would contradict them.
    """
    if passes < 1:
        raise UsageError(f"--hindsight future:{passes}", hint="expected at least 1")
    goals = _Goals.of(dataset.task, achieved, desired)
    n_sources = len(dataset.header.sources)

    def episodes() -> Iterator[Episode]:
        yield from dataset
        for index, episode in enumerate(dataset):
            for start, stop in _segments(dataset, index, passes, seed):
                piece = goals.reached(episode, start, stop, rule)
                yield replace(piece, source=episode.source + n_sources)

    header = dataset.header
    hindsight = [len(_segments(dataset, index, passes, seed)) for index in range(len(dataset))]
    sources = tuple(
        source.model_copy(update={"name": f"hindsight of {source.name}"}) for source in header.sources
    )
    settings = {
        "hindsight": passes,
        "achieved": list(achieved),
        "desired": list(desired),
        "rule": dict(rule.settings),
    }
    return Derivation(
        "relabel",
        (dataset,),
        settings,
        header.model_copy(
            update={"sources": header.sources + sources, "splits": _splits(header.splits, hindsight)}
        ),
        total=len(dataset) + sum(hindsight),
        episodes=episodes,
        seed=seed,
        is_new=True,
        notes=(f"{sum(hindsight)} segments of {passes * dataset.n_steps} steps beside the recorded ones",),
        warnings=_require_rule(dataset, goals, rule, report),
    )


@dataclass(frozen=True, slots=True)
class _Goals:
    """Where the goals are in the observation."""

    achieved: np.ndarray
    """int [G]: columns."""
    desired: np.ndarray

    @classmethod
    def of(cls, task: TaskFacts, achieved: Sequence[str], desired: Sequence[str]) -> _Goals:
        goals = cls(_columns(task, achieved), _columns(task, desired))
        if len(goals.achieved) != len(goals.desired):
            raise UsageError(
                f"{','.join(achieved)} has {len(goals.achieved)} numbers, "
                f"{','.join(desired)} has {len(goals.desired)}",
                hint="a goal is compared with what is achieved: name parts of equal sizes",
            )
        return goals

    def judged(self, episode: Episode, rule: GoalRule) -> tuple[np.ndarray, np.ndarray]:
        """Return rewards and success of an episode by a rule."""
        after = episode.observations[1:]
        return rule.of(*(after[:, columns].astype(np.float64) for columns in (self.achieved, self.desired)))

    def reached(self, episode: Episode, start: int, stop: int, rule: GoalRule) -> Episode:
        """Return steps ``start`` to ``stop`` with what they achieved in the end as their goal."""
        observations = episode.observations[start : stop + 1].copy()
        observations[:, self.desired] = episode.observations[stop, self.achieved]
        piece = replace(
            episode,
            observations=observations,
            actions=episode.actions[start:stop],
            rewards=episode.rewards[start:stop],
            success=episode.success[start:stop],
            infos={name: rows[start:stop] for name, rows in episode.infos.items()},
            sim={name: rows[start : stop + 1] for name, rows in episode.sim.items()},
            sim_init=None if episode.sim_init is None else np.full_like(episode.sim_init, np.nan),
            terminated=False,
            truncated=True,
            end_reason=EndReason.SEGMENT,
            seed=None,
            clipped=0,
        )
        rewards, success = self.judged(piece, rule)
        return replace(piece, rewards=rewards, success=success)


def _columns(task: TaskFacts, parts: Sequence[str]) -> np.ndarray:
    """Return which entries of the observation the parts are, int [G]."""
    ends = np.cumsum([size for _, size in task.observation_layout])
    places = {
        name: np.arange(end - size, end)
        for (name, size), end in zip(task.observation_layout, ends, strict=True)
    }
    for name in parts:
        if name not in places:
            near = get_close_matches(name, places, n=1)
            raise UsageError(
                f"the observation has no part `{name}`",
                hint=f"did you mean `{near[0]}`?" if near else f"its parts are {', '.join(places)}",
            )
    return np.concatenate([places[name] for name in parts])


def _segments(dataset: Dataset, index: int, passes: int, seed: int) -> list[tuple[int, int]]:
    """Return first step and step after the last of every segment of an episode."""
    length = int(dataset.episodes.length[index])
    name = dataset.column("episodes/sha256")[index].tobytes().hex()
    found = []
    for number in range(passes):
        rng, start = stream(seed, "hindsight", name, number), 0
        while start < length:
            stop = int(rng.integers(start + 1, length + 1))
            found.append((start, stop))
            start = stop
    return found


def _splits(splits: Mapping[str, Sequence[int]], segments: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Put the segments of an episode into the splits that the episode is in."""
    first = len(segments) + np.cumsum([0, *segments])
    return {
        name: (*members, *(place for index in members for place in range(first[index], first[index + 1])))
        for name, members in splits.items()
    }


def _require_rule(dataset: Dataset, goals: _Goals, rule: GoalRule, report: Reporter) -> tuple[str, ...]:
    """Compare the rule with what was recorded; return what is worth a warning."""
    wrong_rewards = wrong_successes = 0
    for episode in watched(dataset, report, "try the rule", len(dataset)):
        rewards, success = goals.judged(episode, rule)
        wrong_rewards += int((~np.isclose(rewards, episode.rewards, _TOLERANCE, _TOLERANCE)).sum())
        wrong_successes += int((success != episode.success).sum())
    steps = dataset.n_steps
    if wrong_rewards > _MOST_WRONG * steps:
        raise DatasetError(
            f"`{dataset.path}`: {wrong_rewards} of {steps} recorded rewards are not those of the rule "
            f"`{rule.words}`: mixed, they would contradict each other",
            hint="choose the rule of the recorded rewards: another --goal-threshold, or --goal-reward env",
        )
    pairs = (("rewards", wrong_rewards), ("success flags", wrong_successes))
    return tuple(f"{n} of {steps} recorded {what} are not those of the rule" for what, n in pairs if n)
