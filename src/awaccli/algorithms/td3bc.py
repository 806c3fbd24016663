"""TD3+BC (arXiv:2106.06860): a deterministic policy that climbs twin critics and clones the data."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.networks import TwinCritic
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.algorithms.state import Adam, Group, policy_group
from awaccli.config.baselines import Td3BcSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream


class Td3Bc(GradientLearner):
    """A ``Learner``: TD3 (arXiv:1802.09477) with a cloning term; the policy learns every second update."""

    def __init__(self, settings: Td3BcSettings, setup: Setup) -> None:
        self._settings = settings
        network, optimiser = settings.network, settings.optimiser
        self._policy = GaussianPolicy(setup.spaces, network, rng=stream(setup.seed, "init", "policy"))
        self._critic = TwinCritic(setup.spaces, network, rng=stream(setup.seed, "init", "critic"))
        self._target_policy = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        self._policy.free_log_std.requires_grad = False  # exploration is a setting
        networks = {
            "policy": self._policy,
            "critic": self._critic,
            "target_policy": self._target_policy,
            "target_critic": self._target_critic,
        }
        super().__init__(setup, networks)
        policy, critic = self._blocks[self._policy], self._blocks[self._critic]
        n_std = self._policy.free_log_std.numel()  # a module's own parameters come before those of its layers
        self._optimiser = Adam(
            {
                "policy": policy_group(policy, optimiser, part=slice(n_std, None)),
                "critic": Group(critic, optimiser.critic_lr),
            }
        )
        self._judge = critic.reading(self._critic)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return the draws one update wants: ``next`` disturbs a'."""
        return {"next": (batch_size, self._spaces.action_dim)}

    def _phase(self) -> bool:
        """Return whether the policy rests."""
        return (self.updates + 1) % self._settings.policy_every != 0

    def _resting(self, phase: bool) -> Collection[str]:
        return ("policy",) if phase else ()

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: bool) -> dict[str, Tensor]:
        q = self._critic(self._normaliser(batch.observations), batch.actions)
        return {
            "loss/policy": torch.zeros_like(batch.rewards[0]) if phase else self._policy_loss(batch),
            "loss/critic": losses.critic_loss(q, self._target(batch, noise["next"])),
            "q/largest": q.detach().abs().amax(),
        }

    def _policy_loss(self, batch: Batch) -> Tensor:
        """Return ``-alpha * mean(Q_1(s, pi(s))) / mean|Q_1(s, pi(s))| + mean((pi(s) - a)^2)``."""
        observations = self._normaliser(batch.observations)
        actions = self._policy.mean(observations)
        q = self._judge(observations, actions)[0]
        # NUMERICS: critics start almost at zero, where the quotient has no meaning.
        scale = q.detach().abs().mean().clamp(min=1e-6)
        climb = self._settings.q_weight * q.mean() / scale
        loss: Tensor = (actions - batch.actions).square().mean() - climb
        return loss

    @torch.no_grad()
    def _target(self, batch: Batch, noise: Tensor) -> Tensor:
        """Return ``r + bootstrap * min_j Q'_j(s', a')``, float32 [B], ``a' = pi'(s')`` and clipped noise."""
        limit = self._settings.target_noise_clip
        observations = self._normaliser(batch.next_observations)
        disturbance = (self._settings.target_noise * noise).clamp(-limit, limit)
        actions = (self._target_policy.mean(observations) + disturbance).clamp(-1, 1)
        q_min = self._target_critic(observations, actions).amin(dim=0)
        return losses.td_target(batch.rewards, batch.bootstraps, q_min)

    def _follow(self) -> None:
        # DEVIATION: TD3 moves its targets when the policy learns, every second update; here they move after
        # every update, at half the pace.
        step = self._settings.tau / self._settings.policy_every
        blocks = self._blocks
        blocks[self._target_policy].move_towards(blocks[self._policy], step=step)
        blocks[self._target_critic].move_towards(blocks[self._critic], step=step)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:
        """Return diagnostics of the critics and the policy on a batch, changing nothing."""
        observations = self._normaliser(batch.observations)
        q, mean = self._critic(observations, batch.actions), self._policy.mean(observations)
        found = diagnostics.of_critic(q.amin(dim=0), batch.returns, None) | {
            "policy/squared_error": (mean - batch.actions).square().mean(),
            "policy/at_limits": (mean.abs() > diagnostics.AT_LIMIT).float().mean(),
            "batch/offline_share": batch.offline.float().mean(),
            "q/td_error": (q - self._target(batch, noise["next"])).abs().mean(),
        }
        return {name: value.tolist() for name, value in found.items()}

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``min_j Q_j(s, pi(s))``, float32 [B]."""
        scaled = self._normaliser(observations)
        value: Tensor = self._critic(scaled, self._policy.mean(scaled)).amin(dim=0)
        return value

    def policy(self) -> PolicyWeights:
        """Return the policy that acts; its samples are the mean and the exploration noise, clipped."""
        return self._policy.weights(self._spaces, self._normaliser)
