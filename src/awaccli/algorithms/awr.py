"""Advantage-weighted regression (arXiv:1910.00177): AWAC's policy update by returns instead of critics."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.networks import StateValue
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.algorithms.state import Group, adam_for
from awaccli.config.baselines import AwrSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream


class Awr(GradientLearner):
    """A ``Learner``: ``V(s)`` regresses on logged returns ``G``, the policy imitates where ``G`` beat ``V``.

    Both speak of whoever acted in the data, not of the policy that learns, and nothing bootstraps.
    """

    def __init__(self, settings: AwrSettings, setup: Setup) -> None:
        self._settings, network = settings, settings.network
        self._policy = GaussianPolicy(setup.spaces, network, rng=stream(setup.seed, "init", "policy"))
        self._value = StateValue(setup.spaces, network, rng=stream(setup.seed, "init", "value"))
        super().__init__(setup, {"policy": self._policy, "value": self._value})
        self._optimiser = adam_for(
            self._policy,
            self._blocks[self._policy],
            None,
            settings.optimiser,
            value=Group(self._blocks[self._value], settings.optimiser.critic_lr),
        )
        reward_range = setup.reward_range
        self._reachable = reward_range and losses.reachable_values(reward_range, settings.discount)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG002 - protocol
        """Return nothing: no draws are needed."""
        return {}

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: None) -> dict[str, Tensor]:  # noqa: ARG002 - base
        observations = self._normaliser(batch.observations)
        # DEVIATION: the released code regresses on TD(lambda), 0.95; rows hold Monte-Carlo returns, lambda 1.
        advantage = batch.returns - self._value(observations)
        mean, log_std = self._policy.mean(observations), self._policy.log_std()
        log_prob = losses.gaussian_log_prob(batch.actions, mean, log_std)
        return {
            "loss/policy": losses.weighted_likelihood_loss(log_prob, self._weights(advantage)),
            "loss/value": advantage.square().mean(),
        }

    def _weights(self, advantage: Tensor) -> Tensor:
        """Return ``min(exp((A - mean A) / std A / lam), max_weight)``, float32 [B], over the batch."""
        settings, detached = self._settings, advantage.detach()
        # DEVIATION: the paper does not standardise advantages; its released code does, and so does this.
        standardised = losses.normalised_advantage(detached - detached.mean())
        return losses.awac_weights(standardised, settings.lam, form="exp", max_weight=settings.max_weight)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:  # noqa: ARG002 - base
        """Return diagnostics of the weights, the values and the policy on a batch, changing nothing."""
        observations = self._normaliser(batch.observations)
        value = self._value(observations)
        advantage = batch.returns - value
        weights = self._weights(advantage)
        capped = diagnostics.at_most(weights, self._settings.max_weight)
        found = (
            diagnostics.of_weighting(advantage, weights, capped)
            | diagnostics.of_critic(value, batch.returns, self._reachable)
            | diagnostics.of_policy(self._policy.mean(observations), self._policy.log_std(), batch.actions)
            | {"batch/offline_share": batch.offline.float().mean()}
        )
        return {name: value.tolist() for name, value in found.items()}

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``V(s)``, float32 [B]: what whoever acted in the data could expect."""
        value: Tensor = self._value(self._normaliser(observations))
        return value

    def policy(self) -> PolicyWeights:
        """Return the policy that acts."""
        return self._policy.weights(self._spaces, self._normaliser)
