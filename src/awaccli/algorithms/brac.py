"""Behaviour-regularised actor-critic (arXiv:1911.11361): SAC whose bonus is nearness to the data's policy."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.behaviour import behaviour_model, behaviour_nll
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.networks import TwinCritic
from awaccli.algorithms.policies import SquashedGaussianPolicy
from awaccli.algorithms.squashed import log_prob
from awaccli.algorithms.state import Adam, Group, policy_group
from awaccli.config.baselines import BracSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream


class Brac(GradientLearner):
    """A ``Learner``: a behaviour model by maximum likelihood, and a policy that pays for leaving it.

    With one action ``a ~ pi(. | s)`` per state, the divergence is ``D(s) = log pi(a | s) - log b(a | s)``, an
    unbiased estimate of ``KL(pi || b)``. Its price ``divergence_weight`` is in the policy's loss (the paper's
    policy regularisation) and, with ``value_penalty``, in the critics' target too.
    """

    def __init__(self, settings: BracSettings, setup: Setup) -> None:
        self._settings = settings
        network, optimiser = settings.network, settings.optimiser
        self._policy = SquashedGaussianPolicy(setup.spaces, network, rng=stream(setup.seed, "init", "policy"))
        self._behaviour = behaviour_model(setup, network)
        self._critic = TwinCritic(setup.spaces, network, rng=stream(setup.seed, "init", "critic"))
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        networks = {
            "policy": self._policy,
            "behaviour": self._behaviour,
            "critic": self._critic,
            "target_critic": self._target_critic,
        }
        super().__init__(setup, networks)
        blocks = self._blocks
        self._optimiser = Adam(
            {
                "policy": policy_group(blocks[self._policy], optimiser),
                "behaviour": policy_group(blocks[self._behaviour], optimiser),
                "critic": Group(blocks[self._critic], optimiser.critic_lr),
            }
        )
        self._judge = blocks[self._critic].reading(self._critic)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return the draws one update wants: ``next`` for a', ``here`` for the policy's own actions."""
        one = (batch_size, self._spaces.action_dim)
        return {"next": one, "here": one}

    def _phase(self) -> bool:
        """Return whether the policy only follows the behaviour model."""
        return self.updates < self._settings.bc_updates

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: bool) -> dict[str, Tensor]:
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        # DEVIATION: the paper fits the model first and then holds it; online data come from elsewhere.
        behaviour = self._behaviour(observations)
        actions, divergence = self._acted(observations, noise["here"], behaviour)
        price = self._settings.divergence_weight
        if phase:
            policy_loss = divergence.mean()
        else:
            policy_loss = (price * divergence - self._judge(observations, actions).amin(dim=0)).mean()
        return {
            "loss/policy": policy_loss,
            "loss/behaviour": -log_prob(batch.actions, *behaviour).mean(),
            "loss/critic": losses.critic_loss(q, self._target(batch, noise)),
            "q/largest": q.detach().abs().amax(),
        }

    def _acted(
        self, observations: Tensor, noise: Tensor, behaviour: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the policy's actions, [B, A], and ``log pi - log b`` of each, [B]; ``b`` gets no gradient.

        NUMERICS: both densities are of the action before the tanh, whose slope is the same in both.
        """
        # DEVIATION: the released code estimates the divergence with four more actions, not with the critic's.
        mean, log_std = self._policy(observations)
        raw = mean + log_std.exp() * noise
        own = losses.gaussian_log_prob(raw, mean, log_std)
        other = losses.gaussian_log_prob(raw, *(of.detach() for of in behaviour))
        return torch.tanh(raw), own - other

    @torch.no_grad()
    def _target(self, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        """Return ``r + bootstrap * (min_j Q'_j(s', a') - price * D(s'))``, float32 [B]."""
        observations = self._normaliser(batch.next_observations)
        actions, divergence = self._acted(observations, noise["next"], self._behaviour(observations))
        value = self._target_critic(observations, actions).amin(dim=0)
        if self._settings.value_penalty:
            value = value - self._settings.divergence_weight * divergence
        return losses.td_target(batch.rewards, batch.bootstraps, value)

    def _follow(self) -> None:
        blocks = self._blocks
        blocks[self._target_critic].move_towards(blocks[self._critic], step=self._settings.tau)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:
        """Return diagnostics of critics, policy and behaviour model on a batch, changing nothing."""
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        behaviour, (mean, log_std) = self._behaviour(observations), self._policy(observations)
        divergence = self._acted(observations, noise["here"], behaviour)[1]
        found = (
            diagnostics.of_critic(q.amin(dim=0), batch.returns, None)
            | diagnostics.of_squashed_policy(mean, log_std, batch.actions, noise["here"])
            | behaviour_nll(log_prob(batch.actions, *behaviour), batch.offline)
            | {
                "behaviour/kl": divergence.mean(),
                "batch/offline_share": batch.offline.float().mean(),
                "q/td_error": (q - self._target(batch, noise)).abs().mean(),
            }
        )
        return {name: value.tolist() for name, value in found.items()}

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``min_j Q_j(s, mean action)``, float32 [B]."""
        scaled = self._normaliser(observations)
        value: Tensor = self._critic(scaled, torch.tanh(self._policy(scaled)[0])).amin(dim=0)
        return value

    def policy(self) -> PolicyWeights:
        """Return the policy that acts."""
        return self._policy.weights(self._spaces, self._normaliser)
