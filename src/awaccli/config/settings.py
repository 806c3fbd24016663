"""Every setting that changes results, in one tree; and `Execution`, which only changes how a run is run.

A setting's help text, bounds and default live here once; flags and documentation read them.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

Actions = Literal["mean", "sample"]
SimState = Literal["none", "init", "full"]
WeightForm = Literal["softmax", "exp", "binary"]
Precision = Literal["float32", "bf16"]
Compilation = Literal["auto", "always", "never"]


def _number(value: object) -> object:
    """Read `inf` from TOML, JSON and flags alike."""
    return math.inf if value in ("inf", "infinity") else value


JsonFloat = Annotated[
    float,
    BeforeValidator(_number),
    PlainSerializer(lambda value: value if math.isfinite(value) else "inf", when_used="json"),
]
"""A float that survives JSON when infinite."""


def _none(value: object) -> object:
    """Read `none` as None: TOML has no other word for it."""
    return None if value == "none" else value


Share = Annotated[float, Field(ge=0, le=1)]
Hidden = Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(max_length=16)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)


class NetworkSettings(_Section):
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


class OptimiserSettings(_Section):
    """Adam, for the policy and the critics."""

    policy_lr: float = Field(default=3e-4, gt=0, description="learning rate of the policy")
    critic_lr: float = Field(default=3e-4, gt=0, description="learning rate of the critics")
    weight_decay: float = Field(
        default=1e-4, ge=0, description="L2 on the policy's weights, never on its log std"
    )


class BcSettings(_Section):
    """Behaviour cloning by maximum likelihood."""

    updates: int = Field(default=5_000, ge=0, description="gradient updates of behaviour cloning")
    batch_size: int = Field(default=256, ge=1, description="transitions per update of behaviour cloning")
    average: float = Field(
        default=0.0, ge=0, lt=1, description="decay of the averaged clone that acts; 0: the clone itself"
    )
    network: NetworkSettings = Field(default=NetworkSettings(normalize_observations=True))
    optimiser: OptimiserSettings = Field(default=OptimiserSettings(policy_lr=1e-3))


class AwacSettings(_Section):
    """Advantage-weighted actor-critic."""

    network: NetworkSettings = NetworkSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    lam: JsonFloat = Field(
        default=0.5, gt=0, description="temperature that divides the advantage; inf is cloning"
    )
    weights: WeightForm = Field(default="softmax", description="form of the advantage weights")
    max_weight: float = Field(default=100.0, gt=0, description="largest weight of the `exp` form")
    advantage_cap: Annotated[float | None, BeforeValidator(_none)] = Field(
        default=0.5, description="advantages above this count as this; none: no cap"
    )
    normalize_advantage: bool = Field(
        default=False, description="divide advantages by their std in the batch"
    )
    value: Actions = Field(
        default="mean", description="V(s): critic at the policy mean, or mean over samples"
    )
    value_samples: int = Field(default=1, ge=1, description="samples per state for `value = sample`")
    discount: float = Field(default=0.99, gt=0, lt=1, description="discount per environment step")
    n_step: int = Field(default=1, ge=1, description="steps of logged reward before the target bootstraps")
    tau: float = Field(default=0.005, gt=0, le=1, description="Polyak step of the target critics per update")
    clamp_target: bool = Field(default=True, description="clamp targets to what the rewards can reach")
    clip_target_actions: bool = Field(default=True, description="clip a' to the action box in the target")
    bc_updates: int = Field(
        default=0, ge=0, description="first offline updates with all weights 1: the policy starts as a clone"
    )
    return_updates: int = Field(
        default=0, ge=0, description="first offline updates in which critics regress on Monte-Carlo returns"
    )
    average: float = Field(
        default=0.0, ge=0, lt=1, description="decay of the averaged policy that acts; 0: the policy itself"
    )


class PretrainSettings(_Section):
    """Offline stage."""

    updates: int = Field(default=25_000, ge=0, description="gradient updates on the offline data")
    batch_size: int = Field(default=1024, ge=1, description="transitions per offline update")


class FinetuneSettings(_Section):
    """Online stage."""

    env_steps: int = Field(default=100_000, ge=0, description="environment steps to take")
    batch_size: int = Field(default=1024, ge=1, description="transitions per online update")
    utd: float = Field(default=1.0, ge=0, description="updates per environment step")
    updates: int | None = Field(
        default=None, ge=0, description="updates in all, where there are no environment steps to count by"
    )
    offline_ratio: Annotated[Share | None, BeforeValidator(_none)] = Field(
        default=None, description="share of offline rows in a batch; none: uniform over all data"
    )
    success_ratio: Share = Field(
        default=0.0,
        description="share of each batch drawn from episodes that end in success, offline or online",
    )
    episodes_per_round: int = Field(default=5, ge=1, description="whole episodes collected between updates")
    warmup_steps: int = Field(default=0, ge=0, description="environment steps before the first update")
    capacity: int = Field(default=1_000_000, ge=1, description="online transitions kept")


class CollectSettings(_Section):
    """Recording episodes with a policy."""

    episodes: int = Field(default=25, ge=1, description="episodes to keep")
    policy: str = Field(
        default="expert", description="who acts: expert, random, a checkpoint, or module:attribute"
    )
    actions: Actions = Field(default="mean", description="act by the mean or by samples of the policy")
    noise: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="std of Gaussian noise added to actions (box is 2 wide)",
    )
    noise_correlation: float = Field(
        default=0.0, ge=0, lt=1, description="correlation of the noise from one step to the next"
    )
    success_only: bool = Field(default=False, description="keep only episodes that end in success")
    max_attempts: int | None = Field(
        default=None, ge=1, description="episodes to try at most; default 10 per kept"
    )
    sim_state: SimState = Field(
        default="init", description="simulator state to store: none, at the start, each step"
    )


class RolloutSettings(_Section):
    """Rolling out behaviour cloning."""

    episodes: int = Field(default=500, ge=1, description="trajectories to roll out")
    actions: Literal["mean", "sample", "mix"] = Field(
        default="sample", description="act by the mean, by samples, or each in half of the episodes"
    )
    bc_seeds: int = Field(
        default=1, ge=1, description="behaviour clones to train; trajectories are shared out"
    )
    include_demos: bool = Field(default=True, description="put the demonstrations into the output too")
    sim_state: SimState = Field(
        default="init", description="simulator state to store: none, at the start, each step"
    )


class EvaluateSettings(_Section):
    """Measuring a policy."""

    episodes: int = Field(default=100, ge=1, description="episodes to evaluate")
    actions: Actions = Field(default="mean", description="act by the mean or by samples of the policy")


class Settings(_Section):
    """The whole tree; each command uses the sections it needs."""

    bc: BcSettings = BcSettings()
    awac: AwacSettings = AwacSettings()
    pretrain: PretrainSettings = PretrainSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    collect: CollectSettings = CollectSettings()
    rollout: RolloutSettings = RolloutSettings()
    evaluate: EvaluateSettings = EvaluateSettings()


class Execution(BaseModel):
    """How a run is run; recorded, but not part of its identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int = Field(default=1, ge=1, description="processes that step environments")
    threads: int = Field(default=1, ge=1, description="threads of the gradient updates")
    device: str = Field(default="cpu", description="auto, cpu or cuda[:i]")
    precision: Precision = Field(
        default="float32", description="of the matrix products in gradient updates; weights are float32"
    )
    compilation: Compilation = Field(
        default="auto", description="compile gradient updates; auto: where the run is long enough to repay it"
    )
    episode_timeout_s: float = Field(
        default=600.0, ge=0, description="a worker without an answer for this long has hung; 0: never"
    )
    trust_env: bool = Field(
        default=False, description="make the environment that an input file names, whatever code that runs"
    )
    max_memory_bytes: int = Field(
        default=0,
        ge=0,
        description="for training rows, which are mapped from a file beyond; 0: half of what is free",
    )
    cache: str | None = Field(default=None, exclude=True, description="folder of mapped training rows")
    eval_every: int = Field(default=0, ge=0, description="evaluate after this many updates; 0: never")
    eval_episodes: int = Field(default=20, ge=1, description="episodes of each evaluation during training")
    save_every: int = Field(
        default=0, ge=0, description="updates between resumable snapshots; 0: so often that they cost 1 %"
    )
    log_every: int = Field(default=500, ge=1, description="updates between lines of metrics.jsonl")
