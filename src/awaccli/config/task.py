"""What a task is, on paper: enough to make its environment anywhere, without importing one."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_MAX_SIZE = 1 << 24
"""Numbers in an observation or an action; far beyond any robot, small enough to multiply."""
_NAME = r"^[^\x00-\x1f\x7f]{1,100}$"
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class TaskSpec(BaseModel):
    """A task by Gymnasium id, or by name where there is no simulator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=_NAME, description="short name, used in file names")
    env_id: str | None = Field(
        default=None, description="Gymnasium id, or None: recorded without a simulator"
    )
    module: str | None = Field(default=None, description="module to import, as in `package:Id-v0`")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the environment")
    horizon: int | None = Field(
        default=None, ge=1, lt=1 << 31, description="steps after which an episode is truncated"
    )
    obs_keys: tuple[str, ...] | None = Field(
        default=None, description="keys of a Dict observation, concatenated in this order"
    )
    success_key: str = Field(default="success", description="entry of `info` that says the goal is met")
    binary_reward: bool = Field(default=False, description="reward is 0 on success, -1 otherwise")


class TaskFacts(BaseModel):
    """What an environment says of itself once made; stored with every dataset of the task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: TaskSpec
    observation_dim: int = Field(ge=1, le=_MAX_SIZE, description="length of the flat observation")
    action_dim: int = Field(ge=1, le=_MAX_SIZE, description="length of the action")
    observation_layout: tuple[tuple[str, Annotated[int, Field(ge=0)]], ...] = Field(
        description="(key, size) of each part of the observation"
    )
    action_low: tuple[float, ...] = Field(description="lower bounds of the action box, per dimension")
    action_high: tuple[float, ...] = Field(description="upper bounds of the action box, per dimension")
    reward_kind: str = Field(description="binary (0 on success, -1 otherwise) or dense")
    reward_range: tuple[_Finite, _Finite] | None = Field(
        description="smallest and largest reward of a step, where known"
    )
    success_rule: str = Field(description="what counts as success, in words")
    held_steps: int = Field(
        ge=0, lt=1 << 31, description="success `held` means more than this many successful steps"
    )
    control_dt: _Finite | None = Field(default=None, description="seconds of the robot's time per step")
    versions: dict[str, str] = Field(default_factory=dict, description="versions of its packages")
    mjcf_sha256: str | None = Field(default=None, description="hash of the compiled MuJoCo model")

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if len(self.action_low) != self.action_dim or len(self.action_high) != self.action_dim:
            raise ValueError("action_low and action_high must have action_dim numbers each")
        if not all(low <= high for low, high in zip(self.action_low, self.action_high, strict=True)):
            raise ValueError("action_low must not exceed action_high")  # NaN included
        if sum(size for _, size in self.observation_layout) != self.observation_dim:
            raise ValueError("the sizes of observation_layout must add up to observation_dim")
        if self.reward_range and self.reward_range[0] > self.reward_range[1]:
            raise ValueError("reward_range must begin with the smaller reward")
        return self
