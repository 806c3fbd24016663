"""Episodes from rollouts into a dataset, in order, resumable at any episode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from awaccli.artifacts.manifest import Manifest
from awaccli.data.writer import Writer
from awaccli.envs.acting import ActorSpec
from awaccli.envs.rollout import Job, Rollouts
from awaccli.episode import Episode
from awaccli.errors import InterruptedRunError
from awaccli.protocols import Reporter

Parents = Sequence[tuple[Path, Manifest]]


def record(
    rollouts: Rollouts,
    actors: Sequence[ActorSpec],
    jobs: Iterable[Job],
    writer: Writer,
    *,
    until: int,
    title: str,
    report: Reporter,
    keep: Callable[[Episode], Episode | None] = lambda episode: episode,
) -> int:
    """Append episodes of ``jobs`` until the dataset has ``until`` of them; return how many were tried.

    ``keep`` may change an episode before it is stored, or leave it out by returning None.

    Raises:
        InterruptedRunError: a signal came; every episode so far is committed.
    """
    tried = successes = 0
    with report.phase(title, until, "episodes") as progress:
        episodes = rollouts.run(actors, jobs) if writer.n_episodes < until else iter(())
        for episode in episodes:
            tried += 1
            successes += bool(episode.success[-1])
            kept = keep(episode)
            if kept is not None:
                writer.append(kept)
            progress.update(writer.n_episodes, success=successes / tried)
            if writer.n_episodes >= until:
                break
            if signal := report.interrupted():
                writer.flush()
                raise InterruptedRunError(
                    signal,
                    f"stopped after {writer.n_episodes} of {until} episodes; all of them are kept",
                    hint="repeat the command with --resume to go on",
                )
    return tried
