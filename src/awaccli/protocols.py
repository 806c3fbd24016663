"""What the rooms hand each other.

Dimension letters used in every docstring: B batch, T steps, O observation, A action, E ensemble, N samples,
H hidden units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Policy(Protocol):
    """Chooses an action for one observation, in NumPy."""

    def act(self, observation: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Return an action, float32 [A], for an observation, float32 [O]; the mean one if ``rng`` is None."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """B transitions as tensors, n-step returns already summed."""

    observations: Tensor
    """float32 [B, O]."""
    actions: Tensor
    """float32 [B, A], scaled so that the action box is [-1, 1]."""
    rewards: Tensor
    """float32 [B]: ``sum_{k<m} discount^k r_{t+k}`` over the m <= n steps that the episode still has."""
    bootstraps: Tensor
    """float32 [B]: ``discount^m``, or 0 where the task terminated within the m steps."""
    next_observations: Tensor
    """float32 [B, O]: m steps later; at an episode's end its real final observation."""
    returns: Tensor
    """float32 [B]: discounted Monte-Carlo return to the episode's end, with a tail value (see the buffer)."""
    offline: Tensor
    """bool [B]: the row comes from the offline datasets."""
    importance: Tensor
    """float32 [B]: how often the row would be drawn if no episode were preferred, over how often it is."""


class Draws(Protocol):
    """Random numbers for one update or one measurement, as tensors on the device that computes."""

    def integers(self, high: int, size: int) -> Tensor:
        """Return integers in [0, ``high``), int64 [``size``]."""
        ...

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Return standard normal numbers, float32."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyWeights:
    """All that acting needs, as plain arrays; written to ``policy.safetensors``."""

    kind: str
    """How to act with the arrays: ``gaussian`` or ``squashed-gaussian``."""
    config: Mapping[str, object]
    """Small facts of the kind, JSON values only: ``activation``, ``mean`` (tanh or linear), ``layers``."""
    arrays: Mapping[str, np.ndarray]
    """float32 arrays by name."""


class Clip(NamedTuple):
    """A film of one episode, small enough to be part of a page."""

    episode: int
    """Its number in the dataset."""
    success: bool
    """Whether it ends in success."""
    steps: int
    return_: float
    diverged_at: int | None
    """First step at which its actions led elsewhere than when they were recorded."""
    media_type: str
    """``video/mp4`` or ``image/gif``."""
    content: bytes


class Learner(Protocol):
    """An algorithm as the stages see it. Pure: no files, no clock, no global random numbers."""

    def noise_shapes(self, batch_size: int) -> Mapping[str, tuple[int, ...]]:
        """Return the standard normal draws one update wants, by name."""
        ...

    def update(self, batch: Batch, noise: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Make one gradient step; return its losses as 0-dimensional tensors, without synchronising."""
        ...

    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:
        """Return the diagnostics of ``docs/algorithms.md`` on a batch, changing nothing."""
        ...

    def state_values(self, observations: Tensor) -> Tensor | None:
        """Return what the critics expect of the policy's mean action, float32 [B]; None without critics."""
        ...

    def policy(self) -> PolicyWeights:
        """Return the policy that acts and is evaluated, as arrays."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Return all that a resumed run needs, by name: networks, targets, moments, counters (live views)."""
        ...

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy a saved ``tensors()`` back in.

        Raises:
            CheckpointError: a name is missing or a shape differs.
        """
        ...


class Progress(Protocol):
    """One long loop, seen from outside."""

    def update(self, done: int, **shown: float | Sequence[float]) -> None:
        """Say how far the loop is (absolute count) and what is worth showing beside it."""
        ...


class Reporter(Protocol):
    """How a stage speaks to whoever runs it, and learns that it should stop."""

    def phase(self, title: str, total: int, unit: str) -> AbstractContextManager[Progress]:
        """Open a long loop of ``total`` units. While it is open a signal only sets ``interrupted``."""
        ...

    def note(self, message: str) -> None:
        """Say something worth knowing."""
        ...

    def warn(self, message: str) -> None:
        """Say something that needs attention."""
        ...

    def interrupted(self) -> int:
        """Return the number of the signal that asked to stop, or 0."""
        ...


class _Silent:
    """A reporter that says nothing and never interrupts: the default in Python code."""

    @contextmanager
    def phase(self, title: str, total: int, unit: str) -> Iterator[_Silent]:  # noqa: ARG002 - protocol
        yield self

    def update(self, done: int, **shown: float | Sequence[float]) -> None:
        pass

    def note(self, message: str) -> None:
        pass

    def warn(self, message: str) -> None:
        pass

    def interrupted(self) -> int:
        return 0


SILENT: Reporter = _Silent()
