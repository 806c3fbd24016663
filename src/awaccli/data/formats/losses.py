"""What a dataset has and a foreign format cannot hold, in sentences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from awaccli.data.dataset import Dataset
from awaccli.data.formats import Export, Part
from awaccli.episode import EndReason


def export_losses(dataset: Dataset, export: Export) -> tuple[str, ...]:
    """Return what is lost when ``dataset`` is written in a format; nothing that it does not have."""
    found = [sentence(dataset) for part, sentence in _SENTENCES.items() if part not in export.keeps]
    return (*filter(None, found), *export.remarks(dataset))


def _final(dataset: Dataset) -> str:
    return f"The observation after the last action of each of {dataset.n_episodes} episodes is left out."


def _flags(dataset: Dataset) -> str:
    terminated = int((dataset.episodes.end_reason == EndReason.TERMINATED).sum())
    return (
        f"Which episodes the task ended ({terminated} of {dataset.n_episodes}) is not told from truncation."
    )


def _end_reason(dataset: Dataset) -> str:
    reasons, counts = np.unique(dataset.episodes.end_reason, return_counts=True)
    named = [f"{EndReason(r).name.lower()} {n}" for r, n in zip(reasons, counts, strict=True)]
    return f"Why each episode ended is left out ({', '.join(named)})."


def _success(dataset: Dataset) -> str:
    steps = int(dataset.episodes.success_steps.sum())
    return f"Success is left out ({steps} successful steps)."


def _seed(dataset: Dataset) -> str:
    seeds = int(dataset.episodes.has_seed.sum())
    return f"{seeds} seeds of resets are left out." if seeds else ""


def _sources(dataset: Dataset) -> str:
    names = ", ".join(f"{source.name} ({source.kind})" for source in dataset.header.sources)
    return f"Who acted is left out: {names}."


def _credits(dataset: Dataset) -> str:
    credits_ = dataset.header.credits
    return (
        f"Credits are left out: {'; '.join(f'{c.authors} ({c.licence})' for c in credits_)}."
        if credits_
        else ""
    )


def _splits(dataset: Dataset) -> str:
    names = ", ".join(dataset.header.splits)
    return f"Splits are left out: {names}." if names else ""


def _fields(prefix: str, what: str) -> Callable[[Dataset], str]:
    def sentence(dataset: Dataset) -> str:
        names = ", ".join(name.removeprefix(prefix) for name in dataset.below(prefix))
        return f"{what} {names}." if names else ""

    return sentence


def _sim_init(dataset: Dataset) -> str:
    return (
        "The simulator's state at the start of the episodes is left out: they cannot be replayed from it."
        if dataset.has_simulator_state
        else ""
    )


def _task(dataset: Dataset) -> str:
    task = dataset.task
    facts = [f"environment {task.spec.env_id or 'none'}", f"horizon {task.spec.horizon or 'none'}"]
    return f"The task is left out: {', '.join([*facts, 'action box', 'success rule', 'package versions'])}."


def _layout(dataset: Dataset) -> str:
    parts = [f"{key} {size}" for key, size in dataset.task.observation_layout]
    return f"The parts of the observation are left out: {', '.join(parts)}." if len(parts) > 1 else ""


def _clipped(dataset: Dataset) -> str:
    clipped = dataset.header.clipped
    return f"That {clipped} action entries were clipped is left out." if clipped else ""


_SENTENCES: dict[Part, Callable[[Dataset], str]] = {
    "final": _final,
    "flags": _flags,
    "end_reason": _end_reason,
    "success": _success,
    "seed": _seed,
    "sources": _sources,
    "credits": _credits,
    "splits": _splits,
    "infos": _fields("steps/infos/", "Further columns are left out:"),
    "sim": _fields("steps/sim/", "Simulator states at every step are left out:"),
    "sim_init": _sim_init,
    "model": _fields("episodes/model/", "What is known of the start of each episode is left out:"),
    "task": _task,
    "layout": _layout,
    "clipped": _clipped,
}
