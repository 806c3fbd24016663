"""What whoever imports a file says of it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from awaccli.config.task import TaskSpec
from awaccli.data.schema import Credits, Source


class ImportSettings(BaseModel):
    """What whoever imports a file says of it, beyond what the file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskSpec | None = None
    """The task, whose observations, action box, reward and success rule are taken; None: the file's own."""
    name: str | None = None
    """Of the task, where there is none of that name here."""
    horizon: int | None = None
    """Steps of an episode, where there is no task."""
    obs_keys: tuple[str, ...] | None = None
    """Keys of a Dict observation, where there is no task."""
    keep_reward: bool = False
    """The recorded reward stays the reward, also where the task has its own."""
    success_at_end: bool = False
    """Every episode succeeds with its last action, where nothing else says what success is."""
    source: Source | None = None
    """Who acted."""
    credits: Credits | None = None
