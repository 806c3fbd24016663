"""A squashed Gaussian policy in NumPy, built from the arrays of ``policy.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from awaccli.envs.perceptron import ActionBox, Affine, HiddenLayers, Observations
from awaccli.errors import CheckpointError
from awaccli.protocols import PolicyWeights

_HALF = np.full(1, 0.5, np.float32)


class SquashedGaussianPolicy:
    """Acts by ``center + half * tanh(m(x) + std(x) * eps)``, ``log std(x) = min_log_std * sigmoid(-s(x))``.

    ``x`` is the standardised, clipped observation, ``m`` and ``s`` are two heads of one network.
    It computes in memory of its own, so it acts for one thread at a time.

    Raises:
        CheckpointError: arrays are missing or do not fit each other.
    """

    def __init__(self, weights: PolicyWeights) -> None:
        arrays = weights.arrays
        self._half_min_log_std = np.full(1, _min_log_std(weights.config) / 2, np.float32)
        self._observations = Observations(arrays)
        self.observation_dim = self._observations.dim
        self._hidden = HiddenLayers(weights.config, arrays, self.observation_dim)
        self._head = Affine(arrays, "mean", self._hidden.width)
        self._std_head = Affine(arrays, "std", self._hidden.width)
        self.action_dim = self._head.width
        if self._std_head.width != self.action_dim:
            raise CheckpointError(
                f"policy tensor `std.weight` has {self._std_head.width} rows, `mean.weight` {self.action_dim}"
            )
        self._box = ActionBox(arrays, self.action_dim)

    def act(self, observation: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Return an action, float32 [A], for an observation, float32 [O]; the mean if ``rng`` is None."""
        noise = None if rng is None else rng.standard_normal(self.action_dim, np.float32)
        return self.action(observation, noise)

    def action(self, observation: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Return the action, float32 [A], of an observation, float32 [O].

        Args:
            observation: what the policy sees.
            noise: standard normal draws, float32 [A]; None: the tanh of the mean.
        """
        hidden = self._hidden(self._observations(observation))
        action = self._head(hidden)
        if noise is not None:
            np.add(action, self._std(hidden) * noise, out=action)
        return self._box(np.tanh(action, out=action))

    def gaussian(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and std before the tanh, float32 [A] each; both are overwritten by the next call."""
        hidden = self._hidden(self._observations(observation))
        return self._head(hidden), self._std(hidden)

    def _std(self, hidden: np.ndarray) -> np.ndarray:
        """Return the standard deviation before the tanh, float32 [A].

        NUMERICS: ``sigmoid(-s) = (1 - tanh(s / 2)) / 2``, which cannot overflow.
        """
        s = self._std_head(hidden)
        np.tanh(np.multiply(s, _HALF, out=s), out=s)
        np.subtract(self._half_min_log_std, self._half_min_log_std * s, out=s)
        np.exp(s, out=s)
        return s


def _min_log_std(config: Mapping[str, object]) -> float:
    found = config.get("min_log_std")
    if not isinstance(found, int | float) or isinstance(found, bool) or not -1e30 <= found < 0:
        raise CheckpointError(f"policy has `min_log_std` {found!r}", hint="expected a number below 0")
    return float(found)
