"""Line charts as small SVGs in the page's colours: offline at the left on grey, online at the right."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from awaccli.reports.curves import CLOCKS, Phase
from awaccli.reports.html import Html, element, number

MOST_LINES = 7
"""As many are told apart; the page's style has a colour and a dash for each."""
_WIDTH, _HEIGHT = 360.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 14.0, 8.0, 34.0
_GAP = 14.0
"""Between the phases."""
_OFFLINE_SHARE = 0.26
_MOST_POINTS = 250
_LABELS: dict[Phase, str] = {"offline": "offline updates", "online": "online steps"}


class Spot(NamedTuple):
    """A point of a line, with its interval where it has one."""

    at: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """What is drawn in one colour."""

    name: str
    phases: Mapping[Phase, Sequence[Spot]]


@dataclass(frozen=True)
class Chart:
    """Lines on common axes."""

    title: str
    hint: str
    """How to read it, in a sentence; may be empty."""
    lines: Sequence[Line]
    share: bool = False
    """Values are shares: drawn from 0 to 100 %."""
    dots: bool = False
    """Each point is a measurement of its own: it is marked."""


class _Axis(NamedTuple):
    """Numbers between two ends, and where they are drawn."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def chart_html(chart: Chart) -> Html:
    """Return a figure with title, legend and hint; its lines have the style of the page."""
    shown = [(place, line) for place, line in enumerate(chart.lines) if any(line.phases.values())]
    key = [
        element("span", _key(place), line.name, class_="entry")
        for place, line in shown
        if len(shown) > 1 or len(chart.lines) > 1
    ]
    caption = element("figcaption", element("strong", chart.title), element("span", *key, class_="legend"))
    hint = element("p", chart.hint, class_="hint") if chart.hint else None
    return element("figure", caption, _drawn(chart, shown), hint, class_="chart")


def _key(place: int) -> Html:
    line = element("line", x1=0, y1=5, x2=22, y2=5, class_=f"line c{place}")
    return element("svg", line, viewBox="0 0 22 10", width=22, height=10, aria_hidden="true")


def _drawn(chart: Chart, shown: Sequence[tuple[int, Line]]) -> Html:
    phases: list[Phase] = [phase for phase in CLOCKS if any(line.phases.get(phase) for _, line in shown)]
    low, high, ticks = _scale(chart, [line for _, line in shown])
    upright = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts: list[Html] = []
    for phase, start, end in _panels(phases):
        lines = [(place, line.phases.get(phase, ())) for place, line in shown]
        last = max((spot.at for _, spots in lines for spot in spots), default=0) or 1
        along = _Axis(0, last, start, end)
        parts += [*_frame(phase, along, upright, ticks), *_x_ticks(phase, along, few=len(phases) > 1)]
        for place, spots in reversed(lines):
            parts += _line(_thinned(spots), place, along, upright, dots=chart.dots)
    parts += [
        element("text", _tick(tick, share=chart.share), x=_LEFT - 6, y=upright(tick) + 3.5, class_="tick y")
        for tick in ticks
    ]
    return element(
        "svg", *parts, viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}", role="img", aria_label=_described(chart, shown)
    )


def _panels(phases: Sequence[Phase]) -> Iterator[tuple[Phase, float, float]]:
    """Yield where each phase is drawn, from left to right."""
    room = _WIDTH - _LEFT - _RIGHT
    if len(phases) == 1:
        yield phases[0], _LEFT, _LEFT + room
    elif phases:
        middle = _LEFT + room * _OFFLINE_SHARE
        yield "offline", _LEFT, middle
        yield "online", middle + _GAP, _LEFT + room


def _frame(phase: Phase, along: _Axis, upright: _Axis, ticks: Sequence[float]) -> Iterator[Html]:
    yield element(
        "rect",
        x=along.start,
        y=upright.end,
        width=along.end - along.start,
        height=upright.start - upright.end,
        class_=f"plane {phase}",
    )
    for tick in ticks:
        y = upright(tick)
        yield element("line", x1=along.start, y1=y, x2=along.end, y2=y, class_="grid")


def _x_ticks(phase: Phase, along: _Axis, *, few: bool) -> Iterator[Html]:
    narrow = few and phase == "offline"
    ticks = [0.0, along.high] if narrow else _nice(0, along.high, 4)[0]
    for tick in ticks:
        side = "start" if few and not tick else "end" if narrow else "middle"
        yield element(
            "text", _short(tick), x=along(tick), y=_HEIGHT - _BOTTOM + 14, class_="tick", text_anchor=side
        )
    middle = (along.start + along.end) / 2
    label = "offline" if narrow else _LABELS[phase]
    yield element("text", label, x=middle, y=_HEIGHT - 5, class_="label", text_anchor="middle")


def _line(spots: Sequence[Spot], place: int, along: _Axis, upright: _Axis, *, dots: bool) -> Iterator[Html]:
    upper = [(along(spot.at), upright(spot.high)) for spot in spots if spot.high is not None]
    lower = [(along(spot.at), upright(spot.low)) for spot in spots if spot.low is not None]
    if len(upper) > 1 and len(lower) > 1:
        yield element("polygon", points=_points([*upper, *reversed(lower)]), class_=f"band c{place}")
    elif upper and lower:
        (x, top), (_, bottom) = upper[0], lower[0]
        yield element("line", x1=x, y1=top, x2=x, y2=bottom, class_=f"bar c{place}")
    places = [(along(spot.at), upright(spot.value)) for spot in spots]
    if len(places) > 1:
        yield element("polyline", points=_points(places), class_=f"line c{place}")
    if dots or len(places) == 1:
        for x, y in places:
            yield element("circle", cx=x, cy=y, r=2.6, class_=f"dot c{place}")


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in places)


def _thinned(spots: Sequence[Spot]) -> Sequence[Spot]:
    """Return about every so many points, and the last: a screen has no room for more."""
    step = -(-len(spots) // _MOST_POINTS)
    return [spot for index, spot in enumerate(spots) if index % step == 0 or index == len(spots) - 1]


def _scale(chart: Chart, lines: Sequence[Line]) -> tuple[float, float, list[float]]:
    """Return the ends of the vertical axis and its ticks."""
    if chart.share:
        return -0.02, 1.02, [0, 0.25, 0.5, 0.75, 1]
    values = [spot.value for line in lines for spots in line.phases.values() for spot in spots]
    low, high = min(values), max(values)
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    ticks, step = _nice(low, high, 4)
    edge = 0.06 * (high - low)
    low, high = min(low - edge, ticks[0]), max(high + edge, ticks[-1])
    more = [tick for tick in (ticks[0] - step, ticks[-1] + step) if low <= tick <= high]
    return low, high, sorted([*ticks, *more])


def _nice(low: float, high: float, count: int) -> tuple[list[float], float]:
    """Return about ``count`` round numbers from ``low`` to ``high``, and their distance."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [tick * step for tick in range(first, last + 1)], step


def _tick(value: float, *, share: bool) -> str:
    return f"{100 * value:.0f} %" if share else _short(value)


def _short(value: float) -> str:
    """Return a number as an axis has it: 20k, 1.5M, 0.3."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.3g}".replace("-0", "0") if abs(value) < 1e-12 else f"{value:.3g}"


def _described(chart: Chart, shown: Sequence[tuple[int, Line]]) -> str:
    """Return a chart in words, for who does not see it."""
    word: Callable[[float], str] = (lambda v: f"{100 * v:.0f} %") if chart.share else (lambda v: f"{v:.3g}")
    told = []
    for _, line in shown:
        for phase, spots in line.phases.items():
            if spots:
                first, last = spots[0], spots[-1]
                told.append(
                    f"{line.name}: {word(first.value)} at {first.at:g}, "
                    f"{word(last.value)} at {last.at:g} {_LABELS[phase]}"
                )
    return f"Line chart. {chart.title}. {'; '.join(told)}."
