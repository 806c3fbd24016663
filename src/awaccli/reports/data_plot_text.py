"""The same panels in plain text, 80 columns wide, without colour: for terminals, pipes and logs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from awaccli.data.distributions import Distributions, Histogram, Range
from awaccli.reports.figures import short
from awaccli.reports.success import rate_text

WIDTH = 80
_LABEL = 18
_ABREAST = 3
"""Groups side by side in a histogram."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LETTERS = "ABCDEFG"
_SHADES = " ·░▒▓█"
_MAP = (16, 60)
_MOST_DIMENSIONS = 60


def distributions_text(found: Distributions) -> str:
    """Return the panels one below the other."""
    lines = [f"{one.name}: {one.n_episodes} episodes, {one.n_steps} steps" for one in found.datasets]
    names = _names(found)
    lines += _histogram("Returns: share of episodes", found.returns, names)
    lines += _histogram("Lengths in steps: share of episodes", found.lengths, names)
    lines += _success(found, names)
    lines += _saturation(found)
    lines += _coverage(found)
    lines += _ranges("Actions", [one.actions for one in found.datasets], lambda value: value)
    lines += _ranges("Observations", [one.observations for one in found.datasets], math.asinh)
    return "\n".join(line.rstrip() for line in lines)


def _names(found: Distributions) -> list[str]:
    """Return what groups are called: several have a letter, which stands for them where room is short."""
    if len(found.groups) == 1:
        return [short(found.groups[0].name)]
    return [f"{letter} {short(group.name)}" for letter, group in zip(_LETTERS, found.groups, strict=False)]


