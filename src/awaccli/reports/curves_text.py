"""Learning curves in plain text, 80 columns wide, without colour: for terminals, pipes and logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from awaccli.reports.curves import CLOCKS, WORDS, Curve, Curves, Phase, Series, is_share
from awaccli.reports.curves_figure import require_distinguishable
from awaccli.reports.data_plot_text import WIDTH
from awaccli.reports.figures import short

_LABEL = 10
_HEIGHT = 8
_LETTERS = "ABCDEFG"
_SHARED = "*"
"""Where several runs are in one place."""
_OFFLINE_WIDTH = 18
_Spans = Mapping[Phase, tuple[int, int]]
"""Of each phase that is drawn: characters across, and the updates or steps at the right edge."""


def curves_text(found: Curves) -> str:
    """Return the runs in words, then a chart for every metric.

    Raises:
        UsageError: too many runs to tell apart.
    """
    require_distinguishable(len(found.runs))
    marks = "●" if len(found.runs) == 1 else _LETTERS
    pairs = list(zip(marks, found.runs, strict=False))
    lines = [f"{mark} {_words(run)}" for mark, run in pairs]
    for metric in found.metrics:
        lines += ["", *_chart(metric, [(mark, run.curves[metric]) for mark, run in pairs])]
    return "\n".join(line.rstrip() for line in lines)


def _words(run: Series) -> str:
    state = ", unfinished" if run.unfinished else ""
    counts = f"{run.updates} updates, {run.env_steps} online steps"
    return f"{short(run.name)}: {run.algo}, seed {run.seed}, {counts}{state}"


def _chart(metric: str, curves: Sequence[tuple[str, Curve]]) -> Iterator[str]:
    title = f"{WORDS[metric]} ({metric})" if metric in WORDS else metric
    last = [f"{mark} {_last(curve):.4g}" for mark, curve in curves if curve.offline or curve.online]
    yield short(title, WIDTH)
    yield short(f"last: {', '.join(last)}", WIDTH)
    spans = _spans([curve for _, curve in curves])
    values = [point.value for _, curve in curves for phase in spans for point in curve.phase(phase)]
    limits = [0.0, 1.0] if is_share(metric) else []
    low, high = min(values + limits), max(values + limits)
    parts = {phase: _grid(curves, phase, span, low, high) for phase, span in spans.items()}
    for row in range(_HEIGHT):
        label = {0: f"{high:.4g}", _HEIGHT - 1: f"{low:.4g}"}.get(row, "")
        yield f"{label:>{_LABEL - 1}} │" + "│".join("".join(grid[row]) for grid in parts.values())
    yield " " * _LABEL + "└" + "┴".join("─" * width for width, _ in spans.values())
    yield " " * _LABEL + "".join(f" {_axis(phase, *span)}" for phase, span in spans.items())


def _last(curve: Curve) -> float:
    return (curve.online or curve.offline)[-1].value


def _spans(curves: Sequence[Curve]) -> _Spans:
    ends: dict[Phase, int] = {
        phase: max(curve.phase(phase)[-1].at for curve in curves if curve.phase(phase))
        for phase in CLOCKS
        if any(curve.phase(phase) for curve in curves)
    }
    room = WIDTH - _LABEL - len(ends)
    if len(ends) == 1:
        return {phase: (room, end) for phase, end in ends.items()}
    widths: dict[Phase, int] = {"offline": _OFFLINE_WIDTH, "online": room - _OFFLINE_WIDTH}
    return {phase: (widths[phase], end) for phase, end in ends.items()}


def _grid(
    curves: Sequence[tuple[str, Curve]], phase: Phase, span: tuple[int, int], low: float, high: float
) -> list[list[str]]:
    """Return the characters of a phase, rows from the top; of points in one column the last counts."""
    width, end = span
    cells = [[" "] * width for _ in range(_HEIGHT)]
    for mark, curve in curves:
        rows = {}
        for point in curve.phase(phase):
            share = (point.value - low) / ((high - low) or 1.0)
            rows[round((width - 1) * point.at / (end or 1))] = round((_HEIGHT - 1) * (1 - share))
        for column, row in rows.items():
            cells[row][column] = mark if cells[row][column] == " " else _SHARED
    return cells


def _axis(phase: Phase, width: int, end: int) -> str:
    """Return what is below a part of the chart: its scale, and between the ends what it counts."""
    name = {"offline": "updates", "online": "online steps"}[phase]
    return f"0{name:^{width - 1 - len(str(end))}}{end}"
