"""A policy in NumPy that makes several actions and takes the one its critic values most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from awaccli.envs.perceptron import ActionBox, Observations, blocks, take, take_within
from awaccli.envs.squashed import SquashedGaussianPolicy
from awaccli.errors import CheckpointError
from awaccli.protocols import PolicyWeights

_PRODUCTS = 131_072
_MAX_LAYERS = 100
_DRAWS = (-100.0, 100.0)
_NORM_EPSILON = np.float32(1e-5)


class BestOfPolicy:
    """Acts by ``center + half * a_i``, the candidate of the largest ``Q(x, a_i)`` among N.

    ``x`` is the standardised, clipped observation. A generator makes candidates of standard normal draws: a
    squashed Gaussian, or the decoder of a VAE with a network that changes its actions a little. Without
    noise the draws are those of the file, so that it acts the same each time.

    It computes in memory of its own, so it acts for one thread at a time.

    Raises:
        CheckpointError: arrays are missing or do not fit each other.
    """

    def __init__(self, weights: PolicyWeights) -> None:
        arrays, config = weights.arrays, weights.config
        self._observations = Observations(arrays)
        self.observation_dim = self._observations.dim
        self._draws = take_within(arrays, "draws", (None, None), *_DRAWS)
        self._generator = _generator(weights, self.observation_dim, len(self._draws))
        self.action_dim: int = self._generator.action_dim
        if self._draws.shape[1] != self._generator.width:
            raise CheckpointError(
                f"policy tensor `draws` is float32 {list(self._draws.shape)}",
                hint=f"expected float32 [any, {self._generator.width}]",
            )
        self._critic = _Network(
            arrays,
            [f"critic.{number}" for number in range(_count(config, "critic_layers") + 1)],
            (self.observation_dim, self.action_dim),
            len(self._draws),
            norms=_flag(config, "critic_norm"),
        )
        self._critic.require_width(1)
        self._box = ActionBox(arrays, self.action_dim)

    def act(self, observation: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Return an action, float32 [A], for one observation; ``rng`` None: of the file's draws."""
        draws = self._draws if rng is None else rng.standard_normal(self._draws.shape, np.float32)
        return self.action(observation, draws)

    def action(self, observation: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Return the best action, float32 [A], of those made of ``draws``, float32 [N, width]."""
        x = self._observations(observation)
        candidates = self._generator(observation, x, draws.T)
        best = int(self._critic(x, candidates)[0].argmax())
        return self._box(candidates[:, best])


class _SquashedGaussian:
    """Candidates ``tanh(m(x) + std(x) * eps)``."""

    def __init__(self, weights: PolicyWeights) -> None:
        self._policy = SquashedGaussianPolicy(weights)
        self.action_dim: int = self._policy.action_dim
        self.width = self.action_dim

    def __call__(self, observation: np.ndarray, x: np.ndarray, draws: np.ndarray) -> np.ndarray:  # noqa: ARG002 - as the other
        """Return candidates, float32 [A, N], for draws, float32 [A, N]."""
        mean, std = self._policy.gaussian(observation)
        found: np.ndarray = np.tanh(mean[:, None] + std[:, None] * draws)
        return found


class _PerturbedVae:
    """Candidates ``clip(d + range * tanh(p(x, d)), -1, 1)`` with ``d = tanh(D(x, clip(z)))``."""

    def __init__(self, weights: PolicyWeights, observation_dim: int, count: int) -> None:
        arrays, config = weights.arrays, weights.config
        self._limit = np.float32(_number(config, "code_limit", 1e-30, 1e30))
        self._range = np.float32(_number(config, "perturbation", 0, 1))
        self.width = take(arrays, "draws", (None, None)).shape[1]
        decoder = [*(f"layers.{number}" for number in range(_count(config, "layers"))), "mean"]
        self._decoder = _Network(arrays, decoder, (observation_dim, self.width), count)
        self.action_dim: int = self._decoder.width
        hidden = range(_count(config, "perturbation_layers"))
        names = [*(f"perturbation.layers.{number}" for number in hidden), "perturbation.mean"]
        self._perturbation = _Network(arrays, names, (observation_dim, self.action_dim), count)
        self._perturbation.require_width(self.action_dim)

    def __call__(self, observation: np.ndarray, x: np.ndarray, draws: np.ndarray) -> np.ndarray:  # noqa: ARG002 - as the other
        """Return candidates, float32 [A, N], for draws, float32 [Z, N]."""
        decoded = np.tanh(self._decoder(x, np.clip(draws, -self._limit, self._limit)))
        change = np.tanh(self._perturbation(x, decoded))
        found: np.ndarray = np.clip(decoded + self._range * change, -1, 1)
        return found


def _generator(weights: PolicyWeights, observation_dim: int, count: int) -> _SquashedGaussian | _PerturbedVae:
    match weights.config.get("generator"):
        case "squashed-gaussian":
            return _SquashedGaussian(weights)
        case "perturbed-vae":
            return _PerturbedVae(weights, observation_dim, count)
        case other:
            raise CheckpointError(
                f"policy has generator {other!r}", hint="expected squashed-gaussian or perturbed-vae"
            )


class _Network:
    """Affine layers with ReLU between them, for N columns at once: an observation, and what varies.

    With ``norms``, each layer but the last is followed by LayerNorm.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        names: list[str],
        inputs: tuple[int, int],
        count: int,
        *,
        norms: bool = False,
    ) -> None:
        """Read the layers ``names`` behind an observation and a vector of the lengths ``inputs``."""
        self._inputs = np.empty((sum(inputs), count), np.float32)
        self._split = inputs[0]
        self._layers: list[_Columns] = []
        width = sum(inputs)
        for name in names:
            self._layers.append(_Columns(arrays, name, width, count, norm=norms and name != names[-1]))
            width = self._layers[-1].width
        self.width = width
        """Of the last layer."""
        self._last = names[-1]

    def require_width(self, width: int) -> None:
        """Check the length of the result.

        Raises:
            CheckpointError: it is another.
        """
        if self.width != width:
            raise CheckpointError(
                f"policy tensor `{self._last}.weight` has {self.width} rows", hint=f"expected {width}"
            )

    def __call__(self, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the outputs, float32 [width, N], overwritten by the next call."""
        self._inputs[: self._split] = x[:, None]
        self._inputs[self._split :] = columns
        found = self._inputs
        for layer in self._layers[:-1]:
            found = layer(found)
            np.maximum(found, 0, out=found)
        return self._layers[-1](found)


class _Columns:
    """One layer without its activation, for N columns, and LayerNorm where it has one.

    NUMERICS: as a vector's products (see ``blocks``), those of a matrix may depend on the number of threads
    once OpenBLAS uses several: for more than 262 144 multiplications. Blocks have half of that.
    """

    def __init__(
        self, arrays: Mapping[str, np.ndarray], name: str, fan_in: int, count: int, *, norm: bool
    ) -> None:
        weight = take(arrays, f"{name}.weight", (None, fan_in))
        self.width = len(weight)
        """Length of the result."""
        self._bias = take(arrays, f"{name}.bias", (self.width,))[:, None]
        self._blocks = blocks(weight, entries=_PRODUCTS // count)
        self._products = np.empty((*self._blocks.shape[:2], count), np.float32)
        self._result = self._products.reshape(-1, count)[: self.width]
        self._norm = norm
        if norm:
            self._gain, self._shift = (
                take(arrays, f"{name}.{part}", (self.width,))[:, None] for part in ("gain", "shift")
            )

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """Return float32 [width, N] for [fan_in, N]."""
        np.matmul(self._blocks, columns, out=self._products)
        found: np.ndarray = np.add(self._result, self._bias, out=self._result)
        if self._norm:
            found -= found.mean(axis=0)
            found /= np.sqrt(np.square(found).mean(axis=0) + _NORM_EPSILON)
            found *= self._gain
            found += self._shift
        return found


def _count(config: Mapping[str, object], key: str) -> int:
    found = config.get(key)
    if type(found) is not int or not 0 <= found <= _MAX_LAYERS:
        raise CheckpointError(f"policy has `{key}` {found!r}", hint="expected a number of hidden layers")
    return found


def _number(config: Mapping[str, object], key: str, low: float, high: float) -> float:
    found = config.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
        raise CheckpointError(f"policy has `{key}` {found!r}", hint=f"expected a number in {low} to {high}")
    return float(found)


def _flag(config: Mapping[str, object], key: str) -> bool:
    found = config.get(key)
    if not isinstance(found, bool):
        raise CheckpointError(f"policy has `{key}` {found!r}", hint="expected true or false")
    return found
