"""RLPD, reinforcement learning with prior data (arXiv:2302.02948)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from awaccli.algorithms.learner import Setup
from awaccli.algorithms.sac import Sac
from awaccli.config.baselines import RlpdSettings


class Rlpd(Sac):
    """SAC with many normalised critics that learn often, of which a random few make each target.

    Half of a batch is offline data, and there is no offline stage: the preset of the same name.
    """

    def __init__(self, settings: RlpdSettings, setup: Setup) -> None:
        super().__init__(settings, setup, critics=settings.critics)
        self._n_trusted = min(settings.target_critics, settings.critics)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return SAC's draws, and ``critics``, the largest of which say who makes the target."""
        return {**super().noise_shapes(batch_size), "critics": (self._critic.ensemble,)}

    def _trusted(self, q: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """Return ``min over a random subset of Q'_j``, float32 [B], as in REDQ (arXiv:2101.05982)."""
        subset = noise["critics"].topk(self._n_trusted).indices
        return q.index_select(0, subset).amin(dim=0)

    def _climbed(self, q: Tensor) -> Tensor:
        """Return the mean over all critics, float32 [B]."""
        return q.mean(dim=0)
