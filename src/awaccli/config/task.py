"""What a task is, on paper: enough to make its environment anywhere, without importing one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class TaskSpec(BaseModel):
    """A task by Gymnasium id, or by name where there is no simulator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="short name, used in file names")
    env_id: str | None = Field(
        default=None, description="Gymnasium id, or None: recorded without a simulator"
    )
    module: str | None = Field(default=None, description="module to import, as in `package:Id-v0`")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the environment")
    horizon: int | None = Field(default=None, ge=1, description="steps after which an episode is truncated")
    obs_keys: tuple[str, ...] | None = Field(
        default=None, description="keys of a Dict observation, concatenated in this order"
    )
    success_key: str = Field(default="success", description="entry of `info` that says the goal is met")
    binary_reward: bool = Field(default=False, description="reward is 0 on success, -1 otherwise")


class TaskFacts(BaseModel):
    """What an environment says of itself once made; stored with every dataset of the task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: TaskSpec
    observation_dim: int = Field(ge=1, description="length of the flat observation")
    action_dim: int = Field(ge=1, description="length of the action")
    observation_layout: tuple[tuple[str, int], ...] = Field(
        description="(key, size) of each part of the observation"
    )
    action_low: tuple[float, ...] = Field(description="lower bounds of the action box, per dimension")
    action_high: tuple[float, ...] = Field(description="upper bounds of the action box, per dimension")
    reward_kind: str = Field(description="binary (0 on success, -1 otherwise) or dense")
    reward_range: tuple[float, float] | None = Field(
        description="smallest and largest reward of a step, where known"
    )
    success_rule: str = Field(description="what counts as success, in words")
    held_steps: int = Field(description="success `held` means more than this many successful steps")
    control_dt: float | None = Field(default=None, description="seconds of the robot's time per step")
    versions: dict[str, str] = Field(default_factory=dict, description="versions of its packages")
    mjcf_sha256: str | None = Field(default=None, description="hash of the compiled MuJoCo model")