def bar(share: float, width: int) -> str:
    """Return a bar that is full at 1, to an eighth of a character; what is not zero is never invisible."""
    eighths = round(8 * width * share) or (share > 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _histogram(title: str, found: Histogram, names: Sequence[str]) -> Iterator[str]:
    shares = [np.array(counts) / sum(counts) for counts in found.counts]
    most = max(share.max() for share in shares)
    labels = _bin_labels(found.edges)
    for first in range(0, len(names), _ABREAST):
        groups = range(first, min(first + _ABREAST, len(names)))
        cell = (WIDTH - _LABEL) // len(groups)
        yield from ("", title)
        if len(names) > 1:
            yield " " * _LABEL + "".join(short(names[group], cell - 2).ljust(cell) for group in groups)
        for row, label in enumerate(labels):
            cells = (_share_text(shares[group][row], most, cell - 8) for group in groups)
            yield f"{label:>{_LABEL - 2}}  " + "".join(text.ljust(cell) for text in cells)


def _share_text(share: float, most: float, width: int) -> str:
    return f"{bar(share / most, width)} {_percent(share)}" if share else "·"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.005 else "<1 %"


def _bin_labels(edges: Sequence[float]) -> list[str]:
    """Return what is in the bins: whole numbers, or the ends of intervals."""
    pairs = list(pairwise(edges))
    if all(edge % 1 == 0.5 for edge in edges):
        return [
            f"{low + 0.5:g}" if high - low == 1 else f"{low + 0.5:g} to {high - 0.5:g}" for low, high in pairs
        ]
    return [f"{low:.4g} to {high:.4g}" for low, high in pairs]


def _success(found: Distributions, names: Sequence[str]) -> Iterator[str]:
    """Draw rates as ● on a line from 0 to 100 %, their intervals as ━."""
    width = 30
    yield from ("", "Success, with 95 % interval")
    for name, group in zip(names, found.groups, strict=True):
        yield f"{name}: {group.episodes} episodes"
        for rule, label in (("final", "last step"), ("any", "any step"), ("held", "held")):
            rate = getattr(group.success, rule)
            low, middle, high = (round(share * (width - 1)) for share in (rate.low, rate.rate, rate.high))
            line = _line(width, ((low, high, "━"),), middle)
            yield f"{label:>{_LABEL - 2}}  {line}  {rate_text(rate)}"


def _line(width: int, spans: Sequence[tuple[int, int, str]], mark: int) -> str:
    """Return a dotted line with spans drawn over it (first, last, character), and a mark."""
    cells = ["·"] * width
    for first, last, character in spans:
        cells[first : last + 1] = character * (last + 1 - first)
    cells[mark] = "●"
    return "".join(cells)


def _saturation(found: Distributions) -> Iterator[str]:
    yield from ("", "Actions at a bound: share of steps")
    for letter, one in zip(_LETTERS, found.datasets, strict=False):
        if len(found.datasets) > 1:
            yield f"{letter} {short(one.name)}"
        pairs = zip(one.actions, one.saturation, strict=True)
        shown = [(dimension.name, share) for dimension, share in pairs if share >= 0.001]
        most = max((share for _, share in shown), default=1.0)
        for name, share in shown[:_MOST_DIMENSIONS]:
            yield f"{_tail(name):>{_LABEL - 2}}  {bar(share / most, 50)} {100 * share:.1f} %"
        left = len(one.actions) - len(shown[:_MOST_DIMENSIONS])
        if left:
            most = sorted(one.saturation)[left - 1]
            yield f"{'the other' if shown else 'all'} {left}: at most {100 * most:.2g} %"


def _coverage(found: Distributions) -> Iterator[str]:
    """Draw a map: shades of density for one group, the letter of the densest for several."""
    total = sum(map(len, found.coverage.points))
    first, second = (f"{100 * share:.0f} %" for share in found.coverage.explained)
    yield from ("", f"State coverage: {total} steps on two principal components")
    grids = _density(found)
    if len(grids) == 1:
        levels = np.ceil((len(_SHADES) - 1) * np.sqrt(grids[0] / grids[0].max())).astype(int)
        cells = np.array(list(_SHADES))[levels]
    else:
        letters = np.array(list(_LETTERS))
        cells = np.where(sum(grids) > 0, letters[np.argmax(grids, axis=0)], " ")
    edge = "─" * _MAP[1]
    yield f"┌{edge}┐"
    yield from (f"│{''.join(row)}│" for row in cells)
    yield f"└{edge}┘"
    yield f"across: component 1, {first} of the variance; up: component 2, {second}"


def _density(found: Distributions) -> list[np.ndarray]:
    """Return for each group the share of its steps in each cell of the map, float64 [rows, columns]."""
    clouds = [np.array(points).reshape(-1, 2) for points in found.coverage.points]
    everything = np.concatenate(clouds)
    low, high = everything.min(axis=0), everything.max(axis=0)
    high = np.where(high > low, high, low + 1)
    edges = [np.linspace(low[axis], high[axis], cells + 1) for axis, cells in zip((1, 0), _MAP, strict=True)]
    return [
        np.histogram2d(cloud[:, 1], cloud[:, 0], bins=edges)[0][::-1] / max(len(cloud), 1) for cloud in clouds
    ]


def _ranges(title: str, ranges: Sequence[Sequence[Range]], scale: Callable[[float], float]) -> Iterator[str]:
    """Draw a line for every dimension: ─ from least to most, ━ from 1 % to 99 %, ● the mean."""
    ends = [end for own in ranges for one in own for end in (one.min, one.max, one.low, one.high)]
    finite = [end for end in ends if end is not None and math.isfinite(end)]
    low, high = min(finite), max(finite)
    width = WIDTH - _LABEL
    step = (scale(high) - scale(low)) / (width - 1) or 1.0
    yield from ("", f"{title}: ─ all values, ━ 1 % to 99 %, ● mean")
    yield f"{'':{_LABEL}}{f'{low:.4g}':<{width // 2}}{f'{high:.4g}':>{width - width // 2}}"
    for index, same in enumerate(zip(*ranges, strict=True)):
        if index == _MOST_DIMENSIONS:
            yield f"and {len(ranges[0]) - index} more: awac data stats"
            return
        for letter, one in zip(_LETTERS, same, strict=False):
            numbers = (one.min, one.p01, one.mean, one.p99, one.max)
            least, p01, mean, p99, most = (round((scale(value) - scale(low)) / step) for value in numbers)
            line = _line(width, ((least, most, "─"), (p01, p99, "━")), mean)
            name = f"{_tail(one.name, _LABEL - 4)} {letter}" if len(ranges) > 1 else _tail(one.name)
            yield f"{name:>{_LABEL - 2}}  {line}"


def _tail(name: str, most: int = _LABEL - 2) -> str:
    """Return the end of a dimension's name, which tells it from the others."""
    return name if len(name) <= most else f"…{name[1 - most :]}"
