"""Episode: the one value that environments and datasets exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

from awaccli.errors import DatasetError


class EndReason(IntEnum):
    """Why an episode ended. Kept beside, not instead of, the termination and truncation flags."""

    TERMINATED = 0
    TIME_LIMIT = 1
    STOPPED = 2
    """By the collector, e.g. because its budget of steps was spent."""
    SEGMENT = 3
    """A piece of a longer recording."""
    UNKNOWN = 4
    """Imported from a format that does not say."""


NO_ARRAYS: Mapping[str, np.ndarray] = {}


@dataclass(frozen=True, slots=True)
class Episode:
    """One rollout of T steps. Arrays are read-only after construction.

    Raises:
        DatasetError: lengths do not fit each other, or no step at all.
    """

    observations: np.ndarray
    """float32 [T+1, O]: one more than actions; the last is the state after the last action."""
    actions: np.ndarray
    """float32 [T, A], as executed: inside the action box."""
    rewards: np.ndarray
    """float32 [T]."""
    success: np.ndarray
    """bool [T]: the task's goal is met after action t."""
    terminated: bool
    """True: the task ended the episode, so no bootstrap from the last state."""
    truncated: bool
    """True: the clock or the collector ended it; its last state still has a value."""
    end_reason: EndReason = EndReason.UNKNOWN
    seed: int | None = None
    """Argument of ``env.reset`` at the start; None where unknown."""
    source: int = 0
    """Index into the dataset's ``sources``: who acted."""
    infos: Mapping[str, np.ndarray] = field(default_factory=lambda: NO_ARRAYS)
    """Further per-step columns, each [T, ...]."""
    sim: Mapping[str, np.ndarray] = field(default_factory=lambda: NO_ARRAYS)
    """Simulator state per step, float64 [T+1, n] each (``qpos``, ``qvel``); for rendering."""
    sim_init: np.ndarray | None = None
    """float64 [S]: integration state of the simulator at the start."""
    model: Mapping[str, np.ndarray] = field(default_factory=lambda: NO_ARRAYS)
    """Changes the reset made to the simulator's model, by field, float64 [k] each."""
    clipped: int = 0
    """How many action entries were outside the box before execution."""

    def __post_init__(self) -> None:
        steps = len(self.actions)
        if steps < 1:
            raise DatasetError("episode without a step", hint="expected actions [T, A] with T >= 1")
        expected = {
            "observations": (self.observations, steps + 1),
            "rewards": (self.rewards, steps),
            "success": (self.success, steps),
            **{f"infos/{name}": (column, steps) for name, column in self.infos.items()},
            **{f"sim/{name}": (column, steps + 1) for name, column in self.sim.items()},
        }
        for name, (array, length) in expected.items():
            if len(array) != length:
                raise DatasetError(
                    f"{name} has {len(array)} rows, actions have {steps}",
                    hint=f"expected {name} with {length} rows",
                )
        if not (self.terminated or self.truncated):
            raise DatasetError("an episode ends terminated or truncated, this one neither")
        for array in self._arrays():
            array.setflags(write=False)

    def _arrays(self) -> list[np.ndarray]:
        own = [self.observations, self.actions, self.rewards, self.success]
        extra = [*self.infos.values(), *self.sim.values(), *self.model.values()]
        return own + extra + ([] if self.sim_init is None else [self.sim_init])

    def __len__(self) -> int:
        """Return the number of steps T."""
        return len(self.actions)

    def cut(self, steps: int) -> Episode:
        """Return the first ``steps`` steps as an episode that the collector stopped."""
        return replace(
            self,
            observations=self.observations[: steps + 1].copy(),
            actions=self.actions[:steps].copy(),
            rewards=self.rewards[:steps].copy(),
            success=self.success[:steps].copy(),
            infos={name: column[:steps].copy() for name, column in self.infos.items()},
            sim={name: column[: steps + 1].copy() for name, column in self.sim.items()},
            terminated=False,
            truncated=True,
            end_reason=EndReason.STOPPED,
        )

    @property
    def return_(self) -> float:
        """Undiscounted sum of rewards."""
        return float(self.rewards.sum(dtype=np.float64))
