"""Opening and reading datasets, whatever their container."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from awaccli.artifacts.commit import PART, payload_of
from awaccli.artifacts.manifest import Manifest, damaged_files
from awaccli.artifacts.urls import as_path
from awaccli.config.task import TaskFacts
from awaccli.data.columns import REQUIRED, TRAINING
from awaccli.data.episodes import EpisodeTable, Rows, Window
from awaccli.data.memory import buffer_bytes, require_buffer, require_pieces
from awaccli.data.progress import watched
from awaccli.data.schema import Header, dataset_id, episode_sha256
from awaccli.data.statistics import Statistics
from awaccli.data.stores import CHUNK_BYTES, FieldInfo, Store, chunk_rows, open_store
from awaccli.episode import EndReason, Episode
from awaccli.errors import DatasetError
from awaccli.protocols import SILENT, Reporter

WINDOW_BYTES = 64 << 20
_BLOCK = 1 << 16


class Dataset:
    """Episodes of one task. Columns are loaded when first asked for and kept; arrays are read-only."""

    def __init__(
        self,
        path: Path,
        store: Store,
        header: Header,
        manifest: Manifest | None,
        *,
        max_memory: int | None = None,
    ) -> None:
        self.path = path
        self.header = header
        self.manifest = manifest
        """None while the dataset is being written."""
        self.max_memory = max_memory
        """Bytes that work on it may take; None: windows of 64 MiB, and whole episodes whatever their size."""
        self.window_bytes = buffer_bytes(WINDOW_BYTES, max_memory)
        """How much of the steps is in memory at a time while episodes are read one after the other."""
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

    @property
    def step_bytes(self) -> int:
        """What a step takes in memory, in all fields."""
        return sum(self.header.fields[name].row_bytes for name in self.below("steps/"))

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
        if name not in self.header.fields:
            raise DatasetError(
                f"`{self.path}` has no field {name}", hint=f"it has {', '.join(self.header.fields)}"
            )
        if name not in self._columns:
            self._columns[name] = self.rows(name, 0, self._rows(name))
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
        return Statistics.of(self.parts("steps/observations"))

    def parts(self, name: str) -> Iterator[Rows]:
        """Yield the rows of a field as `blocks` does, but to be read a few at a time."""
        rows = self._rows(name)
        return (Rows(self, name, start, min(start + _BLOCK, rows)) for start in range(0, rows, _BLOCK))

    def blocks(self, name: str) -> Iterator[np.ndarray]:
        """Yield the rows of a field in order, the same number of them at a time on every machine."""
        rows = self._rows(name)
        return (self.rows(name, start, min(start + _BLOCK, rows)) for start in range(0, rows, _BLOCK))

    def episode(self, index: int) -> Episode:
        """Return episode ``index`` (from 0; negative counts from the end).

        Raises:
            IndexError: there is no such episode.
        """
        index = range(self.n_episodes)[index]
        return next(self.between(index, index + 1))

    def __len__(self) -> int:
        """Return the number of episodes."""
        return self.n_episodes

    def __iter__(self) -> Iterator[Episode]:
        """Yield the episodes in order; see `between`."""
        return self.between(0, self.n_episodes)

    def between(self, first: int, stop: int) -> Iterator[Episode]:
        """Yield episodes ``first`` to ``stop`` in order, a window of them in memory at a time.

        Raises:
            UsageError: one of them alone takes more memory than is allowed.
        """
        for start, end in self.windows(first, stop):
            yield from Window(self, start, end)

    def windows(self, first: int, stop: int, *, most_bytes: int = WINDOW_BYTES) -> Iterator[tuple[int, int]]:
        """Yield (first, stop) of runs of episodes that are small enough to be in memory together.

        Raises:
            UsageError: one of them alone takes more memory than is allowed.
        """
        if first < stop:
            longest = first + int(self.episodes.length[first:stop].argmax())
            size_bytes = int(self.episodes.length[longest]) * self.step_bytes
            require_buffer(f"episode {longest} of `{self.path}`", size_bytes, self.max_memory)
        table, most_steps = self.episodes, min(most_bytes, self.window_bytes) // self.step_bytes
        ends = table.start + table.length
        while first < stop:
            fits = int(np.searchsorted(ends, table.start[first] + most_steps, side="right"))
            after = min(stop, max(fits, first + 1))
            yield first, after
            first = after

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows ``start`` to ``stop`` of a field: of the column, if it is loaded, or from the store.

        Raises:
            DatasetError: see `column`.
        """
        if name in self._columns:
            return self._columns[name][start:stop]
        rows = self._store.read(name, start, stop)
        if name in TRAINING:
            self._require_finite(name, rows, start)
        rows.setflags(write=False)
        return rows

    def altered_episodes(self, report: Reporter = SILENT) -> list[int]:
        """Return the indices of episodes that do not match their recorded hash; reads everything."""
        recorded = self.column("episodes/sha256")
        found = map(episode_sha256, watched(self, report, "check hashes", len(self)))
        return [index for index, sha256 in enumerate(found) if sha256 != recorded[index].tobytes()]

    def _rows(self, name: str) -> int:
        return self.n_steps if name.startswith("steps/") else self.n_episodes

    def layout(self, chunk_bytes: int = CHUNK_BYTES) -> dict[str, FieldInfo]:
        """Return dtype, shape and chunks of each field as this version stores it."""
        return {
            name: FieldInfo(
                spec.dtype,
                (self._rows(name), *spec.shape),
                (min(self._rows(name), chunk_rows(spec.row_bytes, chunk_bytes)), *spec.shape),
            )
            for name, spec in self.header.fields.items()
        }

    def below(self, prefix: str) -> list[str]:
        """Return the fields whose names begin with ``prefix``."""
        return [name for name in self.header.fields if name.startswith(prefix)]

    def _require_finite(self, name: str, rows: np.ndarray, first: int) -> None:
        finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
        if finite.all():
            return
        row = first + int(finite.argmin())
        if name.startswith("steps/"):
            episode = int(np.searchsorted(self.episodes.start, row, side="right")) - 1
            step = row - int(self.episodes.start[episode])
        else:
            episode, step = row, int(self.episodes.length[row])
        raise DatasetError(
            f"`{self.path}`: {name} is not finite in episode {episode}, step {step}",
            hint="nothing can be learned from it: find out what recorded it, and record it again",
        )

    def require_small_pieces(self) -> None:
        """Refuse what is stored in pieces that take more memory than is allowed.

        Raises:
            UsageError: says how much would do.
        """
        for name in self.header.fields if self.max_memory is not None else ():
            info = self._store.info(name)
            piece_bytes = info.size_bytes * info.chunks[0] // max(1, info.shape[0])
            require_pieces(f"a piece of {name} in `{self.path}`", piece_bytes, self.max_memory)

    def require_sound(self) -> None:
        """Check what every reader relies on: fields as declared, and an index that covers all steps once.

        Raises:
            DatasetError: with the first thing that is wrong.
        """
        for problem in chain(self.field_problems(), self.index_problems()):
            raise _damaged(self.path, problem)

    def field_problems(self) -> Iterator[str]:
        """Yield, in words, how declared and stored fields differ from what a dataset of this task has.

        Raises:
            DatasetError: a field is missing, or stored in a way that is not read.
        """
        task, specs = self.task, self.header.fields
        for name, dtype in REQUIRED.items():
            if name not in specs or specs[name].dtype != dtype:
                yield f"the field {name} is not declared as {dtype}"
        for name in self.below("steps/sim/"):
            final = name.replace("steps/", "final/", 1)
            if final not in specs:
                yield f"the field {final} is not declared"
            elif (specs[final].dtype, specs[final].shape) != (specs[name].dtype, specs[name].shape):
                yield f"{final} is not declared as {name} is"
        widths = {
            "steps/observations": (task.observation_dim,),
            "final/observations": (task.observation_dim,),
            "steps/actions": (task.action_dim,),
            "episodes/sha256": (32,),
        }
        for name, spec in specs.items():
            if name in REQUIRED and spec.shape != widths.get(name, ()):
                yield f"{name} declares rows of {spec.shape}, the task has {widths.get(name, ())}"
            found = self._store.info(name)
            if (found.dtype, found.shape[1:]) != (spec.dtype, spec.shape):
                yield f"{name} is {found.dtype} {found.shape[1:]}, declared {spec.dtype} {spec.shape}"
            if found.shape[0] < self._rows(name):
                yield f"{name} has {found.shape[0]} rows, {self._rows(name)} are committed"

    def index_problems(self) -> Iterator[str]:
        """Yield, in words, where the table of episodes does not fit the steps; fields must be sound.

        Raises:
            DatasetError: a field that is needed is damaged.
        """
        table = self.episodes
        starts = np.cumsum(table.length, dtype=np.int64) - table.length
        if (table.length < 1).any() or (table.start != starts).any() or table.length.sum() != self.n_steps:
            yield f"its episodes do not cover its {self.n_steps} steps one after the other"
            return
        if ((table.source < 0) | (table.source >= len(self.header.sources))).any():
            yield f"an episode points to a source beyond its {len(self.header.sources)}"
        if (table.end_reason > max(EndReason)).any():
            yield "an episode has an unknown end reason"
        flags = (self.blocks(f"steps/{name}") for name in ("terminations", "truncations"))
        ends = np.concatenate([np.zeros(0, bool), *(ended | cut for ended, cut in zip(*flags, strict=True))])
        if not ends[table.start + table.length - 1].all():
            yield "an episode ends neither terminated nor truncated"
        if np.count_nonzero(ends) > len(table):
            yield "an episode goes on after a step that terminated or truncated it"


