"""Writing datasets, so that a kill at any moment costs at most the last seconds of work."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from awaccli.artifacts.commit import Target
from awaccli.artifacts.identity import canonical_json
from awaccli.artifacts.manifest import MANIFEST, Ancestor, Clock, Manifest, Recipe, ancestors_of, inventory
from awaccli.data.columns import DOCS, REQUIRED, TRAINING, content_columns, derived_columns
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.memory import buffer_bytes
from awaccli.data.schema import Commit, FieldSpec, Header, episode_sha256, field_name
from awaccli.data.stores import CHUNK_BYTES, HDF5_SUFFIXES
from awaccli.data.stores.hdf5 import write_hdf5
from awaccli.data.stores.zarr import ZarrArrays, pack_one_by_one
from awaccli.episode import Episode
from awaccli.errors import DatasetError
from awaccli.protocols import SILENT, Reporter

_COMMIT_S = 1.0
_COMMIT_COSTS = 20
"""A commit waits until this many times its own duration has passed: it costs 5 % of the time."""
_COMMIT_BYTES = 32 << 20
_COMMITS_PER_SYNC = 8
_SEALED = "sealed.h5"
_MEND = "`awac data repair` seals those episodes of a .part that are whole; --overwrite starts again"


class Writer:
    """Appends episodes to a Zarr directory; readers see whole episodes, up to the last commit.

    A commit writes every field and replaces the root attributes last. Episodes are committed in groups, of
    about a second of work, or of 20 times as long as a commit takes; leaving the context, by an exception
    too, commits what was appended.

    Raises:
        DatasetError: ``path`` holds a dataset and ``resume`` is not set, or it is damaged, or it has
            another task or other sources.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        *,
        resume: bool = False,
        chunk_bytes: int = CHUNK_BYTES,
        max_memory: int | None = None,
        report: Reporter = SILENT,
    ) -> None:
        """Take where to write.

        Args:
            path: the Zarr directory.
            header: its fields are those of every episode; where it has none, they follow from the first.
            resume: go on with what is there.
            chunk_bytes: about how large the pieces are that a field is stored in.
            max_memory: bytes that buffers may take; see `Dataset.max_memory`.
            report: whom to tell how far the check is of what is there.
        """
        self._path = path
        self._max_memory = max_memory
        self._commit_bytes = buffer_bytes(_COMMIT_BYTES, max_memory)
        if self._commit_bytes < _COMMIT_BYTES:
            pack_one_by_one()
        self._chunk_bytes = chunk_bytes
        self._header = header.model_copy(update={"commit": Commit(), "clipped": 0})
        self._arrays: ZarrArrays | None = None
        self._pending: list[dict[str, np.ndarray]] = []
        self._pending_steps = self._pending_bytes = 0
        self._next_commit_s = time.monotonic() + _COMMIT_S
        self._synced_ns = time.time_ns()
        if resume and path.is_dir():
            self._drop_leftovers()
        if not path.is_dir() or not any(path.iterdir()):
            return
        if not resume:
            raise DatasetError(f"`{path}` already holds a dataset", hint="resume it, or write somewhere else")
        self._resume(report)

    @property
    def path(self) -> Path:
        """The Zarr directory."""
        return self._path

    @property
    def n_episodes(self) -> int:
        """Episodes appended so far."""
        return self._header.commit.n_episodes + len(self._pending)

    @property
    def n_steps(self) -> int:
        """Steps appended so far."""
        return self._header.commit.n_steps + self._pending_steps

    def append(self, episode: Episode) -> None:
        """Add an episode.

        Raises:
            DatasetError: it does not fit the task or the episodes before it, or holds NaN or an infinity;
                nothing of it is kept.
        """
        columns = content_columns(episode) | derived_columns(episode)
        columns["episodes/sha256"] = np.frombuffer(episode_sha256(episode), np.uint8)[None]
        columns["episodes/start"] = np.array([self.n_steps], np.int64)
        fields = self._header.fields or _fields_of(columns, self.n_episodes)
        _require_fields(columns, fields, self.n_episodes)
        self._require_task(columns, self.n_episodes)
        self._header = self._header.model_copy(update={"fields": fields})
        self._pending.append(columns)
        self._pending_steps += len(episode)
        self._pending_bytes += sum(column.nbytes for column in columns.values())
        if self._pending_bytes > self._commit_bytes or time.monotonic() > self._next_commit_s:
            self.flush()

    def flush(self) -> None:
        """Commit everything appended so far."""
        if self._pending:
            self._commit()

    def dataset(self) -> Dataset:
        """Return what is committed, as a dataset that later appends do not change.

        Raises:
            DatasetError: nothing is committed yet.
        """
        return open_dataset(self._path, unfinished=True, max_memory=self._max_memory)

    def seal(self) -> None:
        """Commit for the last time.

        Raises:
            DatasetError: there is no episode.
        """
        self.flush()
        if self.n_episodes == 0:
            raise DatasetError(
                f"`{self._path}`: no episode was written", hint="a dataset has at least one episode"
            )
        self._publish(self._header.commit.model_copy(update={"sealed": True}), clipped=self._header.clipped)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what was appended, whatever happened; a failure of that does not hide the first one."""
        try:
            self.flush()
        except OSError as second:
            if error is None:
                raise
            error.add_note(f"nor could the last episodes be written: {second}")

    def _commit(self) -> None:
        """Write pending episodes behind the committed ones; an interrupted commit can simply be repeated."""
        started = time.monotonic()
        if self._arrays is None:
            arrays = ZarrArrays(self._path, self._chunk_bytes)
            arrays.create(self._header.fields)
            self._arrays = arrays
        before = self._header.commit
        for name in self._header.fields:
            start = before.n_steps if name.startswith("steps/") else before.n_episodes
            self._arrays.write(name, start, np.concatenate([columns[name] for columns in self._pending]))
        after = Commit(n_episodes=self.n_episodes, n_steps=self.n_steps, seq=before.seq + 1)
        clipped = sum(int(columns["episodes/clipped"][0]) for columns in self._pending)
        if after.seq % _COMMITS_PER_SYNC == 0:
            self._sync()
        self._publish(after, clipped=self._header.clipped + clipped)
        self._pending, self._pending_steps, self._pending_bytes = [], 0, 0
        now = time.monotonic()
        self._next_commit_s = now + max(_COMMIT_S, _COMMIT_COSTS * (now - started))

    def _publish(self, commit: Commit, *, clipped: int) -> None:
        assert self._arrays is not None
        header = self._header.model_copy(update={"commit": commit, "clipped": clipped})
        self._arrays.publish(header.to_json())
        self._header = header

    def _sync(self) -> None:
        """Bring to the disk what changed since the last time."""
        since_ns = self._synced_ns - 2_000_000_000  # file times are coarser than the clock
        self._synced_ns = time.time_ns()
        for path in [*self._path.rglob("*"), self._path]:
            if path.stat().st_mtime_ns >= since_ns:
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def _drop_leftovers(self) -> None:
        """Remove files that a kill left half-written, and a manifest that was never committed."""
        for leftover in [*self._path.rglob("*.partial"), self._path / MANIFEST]:
            leftover.unlink(missing_ok=True)

    def _resume(self, report: Reporter) -> None:
        """Go on after the last commit; what was written behind it is dropped."""
        if not (self._path / "zarr.json").is_file():
            raise DatasetError(f"`{self._path}` has lost its zarr.json", hint="drop it with --overwrite")
        arrays = ZarrArrays(self._path)
        if arrays.published() is None:  # killed before the first commit
            shutil.rmtree(self._path)
            return
        found = Header.from_json(arrays.published(), origin=str(self._path))
        for fact in ("task", "sources"):
            if canonical_json(found.to_json()[fact]) != canonical_json(self._header.to_json()[fact]):
                raise DatasetError(
                    f"`{self._path}` was begun with another {fact}", hint="drop it with --overwrite"
                )
        self._require_whole(report)
        for name in found.fields:
            rows = found.commit.n_steps if name.startswith("steps/") else found.commit.n_episodes
            arrays.reopen(name, rows)
        self._header, self._arrays = found, arrays

    def _require_whole(self, report: Reporter) -> None:
        try:
            altered = self.dataset().altered_episodes(report)
        except DatasetError as error:
            raise DatasetError(str(error), hint=_MEND) from error
        if altered:
            raise DatasetError(f"`{self._path}` is damaged: episode {altered[0]} has changed", hint=_MEND)

    def _require_task(self, columns: dict[str, np.ndarray], index: int) -> None:
        task = self._header.task
        for name, size in (("steps/observations", task.observation_dim), ("steps/actions", task.action_dim)):
            if columns[name].shape[1:] != (size,):
                raise DatasetError(
                    f"episode {index}: {name} has rows of {columns[name].shape[1:]}",
                    hint=f"the task has ({size},)",
                )
        source = int(columns["episodes/source"][0])
        if not 0 <= source < len(self._header.sources):
            raise DatasetError(f"episode {index}: source {source} of {len(self._header.sources)}")
        for name in TRAINING:
            finite = np.isfinite(columns[name])
            if not finite.all():
                step = (
                    int(np.argwhere(~finite)[0, 0])
                    if name.startswith("steps/")
                    else len(columns["steps/rewards"])
                )
                raise DatasetError(f"{name} is not finite in episode {index}, step {step}")


def _require_fields(columns: dict[str, np.ndarray], fields: dict[str, FieldSpec], index: int) -> None:
    """Refuse an episode with other fields, dtypes or widths than those before it."""
    if fields.keys() != columns.keys():
        odd = min(fields.keys() ^ columns.keys())
        state = "is missing" if odd in fields else "is new"
        raise DatasetError(
            f"episode {index}: the field {odd} {state}", hint="all episodes have the same fields"
        )
    for name, column in columns.items():
        spec = fields[name]
        if (column.dtype.str, column.shape[1:]) != (spec.dtype, spec.shape):
            raise DatasetError(
                f"episode {index}: {name} is {column.dtype.str} with rows of {column.shape[1:]}",
                hint=f"expected {spec.dtype} with rows of {spec.shape}",
            )


def _fields_of(columns: dict[str, np.ndarray], index: int) -> dict[str, FieldSpec]:
    """Let the first episode decide what is stored."""
    fields = {}
    for name, column in columns.items():
        dtype, shape = column.dtype.str, column.shape[1:]
        if dtype != REQUIRED.get(name, dtype):
            raise DatasetError(f"episode {index}: {name} is {dtype}", hint=f"expected {REQUIRED[name]}")
        try:
            fields[field_name(name)] = FieldSpec(dtype=dtype, shape=shape, doc=DOCS.get(name, ""))
        except ValueError as error:
            raise DatasetError(f"episode {index}: {name} cannot be stored as {dtype} {shape}") from error
    return fields


def commit_dataset(
    target: Target,
    writer: Writer,
    *,
    recipe: Recipe,
    parents: Sequence[tuple[Path, Manifest]],
    clock: Clock,
    ancestors: Mapping[str, Ancestor] | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    report: Reporter = SILENT,
) -> Manifest:
    """Seal what ``writer`` wrote into ``target.scratch`` and make it the artifact; its suffix says what kind.

    Args:
        target: where it goes.
        writer: has the episodes.
        recipe: what made them.
        parents: inputs that are still there.
        clock: of the run.
        ancestors: recipes of inputs that may be gone, by id.
        chunk_bytes: about how large the pieces of an HDF5 file are.
        report: whom to tell how far an HDF5 file is; no phase of its may be open.

    Raises:
        DatasetError: there is no episode.
    """
    writer.seal()
    dataset = writer.dataset()
    as_hdf5 = target.path.suffix in HDF5_SUFFIXES
    manifest = Manifest(
        kind="dataset",
        id=dataset.id,
        task=dataset.task.spec,
        content={"n_episodes": dataset.n_episodes, "n_steps": dataset.n_steps},
        files=() if as_hdf5 else inventory(writer.path),
        recipe=recipe,
        ancestors=dict(ancestors or {}) | ancestors_of(parent for _, parent in parents),
        run=clock.run(target.path, {parent.id: path for path, parent in parents}),
    )
    if as_hdf5:
        sealed = target.scratch / _SEALED
        layout = dataset.layout(chunk_bytes)
        write_hdf5(sealed, dataset.header.to_json(), layout, dataset.rows, manifest.to_bytes(), report=report)
        target.commit(sealed)
    else:
        scratch = writer.path / f"{MANIFEST}.partial"
        scratch.write_bytes(manifest.to_bytes())
        scratch.replace(writer.path / MANIFEST)
        target.commit(writer.path)
    return manifest
