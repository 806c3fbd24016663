"""Small films of one success and one failure, for a page about a dataset."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from awaccli.config.settings import Execution
from awaccli.data.dataset import Dataset
from awaccli.errors import UsageError
from awaccli.protocols import Clip
from awaccli.stages.drawing import VideoSettings
from awaccli.stages.film import check_encoder
from awaccli.stages.video import video

_WIDTHS = {".mp4": 320, ".gif": 240}
"""In pixels: a GIF takes some ten times the room."""
_MEDIA_TYPES = {".mp4": "video/mp4", ".gif": "image/gif"}
_MOST_PICTURES = 75
_PACE = 0.04
"""Seconds of the robot's time from one picture to the next, where the episode is short."""


def clips(dataset: Dataset, *, execution: Execution | None = None) -> list[Clip]:
    """Film the last episode that ends in success and the last that does not, as far as there are such.

    The last are those of the policy: demonstrations come first, and online experience gets better. MP4 where
    its encoder is installed, else GIF. The same dataset gives the same bytes on one machine.

    Raises:
        DatasetError: it has no simulator, does not say where its episodes start, or is of another version.
        InputError: its environment could run code, and ``execution`` does not trust it.
        RunError: no OpenGL, or the environment failed.
    """
    successes, failures = np.flatnonzero(dataset.episodes.success), np.flatnonzero(~dataset.episodes.success)
    chosen = [int(indices[-1]) for indices in (successes, failures) if len(indices)]
    return [_clip(dataset, index, execution) for index in chosen]


def _clip(dataset: Dataset, index: int, execution: Execution | None) -> Clip:
    suffix = _suffix()
    step_s = dataset.task.control_dt or _PACE
    shown = max(round(_PACE / step_s), -(-int(dataset.episodes.length[index]) // _MOST_PICTURES), 1)
    settings = VideoSettings(episodes=(index,), every=shown, width=_WIDTHS[suffix])
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"clip{suffix}"
        filmed = video(dataset, settings, file, execution=execution).episodes[0]
        return Clip(
            episode=index,
            success=filmed.success,
            steps=filmed.steps,
            return_=filmed.return_,
            diverged_at=filmed.diverged_at,
            media_type=_MEDIA_TYPES[suffix],
            content=file.read_bytes(),
        )


def _suffix() -> str:
    try:
        check_encoder(Path("clip.mp4"))
    except UsageError:  # the extra `video` is not installed
        return ".gif"
    return ".mp4"
