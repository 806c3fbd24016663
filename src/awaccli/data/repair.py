"""Turning what a crash left of a dataset into a sealed one: whole episodes are kept, the rest is named."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from awaccli.artifacts.commit import PART, begun_in, payload_of, taken_over
from awaccli.artifacts.manifest import Clock, Recipe
from awaccli.config.settings import Execution
from awaccli.config.versions import REPAIR_VERSION
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.derivation import chosen
from awaccli.data.progress import watched
from awaccli.data.schema import Header
from awaccli.data.stores import Store, open_store
from awaccli.data.writer import Writer, commit_dataset
from awaccli.errors import DatasetError, InputError
from awaccli.protocols import SILENT, Reporter

STAGE = "repair"
_INDEX = ("episodes/sim_init", "episodes/model/")
"""Below ``episodes/`` only these are content of an episode; the others say where it is and whose."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of an unfinished dataset."""

    path: Path
    """The sealed dataset."""
    n_episodes: int
    n_steps: int
    dropped_episodes: tuple[int, ...] = ()
    """Committed, but damaged since: indices in the unfinished dataset."""
    uncommitted_steps: int = 0
    """Rows behind the last commit: nobody can say whether they are whole."""
    already: bool = False
    """True: it was sealed before, and nothing was done."""


def repair(part: Path, *, max_memory: int | None = None, report: Reporter = SILENT) -> Repaired:
    """Make a sealed dataset ``X`` of ``X.part``, and remove that; done already, it does nothing.

    Args:
        part: what a stopped run left.
        max_memory: see `Dataset.max_memory`.
        report: whom to tell how far it is.

    Raises:
        InputError: neither is there, or it is no dataset.
        DatasetError: no whole episode was committed, or the index of episodes is damaged.
        OutputExistsError: both are there, or another process is still writing.
    """
    path = part.with_suffix("") if part.suffix == PART else part
    if not part.exists() or part.suffix != PART:
        return _already(path)
    if not (payload_of(part) / "zarr.json").is_file():
        raise InputError(
            f"`{part}` holds no episodes", hint="only datasets are repaired: repeat its command with --resume"
        )
    with taken_over(path) as target:
        clock = Clock(Execution())
        store = _Salvaged(open_store(target.payload))
        header = Header.from_json(store.attributes(), origin=str(part))
        found = Dataset(part, store, header, manifest=None, max_memory=max_memory)
        if not found.n_episodes:
            raise DatasetError(
                f"`{part}`: no episode was committed", hint="start again: its command with --overwrite"
            )
        found.require_sound()
        dropped = tuple(found.altered_episodes(report))
        if len(dropped) == found.n_episodes:
            raise DatasetError(f"`{part}`: every episode is damaged", hint="its command with --overwrite")
        begun = begun_in(part)
        recipe = Recipe(
            stage=STAGE,
            version=REPAIR_VERSION,
            settings={
                "begun": begun.recipe.model_dump(mode="json") if begun else None,
                "committed": found.n_episodes,
                "dropped": list(dropped),
            },
            seed=begun.recipe.seed if begun else 0,
            inputs=begun.recipe.inputs if begun else (),
        )
        uncommitted = store.info("steps/rewards").shape[0] - found.n_steps
        with _writer(found, header, target.scratch, dropped, report) as writer:
            commit_dataset(
                target,
                writer,
                recipe=recipe,
                parents=(),
                clock=clock,
                ancestors=begun.ancestors if begun else None,
            )
            return Repaired(path, writer.n_episodes, writer.n_steps, dropped, uncommitted)


def _already(path: Path) -> Repaired:
    dataset = open_dataset(path)
    return Repaired(path, dataset.n_episodes, dataset.n_steps, already=True)


def _writer(
    found: Dataset, header: Header, scratch: Path, dropped: tuple[int, ...], report: Reporter
) -> Writer:
    """Return a writer with the whole episodes: in place, or in a copy where some are damaged."""
    if not dropped:
        return Writer(payload_of(scratch), header, resume=True, max_memory=found.max_memory)
    copy = scratch / "whole"
    shutil.rmtree(copy, ignore_errors=True)
    writer = Writer(copy, header, max_memory=found.max_memory)
    whole = np.setdiff1d(np.arange(len(found)), dropped)
    for episode in watched(chosen(found, whole), report, "copy whole episodes", len(whole)):
        writer.append(episode)
    return writer


class _Salvaged:
    """A store whose damaged parts read as zeros: the hash of an episode tells that it is not whole."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.attributes, self.manifest, self.info = store.attributes, store.manifest, store.info

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows of a field, as far as they can be read."""
        if name.startswith("episodes/") and not name.startswith(_INDEX):
            return self._store.read(name, start, stop)
        info = self.info(name)
        rows = np.zeros((stop - start, *info.shape[1:]), info.dtype)
        for first in range(start, stop, info.chunks[0]):
            last = min(first + info.chunks[0], stop)
            try:
                rows[first - start : last - start] = self._store.read(name, first, last)
            except DatasetError:
                continue
        return rows
