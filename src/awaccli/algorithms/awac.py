"""Advantage-weighted actor-critic (arXiv:2006.09359): offline pretraining and online fine-tuning in one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.captured import made_fast
from awaccli.algorithms.networks import (
    GaussianPolicy,
    ObservationNormaliser,
    Spaces,
    TwinCritic,
)
from awaccli.algorithms.state import Block, adam_for, copy_saved, named_tensors
from awaccli.config.settings import AwacSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream


class _Phase(NamedTuple):
    """What an update does, going by how many came before it."""

    on_returns: bool
    """Critics regress on logged returns."""
    cloning: bool
    """All logged actions weigh the same."""


class Awac:
    """A ``Learner``: critics learn what logged actions are worth, the policy imitates the better ones.

    Args:
        settings: the algorithm's settings.
        spaces: observations and actions of the task.
        reward_range: smallest and largest reward of a step, where known; bounds the critic's targets.
        seed: initial weights are functions of it.
        device: where tensors live.
        compiled: let PyTorch's compiler fuse the losses: 10 % faster, once it has taken its seconds.
    """

    def __init__(
        self,
        settings: AwacSettings,
        spaces: Spaces,
        *,
        reward_range: tuple[float, float] | None,
        seed: int,
        device: str | torch.device = "cpu",
        compiled: bool = False,
    ) -> None:
        self._settings, self._spaces = settings, spaces
        network = settings.network
        self._normaliser = ObservationNormaliser(spaces).to(device)
        self._policy = GaussianPolicy(spaces, network, rng=stream(seed, "init", "policy")).to(device)
        self._critic = TwinCritic(spaces, network, rng=stream(seed, "init", "critic")).to(device)
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        self._average = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        self._clone = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        self._blocks = {
            module: Block(module)
            for module in (self._policy, self._critic, self._target_critic, self._average, self._clone)
        }
        self._optimiser = adam_for(
            self._policy, self._blocks[self._policy], self._blocks[self._critic], settings.optimiser
        )
        self._reachable = reward_range and losses.reachable_values(reward_range, settings.discount)
        self._bounds = self._reachable if settings.clamp_target else None
        # Stays on the CPU on every device: schedules read it without a synchronisation.
        self._updates = torch.zeros(1, dtype=torch.int64)
        self._step_losses = (
            torch.compile(self._losses, fullgraph=True, dynamic=False) if compiled else self._losses
        )
        self._fast_step = made_fast(self._step, self.tensors, device)

    @property
    def updates(self) -> int:
        """Gradient updates made so far, offline and online."""
        return int(self._updates)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return the draws one update wants: ``next`` for a', ``value`` for V(s) by samples."""
        one = (batch_size, self._spaces.action_dim)
        if self._settings.value == "mean":
            return {"next": one}
        return {"next": one, "value": (self._settings.value_samples, *one)}

    def update(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Make one gradient step of critics and policy, both from the networks as they were before it."""
        found = self._fast_step(batch, noise, self._phase())
        self._updates += 1
        if self.updates == self._settings.bc_updates:
            self._blocks[self._clone].move_towards(self._blocks[self._policy], step=1)
        return found

    def _step(self, batch: Batch, noise: Mapping[str, Tensor], phase: _Phase) -> dict[str, Tensor]:
        """Move the trained networks by their losses, and what trails them after them."""
        critic_loss, policy_loss, largest = self._step_losses(batch, noise, phase)
        self._optimiser.minimise(critic_loss, policy_loss)
        blocks, settings = self._blocks, self._settings
        blocks[self._target_critic].move_towards(blocks[self._critic], step=settings.tau)
        if settings.average:
            blocks[self._average].move_towards(blocks[self._policy], step=1 - settings.average)
        return {
            "loss/policy": policy_loss.detach(),
            "loss/critic": critic_loss.detach(),
            "q/largest": largest,
        }

    def _phase(self) -> _Phase:
        settings = self._settings
        return _Phase(
            on_returns=self.updates < settings.return_updates, cloning=self.updates < settings.bc_updates
        )

    def _losses(
        self, batch: Batch, noise: Mapping[str, Tensor], phase: _Phase
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses of critics and policy, and the largest size of Q in the batch; 0-dimensional."""
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        mean, log_std = self._policy.mean(observations), self._policy.log_std()

        critic_loss = losses.critic_loss(q, self._target(batch, noise, phase))
        log_prob = losses.gaussian_log_prob(batch.actions, mean, log_std)
        weights = self._scheduled_weights(observations, q, mean, noise, phase)
        policy_loss = losses.weighted_likelihood_loss(log_prob, weights)
        return critic_loss, policy_loss, q.detach().abs().amax()

    @torch.no_grad()
    def _target(self, batch: Batch, noise: Mapping[str, Tensor], phase: _Phase) -> Tensor:
        """Return what the critics regress on, float32 [B]: logged returns at first, then the TD target."""
        if phase.on_returns:
            return batch.returns
        observations = self._normaliser(batch.next_observations)
        actions = self._actions(self._policy.mean(observations), noise["next"])
        q_min = self._target_critic(observations, actions).amin(dim=0)
        return losses.td_target(batch.rewards, batch.bootstraps, q_min, bounds=self._bounds)

    @torch.no_grad()
    def _scheduled_weights(
        self, observations: Tensor, q: Tensor, mean: Tensor, noise: Mapping[str, Tensor], phase: _Phase
    ) -> Tensor:
        """Return the weight of each logged action, float32 [B]: 1 while the policy starts as a clone."""
        if phase.cloning:
            return torch.ones_like(q[0])
        return self._weights(self._advantage(observations, q, mean, noise))

    def _advantage(
        self, observations: Tensor, q: Tensor, mean: Tensor, noise: Mapping[str, Tensor]
    ) -> Tensor:
        """Return ``A(s, a) = min_j Q_j(s, a) - V(s)``, float32 [B], by the online critics."""
        if self._settings.value == "mean":
            value = self._critic(observations, self._actions(mean)).amin(dim=0)
        else:
            samples = self._actions(mean, noise["value"])
            repeated = observations.expand(len(samples), -1, -1)
            q_samples = self._critic(repeated.flatten(0, 1), samples.flatten(0, 1))
            value = q_samples.amin(dim=0).view(len(samples), -1).mean(dim=0)
        advantage: Tensor = q.amin(dim=0) - value
        return advantage

    def _weights(self, advantage: Tensor) -> Tensor:
        """Return the weights of logged actions, float32 [B], for their advantages."""
        settings = self._settings
        if settings.normalize_advantage:
            advantage = losses.normalised_advantage(advantage)
        if settings.advantage_cap is not None:
            advantage = losses.capped_advantage(advantage, settings.advantage_cap)
        return losses.awac_weights(
            advantage, settings.lam, form=settings.weights, max_weight=settings.max_weight
        )

    def _actions(self, mean: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the policy's actions, [..., B, A], as the environment would execute them."""
        actions = mean if noise is None else mean + self._policy.log_std().exp() * noise
        # DEVIATION: the released code leaves them outside the box, where no logged action ever is.
        return actions.clamp(-1, 1) if self._settings.clip_target_actions else actions

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:
        """Return diagnostics of the weights, the critics and the policy on a batch, changing nothing."""
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        mean, log_std = self._policy.mean(observations), self._policy.log_std()
        advantage = self._advantage(observations, q, mean, noise)
        found = (
            diagnostics.of_weights(advantage, self._weights(advantage), self._settings)
            | diagnostics.of_critic(q.amin(dim=0), batch.returns, self._reachable)
            | diagnostics.of_policy(mean, log_std, batch.actions)
            | {"batch/offline_share": batch.offline.float().mean()}
            | {"q/td_error": (q - self._target(batch, noise, self._phase())).abs().mean()}
        )
        if 0 < self._settings.bc_updates <= self.updates:
            clone = {"other_mean": self._clone.mean(observations), "other_log_std": self._clone.log_std()}
            found["policy/kl_bc"] = losses.gaussian_kl(mean, log_std, **clone).mean()
        return {name: value.tolist() for name, value in found.items()}

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``min_j Q_j(s, mean action)``, float32 [B], of the policy that learns."""
        scaled = self._normaliser(observations)
        value: Tensor = self._critic(scaled, self._actions(self._policy.mean(scaled))).amin(dim=0)
        return value

    def policy(self) -> PolicyWeights:
        """Return the policy that acts: the averaged one if ``settings.average``."""
        acting = self._average if self._settings.average else self._policy
        return acting.weights(self._spaces, self._normaliser)

    def tensors(self) -> dict[str, Tensor]:
        """Return networks, targets, moments, statistics and the counter by name, as live views."""
        modules = {
            "normaliser": self._normaliser,
            "policy": self._policy,
            "critic": self._critic,
            "target_critic": self._target_critic,
        }
        if self._settings.average:
            modules["average"] = self._average
        if self._settings.bc_updates:
            modules["clone"] = self._clone
        return {"updates": self._updates, **named_tensors(modules, self._optimiser)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy a saved ``tensors()`` back in; going on is then bit-identical to never having stopped.

        Raises:
            CheckpointError: a name is missing or a shape differs.
        """
        copy_saved(self.tensors(), tensors)
