"""Which runs are seeds of the same thing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from awaccli.config.resolve import did_you_mean
from awaccli.errors import UsageError
from awaccli.reports.figures import short
from awaccli.reports.runs import Run

_SEED = re.compile(r"[-_](?:seed[-_]?)?\d+$")
_MOST_NAMED = 3
"""Settings in the name of a group; there may be many that differ."""
_ABSENT = object()


def grouped(runs: Sequence[Run], by: str) -> dict[str, list[Run]]:
    """Return runs by the name of their group, in the order in which groups first occur.

    Args:
        runs: at least one.
        by: ``settings``, ``name``, ``algo``, or the dotted name of a setting.

    Raises:
        UsageError: no run has such a setting.
    """
    groups: dict[str, list[Run]] = {}
    key = _key(runs, by)
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups if by != "settings" else dict(zip(_labels(groups), groups.values(), strict=True))


def _key(runs: Sequence[Run], by: str) -> Callable[[Run], str]:
    match by:
        case "settings":
            return lambda run: json.dumps(run.facts, sort_keys=True)
        case "name":
            return nickname
        case "algo":
            return lambda run: run.algo
    known = sorted({name for run in runs for name in run.facts})
    if by not in known:
        raise UsageError(
            f"--group-by {by}: no run has such a setting",
            hint=did_you_mean(by, ["settings", "name", "algo", *known]),
        )
    return lambda run: f"{by}={_word(run.facts[by])}" if by in run.facts else f"no {by}"


def nickname(run: Run) -> str:
    """Return the name of a run without the number of its seed at the end."""
    return _SEED.sub("", run.name) or run.name


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _labels(groups: Mapping[str, Sequence[Run]]) -> list[str]:
    """Name groups of equal settings: as their files where that tells them apart, else by what differs."""
    names = [{nickname(run) for run in runs} for runs in groups.values()]
    if all(len(own) == 1 for own in names) and len(set.union(*names)) == len(names):
        return [own.pop() for own in names]
    firsts = [runs[0] for runs in groups.values()]
    labels = [", ".join([run.algo, *_differing(run, firsts)]) for run in firsts]
    return [
        f"{label} ({labels[:index].count(label) + 1})" if labels.count(label) > 1 else label
        for index, label in enumerate(labels)
    ]


def _differing(run: Run, others: Sequence[Run]) -> list[str]:
    """Return the first few settings of a run that are not those of all others."""
    differing = [
        f"{name}={short(_word(value))}"
        for name, value in run.facts.items()
        if name != "algo" and any(other.facts.get(name, _ABSENT) != value for other in others)
    ]
    return differing[:_MOST_NAMED] + (["…"] if len(differing) > _MOST_NAMED else [])
