"""Advantage-weighted actor-critic (arXiv:2006.09359): offline pretraining and online fine-tuning in one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.networks import TwinCritic
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.algorithms.state import adam_for
from awaccli.config.settings import AwacSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream


class _Phase(NamedTuple):
    """What an update does, going by how many came before it."""

    on_returns: bool
    """Critics regress on logged returns."""
    cloning: bool
    """All logged actions weigh the same."""


class _Advantages(NamedTuple):
    """How much better than the policy actions look, by the critics of ``settings.advantage_critic``."""

    logged: Tensor
    """``A(s, a) = min_j Q_j(s, a) - V(s)``, float32 [B]."""
    sampled: Tensor | None
    """``A(s, a_k)`` of the policy's own actions, float32 [K, B], where weights are divided by Z(s)."""


class Awac(GradientLearner):
    """A ``Learner``: critics learn what logged actions are worth, the policy imitates the better ones."""

    def __init__(self, settings: AwacSettings, setup: Setup) -> None:
        self._settings, network = settings, settings.network
        self._policy = GaussianPolicy(
            setup.spaces,
            network,
            rng=stream(setup.seed, "init", "policy"),
            members=settings.policy_members,
        )
        self._critic = TwinCritic(setup.spaces, network, rng=stream(setup.seed, "init", "critic"))
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        self._average = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        self._clone = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        networks = {"policy": self._policy, "critic": self._critic, "target_critic": self._target_critic}
        if settings.average:
            networks["average"] = self._average
        if settings.bc_updates:
            networks["clone"] = self._clone
        super().__init__(setup, networks)
        self._judge = self._critic if settings.advantage_critic == "online" else self._target_critic
        self._optimiser = adam_for(
            self._policy, self._blocks[self._policy], self._blocks[self._critic], settings.optimiser
        )
        reward_range = setup.reward_range
        self._reachable = reward_range and losses.reachable_values(reward_range, settings.discount)
        self._bounds = self._reachable if settings.clamp_target else None

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return the draws one update wants: for a', V(s) by samples, the control, and Z(s)."""
        settings, one = self._settings, (batch_size, self._spaces.action_dim)
        shapes: dict[str, tuple[int, ...]] = {"next": one}
        if settings.value == "sample":
            count = settings.value_samples
            shapes["value"] = (count if count % 2 else count // 2, *one)
        if settings.shuffle_advantages:
            shapes["shuffle"] = (batch_size,)
        if settings.normaliser_samples:
            shapes["normaliser"] = (settings.normaliser_samples, *one)
        return shapes

    def _phase(self) -> _Phase:
        settings = self._settings
        return _Phase(
            on_returns=self.updates < settings.return_updates, cloning=self.updates < settings.bc_updates
        )

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: _Phase) -> dict[str, Tensor]:
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        importance = batch.importance if self._settings.critic_weights == "importance" else None
        critic_loss = losses.critic_loss(q, self._target(batch, noise, phase), importance)
        policy_loss = self._policy_loss(batch, observations, q, noise, phase)
        largest = q.detach().abs().amax()
        return {"loss/policy": policy_loss, "loss/critic": critic_loss, "q/largest": largest}

    def _follow(self) -> None:
        blocks, settings = self._blocks, self._settings
        blocks[self._target_critic].move_towards(blocks[self._critic], step=settings.tau)
        if settings.average:
            blocks[self._average].move_towards(blocks[self._policy], step=self._average_step())

    def _average_step(self) -> float | Tensor:
        """Return the averaged policy's step towards the one that learns: smaller as the horizon grows."""
        settings = self._settings
        largest = 1 - settings.average
        if not settings.average_share:
            return largest
        return (1 / (settings.average_share * self._optimiser.steps("policy"))).clamp(max=largest)

    def _advance(self) -> None:
        if self.updates == self._settings.bc_updates:
            self._blocks[self._clone].move_towards(self._blocks[self._policy], step=1)

    @torch.no_grad()
    def _target(self, batch: Batch, noise: Mapping[str, Tensor], phase: _Phase) -> Tensor:
        """Return what the critics regress on, float32 [B]: logged returns at first, then the TD target."""
        if phase.on_returns:
            return batch.returns
        observations = self._normaliser(batch.next_observations)
        actions = self._actions(self._policy.mean(observations), noise["next"])
        q_min = self._target_critic(observations, actions).amin(dim=0)
        return losses.td_target(batch.rewards, batch.bootstraps, q_min, bounds=self._bounds)

    def _policy_loss(
        self, batch: Batch, observations: Tensor, q: Tensor, noise: Mapping[str, Tensor], phase: _Phase
    ) -> Tensor:
        """Return ``-mean(w log pi(a | s))``, 0-dimensional; w is 1 while the policy starts as a clone."""
        mean, log_prob = self._policy.mean_and_log_prob(observations, batch.actions)
        if phase.cloning:
            return losses.weighted_likelihood_loss(log_prob, torch.ones_like(log_prob))
        with torch.no_grad():
            judged = self._judged(observations, batch.actions, q)
            weights = self._weights(self._advantage(observations, judged, mean, noise))
        return losses.weighted_likelihood_loss(log_prob, weights)

    def _judged(self, observations: Tensor, actions: Tensor, q: Tensor) -> Tensor:
        """Return logged actions' values by the critics of advantages, [E, B]; the online ones' are ``q``."""
        return q if self._judge is self._critic else self._judge(observations, actions)

    def _value(self, observations: Tensor, mean: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """Return V(s), float32 [B]."""
        settings = self._settings
        if settings.value == "mean":
            at_mean: Tensor = self._judge(observations, self._actions(mean)).amin(dim=0)
            return at_mean
        draws = noise["value"]
        if settings.value_samples % 2 == 0:  # antithetic: what Q has of odd order in the noise cancels
            draws = torch.cat([draws, -draws])
        return self._sampled_q(observations, mean, draws).mean(dim=0)

    def _advantage(
        self, observations: Tensor, q: Tensor, mean: Tensor, noise: Mapping[str, Tensor]
    ) -> _Advantages:
        """Return the advantages of logged actions over V(s), and of those that Z(s) is taken over."""
        settings, value = self._settings, self._value(observations, mean, noise)
        logged, sampled = q.amin(dim=0) - value, None
        if settings.normaliser_samples:
            # DEVIATION: in the derivation the actions are the behaviour policy's, which AWAC does not model.
            sampled = self._sampled_q(observations, mean, noise["normaliser"]) - value
        if settings.shuffle_advantages:
            order = noise["shuffle"].argsort()
            logged, sampled = logged[order], None if sampled is None else sampled[:, order]
        return _Advantages(logged, sampled)

    def _sampled_q(self, observations: Tensor, mean: Tensor, noise: Tensor) -> Tensor:
        """Return ``min_j Q_j(s, a_k)`` of the policy's actions, float32 [K, B], for noise [K, B, A]."""
        samples = self._actions(mean, noise)
        repeated = observations.expand(len(samples), -1, -1)
        q: Tensor = self._judge(repeated.flatten(0, 1), samples.flatten(0, 1)).amin(dim=0)
        return q.view(len(samples), -1)

    def _weights(self, found: _Advantages) -> Tensor:
        """Return the weights of logged actions, float32 [B], for their advantages."""
        settings, advantage = self._settings, self._seen(found.logged, found.logged)
        if found.sampled is not None:
            advantage = advantage - losses.log_normaliser(
                self._seen(found.sampled, found.logged), settings.lam
            )
        return losses.awac_weights(
            advantage, settings.lam, form=settings.weights, max_weight=settings.max_weight
        )

    def _seen(self, advantage: Tensor, logged: Tensor) -> Tensor:
        """Return advantages, float32 [..., B], as ``lam`` divides them: scaled as logged ones, and capped."""
        settings = self._settings
        if settings.normalize_advantage:
            advantage = losses.normalised_advantage(advantage, like=logged)
        if settings.advantage_cap is not None:
            advantage = losses.capped_advantage(advantage, settings.advantage_cap)
        return advantage

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
        judged = self._judged(observations, batch.actions, q)
        advantage = self._advantage(observations, judged, mean, noise)
        found = (
            diagnostics.of_weights(advantage.logged, self._weights(advantage), self._settings)
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
