"""Success as people read it: rates with intervals, and rows side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.evaluation import Evaluation, Outcome, Rate, open_evaluation, outcome_of
from awaccli.data.offline_evaluation import Estimate, OfflineEvaluation
from awaccli.data.schema import Source
from awaccli.errors import InputError
from awaccli.reports.kind import kind_of

HEADER = ("", "actions", "episodes", "final success", "any step", "held", "return")


class Row(BaseModel):
    """One line of a comparison."""

    model_config = ConfigDict(frozen=True)

    name: str
    actions: str
    """``mean`` or ``sample``, ``+ noise`` where there was; ``as recorded`` where no policy of ours acted."""
    outcome: Outcome

    def cells(self) -> list[str]:
        """Return the row as text, in the order of ``HEADER``."""
        success = self.outcome.success
        rates = [rate_text(rate) for rate in (success.final, success.any, success.held)]
        return [
            self.name,
            self.actions,
            str(self.outcome.episodes),
            *rates,
            f"{self.outcome.returns.mean:.1f}",
        ]


def rate_text(rate: Rate) -> str:
    """Return a rate with its interval, in per cent."""
    return f"{100 * rate.rate:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


def evaluation_text(evaluation: Evaluation) -> str:
    """Return an evaluation as lines that a person reads."""
    result = evaluation.outcome
    success = result.success
    how = f"{evaluation.actions} actions, seed {evaluation.seed}"
    return "\n".join(
        [
            f"{evaluation.task}: {result.episodes} episodes, {how}",
            f"success at the last step  {rate_text(success.final)}",
            f"success at any step       {rate_text(success.any)}",
            f"success held              {rate_text(success.held)}",
            f"return                    {result.returns.mean:.2f} (std {result.returns.std:.2f})",
            f"checkpoint                {evaluation.checkpoint}",
        ]
    )


def offline_text(found: OfflineEvaluation) -> str:
    """Return an evaluation on data alone as lines that a person reads."""
    lines = [
        f"{found.algo}, {found.updates} updates, {found.env_steps} environment steps, on data alone",
        f"{found.episodes} episodes, {found.steps} steps; means over episodes with 95 % bootstrap intervals",
        f"negative log likelihood   {_estimate_text(found.nll)} per step",
    ]
    if found.td_error and found.q_mean:
        lines.append(f"TD error                  {_estimate_text(found.td_error)}")
        lines.append(f"Q of the recorded actions {_estimate_text(found.q_mean)}")
    if fitted := found.fitted_q:
        lines += [
            f"fitted Q of the policy    {_estimate_text(fitted.value)}",
            f"return of the recording   {_estimate_text(fitted.behaviour)}, from the same states, discounted",
            f"Bellman error             {fitted.bellman_error:.3g} after {fitted.updates} updates",
            f"note: {fitted.caveat}",
        ]
    return "\n".join([*lines, f"checkpoint                {found.checkpoint}"])


def _estimate_text(estimate: Estimate) -> str:
    return f"{estimate.mean:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def comparison(paths: Sequence[Path]) -> list[Row]:
    """Return a row for every evaluation, and for every source of every dataset.

    Raises:
        InputError: missing, damaged, or a checkpoint that was never evaluated.
    """
    return [row for path in paths for row in _rows(path)]


def _rows(path: Path) -> list[Row]:
    match kind_of(path):
        case "evaluation":
            evaluation = open_evaluation(path)
            return [Row(name=path.stem, actions=evaluation.actions, outcome=evaluation.outcome)]
        case "dataset":
            return source_rows(open_dataset(path))
        case _:
            raise InputError(f"`{path}` is a checkpoint", hint=f"measure it: awac eval {path} -o result.json")


def source_rows(dataset: Dataset) -> list[Row]:
    """Return a row for everyone who acted in a dataset."""
    sources = dataset.header.sources
    present = np.unique(dataset.episodes.source).tolist()
    return [
        Row(
            name=dataset.path.stem if len(sources) == 1 else f"{dataset.path.stem}: {sources[index].name}",
            actions=_manner(sources[index]),
            outcome=dataset_outcome(dataset, source=index),
        )
        for index in present
    ]


def _manner(source: Source) -> str:
    if source.kind != "policy" or source.actions is None:
        return "as recorded"
    return f"{source.actions} + noise" if source.noise else source.actions


def dataset_outcome(dataset: Dataset, source: int | None = None) -> Outcome:
    """Return what the episodes of a dataset, or of one of its sources, achieved."""
    table = dataset.episodes
    flags = np.split(dataset.column("steps/success"), table.start[1:])
    chosen = np.flatnonzero((table.source == source) | (source is None))
    return outcome_of([flags[index] for index in chosen], table.return_[chosen].tolist(), dataset.task)
