"""Conservative Q-learning, CQL(H) (arXiv:2006.04779), and its calibrated form, Cal-QL (arXiv:2303.05479)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from awaccli.algorithms.candidates import q_of_samples
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.sac import Phase, Sac
from awaccli.algorithms.squashed import sampled
from awaccli.config.baselines import CqlSettings
from awaccli.protocols import Batch


class Cql(Sac):
    """SAC whose critics are pushed down wherever a policy could go, and up at logged actions.

    With weight 0 it is SAC. ``cal-ql`` pushes values of the policy's actions down to the logged return, and
    no further: a preset.
    """

    def __init__(self, settings: CqlSettings, setup: Setup) -> None:
        super().__init__(settings, setup)
        self._conservative = settings

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return SAC's draws, and ``proposals`` of N actions: uniform, the policy's, and its next ones."""
        proposals = (3, self._conservative.samples, batch_size, self._spaces.action_dim)
        return {**super().noise_shapes(batch_size), "proposals": proposals}

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: Phase) -> dict[str, Tensor]:
        found = super()._losses(batch, noise, phase)
        weight = self._conservative.conservative_weight
        # DEVIATION: the weight is fixed; the paper's Lagrange variant tunes it for a gap of a given size.
        gap = self._gap(batch, noise["proposals"]) if weight else torch.zeros_like(batch.rewards[0])
        return found | {"loss/conservative": weight * gap, "q/gap": gap.detach()}

    def _gap(self, batch: Batch, noise: Tensor) -> Tensor:
        """Return ``sum_j mean(log sum_a exp Q_j(s, a) - Q_j(s, logged a))``, 0-dimensional.

        The sum over all actions is estimated from 3 N proposals, each divided by its density. In Cal-QL a
        proposal of the policy counts as ``max(Q_j(s, a), G)``, G the logged return from s.
        """
        observations = self._normaliser(batch.observations)
        actions, density = self._proposals(observations, batch, noise)
        q = q_of_samples(self._critic, observations, actions)
        if self._conservative.calibrated:
            n = self._conservative.samples
            q = torch.cat((q[:, :n], torch.maximum(q[:, n:], batch.returns)), dim=1)
        everywhere = torch.logsumexp(q - density, dim=1) - math.log(len(actions))
        logged = self._critic(observations, batch.actions)
        gap: Tensor = (everywhere - logged).mean(dim=1).sum()
        return gap

    @torch.no_grad()
    def _proposals(self, observations: Tensor, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions, float32 [3 N, B, A], and the log density of each, [3 N, B].

        The normal distribution function makes the first third of the draws uniform.
        """
        actions = [torch.erf(noise[0] / math.sqrt(2))]
        densities = [torch.full(noise.shape[1:3], -math.log(2) * noise.shape[3], device=noise.device)]
        following = self._normaliser(batch.next_observations)
        for seen, drawn in zip((observations, following), noise[1:], strict=True):
            mean, log_std = (head.expand(drawn.shape).flatten(0, 1) for head in self._policy(seen))
            proposed, density = sampled(mean, log_std, drawn.flatten(0, 1))
            actions.append(proposed.view(drawn.shape))
            densities.append(density.view(drawn.shape[:2]))
        return torch.cat(actions), torch.cat(densities)
