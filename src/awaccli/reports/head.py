"""The first episodes of a dataset, or some steps of one: as rows, as text, and as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from awaccli.artifacts.identity import json_finite
from awaccli.config.task import TaskFacts
from awaccli.data.dataset import Dataset
from awaccli.episode import EndReason, Episode
from awaccli.errors import UsageError

EPISODE_HEADER = ("episode", "steps", "return", "success", "end", "seed", "hash", "source")


class EpisodeRow(BaseModel):
    """One episode."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    episode: int
    steps: int
    return_: float = Field(serialization_alias="return")
    success: bool
    """After the last action."""
    success_steps: int
    end_reason: str
    seed: int | None
    source: str
    sha256: str

    def cells(self) -> list[str]:
        """Return the row as text, in the order of ``EPISODE_HEADER``."""
        success = f"{'yes' if self.success else 'no'}, {self.success_steps} steps"
        seed = "unknown" if self.seed is None else str(self.seed)
        numbers = [str(self.episode), str(self.steps), f"{self.return_:.2f}", success]
        return [*numbers, self.end_reason, seed, self.sha256[:12], self.source]


def first_episodes(dataset: Dataset, count: int) -> list[EpisodeRow]:
    """Return a row for each of the first ``count`` episodes."""
    table, hashes = dataset.episodes, dataset.rows("episodes/sha256", 0, min(count, len(dataset)))
    return [
        EpisodeRow(
            episode=index,
            steps=int(table.length[index]),
            return_=float(table.return_[index]),
            success=bool(table.success[index]),
            success_steps=int(table.success_steps[index]),
            end_reason=EndReason(int(table.end_reason[index])).name.lower(),
            seed=int(table.seed[index]) if table.has_seed[index] else None,
            source=dataset.header.sources[table.source[index]].name,
            sha256=row.tobytes().hex(),
        )
        for index, row in enumerate(hashes)
    ]


def episode_at(dataset: Dataset, index: int) -> Episode:
    """Return an episode; negative indices count from the end.

    Raises:
        UsageError: there is no such episode.
    """
    try:
        return dataset.episode(index)
    except IndexError as error:
        raise UsageError(
            f"--episode {index}: `{dataset.path}` has {len(dataset)}", hint="they are counted from 0"
        ) from error


def step_rows(episode: Episode, task: TaskFacts, steps: range) -> list[dict[str, Any]]:
    """Return steps with their arrays by name: parts of the observation before the action, action, infos."""
    return [_step(episode, task, step) for step in steps]


def _step(episode: Episode, task: TaskFacts, step: int) -> dict[str, Any]:
    is_last = step == len(episode) - 1
    row = {
        "step": step,
        "observation": _parts(episode.observations[step], task),
        "action": episode.actions[step].tolist(),
        "reward": float(episode.rewards[step]),
        "success": bool(episode.success[step]),
        "terminated": is_last and episode.terminated,
        "truncated": is_last and episode.truncated,
        "infos": {name: rows[step].tolist() for name, rows in episode.infos.items()},
    }
    if is_last:
        row["final_observation"] = _parts(episode.observations[-1], task)
    finite: dict[str, Any] = json_finite(row)
    return finite


def _parts(observation: np.ndarray, task: TaskFacts) -> dict[str, list[float]]:
    ends = np.cumsum([size for _, size in task.observation_layout])
    pairs = zip(task.observation_layout, ends, strict=True)
    return {name: observation[end - size : end].tolist() for (name, size), end in pairs}


def step_text(row: dict[str, Any]) -> str:
    """Return a step as lines that a person reads."""
    flags = [name for name in ("success", "terminated", "truncated") if row[name]]
    vectors = {**row["observation"], "action": row["action"], **row["infos"]}
    vectors |= {f"{name} (after)": values for name, values in row.get("final_observation", {}).items()}
    width = max(map(len, vectors))
    head = f"step {row['step']}  " + ", ".join([f"reward {row['reward']:g}", *flags])
    return "\n".join([head, *(f"  {name:{width}}  {_numbers(values)}" for name, values in vectors.items())])


def _numbers(value: Any) -> str:
    match value:
        case list():
            return " ".join(map(_numbers, value))
        case float():
            return f"{value:.4g}"
        case None:
            return "nan"
        case _:
            return str(value)


def episode_arrays(episode: Episode, steps: range) -> dict[str, np.ndarray]:
    """Return some steps as arrays by name; observations and simulator states have one row more."""
    rows, states = slice(steps.start, steps.stop), slice(steps.start, steps.stop + 1)
    return {
        "observations": episode.observations[states],
        "actions": episode.actions[rows],
        "rewards": episode.rewards[rows],
        "success": episode.success[rows],
        **{f"infos/{name}": column[rows] for name, column in episode.infos.items()},
        **{f"sim/{name}": column[states] for name, column in episode.sim.items()},
    }
