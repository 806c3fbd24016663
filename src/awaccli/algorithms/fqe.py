"""Fitted Q evaluation: what a policy is worth, from data alone (arXiv:1811.02553, arXiv:1903.08738)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from awaccli.algorithms import losses
from awaccli.algorithms.networks import ObservationNormaliser, Spaces, TwinCritic
from awaccli.algorithms.state import Adam, Block, Group
from awaccli.config.section import NetworkSettings
from awaccli.protocols import Batch
from awaccli.seeding import stream

_LR = 3e-4
_TAU = 0.01


class FittedQ:
    """Regresses ``Q(s, a)`` on ``r + discount * Q'(s', pi(s'))`` for one fixed policy.

    Two critics from different initial weights learn the same; their mean is the estimate. Where the policy
    goes beyond the data, both only extrapolate. They start from the returns of the recorded actions: TD
    targets alone need tens of thousands of updates to carry a value through a long episode.
    """

    def __init__(
        self, spaces: Spaces, network: NetworkSettings, *, bounds: tuple[float, float] | None, seed: int
    ) -> None:
        """Start from fresh critics.

        Args:
            spaces: observations and actions of the task.
            network: shapes of the critics.
            bounds: lowest and highest return that the rewards can reach, where known; clamps the targets.
            seed: initial weights are functions of it.
        """
        self._normaliser = ObservationNormaliser(spaces)
        self._critic = TwinCritic(spaces, network, rng=stream(seed, "init", "fitted-q"))
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        self._block, self._target_block = Block(self._critic), Block(self._target_critic)
        self._optimiser = Adam({"critic": Group(self._block, _LR)})
        self._bounds = bounds

    def start(self, batch: Batch) -> Tensor:
        """Make one gradient step towards the recorded returns; return the squared error, 0-dimensional."""
        return self._regress(batch, batch.returns)

    def update(self, batch: Batch, next_actions: Tensor) -> Tensor:
        """Make one gradient step towards the policy's own value; return the squared error, 0-dimensional.

        Args:
            batch: one-step transitions.
            next_actions: float32 [B, A], what the policy does in ``batch.next_observations``.
        """
        with torch.no_grad():
            following = self._target_critic(self._normaliser(batch.next_observations), next_actions)
            target = losses.td_target(
                batch.rewards, batch.bootstraps, following.mean(dim=0), bounds=self._bounds
            )
        return self._regress(batch, target)

    def _regress(self, batch: Batch, target: Tensor) -> Tensor:
        q = self._critic(self._normaliser(batch.observations), batch.actions)
        loss = losses.critic_loss(q, target)
        self._optimiser.minimise(loss)
        self._target_block.move_towards(self._block, step=_TAU)
        return loss.detach()

    @torch.no_grad()
    def values(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the estimated return from each state and first action, float32 [B]."""
        value: Tensor = self._critic(self._normaliser(observations), actions).mean(dim=0)
        return value
