"""``awac data video``: episodes of a dataset as a film, drawn from states or by executing actions again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from awaccli.artifacts.plain_file import appearing, require_free
from awaccli.config.settings import Execution
from awaccli.config.task import TaskFacts
from awaccli.data.dataset import Dataset
from awaccli.envs.rendering import Start, Studio
from awaccli.envs.trust import require_trusted
from awaccli.episode import Episode
from awaccli.errors import DatasetError, InterruptedRunError, UsageError
from awaccli.protocols import SILENT, Reporter
from awaccli.stages.film import MOST_TILES, Frames, Take, Tile, check_encoder, film, write_film

_FPS = 25.0
_HOW: dict[Start, str] = {
    "states": "stored states",
    "start": "the stored start state and actions",
    "seed": "the seed and actions",
}


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """Which episodes, how fast, and how large."""

    episodes: tuple[int, ...] | None = None
    """None: the first ``count``."""
    count: int = 4
    every: int | None = None
    """Steps from one picture to the next; None: about 25 pictures for a second of the robot's time."""
    fps: float | None = None
    """Pictures a second; None: as many as make the film last as long as what it shows."""
    width: int | None = None
    """Of an episode's tile, in pixels; None: 640, or 320 where there are several."""
    height: int | None = None
    """None: three quarters of the width."""
    camera: str | None = None
    """Name or number of a camera in the MuJoCo model; None: one that shows the task well."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class FilmedEpisode(_Record):
    """One of the episodes in a film."""

    episode: int
    steps: int
    success: bool
    return_: float = Field(serialization_alias="return")
    start: Start
    """From what it was drawn: ``states`` of every step, or actions from the stored ``start`` or ``seed``."""
    diverged_at: int | None
    """First step at which its actions led elsewhere than when they were recorded."""


class Video(_Record):
    """A film that was made."""

    schema_version: Literal[1] = 1
    path: str
    dataset: str
    """Content id."""
    frames: int
    """Pictures."""
    fps: float
    every: int
    episodes: tuple[FilmedEpisode, ...]


def video(
    dataset: Dataset,
    settings: VideoSettings,
    out: Path,
    *,
    overwrite: bool = False,
    execution: Execution | None = None,
    report: Reporter = SILENT,
) -> Video:
    """Draw some episodes side by side into an MP4 or GIF file.

    Args:
        dataset: is only read.
        settings: which episodes, and how.
        out: a ``.mp4`` (needs the extra ``video``) or ``.gif`` file.
        overwrite: replace a file that is there.
        execution: whether to trust the environment that the dataset names.
        report: whom to tell.

    Raises:
        DatasetError: it has no simulator, does not say where its episodes start, or is of another version.
        InputError: its environment could run code, and ``execution`` does not trust it.
        UsageError: an episode or camera that it does not have, sizes that make no sense, no encoder.
        OutputExistsError: the file is there.
        RunError: no OpenGL, or the environment failed.
        InterruptedRunError: a signal came; nothing is kept.
    """
    check_encoder(out)
    require_free(out, overwrite=overwrite)
    task = dataset.task
    if task.spec.env_id is None:
        raise DatasetError(f"`{dataset.path}` was recorded without a simulator", hint="nothing can draw it")
    starts = {index: _start(dataset, index) for index in _chosen(dataset, settings)}
    require_trusted(task.spec, dataset.path, trust_env=execution is not None and execution.trust_env)
    tile, (every, fps) = _tile(settings, len(starts)), _pace(task, settings)
    diverged: dict[int, int] = {}
    with appearing(out, overwrite=overwrite) as file, ExitStack() as stack:
        takes = [
            _take(
                dataset.episode(index), index, every, partial(_frames, task, start, tile, settings, diverged)
            )
            for index, start in starts.items()
        ]
        for take in takes:
            stack.enter_context(closing(take.frames))
        write_film(_reported(film(takes, tile), takes, report), file, fps=fps)
    _say(dataset, starts, diverged, report)
    filmed = tuple(_filmed(take, starts[take.index], diverged.get(take.index)) for take in takes)
    pictures = max(len(take.shown) for take in takes)
    return Video(path=str(out), dataset=dataset.id, frames=pictures, fps=fps, every=every, episodes=filmed)


def _say(dataset: Dataset, starts: dict[int, Start], diverged: dict[int, int], report: Reporter) -> None:
    for start, how in _HOW.items():
        if drawn := [str(index) for index, other in starts.items() if other == start]:
            report.note(f"drawn from {how}: {', '.join(drawn)}")
    if "states" in starts.values() and not dataset.has_simulator_state:
        report.warn("what resets placed in the model, such as targets, is not stored: it may stand elsewhere")
    for index, step in diverged.items():
        report.warn(f"episode {index} goes elsewhere from step {step} on than it did when it was recorded")


def _filmed(take: Take, start: Start, diverged_at: int | None) -> FilmedEpisode:
    return FilmedEpisode(
        episode=take.index,
        steps=take.steps,
        success=take.success,
        return_=take.return_,
        start=start,
        diverged_at=diverged_at,
    )


def _chosen(dataset: Dataset, settings: VideoSettings) -> list[int]:
    if settings.episodes is None:
        chosen = list(range(min(settings.count, len(dataset))))
    else:
        chosen = list(dict.fromkeys(settings.episodes))
    for index in chosen:
        if not 0 <= index < len(dataset):
            raise UsageError(
                f"`{dataset.path}` has no episode {index}", hint=f"it has episodes 0 to {len(dataset) - 1}"
            )
    if not 1 <= len(chosen) <= MOST_TILES:
        raise UsageError(
            f"{len(chosen)} episodes in one film", hint=f"1 to {MOST_TILES} can be told apart: see --episodes"
        )
    return chosen


def _start(dataset: Dataset, index: int) -> Start:
    """Return from what an episode is drawn: the more is stored, the less has to be simulated."""
    if {"steps/sim/qpos", "steps/sim/qvel"} <= dataset.header.fields.keys():
        return "states"
    if dataset.has_simulator_state and np.isfinite(dataset.rows("episodes/sim_init", index, index + 1)).all():
        return "start"
    if dataset.episodes.has_seed[index]:
        return "seed"
    raise DatasetError(
        f"`{dataset.path}`: episode {index} has no states, no start state and no seed",
        hint="nothing says where it was: what awac records has at least a seed, other recordings may not",
    )


def _tile(settings: VideoSettings, episodes: int) -> Tile:
    width = settings.width or (640 if episodes == 1 else 320)
    return Tile(width, settings.height or 3 * width // 4)


def _pace(task: TaskFacts, settings: VideoSettings) -> tuple[int, float]:
    """Return the steps from one picture to the next, and the pictures a second."""
    rate = 1 / task.control_dt if task.control_dt and task.control_dt > 0 else _FPS
    every = settings.every or max(1, round(rate / _FPS))
    return every, settings.fps or rate / every


def _take(
    episode: Episode, index: int, every: int, frames: Callable[[Episode, int, list[int]], Frames]
) -> Take:
    """Return an episode as it enters the film; its last state is always shown."""
    steps = len(episode)
    shown = sorted({*range(0, steps + 1, every), steps})
    return Take(
        index=index,
        success=bool(episode.success[-1]),
        return_=episode.return_,
        steps=steps,
        shown=shown,
        frames=frames(episode, index, shown),
    )


def _frames(
    task: TaskFacts,
    start: Start,
    tile: Tile,
    settings: VideoSettings,
    diverged: dict[int, int],
    episode: Episode,
    index: int,
    shown: list[int],
) -> Frames:
    """Yield pictures of one episode, in an environment that is there only as long."""
    with Studio(task, width=tile.width, height=tile.height, camera=settings.camera) as studio:
        yield from studio.frames(episode, start, shown, lambda step: diverged.update({index: step}))


def _reported(
    pictures: Iterator[np.ndarray], takes: Sequence[Take], report: Reporter
) -> Iterator[np.ndarray]:
    """Yield pictures, saying how far they are; a signal ends it."""
    total = max(len(take.shown) for take in takes)
    with report.phase("draw", total, "pictures") as progress:
        for done, picture in enumerate(pictures, start=1):
            if signal := report.interrupted():
                raise InterruptedRunError(
                    signal,
                    f"stopped after {done - 1} of {total} pictures",
                    hint="repeat the command: nothing is kept",
                )
            yield picture
            progress.update(done)
