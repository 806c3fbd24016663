"""Soft actor-critic (arXiv:1801.01290, arXiv:1812.05905), alone or with demonstrations."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.networks import TwinCritic
from awaccli.algorithms.policies import SquashedGaussianPolicy
from awaccli.algorithms.squashed import log_prob, sampled
from awaccli.algorithms.state import Adam, Group, policy_group
from awaccli.config.baselines import SacSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream


class Phase(NamedTuple):
    """What an update does, going by how many came before it."""

    cloning: bool
    """The policy only clones, and the critics value the clone, without an entropy bonus."""
    resting: bool
    """Only the critics learn."""


class Sac(GradientLearner):
    """A ``Learner``: critics with an entropy bonus, and a policy that climbs them.

    ``sacfd-prior`` has the offline data in its buffer, ``sacfd-pretrain`` learns from them first, its policy
    by cloning, and ``sac-bc`` goes on cloning them: presets of the same names.
    """

    def __init__(self, settings: SacSettings, setup: Setup, *, critics: int = 2) -> None:
        self._settings = settings
        network, optimiser = settings.network, settings.optimiser
        self._policy = SquashedGaussianPolicy(setup.spaces, network, rng=stream(setup.seed, "init", "policy"))
        rng = stream(setup.seed, "init", "critic")
        self._critic = TwinCritic(setup.spaces, network, rng=rng, ensemble=critics)
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        self._temperature = Temperature(settings.initial_temperature)
        networks = {
            "policy": self._policy,
            "critic": self._critic,
            "target_critic": self._target_critic,
            "temperature": self._temperature,
        }
        super().__init__(setup, networks)
        blocks = self._blocks
        self._optimiser = Adam(
            {
                "policy": policy_group(blocks[self._policy], optimiser),
                "critic": Group(blocks[self._critic], optimiser.critic_lr),
                "temperature": policy_group(blocks[self._temperature], optimiser, regularised=False),
            }
        )
        self._judge = blocks[self._critic].reading(self._critic)
        self._target_entropy = (
            -setup.spaces.action_dim if settings.target_entropy is None else settings.target_entropy
        )

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return the draws one update wants: ``next`` for a', ``here`` for the policy's own actions."""
        one = (batch_size, self._spaces.action_dim)
        return {"next": one, "here": one}

    def _phase(self) -> Phase:
        done, every = self.updates, self._settings.policy_every
        return Phase(cloning=done < self._settings.bc_updates, resting=(done + 1) % every != 0)

    def _resting(self, phase: Phase) -> Collection[str]:
        return ("policy", "temperature") if phase.resting else ("temperature",) if phase.cloning else ()

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: Phase) -> dict[str, Tensor]:
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        target = self._target(batch, noise, cloning=phase.cloning)
        waiting = torch.zeros_like(batch.rewards[0])
        policy_loss, temperature_loss = waiting, waiting
        if not phase.resting:
            policy_loss, temperature_loss = self._policy_losses(batch, noise["here"], cloning=phase.cloning)
        return {
            "loss/policy": policy_loss,
            "loss/critic": losses.critic_loss(q, target),
            "loss/temperature": temperature_loss,
            "q/largest": q.detach().abs().amax(),
        }

    def _policy_losses(self, batch: Batch, noise: Tensor, *, cloning: bool) -> tuple[Tensor, Tensor]:
        """Return the losses of the policy, ``alpha * log pi(a | s) - min_j Q_j(s, a)``, and of alpha."""
        observations = self._normaliser(batch.observations)
        mean, log_std = self._policy(observations)
        clone_loss = -log_prob(batch.actions, mean, log_std)
        if cloning:
            return clone_loss.mean(), torch.zeros_like(batch.rewards[0])
        actions, density = sampled(mean, log_std, noise)
        loss = self._temperature().detach() * density - self._climbed(self._judge(observations, actions))
        if self._settings.bc_weight:
            loss = loss + self._settings.bc_weight * batch.offline * clone_loss
        return loss.mean(), -self._temperature() * (density.detach() + self._target_entropy).mean()

    def _climbed(self, q: Tensor) -> Tensor:
        """Return what the policy climbs, float32 [B], of the critics' values [E, B]."""
        return q.amin(dim=0)

    def _trusted(self, q: Tensor, noise: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002 - others draw
        """Return what targets are made of, float32 [B], of the target critics' values [E, B]."""
        return q.amin(dim=0)

    @torch.no_grad()
    def _target(self, batch: Batch, noise: Mapping[str, Tensor], *, cloning: bool) -> Tensor:
        """Return ``r + bootstrap * (min_j Q'_j(s', a') - alpha * log pi(a' | s'))``, float32 [B]."""
        observations = self._normaliser(batch.next_observations)
        mean, log_std = self._policy(observations)
        actions, density = sampled(mean, log_std, noise["next"])
        value = self._trusted(self._target_critic(observations, actions), noise)
        if self._settings.entropy_in_target and not cloning:
            value = value - self._temperature() * density
        return losses.td_target(batch.rewards, batch.bootstraps, value)

    def _follow(self) -> None:
        blocks = self._blocks
        blocks[self._target_critic].move_towards(blocks[self._critic], step=self._settings.tau)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:
        """Return diagnostics of the critics, the policy and the temperature on a batch, changing nothing."""
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        mean, log_std = self._policy(observations)
        found = (
            diagnostics.of_critic(q.amin(dim=0), batch.returns, None)
            | diagnostics.of_squashed_policy(mean, log_std, batch.actions, noise["here"])
            | {
                "temperature": self._temperature(),
                "batch/offline_share": batch.offline.float().mean(),
                "q/td_error": (q - self._target(batch, noise, cloning=self._phase().cloning)).abs().mean(),
            }
        )
        return {name: value.tolist() for name, value in found.items()}

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``min_j Q_j(s, mean action)``, float32 [B]; the entropy bonus is in it."""
        scaled = self._normaliser(observations)
        value: Tensor = self._critic(scaled, torch.tanh(self._policy(scaled)[0])).amin(dim=0)
        return value

    def policy(self) -> PolicyWeights:
        """Return the policy that acts."""
        return self._policy.weights(self._spaces, self._normaliser)


class Temperature(nn.Module):
    """A positive number that is learned by its logarithm."""

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.log_value = nn.Parameter(torch.tensor([math.log(initial)]))

    def forward(self) -> Tensor:
        """Return the number, 0-dimensional."""
        return self.log_value.exp().squeeze()
