"""Behaviour cloning: the policy that makes the logged actions most likely."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.captured import made_fast
from awaccli.algorithms.networks import GaussianPolicy, ObservationNormaliser, Spaces
from awaccli.algorithms.state import Block, adam_for, copy_saved, named_tensors
from awaccli.config.settings import BcSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream


class BehaviourCloning:
    """A ``Learner`` without critics: maximum likelihood on observations and actions.

    Args:
        settings: the algorithm's settings.
        spaces: observations and actions of the task.
        seed: initial weights are functions of it, and equal to those of ``Awac``'s policy.
        device: where tensors live.
        compiled: see ``Awac``.
    """

    def __init__(
        self,
        settings: BcSettings,
        spaces: Spaces,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        compiled: bool = False,
    ) -> None:
        self._spaces = spaces
        self._normaliser = ObservationNormaliser(spaces).to(device)
        self._policy = GaussianPolicy(spaces, settings.network, rng=stream(seed, "init", "policy")).to(device)
        self._average = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        self._block, self._average_block = Block(self._policy), Block(self._average)
        self._optimiser = adam_for(self._policy, self._block, None, settings.optimiser)
        self._decay = settings.average
        self._step_loss = torch.compile(self._loss, fullgraph=True, dynamic=False) if compiled else self._loss
        self._fast_step = made_fast(self._step, self.tensors, device)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG002 - protocol
        """Return nothing: no draws are needed."""
        return {}

    def update(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Make one gradient step on the likelihood of the logged actions."""
        return self._fast_step(batch, noise, None)

    def _step(self, batch: Batch, noise: Mapping[str, Tensor], phase: None) -> dict[str, Tensor]:  # noqa: ARG002 - a `Step`
        loss = self._step_loss(batch)
        self._optimiser.minimise(loss)
        if self._decay:
            self._average_block.move_towards(self._block, step=1 - self._decay)
        return {"loss/policy": loss.detach()}

    def _loss(self, batch: Batch) -> Tensor:
        mean = self._policy.mean(self._normaliser(batch.observations))
        log_prob = losses.gaussian_log_prob(batch.actions, mean, self._policy.log_std())
        return losses.weighted_likelihood_loss(log_prob, torch.ones_like(log_prob))

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:  # noqa: ARG002 - protocol
        """Return diagnostics of the policy on a batch, changing nothing."""
        mean = self._policy.mean(self._normaliser(batch.observations))
        found = diagnostics.of_policy(mean, self._policy.log_std(), batch.actions)
        return {name: value.tolist() for name, value in found.items()}

    def state_values(self, observations: Tensor) -> None:
        """Return None: a clone has no critic."""

    def policy(self) -> PolicyWeights:
        """Return the clone: the averaged one if ``settings.average``."""
        acting = self._average if self._decay else self._policy
        return acting.weights(self._spaces, self._normaliser)

    def tensors(self) -> dict[str, Tensor]:
        """Return the network, moments and observation statistics by name, as live views."""
        modules = {"normaliser": self._normaliser, "policy": self._policy}
        if self._decay:
            modules["average"] = self._average
        return named_tensors(modules, self._optimiser)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy a saved ``tensors()`` back in.

        Raises:
            CheckpointError: a name is missing or a shape differs.
        """
        copy_saved(self.tensors(), tensors)
