"""Two evaluations: what was measured, and the outcomes side by side."""

from __future__ import annotations

from awaccli.data.evaluation import Evaluation, Outcome
from awaccli.reports.diff_changes import Change, Record, changes


class EvaluationDifference(Record):
    """Two results; a difference means most where the seeds are the same."""

    measured: tuple[Change, ...]
    """Task, checkpoint, manner and number of episodes."""
    same_seeds: bool
    outcome_a: Outcome
    outcome_b: Outcome


def evaluation_difference(a: Evaluation, b: Evaluation) -> EvaluationDifference:
    """Compare two evaluations."""
    return EvaluationDifference(
        measured=changes(*(item.model_dump(exclude={"outcome", "seeds"}) for item in (a, b))),
        same_seeds=a.seeds == b.seeds,
        outcome_a=a.outcome,
        outcome_b=b.outcome,
    )
