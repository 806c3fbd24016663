"""Episodes drawn into a film, wherever they come from: a dataset, or an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from awaccli.artifacts.plain_file import appearing, require_free
from awaccli.config.task import TaskFacts
from awaccli.envs.rendering import Start, Studio
from awaccli.episode import Episode
from awaccli.errors import InterruptedRunError, UsageError
from awaccli.protocols import Reporter
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
    """None: ``count`` of them."""
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

    def chosen(self, otherwise: Sequence[int], *, total: int, whose: str) -> list[int]:
        """Return the numbers of the named episodes, or ``otherwise`` where none are named.

        Raises:
            UsageError: one that is not among the ``total`` of ``whose``, none, or too many.
        """
        numbers = list(otherwise if self.episodes is None else dict.fromkeys(self.episodes))
        for number in numbers:
            if not 0 <= number < total:
                raise UsageError(
                    f"`{whose}` has no episode {number}", hint=f"it has episodes 0 to {total - 1}"
                )
        if not 1 <= len(numbers) <= MOST_TILES:
            raise UsageError(
                f"{len(numbers)} episodes in one film",
                hint=f"1 to {MOST_TILES} can be told apart: see --episodes",
            )
        return numbers


@dataclass(frozen=True, slots=True)
class Scene:
    """An episode that is to be drawn."""

    index: int
    """Number of the episode, where it comes from."""
    episode: Episode
    start: Start
    """From what it is drawn."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class FilmedEpisode(_Record):
    """One of the episodes in a film."""

    episode: int
    steps: int
    success: bool
    """At its last step, as it was recorded."""
    return_: float = Field(serialization_alias="return")
    start: Start
    """From what it was drawn: ``states`` of every step, or actions from the stored ``start`` or ``seed``."""
    diverged_at: int | None
    """First step at which its actions led elsewhere than when they were recorded."""


class Film(_Record):
    """A film that was made."""

    path: str
    frames: int
    """Pictures."""
    fps: float
    every: int
    episodes: tuple[FilmedEpisode, ...]


def require_film(out: Path, *, overwrite: bool) -> None:
    """Check that a film of this name can be written, before work is spent on it.

    Raises:
        UsageError: another ending, no encoder, or a folder that cannot be written.
        OutputExistsError: it is there, and not to be replaced.
    """
    check_encoder(out)
    require_free(out, overwrite=overwrite)


def require_studio(task: TaskFacts, settings: VideoSettings, *, episodes: int) -> None:
    """Check that so many episodes of the task can be drawn on this machine, by opening what draws them.

    Raises:
        RunError: no OpenGL, or an environment that cannot be drawn.
        UsageError: no such camera.
    """
    _studio(task, _tile(settings, episodes), settings).close()


def draw(
    task: TaskFacts,
    scenes: Sequence[Scene],
    settings: VideoSettings,
    out: Path,
    *,
    overwrite: bool,
    report: Reporter,
) -> Film:
    """Draw episodes of a task side by side into an MP4 or GIF file, and say from what.

    Raises:
        AwacError: see `require_film` and `require_studio`.
        InterruptedRunError: a signal came; nothing is kept.
    """
    tile, (every, fps) = _tile(settings, len(scenes)), _pace(task, settings)
    diverged: dict[int, int] = {}
    with appearing(out, overwrite=overwrite) as file, ExitStack() as stack:
        takes = [_take(task, scene, every, tile, settings, diverged) for scene in scenes]
        for take in takes:
            stack.enter_context(closing(take.frames))
        write_film(_reported(film(takes, tile), takes, report), file, fps=fps)
    _say(scenes, diverged, report)
    return Film(
        path=str(out),
        frames=max(len(take.shown) for take in takes),
        fps=fps,
        every=every,
        episodes=tuple(_filmed(scene, diverged.get(scene.index)) for scene in scenes),
    )


def _say(scenes: Sequence[Scene], diverged: dict[int, int], report: Reporter) -> None:
    for start, how in _HOW.items():
        if drawn := [str(scene.index) for scene in scenes if scene.start == start]:
            report.note(f"drawn from {how}: {', '.join(drawn)}")
    for index, step in diverged.items():
        report.warn(f"episode {index} goes elsewhere from step {step} on than it did when it was recorded")


def _filmed(scene: Scene, diverged_at: int | None) -> FilmedEpisode:
    return FilmedEpisode(
        episode=scene.index,
        steps=len(scene.episode),
        success=bool(scene.episode.success[-1]),
        return_=scene.episode.return_,
        start=scene.start,
        diverged_at=diverged_at,
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
    task: TaskFacts, scene: Scene, every: int, tile: Tile, settings: VideoSettings, diverged: dict[int, int]
) -> Take:
    """Return an episode as it enters the film; its last state is always shown."""
    episode = scene.episode
    steps = len(episode)
    shown = sorted({*range(0, steps + 1, every), steps})
    return Take(
        index=scene.index,
        success=bool(episode.success[-1]),
        return_=episode.return_,
        steps=steps,
        shown=shown,
        frames=_frames(task, scene, shown, tile, settings, diverged),
    )


def _frames(
    task: TaskFacts,
    scene: Scene,
    shown: Sequence[int],
    tile: Tile,
    settings: VideoSettings,
    diverged: dict[int, int],
) -> Frames:
    """Yield pictures of one episode, in an environment that is there only as long."""
    with _studio(task, tile, settings) as studio:
        yield from studio.frames(
            scene.episode, scene.start, shown, lambda step: diverged.update({scene.index: step})
        )


def _studio(task: TaskFacts, tile: Tile, settings: VideoSettings) -> Studio:
    return Studio(task, width=tile.width, height=tile.height, camera=settings.camera)


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
                    hint="repeat the command: no film is kept",
                )
            yield picture
            progress.update(done)
