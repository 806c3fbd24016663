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
from awaccli.artifacts.manifest import Ancestor, Clock, Recipe, ancestors_of
from awaccli.config.settings import Execution
from awaccli.config.versions import VERB_VERSION
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.schema import Header
from awaccli.data.stores import CHUNK_BYTES
from awaccli.data.writer import Writer, commit_dataset
from awaccli.episode import Episode
from awaccli.errors import InterruptedRunError
from awaccli.protocols import SILENT, Reporter


def derived_recipe(
    verb: str, parents: Sequence[Dataset], settings: Mapping[str, Any], *, seed: int = 0
) -> Recipe:
    """Return the recipe of what ``awac data <verb>`` makes of ``parents``.

    Raises:
        DatasetError: a parent is unfinished.
    """
    return Recipe(
        stage=f"data-{verb}",
        version=VERB_VERSION,
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
    ancestors: Mapping[str, Ancestor] | None = None,
    clock: Clock | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    existing: Existing = Existing.REFUSE,
    total: int | None = None,
    max_memory: int | None = None,
    report: Reporter = SILENT,
) -> Dataset:
    """Write ``episodes`` as the dataset that ``recipe`` makes, and commit it at ``out``.

    Args:
        out: a ``.zarr`` directory or an ``.h5`` file.
        recipe: see `derived_recipe`; where the output has it already, nothing is done.
        header: task, sources, credits, splits. Its fields, with their units, are those of every episode;
            where it names none, they follow from the first episode.
        episodes: in order, the same on every call: a resumed run skips those that are there.
        parents: the datasets they come from.
        ancestors: further recipes of the lineage, by id.
        clock: what tells when and how it was made; default: now, here.
        chunk_bytes: about how large the pieces are that a field is stored in.
        existing: what to do about an output that is there.
        total: how many there will be, for the progress display.
        max_memory: bytes that buffers may take; see `Dataset.max_memory`.
        report: whom to tell.

    Raises:
        DatasetError: an episode does not fit the task, or there is none.
        OutputExistsError: see `claimed`.
        InterruptedRunError: a signal came; every episode so far is committed.
    """
    manifests = [(parent.path, parent.sealed()) for parent in parents]
    known = dict(ancestors or {}) | ancestors_of(manifest for _, manifest in manifests)
    with claimed(out, recipe, existing, ancestors=known) as target:
        if not target.finished:
            clock = clock or Clock(Execution())
            with Writer(
                target.payload,
                header,
                resume=target.resuming,
                chunk_bytes=chunk_bytes,
                max_memory=max_memory,
                report=report,
            ) as writer:
                with report.phase(recipe.stage, total or 0, "episodes") as progress:
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
                commit_dataset(
                    target,
                    writer,
                    recipe=recipe,
                    parents=manifests,
                    clock=clock,
                    ancestors=ancestors,
                    chunk_bytes=chunk_bytes,
                    report=report,
                )
    return open_dataset(out, max_memory=max_memory)
