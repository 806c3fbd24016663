"""Pictures of datasets: six panels in one figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from awaccli.data.distributions import Distributions, Histogram, Measured, Range
from awaccli.reports.figures import COLOURS, LINES, MARKERS, PLAIN, save, short, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DIMENSIONS = 60
"""More are not drawn: nobody could tell them apart."""
_NAMED = 12
"""So many dimensions have room for their names; of more only the numbers are shown."""
_WIDE = 10.0
"""A panel whose values are further from zero has a scale that is linear up to 1 and logarithmic beyond."""
_RULES = (("any", "any step"), ("final", "last step"), ("held", "held"))


def plot_distributions(found: Distributions, path: Path, *, overwrite: bool = False) -> None:
    """Draw the panels into a PNG, SVG or PDF file, by its suffix; the same numbers give the same bytes.

    Raises:
        UsageError: the folder does not exist or cannot be written.
        OutputExistsError: the file is there, and not to be replaced.
    """
    with styled():
        save(_figure(found), path, overwrite=overwrite)


def _figure(found: Distributions) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(12, 12.5), layout="constrained")
    rows = figure.add_gridspec(4, 1, height_ratios=(1, 1.3, 1, 1))
    top, middle = rows[0].subgridspec(1, 3), rows[1].subgridspec(1, 2)
    # Matplotlib leaves labels that begin with an underscore out of legends.
    names = [
        f" {name}" if name.startswith("_") else name for name in (short(group.name) for group in found.groups)
    ]
    returns = figure.add_subplot(top[0])
    _histogram(returns, found.returns)
    returns.set(title="Returns", xlabel="undiscounted return", ylabel="episodes, %")
    lengths = figure.add_subplot(top[1])
    _histogram(lengths, found.lengths)
    lengths.set(title="Lengths", xlabel="steps", ylabel="episodes, %")
    _success(figure.add_subplot(top[2]), found)
    _coverage(figure.add_subplot(middle[0]), found)
    _saturation(figure.add_subplot(middle[1]), found)
    _ranges(figure.add_subplot(rows[2]), found, "observations", lambda one: one.observations)
    _ranges(figure.add_subplot(rows[3]), found, "actions", lambda one: one.actions)
    figure.suptitle(_title(found), fontsize=12)
    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, markersize=5, label=name)
        for name, colour, line, marker in zip(names, COLOURS, LINES, MARKERS, strict=False)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(names), 4), handlelength=4)
    return figure


def _title(found: Distributions) -> str:
    counted = [f"{short(one.name)}: {one.n_episodes} episodes, {one.n_steps} steps" for one in found.datasets]
    return "\n".join("   ".join(counted[first : first + 2]) for first in range(0, len(counted), 2))


def _histogram(axes: Axes, found: Histogram) -> None:
    """Draw the share of each group's episodes: groups of any size can be compared."""
    for index, counts in enumerate(found.counts):
        share = 100 * np.array(counts) / sum(counts)
        colour = COLOURS[index]
        axes.stairs(share, found.edges, color=colour, alpha=0.25 / len(found.counts), fill=True)
        axes.stairs(share, found.edges, color=colour, linestyle=LINES[index], linewidth=1.6)
    axes.set_ylim(bottom=0)
    if len(found.edges) == 2:  # one value: a bar as wide as the panel would look like a distribution
        middle = sum(found.edges) / 2
        axes.set_xlim(middle - 5, middle + 5)
        axes.set_xticks([middle], [f"{middle:g}"])


def _success(axes: Axes, found: Distributions) -> None:
    for row, group in enumerate(found.groups):
        for offset, (rule, marker) in enumerate(zip(_RULES, ("^", "o", "s"), strict=True)):
            rate = getattr(group.success, rule[0])
            # NUMERICS: where all succeed or none, an end of the interval may miss the rate by a last bit.
            reach = [max(0.0, rate.rate - rate.low), max(0.0, rate.high - rate.rate)]
            axes.errorbar(
                100 * rate.rate,
                row + 0.22 * (offset - 1),
                xerr=[[100 * part] for part in reach],
                color=COLOURS[row],
                marker=marker,
                markersize=5,
                capsize=2,
                linewidth=1.2,
            )
    for marker, (_, label) in zip(("^", "o", "s"), _RULES, strict=True):
        axes.plot([], [], color=PLAIN, marker=marker, linestyle="", label=label)
    line = "\n{} episodes" if len(found.groups) <= 4 else ", n={}"
    labels = [f"{short(group.name, 18)}{line.format(group.episodes)}" for group in found.groups]
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlim=(-2, 102), ylim=(len(labels) - 0.5, -0.5), xlabel="%, with 95 % interval", title="Success")
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 0.97), ncols=3, handletextpad=0.1, columnspacing=0.8, fontsize=8
    )


