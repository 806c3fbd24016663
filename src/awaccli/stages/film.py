"""Episodes as a film: pictures side by side, marked, and written as MP4 or GIF."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from awaccli.errors import RunError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".mp4", ".gif")
MOST_TILES = 16
_SUCCESS, _FAILURE = (0, 158, 115), (213, 94, 0)
"""Bluish green and vermilion of Okabe and Ito: told apart with any colour vision; words say it, too."""
_BACKGROUND, _TEXT = (24, 24, 24), (255, 255, 255)

Frames = Generator[np.ndarray, None, None]


@dataclass(frozen=True, slots=True)
class Take:
    """An episode in a film."""

    index: int
    """Of the episode."""
    success: bool
    return_: float
    steps: int
    """Its length."""
    shown: Sequence[int]
    """Which steps there are pictures of, rising."""
    frames: Frames
    """As many pictures, uint8 [H, W, 3] of any size."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The size of one episode's place, in pixels."""

    width: int
    height: int


def check_encoder(path: Path) -> None:
    """Check that a film of this name can be written, before work is spent on it.

    Raises:
        UsageError: it cannot.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"`{path}` cannot be a film: its name must end in {' or '.join(SUFFIXES)}",
            hint=f"e.g. {path.stem or 'film'}{SUFFIXES[0]}",
        )
    if path.suffix == ".mp4":
        _ffmpeg()


def film(takes: Sequence[Take], tile: Tile) -> Iterator[np.ndarray]:
    """Yield pictures with all episodes side by side, uint8 [H, W, 3]; who is done waits for the others.

    Args:
        takes: 1 to 16 episodes. Their pictures are asked for one at a time: none is kept.
        tile: the room of each.
    """
    from PIL import Image

    columns = math.ceil(math.sqrt(len(takes)))
    size = (columns * tile.width, math.ceil(len(takes) / columns) * tile.height)
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)  # MP4 halves the colours' resolution
    sheet = Image.new("RGB", even, _BACKGROUND)
    for number in range(max(len(take.shown) for take in takes)):
        for place, take in enumerate(takes):
            if number < len(take.shown):
                marked = _marked(next(take.frames), take, take.shown[number], tile)
                sheet.paste(marked, (place % columns * tile.width, place // columns * tile.height))
        yield np.asarray(sheet)


def _marked(pixels: np.ndarray, take: Take, step: int, tile: Tile) -> Image:
    """Return a picture in the size of its tile, with a frame and words that say what it shows."""
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    picture = ImageOps.pad(Image.fromarray(pixels), (tile.width, tile.height), color=_BACKGROUND)
    draw = ImageDraw.Draw(picture)
    border = max(2, tile.height // 80)
    colour = _SUCCESS if take.success else _FAILURE
    draw.rectangle((0, 0, tile.width - 1, tile.height - 1), outline=colour, width=border)
    font = ImageFont.load_default(size=max(9, min(tile.height // 16, tile.width // 22)))
    verdict = "success" if take.success else "no success"
    inside = border + 2
    corners = (
        (f"episode {take.index}: {verdict}", "la", (inside, inside)),
        (f"return {take.return_:.4g}", "ld", (inside, tile.height - inside)),
        (f"{step}/{take.steps}", "rd", (tile.width - inside, tile.height - inside)),
    )
    for text, anchor, place in corners:
        left, top, right, bottom = draw.textbbox(place, text, font=font, anchor=anchor)
        draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), fill=_BACKGROUND)
        draw.text(place, text, font=font, anchor=anchor, fill=_TEXT)
    return picture


def write_film(frames: Iterable[np.ndarray], path: Path, *, fps: float) -> None:
    """Write pictures of one even size, uint8 [H, W, 3], as MP4 or GIF, by the suffix; one at a time.

    Args:
        frames: at least one.
        path: is replaced if it is there.
        fps: pictures a second; a GIF shows at most 50, in whole hundredths of a second.

    Raises:
        UsageError: the encoder is not installed.
    """
    if path.suffix == ".gif":
        _write_gif(frames, path, fps)
    else:
        _write_mp4(frames, path, fps)


def _write_gif(frames: Iterable[np.ndarray], path: Path, fps: float) -> None:
    from PIL import Image

    pictures = map(Image.fromarray, frames)
    duration_ms = max(20, round(100 / fps) * 10)
    next(pictures).save(path, save_all=True, append_images=pictures, duration=duration_ms, loop=0)


def _write_mp4(frames: Iterable[np.ndarray], path: Path, fps: float) -> None:
    pictures = iter(frames)
    first = next(pictures)
    size = (first.shape[1], first.shape[0])
    encoder = _ffmpeg().write_frames(
        str(path), size, fps=fps, macro_block_size=2, ffmpeg_log_level="error", output_params=["-an"]
    )
    try:
        for data in chain([None, first.tobytes()], (picture.tobytes() for picture in pictures)):
            encoder.send(data)
    except OSError as error:
        raise RunError(
            f"`{path}` could not be encoded: {str(error).strip().splitlines()[0]}",
            hint="is there room on the disk? a .gif needs no encoder",
        ) from error
    finally:
        encoder.close()


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UsageError(
            "MP4 needs the package imageio-ffmpeg", hint='pip install "awaccli[video]", or make a .gif'
        ) from error
    return imageio_ffmpeg
