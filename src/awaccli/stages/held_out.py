"""Held-out episodes during training: how likely the policy finds them, and how consistent its critics are.

They are measured by a copy of the learner, so that nothing of what is learned depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from awaccli.config.settings import Execution
from awaccli.config.tree import Settings
from awaccli.data.buffer import common_task
from awaccli.data.dataset import Dataset
from awaccli.errors import DatasetError, InterruptedRunError
from awaccli.protocols import Reporter
from awaccli.stages.compute import memory_of
from awaccli.stages.learners import build_buffer, build_learner
from awaccli.stages.offline_evaluation import episode_diagnostics, on_td_targets

if TYPE_CHECKING:
    from awaccli.stages.training import Training


class HeldOut:
    """A dataset that is not trained on, measured at intervals."""

    def __init__(
        self,
        dataset: Dataset,
        algo: str,
        settings: Settings,
        scratch: Path,
        *,
        seed: int,
        execution: Execution,
        device: str,
        report: Reporter,
    ) -> None:
        measured = on_td_targets(settings, algo)
        self._dataset = dataset
        self._learner = build_learner(algo, measured, [dataset], seed=seed, device=device)
        self._buffer = build_buffer(
            algo, measured, [dataset], capacity=1, device=device, memory=memory_of(execution)
        )
        self._scratch = scratch
        self._seed = seed
        self._every = execution.eval_every
        self._device = device
        self._report = report

    def after_update(self, training: Training) -> None:
        """Measure if the interval says so."""
        if self._every and training.updates % self._every == 0:
            self.now(training)

    def now(self, training: Training) -> None:
        """Measure the learner as it is, and log the result, unless the log has it.

        Raises:
            InterruptedRunError: a signal came; the run can be resumed.
        """
        at = {"updates": training.updates, "env_steps": training.env_steps}
        if training.metrics.has("held_out/episodes", **at):
            return
        self._learner.load(training.learner.tensors())
        try:
            found = episode_diagnostics(
                self._learner,
                self._buffer,
                [self._dataset],
                seed=self._seed,
                device=self._device,
                report=self._report,
            )
        except InterruptedRunError:
            training.stop_if_asked(self._report, self._scratch)
            raise
        means = {name: float(np.mean(values)) for name, values in found.items()}
        row: dict[str, float | str] = {"held_out/log_likelihood": -means["policy/nll"]}
        if "q/td_error" in means:
            row["held_out/td_error"] = means["q/td_error"]
        shown = ", ".join(f"{name.partition('/')[2].replace('_', ' ')} {row[name]:.4g}" for name in row)
        row |= {"held_out/episodes": len(self._dataset), "held_out/dataset": self._dataset.id}
        training.write(row)
        self._report.note(f"{training.updates} updates: held-out {shown} ({len(self._dataset)} episodes)")


def require_held_out(held_out: Dataset, data: Sequence[Dataset]) -> None:
    """Check that a dataset is of the task that is trained on, and shares no episode with the data.

    Raises:
        DatasetError: it is not, or does; says how many.
    """
    common_task([*data, held_out])
    known = {row.tobytes() for dataset in data for row in dataset.column("episodes/sha256")}
    copies = sum(row.tobytes() in known for row in held_out.column("episodes/sha256"))
    if copies:
        raise DatasetError(
            f"{copies} of {len(held_out)} episodes of `{held_out.path}` are also in the training data",
            hint="train on one part and hold out the other: awac data split keeps copies together",
        )
