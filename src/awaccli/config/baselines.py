"""Settings of the algorithms that AWAC is compared with; one section each."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from awaccli.config.section import JsonFloat, NetworkSettings, OptimiserSettings, Section, Share, none_word

_OPTIMISER = OptimiserSettings(weight_decay=0.0)


class OffPolicySettings(Section):
    """What all that learn from a buffer of transitions have."""

    network: NetworkSettings = NetworkSettings()
    optimiser: OptimiserSettings = _OPTIMISER
    discount: float = Field(default=0.99, gt=0, lt=1, description="discount per environment step")
    n_step: int = Field(default=1, ge=1, description="steps of logged reward before the target bootstraps")
    tau: float = Field(default=0.005, gt=0, le=1, description="Polyak step of the target critics per update")


class SacSettings(OffPolicySettings):
    """Soft actor-critic, alone or with demonstrations."""

    network: NetworkSettings = NetworkSettings(initial_std=0.9, min_log_std=-10.0)
    target_entropy: Annotated[float | None, BeforeValidator(none_word)] = Field(
        default=None, description="entropy that the temperature is tuned for; none: minus the action's length"
    )
    initial_temperature: float = Field(default=1.0, gt=0, description="temperature of the first update")
    bc_weight: float = Field(
        default=0.0, ge=0, description="weight of cloning the offline rows of a batch, beside SAC's own loss"
    )
    bc_updates: int = Field(
        default=0, ge=0, description="first offline updates in which the policy only clones"
    )
    entropy_in_target: bool = Field(
        default=True, description="values count the entropy of the policy's later actions as reward"
    )
    policy_every: int = Field(default=1, ge=1, description="updates of the critics for one of the policy")


class BracSettings(OffPolicySettings):
    """Behaviour-regularised actor-critic."""

    network: NetworkSettings = NetworkSettings(initial_std=0.5, min_log_std=-3.0)
    divergence_weight: float = Field(
        default=0.1, ge=0, description="price of a nat of KL divergence from the behaviour model, in reward"
    )
    value_penalty: bool = Field(
        default=True, description="values pay the price too; otherwise only the policy's loss does"
    )
    bc_updates: int = Field(
        default=5_000,
        ge=0,
        description="first offline updates in which the policy only follows the behaviour model",
    )


class BearSettings(OffPolicySettings):
    """Bootstrapping error accumulation reduction."""

    network: NetworkSettings = NetworkSettings(initial_std=0.5, min_log_std=-3.0)
    threshold: float = Field(default=0.05, gt=0, description="largest MMD from the behaviour model")
    kernel_width: float = Field(default=20.0, gt=0, description="scale of the Laplacian kernel of the MMD")
    samples: int = Field(
        default=10, ge=2, description="actions per state in the MMD, in the target, and when acting"
    )
    minimum_share: Share = Field(
        default=0.75, description="share of the smaller target critic, beside the larger one"
    )
    dual_lr: float = Field(default=1e-3, gt=0, description="learning rate of the constraint's multiplier")
    bc_updates: int = Field(
        default=5_000, ge=0, description="first offline updates in which the policy only lowers the MMD"
    )


class BcqSettings(OffPolicySettings):
    """Batch-constrained Q-learning."""

    perturbation: float = Field(
        default=0.05, ge=0, le=1, description="largest change of a decoded action (action box is 2 wide)"
    )
    samples: int = Field(default=10, ge=1, description="decoded actions per state, in the target and acting")
    minimum_share: Share = Field(
        default=0.75, description="share of the smaller target critic, beside the larger one"
    )
    latent_dim: Annotated[int | None, BeforeValidator(none_word)] = Field(
        default=None, ge=1, description="length of the VAE's code; none: twice the action's"
    )
    kl_weight: float = Field(
        default=0.5, gt=0, description="weight of the code's KL, beside the squared error of actions"
    )


class IqlSettings(OffPolicySettings):
    """Implicit Q-learning."""

    lam: JsonFloat = Field(
        default=1 / 3, gt=0, description="temperature that divides the advantage: 1 / that of the paper"
    )
    expectile: float = Field(
        default=0.7, gt=0, lt=1, description="expectile of Q over logged actions that V learns; 0.5: the mean"
    )
    max_weight: float = Field(default=100.0, gt=0, description="largest weight of a logged action")


class AwrSettings(Section):
    """Advantage-weighted regression."""

    network: NetworkSettings = NetworkSettings()
    optimiser: OptimiserSettings = _OPTIMISER
    discount: float = Field(default=0.99, gt=0, lt=1, description="discount per environment step")
    lam: JsonFloat = Field(
        default=1.0, gt=0, description="temperature that divides the advantage, in standard deviations"
    )
    max_weight: float = Field(default=20.0, gt=0, description="largest weight of a logged action")


class MpoSettings(OffPolicySettings):
    """Maximum a posteriori policy optimisation."""

    samples: int = Field(default=20, ge=2, description="actions per state that are weighed by their Q")
    kl_limit: float = Field(
        default=0.1, gt=0, description="KL of the weighed actions from those drawn, in nats, at most"
    )
    mean_limit: float = Field(
        default=0.1, gt=0, description="KL that the policy's mean may move by in a period, in nats"
    )
    std_limit: float = Field(
        default=1e-3, gt=0, description="KL that the policy's std may move by in a period, in nats"
    )
    target_period: int = Field(
        default=100, ge=1, description="updates between copies of the policy, from which the KL is counted"
    )
    dual_lr: float = Field(
        default=1e-2, gt=0, description="learning rate of the temperature and the limits' multipliers"
    )
    bc_updates: int = Field(
        default=5_000, ge=0, description="first offline updates in which the policy only clones"
    )


class AbmSettings(MpoSettings):
    """MPO within a behaviour model of the actions that look better than the policy."""

    value_samples: int = Field(
        default=4, ge=1, description="policy actions per state whose mean Q an advantage is counted from"
    )


class Td3BcSettings(OffPolicySettings):
    """TD3 with behaviour cloning."""

    network: NetworkSettings = NetworkSettings(initial_std=0.1)
    q_weight: float = Field(
        default=2.5, ge=0, description="weight of the critics' values, divided by their mean size"
    )
    target_noise: float = Field(
        default=0.2, ge=0, description="std of the noise on a' in the target (action box is 2 wide)"
    )
    target_noise_clip: float = Field(default=0.5, ge=0, description="largest size of that noise")
    policy_every: int = Field(default=2, ge=1, description="updates of the critics for one of the policy")


class RlpdSettings(SacSettings):
    """Reinforcement learning with prior data."""

    network: NetworkSettings = NetworkSettings(initial_std=0.9, min_log_std=-10.0, layer_norm=True)
    critics: int = Field(default=10, ge=1, description="critics that learn")
    target_critics: int = Field(
        default=2, ge=1, description="critics, drawn for each update, whose smallest value is the target"
    )
    entropy_in_target: bool = Field(
        default=False, description="values count the entropy of the policy's later actions as reward"
    )


class CqlSettings(SacSettings):
    """Conservative Q-learning, and its calibrated form."""

    conservative_weight: float = Field(
        default=1.0, ge=0, description="weight of pushing values down where there are no data; 0: SAC"
    )
    samples: int = Field(default=10, ge=1, description="actions of each of the three kinds that are pushed")
    calibrated: bool = Field(
        default=False, description="push the policy's values down to the logged return, and no further"
    )
    entropy_in_target: bool = Field(
        default=False, description="values count the entropy of the policy's later actions as reward"
    )


class DapgSettings(Section):
    """Demonstration-augmented policy gradient."""

    network: NetworkSettings = NetworkSettings(initial_std=0.1)
    optimiser: OptimiserSettings = _OPTIMISER
    discount: float = Field(default=0.99, gt=0, lt=1, description="discount per environment step")
    step_kl: float = Field(default=0.025, gt=0, description="KL divergence of one policy step, in nats")
    policy_every: int = Field(default=50, ge=1, description="updates of the values for one policy step")
    demo_weight: float = Field(
        default=0.01, ge=0, description="weight of the demonstrations, beside the largest advantage, at first"
    )
    demo_decay: float = Field(
        default=0.95, gt=0, le=1, description="factor of that weight from one policy step to the next"
    )
    bc_updates: int = Field(
        default=1_000_000_000, ge=0, description="first offline updates in which the policy clones: all"
    )
