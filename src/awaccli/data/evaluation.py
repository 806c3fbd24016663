"""Success counted three ways, with intervals, and the record of an evaluation.

Papers count success at any step, at the last step, or held for some number of steps, and rarely say which;
so all three are always there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from awaccli.artifacts.identity import json_finite, sha256_json
from awaccli.artifacts.json_file import read_json_artifact
from awaccli.artifacts.manifest import damaged_files, read_manifest
from awaccli.config.json_value import first_problem
from awaccli.config.settings import Actions
from awaccli.config.task import TaskFacts
from awaccli.episode import Episode
from awaccli.errors import InputError

SuccessRule = Literal["any", "final", "held"]
_Z95 = 1.959963984540054


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(_Record):
    """A share of episodes with its 95 % Wilson interval."""

    rate: float
    low: float
    high: float


class SuccessRates(_Record):
    """Success by definition."""

    any: Rate
    """Goal met at some step."""
    final: Rate
    """Goal met at the last step."""
    held: Rate
    """Goal met at more than the task's ``held_steps`` steps: the rule of the DAPG authors."""


class ReturnStatistics(_Record):
    """Undiscounted returns over episodes."""

    mean: float
    std: float


class Outcome(_Record):
    """What a set of episodes achieved."""

    episodes: int
    success: SuccessRates
    returns: ReturnStatistics
    mean_length: float


class Evaluation(_Record):
    """The result of ``awac eval``: what was measured, how, and what came out."""

    schema_version: Literal[1] = 1
    kind: Literal["evaluation"] = "evaluation"
    checkpoint: str
    """Content id of the checkpoint."""
    task: str
    algo: str
    updates: int
    env_steps: int
    seed: int
    seeds: tuple[int, ...]
    """Argument of ``env.reset`` for each episode."""
    deterministic: bool
    """True: mean actions. False: sampled ones."""
    outcome: Outcome

    @property
    def actions(self) -> Actions:
        """How the policy acted."""
        return "mean" if self.deterministic else "sample"

    def for_readers(self) -> dict[str, Any]:
        """Return the object that ``awac eval --json`` prints: the outcome's fields beside the others."""
        measured = self.outcome.model_dump(mode="json")
        measured["return"] = measured.pop("returns")
        return self.model_dump(mode="json", exclude={"outcome"}) | measured


def wilson(successes: int, trials: int) -> Rate:
    """Return a share with its 95 % Wilson score interval.

    Source: Wilson 1927; unlike the normal interval it stays inside [0, 1] and is sane at 0 and 1.
    """
    if trials == 0:
        return Rate(rate=math.nan, low=0.0, high=1.0)
    share = successes / trials
    spread = _Z95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = _Z95 / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return Rate(rate=share, low=max(0.0, centre - half), high=min(1.0, centre + half))


def outcome(episodes: Iterable[Episode], facts: TaskFacts) -> Outcome:
    """Summarise episodes of a task."""
    rows = [(episode.success, episode.return_) for episode in episodes]
    return outcome_of([success for success, _ in rows], [return_ for _, return_ in rows], facts)


def outcome_of(success: Sequence[np.ndarray], returns: Sequence[float], facts: TaskFacts) -> Outcome:
    """Summarise per-step success (bool [T] each) and returns of episodes."""
    count = len(success)
    steps = np.array([int(flags.sum()) for flags in success])
    last = np.array([bool(flags[-1]) for flags in success])
    return Outcome(
        episodes=count,
        success=SuccessRates(
            any=wilson(int((steps > 0).sum()), count),
            final=wilson(int(last.sum()), count),
            held=wilson(int((steps > facts.held_steps).sum()), count),
        ),
        returns=ReturnStatistics(mean=float(np.mean(returns)), std=float(np.std(returns))),
        mean_length=float(np.mean([len(flags) for flags in success])),
    )


def open_evaluation(path: Path) -> Evaluation:
    """Open an evaluation written by ``awac eval -o``.

    Raises:
        InputError: missing, damaged, or another kind of JSON.
    """
    manifest = read_manifest(path)
    problems, found = damaged_files(path, manifest), read_json_artifact(path)
    if manifest.kind != "evaluation" or found is None:
        raise InputError(
            f"`{path}` is not an evaluation, it is: {manifest.kind}",
            hint="expected a file made by `awac eval -o`",
        )
    if problems:
        raise InputError(f"`{path}` is damaged: {problems[0]}", hint="measure again: awac eval")
    try:
        evaluation = Evaluation.model_validate_json(json.dumps(found[0]))
    except ValidationError as error:
        raise InputError(
            f"`{path}` is not an evaluation: {first_problem(error)}",
            hint="it was made by another version of awac; `run.versions` in its manifest names which",
        ) from error
    values = evaluation.model_dump(mode="json")
    if json_finite(values) != values or manifest.id != sha256_json(values):
        raise InputError(
            f"`{path}` is damaged: its results are not those of its manifest", hint="measure again: awac eval"
        )
    return evaluation
