"""A Gaussian policy as a NumPy multilayer perceptron, built from the arrays of ``policy.safetensors``."""

from __future__ import annotations

import numpy as np

from awaccli.envs.perceptron import ActionBox, Affine, HiddenLayers, Observations, clip, take_within
from awaccli.errors import CheckpointError
from awaccli.protocols import PolicyWeights

_ONE, _MINUS_ONE = (np.full(1, value, np.float32) for value in (1, -1))
"""As arrays: to make one of a number takes NumPy as long again as the operation, at every call."""
_LOG_STD = (-1e30, 20.0)
"""Far wider than what is ever learned; outside, acting would overflow."""


class GaussianPolicy:
    """Acts by ``center + half * clip(m(x) + exp(log_std) * eps, -1, 1)``.

    ``x`` is the standardised, clipped observation and ``m`` the network's head, through tanh or not.
    It computes in memory of its own, so it acts for one thread at a time.

    Raises:
        CheckpointError: arrays are missing or do not fit each other.
    """

    def __init__(self, weights: PolicyWeights) -> None:
        arrays, mean = weights.arrays, weights.config.get("mean")
        if mean not in ("tanh", "linear"):
            raise CheckpointError(f"policy has mean {mean!r}", hint="expected tanh or linear")
        self._bounded = mean == "tanh"
        self._observations = Observations(arrays)
        self.observation_dim = self._observations.dim
        self._hidden = HiddenLayers(weights.config, arrays, self.observation_dim)
        self._head = Affine(arrays, "mean", self._hidden.width)
        self.action_dim = self._head.width
        self._std = np.exp(take_within(arrays, "log_std", (self.action_dim,), *_LOG_STD))
        self._box = ActionBox(arrays, self.action_dim)

    def act(self, observation: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Return an action, float32 [A], for an observation, float32 [O]; the mean if ``rng`` is None."""
        noise = None if rng is None else rng.standard_normal(self.action_dim, np.float32)
        return self.action(observation, noise)

    def action(self, observation: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Return the action, float32 [A], of an observation, float32 [O].

        Args:
            observation: what the policy sees.
            noise: standard normal draws, float32 [A]; None: the mean action.
        """
        action = self._head(self._hidden(self._observations(observation)))
        if self._bounded:
            np.tanh(action, out=action)
        if noise is not None:
            np.add(action, self._std * noise, out=action)
        if noise is not None or not self._bounded:
            clip(action, _MINUS_ONE, _ONE)
        return self._box(action)
