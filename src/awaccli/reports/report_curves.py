"""Which curves a report shows of a training, and how to read each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from awaccli.data.evaluation import wilson
from awaccli.reports.chart import MOST_LINES, Chart, Line, Spot
from awaccli.reports.comparison import is_evaluation
from awaccli.reports.curves import CLOCKS, SUCCESS, Phase, curve, group_curves
from awaccli.reports.grouping import grouped
from awaccli.reports.runs import Run, is_number


class _Wanted(NamedTuple):
    title: str
    hint: str
    lines: tuple[tuple[str, str], ...]
    """Names in the log, and in words."""
    share: bool = False
    dots: bool = False


_LEARNING = (
    _Wanted(
        "Return in evaluations",
        "Mean over episodes, not discounted.",
        (("eval/return_mean", "return"),),
        dots=True,
    ),
    _Wanted(
        "Likelihood of held-out actions",
        "Higher is closer to the held-out episodes; it falls where training fits its own data only.",
        (("held_out/log_likelihood", "log likelihood"),),
        dots=True,
    ),
)
_DIAGNOSTICS = (
    _Wanted(
        "Effective sample size",
        "Of the batch. Near 100 % all actions weigh the same: cloning. Near 0 few decide.",
        (("weights/ess", "share of the batch"),),
        share=True,
    ),
    _Wanted(
        "Largest weight",
        "In a batch, where the mean weight is 1.",
        (("weights/max", "largest weight"),),
    ),
    _Wanted(
        "Q, on its way to the farthest value",
        "Critics end near the logged returns; far below they still lag behind.",
        (("q/range_share", "critics"), ("q/return_share", "logged returns")),
        share=True,
    ),
    _Wanted(
        "Q minus what came of it",
        "At the start of evaluation episodes. Above 0 the critics are too optimistic.",
        (("q_gap", "gap"),),
        dots=True,
    ),
    _Wanted("TD error", "Of the latest batch, in units of return.", (("q/td_error", "TD error"),)),
    _Wanted(
        "Policy loss",
        "Negative weighted log likelihood of logged actions.",
        (("loss/policy", "policy loss"),),
    ),
    _Wanted(
        "Spread of actions",
        "Std of the policy over action dimensions, where the box is 2 wide.",
        (
            ("policy/std_mean", "mean"),
            ("policy/std_min", "smallest"),
            ("policy/std_max", "largest"),
        ),
    ),
)


def learning_charts(run: Run) -> list[Chart]:
    """Return what evaluations during training showed."""
    success = Chart(
        "Success in evaluations",
        "Each with mean actions; the band is the 95 % interval over episodes. At step 0 nothing was "
        "learned online yet.",
        [
            _success_line(run, "final", "at the last step", with_band=True),
            _success_line(run, "any", "at any step"),
            _success_line(run, "held", "held"),
        ],
        share=True,
        dots=True,
    )
    return [chart for chart in (success, *_charts(run, _LEARNING)) if _is_drawn(chart)]


def diagnostic_charts(run: Run) -> list[Chart]:
    """Return what the log says of weights, critics and policy."""
    return [chart for chart in _charts(run, _DIAGNOSTICS) if _is_drawn(chart)]


def evaluation_rows(run: Run) -> list[list[str]]:
    """Return every evaluation of a run's log in numbers; see `EVALUATION_HEADER`."""
    rows = []
    for line in run.log:
        if is_evaluation(line):
            rates = [f"{100 * line[f'eval/success_{rule}']:.0f} %" for rule in ("final", "any", "held")]
            reward = line.get("eval/return_mean")
            last = f"{reward:.1f}" if is_number(reward) else ""
            counters = [str(line["updates"]), str(line["env_steps"]), str(line["eval/episodes"])]
            rows.append([f"{line['phase']}", *counters, *rates, last])
    return rows


EVALUATION_HEADER = ["phase", "updates", "online steps", "episodes", "final", "any step", "held", "return"]


def common_chart(runs: Sequence[Run]) -> Chart | None:
    """Return the success of several runs on common axes, seeds of one thing as one line."""
    measured = [run for run in runs if any(is_evaluation(line) for line in run.log)]
    groups = grouped(measured, "settings") if len(measured) > 1 else {}
    if not 1 <= len(groups) <= MOST_LINES:
        return None
    lines = []
    for group in group_curves(groups, SUCCESS, aggregate="mean"):
        count = len(group.runs)
        spots = {
            phase: [
                Spot(point.at, point.estimate.value, point.estimate.low, point.estimate.high)
                for point in points
            ]
            for phase, points in group.bands.items()
        }
        lines.append(Line(group.name if count == 1 else f"{group.name} ({count} runs)", spots))
    return Chart(
        "Success at the last step",
        "Of runs that are seeds of one thing: their mean, and its 95 % interval over runs.",
        lines,
        share=True,
        dots=True,
    )


def _charts(run: Run, wanted: Sequence[_Wanted]) -> list[Chart]:
    return [
        Chart(
            one.title,
            one.hint,
            [Line(words, _spots(run, name)) for name, words in one.lines],
            share=one.share,
            dots=one.dots,
        )
        for one in wanted
    ]


def _spots(run: Run, name: str) -> dict[Phase, list[Spot]]:
    found = curve(run, name)
    return {phase: [Spot(point.at, point.value) for point in found.phase(phase)] for phase in CLOCKS}


def _success_line(run: Run, rule: str, words: str, *, with_band: bool = False) -> Line:
    phases: dict[Phase, dict[int, Spot]] = {phase: {} for phase in CLOCKS}
    for line in run.log:
        if is_evaluation(line):
            phase, episodes = line["phase"], line["eval/episodes"]
            at, rate = line[CLOCKS[phase]], line[f"eval/success_{rule}"]
            interval = wilson(round(rate * episodes), episodes)
            band = (interval.low, interval.high) if with_band else (None, None)
            phases[phase][at] = Spot(at, rate, *band)
    return Line(words, {phase: [spots[at] for at in sorted(spots)] for phase, spots in phases.items()})


def _is_drawn(chart: Chart) -> bool:
    return any(spots for line in chart.lines for spots in line.phases.values())
