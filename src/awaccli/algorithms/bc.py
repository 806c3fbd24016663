"""Behaviour cloning: the policy that makes the logged actions most likely."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.algorithms.state import adam_for
from awaccli.config.settings import BcSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream


class BehaviourCloning(GradientLearner):
    """A ``Learner`` without critics: maximum likelihood on observations and actions.

    Initial weights are equal to those of ``Awac``'s policy with the same seed.
    """

    def __init__(self, settings: BcSettings, setup: Setup) -> None:
        self._policy = GaussianPolicy(
            setup.spaces, settings.network, rng=stream(setup.seed, "init", "policy")
        )
        networks = {"policy": self._policy}
        if settings.average:
            networks["average"] = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        super().__init__(setup, networks)
        self._settings, self._acting = settings, networks.get("average", self._policy)
        self._optimiser = adam_for(self._policy, self._blocks[self._policy], None, settings.optimiser)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG002 - protocol
        """Return nothing: no draws are needed."""
        return {}

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: None) -> dict[str, Tensor]:  # noqa: ARG002 - base
        mean = self._policy.mean(self._normaliser(batch.observations))
        log_prob = losses.gaussian_log_prob(batch.actions, mean, self._policy.log_std())
        return {"loss/policy": losses.weighted_likelihood_loss(log_prob, torch.ones_like(log_prob))}

    def _follow(self) -> None:
        if self._settings.average:
            trail, policy = self._blocks[self._acting], self._blocks[self._policy]
            trail.move_towards(policy, step=1 - self._settings.average)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:  # noqa: ARG002 - base
        """Return diagnostics of the policy on a batch, changing nothing."""
        mean = self._policy.mean(self._normaliser(batch.observations))
        found = diagnostics.of_policy(mean, self._policy.log_std(), batch.actions)
        return {name: value.tolist() for name, value in found.items()}

    def policy(self) -> PolicyWeights:
        """Return the clone: the averaged one if ``settings.average``."""
        return self._acting.weights(self._spaces, self._normaliser)