def open_dataset(path: str | Path, *, unfinished: bool = False, max_memory: int | None = None) -> Dataset:
    """Open a dataset and check it: every byte against its checksums, its index, its identity.

    Behind a URL, a ``.zarr`` is fetched piece by piece when it is read, and each piece is checked then.

    Args:
        path: a ``.zarr`` directory, an ``.h5`` file, the ``.part`` of either, or the URL of a finished one.
        unfinished: also accept what is still being written, up to its last commit.
        max_memory: see `Dataset.max_memory`.

    Raises:
        InputError: nothing there, or not an artifact of awac.
        DatasetError: not a dataset, unfinished, damaged, or of another format.
    """
    path = as_path(path)
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
    dataset = Dataset(path, store, header, manifest, max_memory=max_memory)
    if manifest is not None and dataset.n_episodes == 0:
        raise DatasetError(f"`{path}` holds no episode", hint="a dataset has at least one: make it again")
    dataset.require_sound()
    dataset.require_small_pieces()
    if manifest is not None and manifest.id != dataset.id:
        raise _damaged(path, f"its content id is {dataset.id[:12]}, its manifest says {manifest.id[:12]}")
    return dataset


def _damaged(path: Path, what: str) -> DatasetError:
    return DatasetError(f"`{path}` is damaged: {what}", hint="restore it from a copy, or make it again")


def _unfinished(path: Path) -> DatasetError:
    return DatasetError(
        f"`{path}` is an unfinished dataset", hint="repeat the command that was writing it, with --resume"
    )
