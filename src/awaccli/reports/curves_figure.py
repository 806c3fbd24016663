"""Learning curves as figures: offline in grey at the left, online to the right of step 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from awaccli.errors import UsageError
from awaccli.reports.curves import CLOCKS, WORDS, BandPoint, Curves, GroupCurve, Phase, Point, is_share
from awaccli.reports.figures import COLOURS, LINES, save, short, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

_OFFLINE = "#ECECEC"
"""Behind what was learned before the first online step."""
_WIDTHS = {"offline": 1, "online": 3}
_LABELS = {"offline": "offline updates", "online": "online steps"}
_WIDTH = 7.5
"""Inches of a figure with one panel."""
_ROW, _HANDLE, _CHARACTER = 0.2, 0.9, 0.08
"""Inches of the legend that a row takes, the line in it, and each character of a name."""
_NAME = 44
"""Most characters of a name."""
Draw = Callable[["Axes", Phase], None]


def plot_groups(
    found: Sequence[GroupCurve], path: Path, *, metric: str, aggregate: str, overwrite: bool = False
) -> None:
    """Draw every run thin and the aggregate of its group bold, with its interval, into one panel.

    Args:
        found: at most seven groups.
        path: PNG, SVG or PDF, by its suffix; the same numbers give the same bytes.
        metric: what the curves show, for the axis.
        aggregate: ``mean`` or ``iqm``, for the title.
        overwrite: replace a file that is there.

    Raises:
        UsageError: too many groups to tell apart, or the folder cannot be written.
        OutputExistsError: the file is there, and not to be replaced.
    """
    require_distinguishable(len(found))
    with styled():
        save(_groups_figure(found, metric, aggregate), path, overwrite=overwrite)


def plot_curves(found: Curves, path: Path, *, overwrite: bool = False) -> None:
    """Draw a panel for every metric, with a line for every run; see `plot_groups`.

    Raises:
        UsageError: too many runs to tell apart, or the folder cannot be written.
        OutputExistsError: the file is there, and not to be replaced.
    """
    require_distinguishable(len(found.runs))
    with styled():
        save(_curves_figure(found), path, overwrite=overwrite)


def require_distinguishable(count: int) -> None:
    """Check that so many lines can be told apart.

    Raises:
        UsageError: they cannot.
    """
    if count > len(COLOURS):
        raise UsageError(
            f"{count} lines cannot be told apart: at most {len(COLOURS)}",
            hint="leave some out; awac compare --group-by joins runs to groups",
        )


def _groups_figure(found: Sequence[GroupCurve], metric: str, aggregate: str) -> Figure:
    from matplotlib.figure import Figure

    labels = [_group_label(group) for group in found]
    figure = Figure(figsize=(_WIDTH, 4 + _ROW * _rows(labels, _WIDTH)), layout="constrained")
    phases: list[Phase] = [phase for phase in CLOCKS if any(group.bands[phase] for group in found)]

    def draw(axes: Axes, phase: Phase) -> None:
        for index, group in enumerate(found):
            for run in group.runs if len(group.runs) > 1 else ():
                _line(axes, run.phase(phase), color=COLOURS[index], linewidth=0.7, alpha=0.45)
            _band(axes, group.bands[phase], index)

    _panel(figure, figure.add_gridspec(1, 1)[0], metric, phases, draw)
    several = any(len(group.runs) > 1 for group in found)
    bold = {"mean": "mean", "iqm": "interquartile mean"}[aggregate]
    if several:
        figure.suptitle(
            f"thin: runs, bold: {bold}, band: 95 % interval over runs", fontsize=8, x=0.99, ha="right"
        )
    _legend(figure, labels)
    return figure


def _group_label(group: GroupCurve) -> str:
    count = len(group.runs)
    if not any(group.bands.values()):
        return f"{short(group.name, _NAME)} (not logged)"
    return f"{short(group.name, _NAME)} ({count} run{'s' if count > 1 else ''})"


def _curves_figure(found: Curves) -> Figure:
    from matplotlib.figure import Figure

    columns = min(2, len(found.metrics))
    rows = -(-len(found.metrics) // columns)
    labels = [short(run.name, _NAME) + (" (unfinished)" if run.unfinished else "") for run in found.runs]
    height = 3.2 * rows + _ROW * _rows(labels, 6 * columns)
    figure = Figure(figsize=(6 * columns, height), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    for index, metric in enumerate(found.metrics):
        curves = [run.curves[metric] for run in found.runs]
        phases: list[Phase] = [phase for phase in CLOCKS if any(curve.phase(phase) for curve in curves)]

        def draw(axes: Axes, phase: Phase, metric: str = metric) -> None:
            for number, run in enumerate(found.runs):
                points = run.curves[metric].phase(phase)
                _line(axes, points, color=COLOURS[number], linestyle=LINES[number], linewidth=1.3)

        _panel(figure, grid[index], metric, phases, draw)
    _legend(figure, labels)
    return figure


def _panel(figure: Figure, place: SubplotSpec, metric: str, phases: Sequence[Phase], draw: Draw) -> None:
    """Draw phases side by side on one vertical axis."""
    from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

    widths = [_WIDTHS[phase] for phase in phases]
    cells = place.subgridspec(1, len(phases), width_ratios=widths, wspace=0.03)
    first: Axes | None = None
    for column, phase in enumerate(phases):
        axes = figure.add_subplot(cells[column], sharey=first)
        draw(axes, phase)
        axes.set_xlim(left=0)
        axes.set_xlabel(_LABELS[phase])
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(
            MaxNLocator(3 if phase == "offline" and len(phases) > 1 else 6, integer=True)
        )
        if phase == "offline":
            axes.set_facecolor(_OFFLINE)
            axes.grid(color="white")
        if first is None:
            first = axes
            axes.set_title(WORDS.get(metric, metric))
        else:
            axes.tick_params(labelleft=False, left=False)
            axes.spines["left"].set_visible(False)
    if first is not None and is_share(metric):
        first.set_ylim(-0.02, 1.02)
        first.yaxis.set_major_formatter(PercentFormatter(1))


def _line(axes: Axes, points: Sequence[Point], **style: object) -> None:
    """Draw points; a single one is a dot."""
    if points:
        marker = "o" if len(points) == 1 else ""
        at, values = [point.at for point in points], [point.value for point in points]
        axes.plot(at, values, marker=marker, markersize=4, **style)  # type: ignore[arg-type]


def _band(axes: Axes, points: Sequence[BandPoint], index: int) -> None:
    if not points:
        return
    at = [point.at for point in points]
    values = [point.estimate.value for point in points]
    marker = "o" if len(at) == 1 else ""
    axes.plot(at, values, color=COLOURS[index], linestyle=LINES[index], linewidth=2.0, marker=marker)
    low = [point.estimate.low for point in points if point.estimate.low is not None]
    high = [point.estimate.high for point in points if point.estimate.high is not None]
    if low and high:
        axes.fill_between(at, low, high, color=COLOURS[index], alpha=0.15, linewidth=0)


def _columns(labels: Sequence[str], width: float) -> int:
    """Return how many columns of a legend fit into so many inches."""
    across = int(width / (_HANDLE + _CHARACTER * max(map(len, labels))))
    return max(1, min(len(labels), 4, across))


def _rows(labels: Sequence[str], width: float) -> int:
    return -(-len(labels) // _columns(labels, width))


def _legend(figure: Figure, labels: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    # Matplotlib leaves labels that begin with an underscore out of legends.
    handles = [
        Line2D([], [], color=colour, linestyle=line, linewidth=2, label=f" {label}")
        for label, colour, line in zip(labels, COLOURS, LINES, strict=False)
    ]
    columns = _columns(labels, figure.get_figwidth())
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=4)
