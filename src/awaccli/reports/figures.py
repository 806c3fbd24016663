"""What all figures share: colours that everybody tells apart, style, and reproducible files.

Matplotlib is imported where something is drawn, and nothing of its global state is changed for good.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from awaccli.artifacts.plain_file import appearing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
"""For groups, in this order. Source: Okabe and Ito 2008; its yellow is too faint on white."""
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
"""Beside colours, so that a figure can be read without them."""
PLAIN = "#4D4D4D"
"""For what belongs to no group."""
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.dpi": 120,
    "font.size": 9,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "awac",
    "text.parse_math": False,  # names come from files: a dollar sign is a dollar sign
}
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Creator": None, "Date": None},
    ".pdf": {"Creator": None, "CreationDate": None, "Producer": None},
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in awac's style inside, whatever the user's settings of Matplotlib are; they are restored."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def save(figure: Figure, path: Path, *, overwrite: bool) -> None:
    """Write a figure; the same figure gives the same bytes. Call it inside of `styled`.

    Raises:
        UsageError: the folder does not exist or cannot be written.
        OutputExistsError: the file is there, and not to be replaced.
    """
    with appearing(path, overwrite=overwrite) as file:
        figure.savefig(file, metadata=_METADATA[path.suffix])


class Picture(NamedTuple):
    """A PNG for a page."""

    png: bytes
    width: int
    height: int


def fewer_colours(png: bytes) -> Picture:
    """Return a PNG with 256 colours: a drawing has hardly more, and takes a third of the room."""
    from PIL import Image

    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(256).save(small, "PNG", optimize=True)
        return Picture(small.getvalue(), *picture.size)


def short(name: str, most: int = 28) -> str:
    """Return a name that fits into a legend, without line breaks: long ones lose their middle."""
    line = " ".join(name.split())
    return line if len(line) <= most else f"{line[: most // 2]}…{line[most // 2 + 1 - most :]}"
