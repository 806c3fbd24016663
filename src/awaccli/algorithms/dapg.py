"""Demonstration-augmented policy gradient (arXiv:1709.10087): a clone that goes on by natural gradients."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.natural import fisher_product, gradient, natural_step
from awaccli.algorithms.networks import StateValue
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.algorithms.state import Group, adam_for
from awaccli.config.baselines import DapgSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream

_ITERATIONS = 10
_DAMPING = 1e-4
"""Of the conjugate gradients, as in the released code."""


class Phase(NamedTuple):
    """What an update does."""

    cloning: bool
    """The policy imitates the batch, by Adam."""
    stepping: bool
    """The policy makes a natural gradient step; otherwise only the value function learns."""


class Dapg(GradientLearner):
    """A ``Learner`` for online rows that are on-policy, and offline rows that are demonstrations.

    The buffer makes them so: its ring holds the last round of episodes only (the preset's
    ``finetune.capacity``), and the policy makes one step a round (``finetune.utd`` times a round's steps is
    ``policy_every``). In the other updates of a round the value function learns.
    """

    def __init__(self, settings: DapgSettings, setup: Setup) -> None:
        self._settings, network = settings, settings.network
        self._policy = GaussianPolicy(setup.spaces, network, rng=stream(setup.seed, "init", "policy"))
        self._value = StateValue(setup.spaces, network, rng=stream(setup.seed, "init", "value"))
        super().__init__(setup, {"policy": self._policy, "value": self._value})
        self._optimiser = adam_for(
            self._policy,
            self._blocks[self._policy],
            None,
            settings.optimiser,
            value=Group(self._blocks[self._value], settings.optimiser.critic_lr),
        )
        self._steps = torch.zeros(1, device=setup.device)
        self._step_kl = torch.zeros(1, device=setup.device)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG002 - protocol
        """Return nothing: no draws are needed."""
        return {}

    def _phase(self) -> Phase:
        online = self.updates - self._settings.bc_updates
        return Phase(cloning=online < 0, stepping=online >= 0 and online % self._settings.policy_every == 0)

    def _resting(self, phase: Phase) -> Collection[str]:
        return () if phase.cloning else ("policy", "log_std")

    def _step(self, batch: Batch, noise: Mapping[str, Tensor], phase: Phase) -> dict[str, Tensor]:
        if phase.stepping:
            self._climb(batch)
        return super()._step(batch, noise, phase)

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: Phase) -> dict[str, Tensor]:  # noqa: ARG002 - base
        observations = self._normaliser(batch.observations)
        values = self._value(observations)
        error = (values - batch.returns).square()
        found = {"q/largest": values.detach().abs().amax()}
        if not phase.cloning:
            return {"loss/value": _mean_of(error, ~batch.offline), **found}
        # The clone's std stays as it was: by likelihood it would leave nothing to explore with.
        mean, log_std = self._policy.mean(observations), self._policy.log_std().detach()
        log_prob = losses.gaussian_log_prob(batch.actions, mean, log_std)
        return {"loss/policy": -log_prob.mean(), "loss/value": error.mean(), **found}

    def _climb(self, batch: Batch) -> None:
        """Make a natural gradient step on ``mean_i(w_i * log pi(a_i | s_i))``."""
        # NUMERICS: conjugate gradients lose their way in bfloat16.
        with torch.autocast(batch.rewards.device.type, enabled=False):
            observations = self._normaliser(batch.observations)
            mean, log_std = self._policy.mean(observations), self._policy.log_std()
            log_prob = losses.gaussian_log_prob(batch.actions, mean, log_std)
            slope = gradient((self._weights(batch, observations) * log_prob).mean(), self._policy)
            # DEVIATION: the released code averages the Fisher matrix over on-policy rows only.
            product = fisher_product(self._policy, observations)
            step = natural_step(
                slope, product, kl=self._settings.step_kl, iterations=_ITERATIONS, damping=_DAMPING
            )
            self._blocks[self._policy].values.add_(step)
            self._note(observations, mean.detach(), log_std.detach())

    @torch.no_grad()
    def _weights(self, batch: Batch, observations: Tensor) -> Tensor:
        """Return ``A_i`` of online rows and ``lambda0 * lambda1^k * max A`` of demonstrations, float32 [B].

        Advantages are standardised over the online rows; k counts steps of the policy.
        """
        # DEVIATION: the paper's advantages are by GAE(0.97); rows hold Monte-Carlo returns, GAE(1).
        advantage, online = batch.returns - self._value(observations), ~batch.offline
        centred = torch.where(online, advantage - _mean_of(advantage, online), 0)
        standardised = centred / (_mean_of(centred.square(), online).sqrt() + 1e-6)
        return torch.where(online, standardised, self._demo_weight() * standardised.amax())

    def _demo_weight(self) -> Tensor:
        """Return ``lambda0 * lambda1^k``, float32 [1]."""
        return self._settings.demo_weight * self._settings.demo_decay**self._steps

    @torch.no_grad()
    def _note(self, observations: Tensor, mean: Tensor, log_std: Tensor) -> None:
        """Count a step, and measure how far it went from the policy of this mean and log std."""
        now = {"other_mean": self._policy.mean(observations), "other_log_std": self._policy.log_std()}
        self._step_kl.copy_(losses.gaussian_kl(mean, log_std, **now).mean())
        self._steps += 1

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:  # noqa: ARG002 - base
        """Return diagnostics of policy and value function on a batch, changing nothing."""
        observations = self._normaliser(batch.observations)
        values = self._value(observations)
        found = diagnostics.of_policy(
            self._policy.mean(observations), self._policy.log_std(), batch.actions
        ) | {
            "value/mean": values.mean(),
            "value/error": (values - batch.returns).abs().mean(),
            "policy/step_kl": self._step_kl[0],
            "demo/weight": self._demo_weight()[0],
            "batch/offline_share": batch.offline.float().mean(),
        }
        return {name: value.tolist() for name, value in found.items()}

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``V(s)``, float32 [B]."""
        value: Tensor = self._value(self._normaliser(observations))
        return value

    def policy(self) -> PolicyWeights:
        """Return the policy that acts."""
        return self._policy.weights(self._spaces, self._normaliser)

    def tensors(self) -> dict[str, Tensor]:
        """Return networks, moments and counters by name, as live views."""
        return {"steps": self._steps, "step_kl": self._step_kl, **super().tensors()}


def _mean_of(values: Tensor, rows: Tensor) -> Tensor:
    """Return the mean of values, float32 [B], over rows, bool [B]; 0 where there are none."""
    return torch.where(rows, values, 0).sum() / rows.sum().clamp(min=1)
