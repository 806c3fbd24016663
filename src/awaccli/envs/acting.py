"""Acting in NumPy, float32, one observation at a time: the same bits in every stage and process."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from awaccli.artifacts.tensors import read_policy
from awaccli.config.task import TaskFacts
from awaccli.envs.best_of import BestOfPolicy
from awaccli.envs.gaussian import GaussianPolicy
from awaccli.envs.imports import closest, import_named
from awaccli.envs.squashed import SquashedGaussianPolicy
from awaccli.errors import CheckpointError, UsageError
from awaccli.protocols import Policy, PolicyWeights

Act = Callable[[np.ndarray], Any]
"""Chooses an action for an observation, float32 [O]; what comes back is checked by the caller."""

NetworkPolicy = GaussianPolicy | SquashedGaussianPolicy
"""A policy that this package trained, and that adds noise to its mean."""
_KINDS: dict[str, type[NetworkPolicy | BestOfPolicy]] = {
    "gaussian": GaussianPolicy,
    "squashed-gaussian": SquashedGaussianPolicy,
    "best-of": BestOfPolicy,
}
_NOISE_BLOCK = 64
"""Steps that noise is drawn for at once: a draw for one step takes longer to call than to make."""


def policy_from_weights(weights: PolicyWeights, facts: TaskFacts) -> NetworkPolicy | BestOfPolicy:
    """Return a policy that acts on the task.

    Raises:
        CheckpointError: unknown kind, damaged arrays, or sizes that are not the task's.
    """
    if weights.kind not in _KINDS:
        raise CheckpointError(
            f"policy is of kind `{weights.kind}`, which this awac cannot act with",
            hint=f"expected one of {', '.join(_KINDS)}",
        )
    policy = _KINDS[weights.kind](weights)
    for what, has, wants in (
        ("observations", policy.observation_dim, facts.observation_dim),
        ("actions", policy.action_dim, facts.action_dim),
    ):
        if has != wants:
            raise CheckpointError(
                f"policy has {what} of size {has}, task `{facts.spec.name}` has {what} of size {wants}",
                hint="was the policy trained on another task, or with other --obs-keys?",
            )
    return policy


@dataclass(frozen=True)
class ActorSpec:
    """Who acts, in words that another process can follow."""

    policy: str
    """``random``, ``file:/path/of/policy.safetensors``, or ``module:attribute``."""
    actions: Literal["mean", "sample"] = "mean"
    """Whether a stochastic policy acts by its mean."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise added to actions, in units in which the action box is 2 wide."""
    noise_correlation: float = 0.0
    """Correlation of that noise from one step to the next, in [0, 1)."""


@dataclass(frozen=True)
class Actor:
    """A policy made ready for a task."""

    spec: ActorSpec
    start: Callable[[np.random.Generator], Act]
    """Called for every episode with the stream of its randomness."""


def load_actor(spec: ActorSpec, facts: TaskFacts) -> Actor:
    """Return who acts, ready for the task.

    Raises:
        CheckpointError: the policy file is damaged or made for other sizes.
        UsageError: no such module or attribute.
    """
    if spec.policy.startswith("file:"):
        policy = _read(Path(spec.policy.removeprefix("file:")), facts)
        if not isinstance(policy, BestOfPolicy):
            return Actor(spec, lambda rng: _network(policy, spec, rng, facts))
        start: Callable[[np.random.Generator], Act] = partial(_acting, policy, spec)
    else:
        start = _starter(spec, facts)
    if spec.noise == 0:
        return Actor(spec, start)
    return Actor(spec, lambda rng: _noisy(start(rng), _normals(rng, facts.action_dim, 1), spec, _half(facts)))


def _read(path: Path, facts: TaskFacts) -> NetworkPolicy | BestOfPolicy:
    try:
        return policy_from_weights(read_policy(path), facts)
    except CheckpointError as error:
        message = str(error) if str(path) in str(error) else f"`{path}`: {error}"
        raise CheckpointError(message, hint=error.hint) from error


