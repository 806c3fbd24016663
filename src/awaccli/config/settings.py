"""Settings of AWAC, cloning and the stages; and `Execution`, which only changes how a run is run.

A setting's help text, bounds and default live here once; flags and documentation read them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from awaccli.config.section import (
    JsonFloat,
    NetworkSettings,
    OptimiserSettings,
    Section,
    Share,
    none_word,
)

Actions = Literal["mean", "sample"]
SimState = Literal["none", "init", "full"]
WeightForm = Literal["softmax", "exp", "binary"]
Precision = Literal["float32", "bf16"]
Compilation = Literal["auto", "always", "never"]


class BcSettings(Section):
    """Behaviour cloning by maximum likelihood."""

    updates: int = Field(default=5_000, ge=0, description="gradient updates of behaviour cloning")
    batch_size: int = Field(default=256, ge=1, description="transitions per update of behaviour cloning")
    action_lead: int = Field(
        default=0, ge=0, description="steps by which cloned actions lead: a faster clone of slow recordings"
    )
    average: float = Field(
        default=0.0, ge=0, lt=1, description="decay of the averaged clone that acts; 0: the clone itself"
    )
    network: NetworkSettings = Field(default_factory=lambda: NetworkSettings(normalize_observations=True))
    optimiser: OptimiserSettings = Field(default_factory=lambda: OptimiserSettings(policy_lr=1e-3))


class AwacSettings(Section):
    """Advantage-weighted actor-critic."""

    network: NetworkSettings = Field(default_factory=NetworkSettings)
    optimiser: OptimiserSettings = Field(default_factory=OptimiserSettings)
    policy_members: int = Field(
        default=1, ge=1, le=64, description="networks of the policy: each learns alone, their average acts"
    )
    lam: JsonFloat = Field(
        default=0.5, gt=0, description="temperature that divides the advantage; inf is cloning"
    )
    weights: WeightForm = Field(default="softmax", description="form of the advantage weights")
    max_weight: float = Field(default=100.0, gt=0, description="largest weight of the `exp` form")
    advantage_critic: Literal["online", "target"] = Field(
        default="online", description="critics of the advantage: those that learn, or their slow targets"
    )
    critic_weights: Literal["uniform", "importance"] = Field(
        default="uniform",
        description="rows in the critics' loss: alike, or as often as without `success_ratio`",
    )
    advantage_cap: Annotated[float | None, BeforeValidator(none_word)] = Field(
        default=0.5, description="advantages above this count as this; none: no cap"
    )
    normalize_advantage: bool = Field(
        default=False, description="divide advantages by their std in the batch"
    )
    normaliser_samples: int = Field(
        default=0, ge=0, description="policy actions per state that Z(s) divides the weight by; 0: no Z(s)"
    )
    shuffle_advantages: bool = Field(
        default=False, description="permute advantages over the batch before weighting: a control"
    )
    value: Actions = Field(
        default="mean", description="V(s): critic at the policy mean, or mean over samples"
    )
    value_samples: int = Field(
        default=1, ge=1, description="samples per state for `value = sample`; even: in mirrored pairs"
    )
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
    average_share: Share = Field(
        default=0.0, description="horizon of the averaged policy as a share of all updates, once longer"
    )

    @model_validator(mode="after")
    def _normaliser_has_a_temperature(self) -> Self:
        if self.normaliser_samples and self.weights == "binary":
            raise ValueError("binary weights have no Z(s): normaliser_samples must be 0")
        return self

    @model_validator(mode="after")
    def _horizon_is_of_something(self) -> Self:
        if self.average_share and not self.average:
            raise ValueError("average_share needs an averaged policy: average must be above 0")
        return self


class PretrainSettings(Section):
    """Offline stage."""

    updates: int = Field(default=25_000, ge=0, description="gradient updates on the offline data")
    batch_size: int = Field(default=1024, ge=1, description="transitions per offline update")
    success_ratio: Share = Field(
        default=0.0, description="share of each batch drawn from episodes that end in success"
    )


class FinetuneSettings(Section):
    """Online stage."""

    env_steps: int = Field(default=100_000, ge=0, description="environment steps to take")
    batch_size: int = Field(default=1024, ge=1, description="transitions per online update")
    utd: float = Field(default=1.0, ge=0, description="updates per environment step")
    updates: int | None = Field(
        default=None, ge=0, description="updates in all, where there are no environment steps to count by"
    )
    offline_ratio: Annotated[Share | None, BeforeValidator(none_word)] = Field(
        default=None, description="share of offline rows in a batch; none: uniform over all data"
    )
    success_ratio: Share = Field(
        default=0.0,
        description="share of each batch drawn from episodes that end in success, offline or online",
    )
    episodes_per_round: int = Field(default=5, ge=1, description="whole episodes collected between updates")
    retry_failures: Share = Field(
        default=0.0,
        description="share of online episodes that start where one failed and none succeeded since",
    )
    warmup_steps: int = Field(default=0, ge=0, description="environment steps before the first update")
    capacity: int = Field(default=1_000_000, ge=1, description="online transitions kept")


class CollectSettings(Section):
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


class RolloutSettings(Section):
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


class EvaluateSettings(Section):
    """Measuring a policy."""

    episodes: int = Field(default=100, ge=1, description="episodes to evaluate")
    actions: Actions = Field(default="mean", description="act by the mean or by samples of the policy")


class Execution(BaseModel):
    """How a run is run; recorded, but not part of its identity."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

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
    log: Literal["tensorboard"] | None = Field(
        default=None, description="also write the metrics for: tensorboard, into <stem>-tensorboard"
    )
    log_every: int = Field(default=500, ge=1, description="updates between lines of metrics.jsonl")