def _coverage(axes: Axes, found: Distributions) -> None:
    """Draw small groups last, on top of large ones."""
    clouds = [np.array(points).reshape(-1, 2) for points in found.coverage.points]
    total = sum(map(len, clouds))
    for index in sorted(range(len(clouds)), key=lambda index: -len(clouds[index])):
        axes.scatter(
            clouds[index][:, 0],
            clouds[index][:, 1],
            s=max(2.0, 12 - total / 1000),
            color=COLOURS[index],
            marker=MARKERS[index],
            alpha=0.4 if total > 1000 else 0.7,
            linewidths=0,
            rasterized=True,
        )
    first, second = (f"{100 * share:.0f} % of the variance" for share in found.coverage.explained)
    axes.set(
        title=f"State coverage: {total} steps on two principal components",
        xlabel=f"component 1, {first}",
        ylabel=f"component 2, {second}",
    )


def _saturation(axes: Axes, found: Distributions) -> None:
    width = 0.8 / len(found.datasets)
    for index, one in enumerate(found.datasets):
        shares = 100 * np.array(one.saturation[:MOST_DIMENSIONS])
        places = np.arange(len(shares)) + width * (index - (len(found.datasets) - 1) / 2)
        axes.bar(places, shares, width, color=_colour(found, index), edgecolor="white", linewidth=0.3)
    axes.set(title=f"Actions at a bound{_beyond(found.datasets[0].actions)}", ylabel="steps, %")
    axes.set_ylim(0, max(5, axes.get_ylim()[1]))
    axes.grid(visible=False, axis="x")
    _name_dimensions(axes, found.datasets[0].actions, "action", room=6)


def _ranges(
    axes: Axes, found: Distributions, what: str, ranges_of: Callable[[Measured], tuple[Range, ...]]
) -> None:
    all_ranges = [ranges_of(one)[:MOST_DIMENSIONS] for one in found.datasets]
    width = 0.8 / len(all_ranges)
    for index, ranges in enumerate(all_ranges):
        places = np.arange(len(ranges)) + width * (index - (len(all_ranges) - 1) / 2)
        colour = _colour(found, index)
        axes.vlines(places, [one.min for one in ranges], [one.max for one in ranges], color=colour, lw=0.8)
        thick = max(1.5, min(6.0, 200 * width / len(ranges)))
        axes.vlines(
            places,
            [one.p01 for one in ranges],
            [one.p99 for one in ranges],
            color=colour,
            lw=thick,
            alpha=0.6,
        )
        axes.scatter(
            places, [one.mean for one in ranges], color="white", edgecolors=colour, s=14, zorder=3, lw=0.8
        )
    first = all_ranges[0]
    bounds = [(place, bound) for place, one in enumerate(first) for bound in (one.low, one.high)]
    finite = [(place, bound) for place, bound in bounds if bound is not None and np.isfinite(bound)]
    for place, bound in finite:
        axes.plot([place - 0.42, place + 0.42], [bound, bound], color="black", lw=1.2, zorder=4)
    if max(max(abs(one.min), abs(one.max)) for ranges in all_ranges for one in ranges) > _WIDE:
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter("{x:g}")
    box = ", black: bounds" if finite else ""
    explained = f"line: all values, bar: 1 % to 99 %, ring: mean{box}"
    axes.set(title=f"Ranges of {what}{_beyond(ranges_of(found.datasets[0]))}  ({explained})")
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.8, len(first) - 0.2)
    _name_dimensions(axes, first, what.removesuffix("s"), room=_NAMED)


def _colour(found: Distributions, index: int) -> str:
    """Return the colour of a dataset; where groups are sources, it is none of theirs."""
    return COLOURS[index] if found.by == "dataset" else PLAIN


def _beyond(ranges: Sequence[Range]) -> str:
    return f", the first {MOST_DIMENSIONS} of {len(ranges)}" if len(ranges) > MOST_DIMENSIONS else ""


def _name_dimensions(axes: Axes, ranges: Sequence[Range], what: str, *, room: int) -> None:
    """Write names below the dimensions, or every so many their numbers."""
    if len(ranges) <= room:
        axes.set_xticks(range(len(ranges)), [short(one.name, 16) for one in ranges])
    else:
        shown = min(len(ranges), MOST_DIMENSIONS)
        axes.set_xticks(range(0, shown, 1 if shown <= 30 else 2 if room > 6 else 5))
        axes.tick_params(axis="x", labelsize=8)
        axes.set_xlabel(f"number of the {what}, from 0")