def _network(policy: NetworkPolicy, spec: ActorSpec, rng: np.random.Generator, facts: TaskFacts) -> Act:
    normals = _normals(rng, policy.action_dim, _NOISE_BLOCK)

    def sample(observation: np.ndarray) -> np.ndarray:
        return policy.action(observation, next(normals))

    def mean(observation: np.ndarray) -> np.ndarray:
        return policy.action(observation, None)

    act = sample if spec.actions == "sample" else mean
    return _noisy(act, normals, spec, _half(facts)) if spec.noise else act


def _normals(rng: np.random.Generator, width: int, block: int) -> Iterator[np.ndarray]:
    """Yield standard normal draws, float32 [width], for ever; the same ones whatever the size of a block.

    A block of 1 draws nothing ahead, for generators that somebody else draws from too.
    """
    while True:
        yield from rng.standard_normal((block, width), np.float32)


def _starter(spec: ActorSpec, facts: TaskFacts) -> Callable[[np.random.Generator], Act]:
    if spec.policy == "random":
        low, half = np.array(facts.action_low, np.float32), _half(facts)
        return lambda rng: lambda _: low + 2 * half * rng.random(len(low), np.float32)
    return _user_starter(spec)


def _acting(policy: Policy, spec: ActorSpec, rng: np.random.Generator) -> Act:
    generator = rng if spec.actions == "sample" else None
    return lambda observation: policy.act(observation, generator)


def _user_starter(spec: ActorSpec) -> Callable[[np.random.Generator], Act]:
    """Follow ``module:attribute``: a factory of policies, or one stateless policy."""
    module_name, _, attribute = spec.policy.partition(":")
    if not attribute and Path(spec.policy).is_file():
        raise UsageError(
            f"`{spec.policy}` is not a checkpoint of awac",
            hint="files of other libraries can hold code and are not loaded: wrap yours as module:attribute",
        )
    if not module_name or not attribute:
        raise UsageError(
            f"unknown policy `{spec.policy}`",
            hint="expected `expert`, `random`, the path of a checkpoint, or `module:attribute`",
        )
    module = import_named(module_name)
    found = getattr(module, attribute, None)
    if not callable(found):
        public = [
            name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
        ]
        raise UsageError(
            f"`{module_name}` has no function or class `{attribute}`",
            hint=closest(attribute, public) or f"it has {', '.join(public) or 'none'}",
        )
    required = _required_parameters(found, spec.policy)
    if required > 1:
        raise UsageError(
            f"policy `{spec.policy}` has {required} required parameters",
            hint="expected none (a factory, called for every episode) or one (observation -> action)",
        )
    if required == 1:
        return lambda _: found
    return lambda rng: _made(found(), spec, rng)


def _made(policy: Any, spec: ActorSpec, rng: np.random.Generator) -> Act:
    """Accept what a factory made: an object with ``act(observation, rng)``, or a function."""
    if hasattr(policy, "act"):
        return _acting(policy, spec, rng)
    if callable(policy):
        return policy  # type: ignore[no-any-return]
    raise UsageError(
        f"factory `{spec.policy}` made a {type(policy).__name__}, which cannot act",
        hint="expected a function observation -> action, or an object with act(observation, rng)",
    )


def _required_parameters(found: Callable[..., Any], name: str) -> int:
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError as error:
        raise UsageError(f"policy `{name}` does not say which parameters it has") from error
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return sum(p.default is inspect.Parameter.empty and p.kind not in variable for p in parameters)


def _noisy(act: Act, normals: Iterator[np.ndarray], spec: ActorSpec, half: np.ndarray) -> Act:
    """Add stationary first-order autoregressive noise to every action."""
    rho = np.float32(spec.noise_correlation)
    innovation = np.float32(spec.noise * math.sqrt(1 - spec.noise_correlation**2))
    noise: np.ndarray = np.float32(spec.noise) * next(normals)

    def noisy(observation: np.ndarray) -> Any:
        nonlocal noise
        action = np.asarray(act(observation))
        if action.shape != half.shape or action.dtype.kind not in "fiu":
            return action  # the caller reports what the policy gave
        disturbed = action + half * noise
        noise = rho * noise + innovation * next(normals)
        return disturbed

    return noisy


def _half(facts: TaskFacts) -> np.ndarray:
    return (np.array(facts.action_high, np.float32) - np.array(facts.action_low, np.float32)) / 2
