"""``awac data video``: episodes of a dataset as a film, drawn from states or by executing actions again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from awaccli.config.settings import Execution
from awaccli.data.dataset import Dataset
from awaccli.envs.rendering import Start
from awaccli.envs.trust import require_trusted
from awaccli.errors import DatasetError
from awaccli.protocols import SILENT, Reporter
from awaccli.stages.drawing import Film, Scene, VideoSettings, draw, require_film


class Video(Film):
    """A film of a dataset."""

    schema_version: Literal[1] = 1
    dataset: str
    """Content id."""


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
        settings: which episodes (where none are named: the first), and how.
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
    require_film(out, overwrite=overwrite)
    task = dataset.task
    if task.spec.env_id is None:
        raise DatasetError(f"`{dataset.path}` was recorded without a simulator", hint="nothing can draw it")
    total = len(dataset)
    chosen = settings.chosen(range(min(settings.count, total)), total=total, whose=str(dataset.path))
    starts = [_start(dataset, index) for index in chosen]
    require_trusted(task.spec, dataset.path, trust_env=execution is not None and execution.trust_env)
    scenes = [
        Scene(index, dataset.episode(index), start) for index, start in zip(chosen, starts, strict=True)
    ]
    drawn = draw(task, scenes, settings, out, overwrite=overwrite, report=report)
    if "states" in starts and not dataset.has_simulator_state:
        report.warn("what resets placed in the model, such as targets, is not stored: it may stand elsewhere")
    return Video(dataset=dataset.id, **dict(drawn))


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
