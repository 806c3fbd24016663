"""Opening and reading datasets, whatever their container."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from awaccli.artifacts.commit import PART, payload_of
from awaccli.artifacts.manifest import Manifest, damaged_files
from awaccli.config.task import TaskFacts
from awaccli.data.columns import REQUIRED, TRAINING
from awaccli.data.schema import Header, dataset_id, episode_sha256
from awaccli.data.statistics import Statistics
from awaccli.data.stores import Store, open_store
from awaccli.episode import EndReason, Episode
from awaccli.errors import DatasetError


@dataclass(frozen=True, slots=True)
class EpisodeTable:
    """One row per episode; arrays [E]."""

    start: np.ndarray
    """int64: first row in ``steps/``."""
    length: np.ndarray
    """int32: steps."""
    return_: np.ndarray
    """float64: undiscounted."""
    success: np.ndarray
    """bool: the goal is met after the last action."""
    success_steps: np.ndarray
    """int32: number of steps after which the goal is met."""
    end_reason: np.ndarray
    """uint8: `EndReason`."""
    seed: np.ndarray
    """uint64: valid where ``has_seed``."""
    has_seed: np.ndarray
    source: np.ndarray
    """int32: index into the header's sources."""
    clipped: np.ndarray
    """int32: action entries outside the box before execution."""

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.start)

    @property
    def success_any(self) -> np.ndarray:
        """Bool [E]: the goal is met after some action."""
        return self.success_steps > 0

    def held(self, steps: int) -> np.ndarray:
        """Return bool [E]: the goal is met after more than ``steps`` actions."""
        return self.success_steps > steps


class Dataset:
    """Episodes of one task. Columns are loaded when first asked for and kept; arrays are read-only."""

    def __init__(self, path: Path, store: Store, header: Header, manifest: Manifest | None) -> None:
        self.path = path
        self.header = header
        self.manifest = manifest
        """None while the dataset is being written."""
        self._store = store
        self._columns: dict[str, np.ndarray] = {}

    @property
    def task(self) -> TaskFacts:
        """The task, with what its environment said of itself."""
        return self.header.task

    @property
    def n_episodes(self) -> int:
        """Episodes E."""
        return self.header.commit.n_episodes

    @property
    def n_steps(self) -> int:
        """Steps N of all episodes."""
        return self.header.commit.n_steps

    @cached_property
    def id(self) -> str:
        """Content id: the same in RAM, Zarr and HDF5."""
        return dataset_id(self.header, (row.tobytes() for row in self.column("episodes/sha256")))

    @cached_property
    def episodes(self) -> EpisodeTable:
        """The table of episodes."""
        names = {field.name: field.name.rstrip("_") for field in fields(EpisodeTable)}
        return EpisodeTable(**{field: self.column(f"episodes/{name}") for field, name in names.items()})

    def column(self, name: str) -> np.ndarray:
        """Return a whole field, e.g. ``steps/observations`` float32 [N, O].

        Raises:
            DatasetError: no such field, damaged, or a field for training holds NaN or an infinity.
        """
        if name not in self._columns:
            if name not in self.header.fields:
                raise DatasetError(
                    f"`{self.path}` has no field {name}", hint=f"it has {', '.join(self.header.fields)}"
                )
            column = self._store.read(name, 0, self._rows(name))
            if name in TRAINING:
                self._require_finite(name, column)
            column.setflags(write=False)
            self._columns[name] = column
        return self._columns[name]

    def sealed(self) -> Manifest:
        """Return the manifest.

        Raises:
            DatasetError: the dataset is still being written.
        """
        if self.manifest is None:
            raise DatasetError(f"`{self.path}` is unfinished", hint="repeat its command with --resume")
        return self.manifest

    @property
    def has_simulator_state(self) -> bool:
        """Whether episodes carry the state that the simulator started from."""
        return "episodes/sim_init" in self.header.fields

    def statistics(self) -> Statistics:
        """Return mean, standard deviation and range of the observations, float64 [O]."""
        return Statistics.of([self.column("steps/observations")])

    def episode(self, index: int) -> Episode:
        """Return episode ``index`` (from 0; negative counts from the end).

        Raises:
            IndexError: there is no such episode.
        """
        index = range(self.n_episodes)[index]
        table = self.episodes
        rows = slice(int(table.start[index]), int(table.start[index]) + int(table.length[index]))
        start_fields = {name: self.column(name)[index] for name in self._below("episodes/model/")}
        return Episode(
            observations=self._with_final("observations", rows, index),
            actions=self.column("steps/actions")[rows],
            rewards=self.column("steps/rewards")[rows],
            success=self.column("steps/success")[rows],
            terminated=bool(self.column("steps/terminations")[rows.stop - 1]),
            truncated=bool(self.column("steps/truncations")[rows.stop - 1]),
            end_reason=EndReason(int(table.end_reason[index])),
            seed=int(table.seed[index]) if table.has_seed[index] else None,
            source=int(table.source[index]),
            infos={_tail(name, 2): self.column(name)[rows] for name in self._below("steps/infos/")},
            sim={
                _tail(name, 2): self._with_final(_tail(name, 1), rows, index)
                for name in self._below("steps/sim/")
            },
            sim_init=self.column("episodes/sim_init")[index]
            if "episodes/sim_init" in self.header.fields
            else None,
            model={_tail(name, 2): values for name, values in start_fields.items()},
            clipped=int(table.clipped[index]),
        )

    def __len__(self) -> int:
        """Return the number of episodes."""
        return self.n_episodes

    def __iter__(self) -> Iterator[Episode]:
        """Yield the episodes in order."""
        return (self.episode(index) for index in range(self.n_episodes))

    def altered_episodes(self) -> list[int]:
        """Return the indices of episodes that do not match their recorded hash; reads everything."""
        recorded = self.column("episodes/sha256")
        return [i for i, episode in enumerate(self) if episode_sha256(episode) != recorded[i].tobytes()]

    def _rows(self, name: str) -> int:
        return self.n_steps if name.startswith("steps/") else self.n_episodes

    def _below(self, prefix: str) -> list[str]:
        return [name for name in self.header.fields if name.startswith(prefix)]

    def _with_final(self, name: str, rows: slice, index: int) -> np.ndarray:
        final = self.column(f"final/{name}")[index : index + 1]
        return np.concatenate([self.column(f"steps/{name}")[rows], final])

    def _require_finite(self, name: str, column: np.ndarray) -> None:
        finite = np.isfinite(column).reshape(len(column), -1).all(axis=1)
        if finite.all():
            return
        row = int(finite.argmin())
        if name.startswith("steps/"):
            episode = int(np.searchsorted(self.episodes.start, row, side="right")) - 1
            step = row - int(self.episodes.start[episode])
        else:
            episode, step = row, int(self.episodes.length[row])
        raise DatasetError(
            f"`{self.path}`: {name} is not finite in episode {episode}, step {step}",
            hint="nothing can be learned from it: find out what recorded it, and record it again",
        )

    def require_sound(self) -> None:
        """Check what every reader relies on: fields as declared, and an index that covers all steps once.

        Raises:
            DatasetError: with the first thing that is wrong.
        """
        self._require_fields()
        table = self.episodes
        starts = np.cumsum(table.length, dtype=np.int64) - table.length
        if (table.length < 1).any() or (table.start != starts).any() or table.length.sum() != self.n_steps:
            raise _damaged(
                self.path, f"its episodes do not cover its {self.n_steps} steps one after the other"
            )
        if ((table.source < 0) | (table.source >= len(self.header.sources))).any():
            raise _damaged(self.path, f"an episode points to a source beyond its {len(self.header.sources)}")
        if (table.end_reason > max(EndReason)).any():
            raise _damaged(self.path, "an episode has an unknown end reason")
        last = table.start + table.length - 1
        if not (self.column("steps/terminations") | self.column("steps/truncations"))[last].all():
            raise _damaged(self.path, "an episode ends neither terminated nor truncated")

    def _require_fields(self) -> None:
        task, specs = self.task, self.header.fields
        for name, dtype in REQUIRED.items():
            if name not in specs or specs[name].dtype != dtype:
                raise _damaged(self.path, f"the field {name} is not declared as {dtype}")
        widths = {
            "steps/observations": (task.observation_dim,),
            "final/observations": (task.observation_dim,),
            "steps/actions": (task.action_dim,),
            "episodes/sha256": (32,),
        }
        finals = [name.replace("steps/", "final/", 1) for name in self._below("steps/sim/")]
        if missing := [name for name in finals if name not in specs]:
            raise _damaged(self.path, f"the field {missing[0]} is not declared")
        for name, spec in specs.items():
            if name in REQUIRED and spec.shape != widths.get(name, ()):
                raise _damaged(
                    self.path, f"{name} declares rows of {spec.shape}, the task has {widths.get(name, ())}"
                )
            found = self._store.info(name)
            if (found.dtype, found.shape[1:]) != (spec.dtype, spec.shape):
                raise _damaged(
                    self.path,
                    f"{name} is {found.dtype} {found.shape[1:]}, declared {spec.dtype} {spec.shape}",
                )
            if found.shape[0] < self._rows(name):
                raise _damaged(
                    self.path, f"{name} has {found.shape[0]} rows, {self._rows(name)} are committed"
                )


