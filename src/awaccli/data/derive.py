"""A new dataset from others: what every verb that changes data has in common.

A verb says what it makes (a recipe over its parents) and yields episodes. They go through the writer that all
datasets go through: seeds, sources, hashes and lineage survive, a kill loses little, and it can be resumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from awaccli.artifacts.commit import Existing, claimed
from awaccli.artifacts.manifest import Clock, Recipe, ancestors_of
from awaccli.config.settings import Execution
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.schema import Header
from awaccli.data.writer import Writer, commit_dataset
from awaccli.episode import Episode
from awaccli.errors import InterruptedRunError
from awaccli.protocols import SILENT, Reporter

VERSION = 1


def derived_recipe(
    verb: str, parents: Sequence[Dataset], settings: Mapping[str, Any], *, seed: int = 0
) -> Recipe:
    """Return the recipe of what ``awac data <verb>`` makes of ``parents``.

    Raises:
        DatasetError: a parent is unfinished.
    """
    return Recipe(
        stage=f"data-{verb}",
        version=VERSION,
        settings=dict(settings),
        seed=seed,
        inputs=tuple(parent.sealed().reference("data") for parent in parents),
    )


def derive(
    out: Path,
    recipe: Recipe,
    header: Header,
    episodes: Iterable[Episode],
    *,
    parents: Sequence[Dataset] = (),
    existing: Existing = Existing.REFUSE,
    total: int | None = None,
    report: Reporter = SILENT,
) -> Dataset:
    """Write ``episodes`` as the dataset that ``recipe`` makes, and commit it at ``out``.

    Args:
        out: a ``.zarr`` directory or an ``.h5`` file.
        recipe: see `derived_recipe`; where the output has it already, nothing is done.
        header: task, sources, credits, splits; its fields follow from the episodes.
        episodes: in order, the same on every call: a resumed run skips those that are there.
        parents: the datasets they come from.
        existing: what to do about an output that is there.
        total: how many there will be, for the progress display.
        report: whom to tell.

    Raises:
        DatasetError: an episode does not fit the task, or there is none.
        OutputExistsError: see `claimed`.
        InterruptedRunError: a signal came; every episode so far is committed.
    """
    manifests = [(parent.path, parent.sealed()) for parent in parents]
    known = ancestors_of(manifest for _, manifest in manifests)
    with claimed(out, recipe, existing, ancestors=known) as target:
        if not target.finished:
            clock = Clock(Execution())
            bare = header.model_copy(update={"fields": {}})
            with (
                Writer(target.payload, bare, resume=target.resuming) as writer,
                report.phase(recipe.stage, total or 0, "episodes") as progress,
            ):
                for episode in islice(episodes, writer.n_episodes, None):
                    writer.append(episode)
                    progress.update(writer.n_episodes)
                    if signal := report.interrupted():
                        writer.flush()
                        raise InterruptedRunError(
                            signal,
                            f"stopped after {writer.n_episodes} episodes; all of them are kept",
                            hint="repeat the command with --resume to go on",
                        )
                commit_dataset(target, writer, recipe=recipe, parents=manifests, clock=clock)
    return open_dataset(out)
