"""The tables of a comparison: for a terminal, for LaTeX, and as tidy CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from awaccli.data.evaluation import SuccessRule
from awaccli.reports.aggregates import RESAMPLES, Estimate
from awaccli.reports.comparison import (
    RULES,
    Aggregate,
    Compared,
    Comparison,
    Final,
    GroupSummary,
    RunSummary,
)
from awaccli.reports.runs import COUNTERS, Line, Run, is_number
from awaccli.reports.success import HEADER, rate_text

_Style = Callable[[float], str]
_CALLED: dict[SuccessRule, str] = {"final": "last step", "any": "any step", "held": "held"}
_SCORES = ("group", "runs", "measure", "mean", "IQM", "worst seed")
_COST = ("group", "online steps", "updates", "wall time", "robot min", "task", "final evaluation")
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " "}
)
_MEASURED = ("eval/", "held_out/", "q_gap")
"""What lines of evaluations begin with."""


class Sheet(NamedTuple):
    """A table of words."""

    header: tuple[str, ...]
    rows: list[list[str]]


def sheets(found: Comparison) -> list[Sheet]:
    """Return the tables of a comparison: evaluations and datasets, success and return, cost, improvement."""
    tables = []
    if found.rows:
        tables.append(Sheet(HEADER, [row.cells() for row in found.rows]))
    if found.groups:
        rules = () if found.ranked_by == "return" else RULES
        tables.append(Sheet(_SCORES, [cells for group in found.groups for cells in _scores(group, rules)]))
        tables.append(Sheet(_COST, [_cost(group) for group in found.groups]))
    if found.improvements:
        first = found.groups[0].name
        header = (f"probability that a run of {first} is better than one of", "")
        rows = [[item.over, _interval(item.probability, _probability)] for item in found.improvements]
        tables.append(Sheet(header, rows))
    return tables


def notes(found: Comparison) -> list[str]:
    """Return what a reader of the tables has to know."""
    if not found.groups:
        return []
    said = [
        f"Intervals: 95 %, over runs by stratified bootstrap ({RESAMPLES} resamples); of one run by Wilson.",
        "IQM: the mean without the lowest and highest quarter of runs, each rounded down.",
        "A final evaluation is the last one, never the best one.",
    ]
    if found.ranked_by == "return":
        said.append("No run ever succeeded: they are compared by their returns.")
    if any(group.tasks[1:] for group in found.groups):
        said.append("A group pools its tasks; their runs are drawn anew separately.")
    if not all(run.whole for group in found.groups for run in group.runs):
        said.append("Wall time with >: a checkpoint that a run went on from was not found.")
    return said


def _scores(group: GroupSummary, rules: Sequence[SuccessRule]) -> Iterator[list[str]]:
    rows = [(_CALLED[rule], group.success[rule], _percent) for rule in rules]
    first = [group.name, str(len(group.runs))]
    for called, found, style in (*rows, ("return", group.returns, _plain)):
        mean = rate_text(found.within) if found.within else _interval(found.mean, style)
        several = (
            (_interval(found.iqm, style), _worst(found, group, style)) if len(group.runs) > 1 else ("", "")
        )
        yield [*first, called, mean, *several]
        first = ["", ""]


def _worst(found: Aggregate, group: GroupSummary, style: _Style) -> str:
    seeds = [run.seed for run in group.runs]
    who = f"seed {found.worst_seed}" if seeds.count(found.worst_seed) == 1 else found.worst
    return f"{style(found.worst_value)} ({who})"


def _interval(found: Estimate, style: _Style) -> str:
    if found.low is None or found.high is None:
        return style(found.value)
    low, high = (style(bound).removesuffix(" %") for bound in (found.low, found.high))
    return f"{style(found.value)} [{low}, {high}]"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _plain(value: float) -> str:
    return f"{value:.1f}"


def _probability(value: float) -> str:
    return f"{value:.2f}"


def _cost(group: GroupSummary) -> list[str]:
    runs = group.runs
    minutes = [run.robot_min for run in runs if run.robot_min is not None]
    incomplete = "" if all(run.whole for run in runs) else "> "
    return [
        group.name,
        _range([run.env_steps for run in runs]),
        _range([run.updates for run in runs]),
        f"{incomplete}{_range([run.wall_s / 60 for run in runs], '.1f')} min",
        _range(minutes, ".1f") if minutes else "",
        ", ".join(group.tasks),
        "; ".join(dict.fromkeys(_measured(run) for run in runs)),
    ]


def _range(values: Sequence[float], style: str = "d") -> str:
    low, high = format(min(values), style), format(max(values), style)
    return low if low == high else f"{low} to {high}"


def _measured(run: RunSummary) -> str:
    final: Final = run.final
    text = f"{final.by}, {final.episodes} episodes, {final.actions} actions"
    early = (final.updates, final.env_steps) != (run.updates, run.env_steps)
    return f"{text}, of update {final.updates}, step {final.env_steps}" if early else text


def latex_text(tables: Sequence[Sheet], said: Sequence[str]) -> str:
    r"""Return tables for LaTeX with ``\usepackage{booktabs}``, all special characters of names escaped."""
    parts = []
    for header, rows in tables:
        columns = "l" + "r" * (len(header) - 1)
        lines = [" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in (header, *rows)]
        body = ["\\toprule", lines[0], "\\midrule", *lines[1:], "\\bottomrule"]
        parts.append("\n".join([f"\\begin{{tabular}}{{{columns}}}", *body, "\\end{tabular}"]))
    return "\n\n".join([*parts, "\n".join(f"% {note}" for note in said)]).rstrip()


def tidy_csv(found: Compared) -> str:
    """Return a row for each evaluation of each run, those of the checkpoints it went on from included.

    ``measured_by`` tells evaluations of `awac eval`, which come last, from those that training made.
    """
    rows = [row for name, runs in found.groups.items() for run in runs for row in _csv_rows(name, run, found)]
    metrics = sorted({key for row in rows for key in row} - {*_FACTS, *COUNTERS})
    file = io.StringIO()
    writer = csv.DictWriter(file, [*_FACTS, *COUNTERS, *metrics], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


_FACTS = ("group", "run", "id", "algo", "task", "seed", "measured_by", "phase")


def _csv_rows(group: str, run: Run, found: Compared) -> Iterator[Line]:
    identity = str(run.id)
    known = group, found.names[identity], identity, run.algo, run.task or "", run.seed
    facts = dict(zip(_FACTS, known, strict=False))
    for line in run.log:
        measured = {
            key: value for key, value in line.items() if key.startswith(_MEASURED) and is_number(value)
        }
        if measured:
            counters = {key: line[key] for key in COUNTERS if key in line}
            yield facts | {"measured_by": "training", "phase": line["phase"]} | counters | measured
    if identity in found.measured:
        result = found.measured[identity][1]
        yield (
            facts
            | {"measured_by": "awac eval", "phase": run.lines[-1]["phase"] if run.lines else ""}
            | {"updates": result.updates, "env_steps": result.env_steps}
            | {"eval/episodes": result.outcome.episodes, "eval/return_mean": result.outcome.returns.mean}
            | {f"eval/success_{rule}": getattr(result.outcome.success, rule).rate for rule in RULES}
        )
