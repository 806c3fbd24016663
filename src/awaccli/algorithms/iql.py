"""Implicit Q-learning (arXiv:2110.06169): values of the better logged actions, and of no others."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.networks import StateValue, TwinCritic
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.algorithms.state import Group, adam_for
from awaccli.config.baselines import IqlSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream


class Iql(GradientLearner):
    """A ``Learner``: ``V(s)`` is an expectile of ``Q(s, a)`` over logged actions, the policy is read off.

    ``V`` takes the place of the policy's own value in targets and advantages, so no critic is ever asked
    about an action that was not logged.
    """

    def __init__(self, settings: IqlSettings, setup: Setup) -> None:
        self._settings, network = settings, settings.network
        self._policy = GaussianPolicy(setup.spaces, network, rng=stream(setup.seed, "init", "policy"))
        self._critic = TwinCritic(setup.spaces, network, rng=stream(setup.seed, "init", "critic"))
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        self._value = StateValue(setup.spaces, network, rng=stream(setup.seed, "init", "value"))
        networks = {
            "policy": self._policy,
            "critic": self._critic,
            "target_critic": self._target_critic,
            "value": self._value,
        }
        super().__init__(setup, networks)
        blocks = self._blocks
        self._optimiser = adam_for(
            self._policy,
            blocks[self._policy],
            blocks[self._critic],
            settings.optimiser,
            value=Group(blocks[self._value], settings.optimiser.critic_lr),
        )

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG002 - protocol
        """Return nothing: no draws are needed."""
        return {}

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: None) -> dict[str, Tensor]:  # noqa: ARG002 - base
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        v = self._value(observations)
        advantage = self._advantage(observations, batch.actions, v)
        # DEVIATION: the released code updates V first and gives the policy the advantage by the new V.
        mean, log_std = self._policy.mean(observations), self._policy.log_std()
        log_prob = losses.gaussian_log_prob(batch.actions, mean, log_std)
        return {
            "loss/policy": losses.weighted_likelihood_loss(log_prob, self._weights(advantage)),
            "loss/value": losses.expectile_loss(advantage, self._settings.expectile),
            "loss/critic": losses.critic_loss(q, self._target(batch)),
            "q/largest": q.detach().abs().amax(),
        }

    def _advantage(self, observations: Tensor, actions: Tensor, v: Tensor) -> Tensor:
        """Return ``min_j Q'_j(s, a) - V(s)``, float32 [B]; gradients pass to V only."""
        with torch.no_grad():
            q_min: Tensor = self._target_critic(observations, actions).amin(dim=0)
        return q_min - v

    def _weights(self, advantage: Tensor) -> Tensor:
        """Return ``min(exp(A / lam), max_weight)``, float32 [B]."""
        settings = self._settings
        return losses.awac_weights(advantage, settings.lam, form="exp", max_weight=settings.max_weight)

    @torch.no_grad()
    def _target(self, batch: Batch) -> Tensor:
        """Return ``r + bootstrap * V(s')``, float32 [B]."""
        next_value = self._value(self._normaliser(batch.next_observations))
        return losses.td_target(batch.rewards, batch.bootstraps, next_value)

    def _follow(self) -> None:
        blocks = self._blocks
        blocks[self._target_critic].move_towards(blocks[self._critic], step=self._settings.tau)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:  # noqa: ARG002 - base
        """Return diagnostics of the weights, the critics and the policy on a batch, changing nothing."""
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        advantage = self._advantage(observations, batch.actions, self._value(observations))
        weights = self._weights(advantage)
        capped = diagnostics.at_most(weights, self._settings.max_weight)
        found = (
            diagnostics.of_weighting(advantage, weights, capped)
            | diagnostics.of_critic(q.amin(dim=0), batch.returns, None)
            | diagnostics.of_policy(self._policy.mean(observations), self._policy.log_std(), batch.actions)
            | {"batch/offline_share": batch.offline.float().mean()}
            | {"q/td_error": (q - self._target(batch)).abs().mean()}
        )
        return {name: value.tolist() for name, value in found.items()}

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``min_j Q_j(s, mean action)``, float32 [B]: the policy's value; V is the data's."""
        scaled = self._normaliser(observations)
        value: Tensor = self._critic(scaled, self._policy.mean(scaled).clamp(-1, 1)).amin(dim=0)
        return value

    def policy(self) -> PolicyWeights:
        """Return the policy that acts."""
        return self._policy.weights(self._spaces, self._normaliser)
