"""A dataset that a verb would make of others: all of it is known, nothing of it is written yet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from awaccli.artifacts.commit import Existing
from awaccli.artifacts.manifest import Ancestor, Clock, Recipe, Run, ancestors_of
from awaccli.config.settings import Execution
from awaccli.data.dataset import Dataset
from awaccli.data.derive import derive, derived_recipe
from awaccli.data.progress import watched
from awaccli.data.schema import Header, dataset_id, episode_sha256
from awaccli.data.stores import CHUNK_BYTES
from awaccli.episode import Episode
from awaccli.protocols import SILENT, Reporter


@dataclass(frozen=True)
class Derivation:
    """What a verb returns. ``write`` makes it."""

    verb: str
    parents: tuple[Dataset, ...]
    settings: Mapping[str, Any]
    """What enters the recipe."""
    header: Header
    """With the fields that every episode has."""
    total: int
    """Episodes."""
    episodes: Callable[[], Iterator[Episode]]
    """In order, the same on every call."""
    seed: int = 0
    hashes: Sequence[bytes] | None = None
    """Of the episodes, where they are known without a look at them."""
    is_new: bool = False
    """True: no dataset it descends from can have the same content."""
    notes: tuple[str, ...] = ()
    """What is worth knowing of it, in sentences."""
    warnings: tuple[str, ...] = ()
    """What needs attention, in sentences."""
    chunk_bytes: int = CHUNK_BYTES

    @cached_property
    def id(self) -> str:
        """Content id of what it makes; without known hashes, every episode is read for it."""
        return self._identified(SILENT)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that the artifact will have.

        Content that the parents' lineage knows already, such as all episodes of a filter that drops none,
        keeps the recipe it has there: an id has one recipe, and nothing is its own ancestor.
        """
        if self.known:
            return self.known.recipe
        return derived_recipe(self.verb, self.parents, self.settings, seed=self.seed)

    @cached_property
    def known(self) -> Ancestor | None:
        """The recipe of this very content in the lineage of the parents, if it is there."""
        return None if self.is_new else self._lineage.get(self.id)

    def write(self, out: Path, *, existing: Existing = Existing.REFUSE, report: Reporter = SILENT) -> Dataset:
        """Make the dataset at ``out``, a ``.zarr`` directory or an ``.h5`` file.

        Raises:
            OutputExistsError: it is there, or another process is making it.
            InterruptedRunError: a signal came; every episode so far is kept for ``Existing.RESUME``.
        """
        if not self.is_new and "id" not in vars(self):
            vars(self)["id"] = self._identified(report)
        twin = next((data for data in self.parents if self.known and data.sealed().id == self.id), None)
        return derive(
            out,
            self.recipe,
            self.header,
            self.episodes(),
            parents=() if self.known else self.parents,
            ancestors=self._ancestors(twin),
            clock=_SameRun(twin) if twin else None,
            chunk_bytes=self.chunk_bytes,
            existing=existing,
            total=self.total,
            max_memory=self.parents[0].max_memory,
            report=report,
        )

    def _identified(self, report: Reporter) -> str:
        if self.hashes is not None:
            return dataset_id(self.header, self.hashes)
        episodes = watched(self.episodes(), report, "find the id", self.total)
        return dataset_id(self.header, map(episode_sha256, episodes))

    @cached_property
    def _lineage(self) -> dict[str, Ancestor]:
        return ancestors_of(parent.sealed() for parent in self.parents)

    def _ancestors(self, twin: Dataset | None) -> Mapping[str, Ancestor]:
        """Return what content that was known before descends from: not from what it helped to make since."""
        if twin:
            return twin.sealed().ancestors
        found: dict[str, Ancestor] = {}
        waiting = [ref.id for ref in self.recipe.inputs] if self.known else []
        while waiting:
            identity = waiting.pop()
            if identity in self._lineage and identity not in found:
                found[identity] = self._lineage[identity]
                waiting += [ref.id for ref in found[identity].recipe.inputs]
        return found


class _SameRun(Clock):
    """Tells of the run that made a dataset, for a copy of it."""

    def __init__(self, original: Dataset) -> None:
        super().__init__(Execution())
        self._original = original

    def run(self, target: Path, inputs: Mapping[str, Path]) -> Run:  # noqa: ARG002
        """Return what the original says, with paths as they are from ``target``."""
        run, folder = self._original.sealed().run, self._original.path.absolute().parent
        paths = {
            identity: Path(os.path.relpath(folder / hint, target.absolute().parent)).as_posix()
            for identity, hint in run.paths.items()
        }
        return run.model_copy(update={"paths": paths})


def selection(
    verb: str,
    dataset: Dataset,
    indices: np.ndarray,
    settings: Mapping[str, Any],
    *,
    seed: int = 0,
    notes: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Derivation:
    """Return some episodes of a dataset, unchanged and in their order.

    Sources that acted in none of them are left out; splits point to where the episodes are now.

    Args:
        verb: what selects.
        dataset: where they are.
        indices: of the episodes, int [n], ascending, at least one.
        settings: what enters the recipe.
        seed: what enters the recipe.
        notes: see `Derivation`.
        warnings: see `Derivation`.
    """
    header, table = dataset.header, dataset.episodes
    sources = np.unique(table.source[indices])
    new_source = {int(old): new for new, old in enumerate(sources)}
    splits = {name: _new_places(indices, members) for name, members in header.splits.items()}

    def episodes() -> Iterator[Episode]:
        for episode in chosen(dataset, indices):
            source = new_source[episode.source]
            yield episode if source == episode.source else replace(episode, source=source)

    return Derivation(
        verb,
        (dataset,),
        settings,
        header.model_copy(
            update={
                "sources": tuple(header.sources[old] for old in sources),
                "splits": {name: members for name, members in splits.items() if members},
            }
        ),
        total=len(indices),
        episodes=episodes,
        seed=seed,
        hashes=[row.tobytes() for row in dataset.column("episodes/sha256")[indices]],
        notes=notes,
        warnings=warnings,
    )


def chosen(dataset: Dataset, indices: np.ndarray) -> Iterator[Episode]:
    """Yield the episodes at ``indices`` (ascending), a window of the dataset in memory at a time."""
    first, stop = int(indices[0]), int(indices[-1]) + 1
    wanted = np.zeros(stop - first, bool)
    wanted[indices - first] = True
    return compress(dataset.between(first, stop), wanted)


def _new_places(indices: np.ndarray, members: Sequence[int]) -> tuple[int, ...]:
    """Return where the ``members`` that are among ``indices`` come to lie."""
    return tuple(np.flatnonzero(np.isin(indices, np.array(members, np.int64))).tolist())
