"""What sections of the settings are made of: their base, kinds of values, and networks and optimisers."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator


def _number(value: object) -> object:
    """Read `inf` from TOML, JSON and flags alike."""
    return math.inf if value in ("inf", "infinity") else value


JsonFloat = Annotated[
    float,
    BeforeValidator(_number),
    PlainSerializer(lambda value: value if math.isfinite(value) else "inf", when_used="json"),
]
"""A float that survives JSON when infinite."""


def none_word(value: object) -> object:
    """Read `none` as None: TOML has no other word for it."""
    return None if value == "none" else value


Share = Annotated[float, Field(ge=0, le=1)]
Hidden = Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(max_length=16)]


class Section(BaseModel):
    """Settings of one algorithm or stage: unknown names are refused."""

    # Built where it is first used: `awac --help` needs none of them.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True, defer_build=True)


class NetworkSettings(Section):
    """Shapes of the policy and the critics."""

    policy_hidden: Hidden = Field(default=(256, 256), description="hidden units of the policy, per layer")
    critic_hidden: Hidden = Field(default=(256, 256), description="hidden units of each critic, per layer")
    layer_norm: bool = Field(default=False, description="LayerNorm after each hidden layer of the critics")
    mean: Literal["tanh", "linear"] = Field(default="tanh", description="how the policy's mean is bounded")
    initial_std: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="standard deviation of the policy at the start (action box is 2 wide)",
    )
    min_log_std: float = Field(default=-6.0, description="lower bound of the policy's log standard deviation")
    normalize_observations: bool = Field(
        default=False, description="standardise observations by the offline data's statistics, clipped at 5"
    )

    @model_validator(mode="after")
    def _std_is_reachable(self) -> Self:
        if self.min_log_std >= math.log(self.initial_std):
            raise ValueError("initial_std must lie above exp(min_log_std)")
        return self


class OptimiserSettings(Section):
    """Adam, for the policy and the critics."""

    policy_lr: float = Field(default=3e-4, gt=0, description="learning rate of the policy")
    critic_lr: float = Field(default=3e-4, gt=0, description="learning rate of the critics")
    decay_updates: int = Field(
        default=0,
        ge=0,
        description="updates over which the policy's rate falls in a straight line to a tenth; 0: never",
    )
    weight_decay: float = Field(
        default=1e-4, ge=0, description="L2 on the policy's weights, never on its log std"
    )
