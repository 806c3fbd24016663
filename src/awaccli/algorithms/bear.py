"""Bootstrapping error accumulation reduction (arXiv:1906.00949): a policy within an MMD of the data's."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.behaviour import behaviour_model, behaviour_nll
from awaccli.algorithms.candidates import best_of_weights, fixed_draws, q_of_samples, value_of_best
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.networks import TwinCritic
from awaccli.algorithms.policies import SquashedGaussianPolicy
from awaccli.algorithms.sac import Temperature
from awaccli.algorithms.squashed import log_prob
from awaccli.algorithms.state import Adam, Group, policy_group
from awaccli.config.baselines import BearSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream

_DUAL_RANGE = (-5.0, 10.0)
"""Of its logarithm, as in the released code."""


class Bear(GradientLearner):
    """A ``Learner``: a behaviour model by maximum likelihood, and a policy whose actions stay near its own.

    The policy climbs the critics subject to ``MMD(pi, b) <= threshold``; a dual variable, which grows while
    that does not hold, weighs the MMD in its loss. It acts by the best of several actions.
    """

    def __init__(self, settings: BearSettings, setup: Setup) -> None:
        self._settings = settings
        network, optimiser = settings.network, settings.optimiser
        self._policy = SquashedGaussianPolicy(setup.spaces, network, rng=stream(setup.seed, "init", "policy"))
        self._target_policy = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        self._behaviour = behaviour_model(setup, network)
        self._critic = TwinCritic(setup.spaces, network, rng=stream(setup.seed, "init", "critic"))
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        self._dual = Temperature(1.0)
        networks = {
            "policy": self._policy,
            "target_policy": self._target_policy,
            "behaviour": self._behaviour,
            "critic": self._critic,
            "target_critic": self._target_critic,
            "dual": self._dual,
        }
        super().__init__(setup, networks)
        blocks = self._blocks
        self._optimiser = Adam(
            {
                "policy": policy_group(blocks[self._policy], optimiser),
                "behaviour": policy_group(blocks[self._behaviour], optimiser),
                "critic": Group(blocks[self._critic], optimiser.critic_lr),
                "dual": Group(blocks[self._dual], settings.dual_lr),
            }
        )
        self._judge = blocks[self._critic].reading(self._critic)
        self._draws = fixed_draws(settings.samples, setup.spaces.action_dim).to(setup.device)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return the draws one update wants: of a', of the policy's actions, and of the model's."""
        some = (self._settings.samples, batch_size, self._spaces.action_dim)
        return {"next": some, "here": some, "behaviour": some}

    def _phase(self) -> bool:
        """Return whether the policy only lowers the MMD."""
        return self.updates < self._settings.bc_updates

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: bool) -> dict[str, Tensor]:
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        behaviour = self._behaviour(observations)
        actions = _drawn(self._policy(observations), noise["here"])
        excess = self._mmd(actions, behaviour, noise) - self._settings.threshold
        policy_loss = self._dual().detach() * excess.mean()
        if not phase:
            policy_loss = policy_loss - self._judge(observations, actions[0]).amin(dim=0).mean()
        return {
            "loss/policy": policy_loss,
            "loss/behaviour": -log_prob(batch.actions, *behaviour).mean(),
            "loss/critic": losses.critic_loss(q, self._target(batch, noise)),
            "loss/dual": -self._dual() * excess.detach().mean(),
            "q/largest": q.detach().abs().amax(),
        }

    def _mmd(self, actions: Tensor, behaviour: tuple[Tensor, Tensor], noise: Mapping[str, Tensor]) -> Tensor:
        """Return the MMD of actions, [N, B, A], from as many of the model, float32 [B]."""
        # DEVIATION: the released code compares them before the tanh, where two at a limit may lie far apart.
        with torch.no_grad():
            others = _drawn(behaviour, noise["behaviour"])
        return losses.laplacian_mmd(actions, others, self._settings.kernel_width)

    @torch.no_grad()
    def _target(self, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        """Return ``r + bootstrap * max_i (share * min_j Q'_j + (1 - share) * max_j Q'_j)(s', a'_i)``, [B]."""
        observations = self._normaliser(batch.next_observations)
        actions = _drawn(self._target_policy(observations), noise["next"])
        value = losses.soft_clipped_q(
            q_of_samples(self._target_critic, observations, actions), self._settings.minimum_share
        )
        return losses.td_target(batch.rewards, batch.bootstraps, value.amax(dim=0))

    @torch.no_grad()
    def _follow(self) -> None:
        blocks, tau = self._blocks, self._settings.tau
        blocks[self._target_critic].move_towards(blocks[self._critic], step=tau)
        blocks[self._target_policy].move_towards(blocks[self._policy], step=tau)
        self._dual.log_value.clamp_(*_DUAL_RANGE)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:
        """Return diagnostics of critics, policy, behaviour model and constraint, changing nothing."""
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        behaviour, (mean, log_std) = self._behaviour(observations), self._policy(observations)
        drawn = _drawn((mean, log_std), noise["here"])
        found = (
            diagnostics.of_critic(q.amin(dim=0), batch.returns, None)
            | diagnostics.of_squashed_policy(mean, log_std, batch.actions, noise["here"][0])
            | behaviour_nll(log_prob(batch.actions, *behaviour), batch.offline)
            | {
                "behaviour/mmd": self._mmd(drawn, behaviour, noise).mean(),
                "dual": self._dual(),
                "batch/offline_share": batch.offline.float().mean(),
                "q/td_error": (q - self._target(batch, noise)).abs().mean(),
            }
        )
        return {name: value.tolist() for name, value in found.items()}

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``min_j Q_j(s, a)``, float32 [B], at the action that the policy takes without noise."""
        scaled = self._normaliser(observations)
        actions = _drawn(self._policy(scaled), self._draws.unsqueeze(1))
        return value_of_best(self._critic, scaled, actions)

    def policy(self) -> PolicyWeights:
        """Return the policy that acts: its draws, judged by the first critic."""
        generator = self._policy.weights(self._spaces, self._normaliser)
        return best_of_weights(generator, self._critic, self._draws)


def _drawn(policy: tuple[Tensor, Tensor], noise: Tensor) -> Tensor:
    """Return actions, float32 [N, B, A], of mean and log std before the tanh, [B, A] each."""
    mean, log_std = policy
    return torch.tanh(mean + log_std.exp() * noise)
