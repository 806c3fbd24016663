"""The checks of a dataset: what is stored, what it says of itself, and whether its hashes follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from awaccli.artifacts.manifest import Manifest
from awaccli.data.dataset import Dataset
from awaccli.data.progress import watched
from awaccli.data.schema import Header, dataset_id, episode_sha256
from awaccli.data.stores import FieldInfo, Store, open_store
from awaccli.errors import DatasetError
from awaccli.protocols import SILENT, Reporter
from awaccli.reports.spans import spans
from awaccli.reports.verify_checks import Checks, check_id

_MOST_LOST = 1000
_MOST_LOST_BYTES = 1 << 30
"""Chunks, and what they hold: who declares far more than is stored is not searched for the rest."""


class Lost(NamedTuple):
    """A chunk that cannot be read."""

    field: str
    first: int
    """Row."""
    stop: int
    """Row after the last."""
    why: str


@dataclass(slots=True)
class _Salvage:
    """Reads what is left of a dataset: lost chunks come back as zeros and are noted."""

    store: Store
    lost: dict[tuple[str, int], Lost] = field(default_factory=dict)
    lost_bytes: int = 0

    def attributes(self) -> Mapping[str, Any]:
        return self.store.attributes()

    def manifest(self) -> bytes | None:
        return self.store.manifest()

    def info(self, name: str) -> FieldInfo:
        return self.store.info(name)

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        try:
            return self.store.read(name, start, stop)
        except DatasetError:
            return self._what_is_left(name, start, stop)

    def _what_is_left(self, name: str, start: int, stop: int) -> np.ndarray:
        info = self.info(name)
        rows = np.zeros((stop - start, *info.shape[1:]), info.dtype)
        size = info.chunks[0]
        for chunk in range(start // size * size, stop, size):
            first, last = max(start, chunk), min(stop, chunk + size)
            try:
                rows[first - start : last - start] = self.store.read(name, first, last)
            except DatasetError as error:
                self._note(Lost(name, chunk, min(chunk + size, info.shape[0]), str(error)))
                if len(self.lost) > _MOST_LOST or self.lost_bytes > _MOST_LOST_BYTES:
                    raise
        return rows

    def _note(self, lost: Lost) -> None:
        if (lost.field, lost.first) not in self.lost:
            info = self.info(lost.field)
            self.lost_bytes += (lost.stop - lost.first) * info.size_bytes // max(1, info.shape[0])
            self.lost[lost.field, lost.first] = lost


def check_dataset(
    checks: Checks,
    path: Path,
    manifest: Manifest | None,
    *,
    deep: bool,
    max_memory: int | None = None,
    report: Reporter = SILENT,
) -> None:
    """Add the checks of the dataset at ``path`` whose bytes are read as they are.

    Raises:
        InputError: it was never finished.
    """
    opened = checks.attempt(
        "header", lambda: _open(path), "the arrays are described in a format that is read"
    )
    if opened is None:
        return
    store, header = opened
    if manifest is None and not header.commit.sealed:
        raise DatasetError(
            f"`{path}` is an unfinished dataset", hint="repeat the command that was writing it, with --resume"
        )
    dataset = Dataset(path, store, header, manifest, max_memory=max_memory)
    if not checks.none_of("fields", dataset.field_problems(), f"{len(header.fields)} fields, as declared"):
        return
    sound = checks.none_of(
        "index", _index_faults(dataset), f"{dataset.n_episodes} episodes cover {dataset.n_steps} steps once"
    )
    readable = _check_arrays(checks, dataset, store, sound=sound, report=report)
    if manifest:
        checks.none_of("content", _content_faults(header, manifest), "the manifest tells its task and counts")
    if sound and readable:
        _check_identity(checks, dataset, manifest, report)
        if deep:
            checks.none_of(
                "derived", _derived_faults(dataset), "returns, lengths and successes follow from steps"
            )


def _open(path: Path) -> tuple[_Salvage, Header]:
    store = _Salvage(open_store(path))
    return store, Header.from_json(store.attributes(), origin=str(path))


def _index_faults(dataset: Dataset) -> Iterator[str]:
    if dataset.n_episodes == 0:
        yield "it holds no episode"
    yield from dataset.index_problems()


def _check_arrays(
    checks: Checks, dataset: Dataset, store: _Salvage, *, sound: bool, report: Reporter
) -> bool:
    """Read every field; return whether all could be, at least in parts."""
    unreadable = []
    names = dataset.header.fields
    for name in watched(names, report, "read every chunk", len(names), "fields"):
        try:
            _read_through(dataset, name)
        except DatasetError as error:
            unreadable.append(str(error))
    damage = [
        f"{lost.field}, rows {lost.first} to {lost.stop - 1}"
        f"{_in_episodes(dataset, lost) if sound else ''}: {lost.why}"
        for lost in sorted(store.lost.values())
    ]
    checks.none_of("arrays", [*unreadable, *damage], "every chunk can be read, training fields are finite")
    return not unreadable


def _read_through(dataset: Dataset, name: str) -> None:
    """Read a field piece by piece."""
    rows = dataset.n_steps if name.startswith("steps/") else dataset.n_episodes
    piece = max(1, dataset.window_bytes // dataset.header.fields[name].row_bytes)
    for first in range(0, rows, piece):
        dataset.rows(name, first, min(first + piece, rows))


def _in_episodes(dataset: Dataset, lost: Lost) -> str:
    """Say which episodes have their rows in a chunk."""
    first, last = lost.first, min(lost.stop, len(dataset)) - 1
    if lost.field.startswith("steps/"):
        ends = dataset.episodes.start + dataset.episodes.length
        first, last = np.searchsorted(ends, [lost.first, lost.stop - 1], side="right").tolist()
        last = min(last, len(dataset) - 1)
    return f" ({_episodes(range(first, last + 1))})"


def _episodes(indices: Sequence[int]) -> str:
    return f"episode{'' if len(indices) == 1 else 's'} {spans(indices)}"


def _content_faults(header: Header, manifest: Manifest) -> Iterator[str]:
    counts = {"n_episodes": header.commit.n_episodes, "n_steps": header.commit.n_steps}
    if manifest.content != counts:
        yield f"the header counts {counts}, the manifest {manifest.content}"
    if manifest.task != header.task.spec:
        yield "the header and the manifest name different tasks"


def _check_identity(checks: Checks, dataset: Dataset, manifest: Manifest | None, report: Reporter) -> None:
    """Recompute all hashes from the arrays."""
    hashes = [episode_sha256(each) for each in watched(dataset, report, "hash episodes", len(dataset))]
    recorded = dataset.column("episodes/sha256")
    altered = [index for index, found in enumerate(hashes) if found != recorded[index].tobytes()]
    checks.none_of(
        "episodes",
        [f"{_episodes(altered)}: the content is not what the recorded hash was taken of"] if altered else [],
        "the hash of every episode follows from its arrays",
    )
    check_id(checks, dataset_id(dataset.header, hashes), manifest)


def _derived_faults(dataset: Dataset) -> Iterator[str]:
    """Compare what the table of episodes says with the steps themselves."""
    for first, stop in dataset.windows(0, len(dataset)):
        yield from _derived_faults_between(dataset, first, stop)
    counted = dataset.episodes.clipped.sum()
    if dataset.header.clipped != counted:
        yield f"the header counts {dataset.header.clipped} clipped actions, its episodes {counted}"


def _derived_faults_between(dataset: Dataset, first: int, stop: int) -> Iterator[str]:
    table, episodes = dataset.episodes, slice(first, stop)
    start, end = int(table.start[first]), int(table.start[stop - 1] + table.length[stop - 1])
    rewards, success, ended, cut = (
        dataset.rows(f"steps/{name}", start, end)
        for name in ("rewards", "success", "terminations", "truncations")
    )
    last = np.flatnonzero(ended | cut)
    begin = np.append(0, last[:-1] + 1)
    expected = {
        "start": (table.start[episodes], begin + start),
        "length": (table.length[episodes], last + 1 - begin),
        "return": (table.return_[episodes], np.add.reduceat(rewards.astype(np.float64), begin)),
        "success": (table.success[episodes], success[last]),
        "success_steps": (
            table.success_steps[episodes],
            np.add.reduceat(success.astype(np.int64), begin),
        ),
    }
    for name, (recorded, found) in expected.items():
        # NUMERICS: processors may add the same rewards in another order
        for place in np.flatnonzero(~np.isclose(recorded, found, rtol=1e-9, atol=1e-9)).tolist():
            yield f"episode {first + place}: {name} is {recorded[place]}, its steps say {found[place]}"