def open_dataset(path: Path, *, unfinished: bool = False) -> Dataset:
    """Open a dataset and check it: every byte against its checksums, its index, its identity.

    Args:
        path: a ``.zarr`` directory, an ``.h5`` file, or the ``.part`` of either.
        unfinished: also accept what is still being written, up to its last commit.

    Raises:
        InputError: nothing there, or not an artifact of awac.
        DatasetError: not a dataset, unfinished, damaged, or of another format.
    """
    if path.suffix == PART and path.is_dir():
        if not unfinished:
            raise _unfinished(path)
        path = payload_of(path)
    store = open_store(path)
    header = Header.from_json(store.attributes(), origin=str(path))
    text = store.manifest()
    if text is None and not unfinished:
        raise _unfinished(path)
    manifest = Manifest.from_bytes(text, origin=str(path)) if text is not None else None
    if manifest is not None and path.is_dir():
        problems = damaged_files(path, manifest)
        if problems:
            raise _damaged(path, problems[0])
    dataset = Dataset(path, store, header, manifest)
    if manifest is not None and dataset.n_episodes == 0:
        raise DatasetError(f"`{path}` holds no episode", hint="a dataset has at least one: make it again")
    dataset.require_sound()
    if manifest is not None and manifest.id != dataset.id:
        raise _damaged(path, f"its content id is {dataset.id[:12]}, its manifest says {manifest.id[:12]}")
    return dataset


def _damaged(path: Path, what: str) -> DatasetError:
    return DatasetError(f"`{path}` is damaged: {what}", hint="restore it from a copy, or make it again")


def _unfinished(path: Path) -> DatasetError:
    return DatasetError(
        f"`{path}` is an unfinished dataset", hint="repeat the command that was writing it, with --resume"
    )


def _tail(name: str, depth: int) -> str:
    """Drop the first ``depth`` parts of a field name."""
    return name.split("/", depth)[depth]
