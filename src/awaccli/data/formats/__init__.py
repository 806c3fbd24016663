"""Foreign formats, one file each: all are read into a `Foreign`, and written from a `Dataset`.

A reader says what the file says and nothing more: what a format does not tell stays None, and is made up
nowhere. The rules of the task (reward, success, horizon, action box) are applied once, for all formats, in
`stages/import_data.py`. `registry.py` knows the formats by name, `detect.py` by content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from awaccli.data.schema import Credits, Source
from awaccli.episode import NO_ARRAYS, EndReason
from awaccli.protocols import Reporter

if TYPE_CHECKING:
    from awaccli.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class ForeignEpisode:
    """One recording of T actions, as its file has it."""

    observations: np.ndarray | Mapping[str, np.ndarray]
    """[T+1, ...], or [T, ...] where that after the last action is not recorded; by key for Dict spaces."""
    actions: np.ndarray
    """[T, A], as recorded: maybe outside the box."""
    rewards: np.ndarray | None = None
    """[T]."""
    success: np.ndarray | None = None
    """bool [T]: the goal is met after the action."""
    terminated: bool | None = None
    truncated: bool | None = None
    end_reason: EndReason = EndReason.UNKNOWN
    seed: int | None = None
    source: int = 0
    """Index into the sources of the `Foreign`."""
    infos: Mapping[str, np.ndarray] = field(default_factory=lambda: NO_ARRAYS)
    """Further columns, [T, ...] each."""
    sim: Mapping[str, np.ndarray] = field(default_factory=lambda: NO_ARRAYS)
    """Simulator state by name, [T+1, n] each; left out where the last is missing."""
    sim_init: np.ndarray | None = None
    """float64 [S]: integration state of the simulator at the start."""
    model: Mapping[str, np.ndarray] = field(default_factory=lambda: NO_ARRAYS)
    """Changes of the simulator's model, and what else the file says of the start; [k] each, by name."""
    splits: tuple[str, ...] = ()
    """Names of the subsets that the episode belongs to."""

    @property
    def size_bytes(self) -> int:
        """What its arrays take in memory."""
        observations = self.observations
        parts = observations.values() if isinstance(observations, Mapping) else (observations,)
        outcomes = (array for array in (self.rewards, self.success) if array is not None)
        arrays = (*parts, self.actions, *outcomes, *self.infos.values(), *self.sim.values())
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A foreign file or folder, opened."""

    format: str
    """Its name in the registry."""
    path: Path
    sha256: str
    """Of the file, or of the canonical list of a folder's files with their hashes."""
    episodes: Callable[[], Iterator[ForeignEpisode]]
    """Yields the episodes in order; may be called again, reads a little at a time."""
    n_episodes: int | None = None
    """Where the file says so."""
    env_id: str | None = None
    """What the file calls its environment: text, never an instruction."""
    name: str | None = None
    """What the file, or who describes it, calls the task."""
    horizon: int | None = None
    control_dt: float | None = None
    """Seconds per step."""
    action_low: np.ndarray | None = None
    """[A]: bounds that the file declares."""
    action_high: np.ndarray | None = None
    reward_range: tuple[float, float] | None = None
    """Smallest and largest reward of a step, where declared."""
    success_rule: str | None = None
    """What counts as success, in words, where the file says it."""
    held_steps: int | None = None
    """Success is held when it lasts more than this many steps, where declared."""
    sources: tuple[Source, ...] = (Source(kind="imported", name="unknown"),)
    credits: tuple[Credits, ...] = ()
    losses: tuple[str, ...] = ()
    """What the reader had to guess or leave out, in sentences."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How it was read where there was a choice, JSON values: a part of the recipe."""
    max_memory: int | None = None
    """Bytes that work on it may take; None: whole recordings, whatever their size."""
    origin: Path | None = None
    """The URL that the file at ``path`` was fetched from, if it was."""


Part = Literal[
    "final",
    "flags",
    "end_reason",
    "success",
    "seed",
    "sources",
    "credits",
    "splits",
    "infos",
    "sim",
    "sim_init",
    "model",
    "task",
    "layout",
    "clipped",
]
"""What a dataset may hold beside observations, actions and rewards; `losses.py` puts each in words."""


@dataclass(frozen=True, slots=True)
class Export:
    """How datasets are written in a foreign format."""

    ending: str
    """Of the file's name; empty where it is a folder."""
    keeps: frozenset[Part]
    """What the format can hold; everything else that a dataset has is reported as lost."""
    write: Callable[[Dataset, Path, Reporter], None]
    """Makes the file, or folder, at a path where nothing is; reads a window of episodes at a time."""
    remarks: Callable[[Dataset], tuple[str, ...]] = lambda _: ()
    """What is special about a dataset in this format, in sentences."""
