"""Advantage-weighted behaviour model (arXiv:2002.08396): MPO within what worked in the data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from awaccli.algorithms import losses
from awaccli.algorithms.behaviour import behaviour_nll
from awaccli.algorithms.candidates import q_of_samples
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.mpo import Mpo
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.config.baselines import AbmSettings
from awaccli.protocols import Batch
from awaccli.seeding import stream


class Abm(Mpo):
    """A ``Learner``: a model of the logged actions that beat the policy draws the actions that MPO weighs.

    So the KL that the temperature limits is that to the model, where in MPO it is that to the old policy.
    """

    def __init__(self, settings: AbmSettings, setup: Setup) -> None:
        rng = stream(setup.seed, "init", "behaviour")
        self._behaviour = GaussianPolicy(setup.spaces, settings.network, rng=rng)
        self._value_samples = settings.value_samples
        super().__init__(settings, setup, self._behaviour)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return the draws one update wants: those of MPO, and ``value`` for V(s)."""
        value = (self._value_samples, batch_size, self._spaces.action_dim)
        return {**super().noise_shapes(batch_size), "value": value}

    def _proposal(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        return self._behaviour.mean(observations), self._behaviour.log_std()

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: bool) -> dict[str, Tensor]:
        log_prob = self._behaviour_log_prob(batch)
        kept = losses.awac_weights(self._advantage(batch, noise), 1.0, form="binary")
        found = super()._losses(batch, noise, phase)
        return found | {"loss/behaviour": losses.weighted_likelihood_loss(log_prob, kept)}

    def _behaviour_log_prob(self, batch: Batch) -> Tensor:
        """Return how likely the model finds the logged actions, float32 [B]."""
        mean, log_std = self._proposal(self._normaliser(batch.observations))
        return losses.gaussian_log_prob(batch.actions, mean, log_std)

    @torch.no_grad()
    def _advantage(self, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        """Return ``r_n + bootstrap * min_j Q'_j(s', a') - V(s)``, float32 [B]: of n logged steps.

        ``V(s)`` is the mean of ``min_j Q'_j`` over actions of the policy.
        """
        observations = self._normaliser(batch.observations)
        mean, log_std = self._old(observations)
        actions = (mean + log_std.exp() * noise["value"]).clamp(-1, 1)
        value = q_of_samples(self._target_critic, observations, actions).amin(dim=0).mean(dim=0)
        return self._target(batch, noise) - value

    def _found(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        advantage = self._advantage(batch, noise)
        return (
            super()._found(batch, noise)
            | behaviour_nll(self._behaviour_log_prob(batch), batch.offline)
            | {
                "behaviour/kept": (advantage > 0).float().mean(),
                "advantage/mean": advantage.mean(),
                "advantage/std": advantage.std(correction=0),
            }
        )
