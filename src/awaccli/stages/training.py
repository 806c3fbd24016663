"""The loop that offline and online training share: draw, update, log, snapshot.

Draws for update k come from the stream (seed, "update", k), so a resumed run needs only the counters.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from awaccli.artifacts.manifest import Clock
from awaccli.artifacts.metrics import MetricsLog
from awaccli.artifacts.tensors import read_arrays, write_arrays
from awaccli.config.settings import Execution
from awaccli.data.buffer import ReplayBuffer
from awaccli.episode import Episode
from awaccli.errors import CheckpointError, InterruptedRunError, RunError
from awaccli.protocols import Batch, Learner, PolicyWeights, Progress, Reporter
from awaccli.stages.compute import Machine, to_arrays, to_tensors
from awaccli.stages.draws import draws
from awaccli.stages.health import Health, advice
from awaccli.stages.remarks import Remarks

if TYPE_CHECKING:
    from awaccli.stages.evaluate import PeriodicEvaluation

SNAPSHOT = "snapshot.safetensors"
_SUCCESS = "eval/success_final"
_AHEAD = 16
"""Updates that are drawn for at once: between two updates what drawing needs leaves the CPU's caches."""
_SAVE_COSTS = 100
"""A snapshot is taken once this many times its own duration has passed: it costs 1 % of the time."""
_SAVE_S = 2.0
"""And no sooner than this many seconds after the last."""
_BEYOND = 10.0
"""Values this many times larger than the rewards allow have exploded."""

Drawn = tuple[Batch, dict[str, torch.Tensor]]
"""A batch and the noise of one update."""


@dataclass(slots=True)
class Training:
    """A learner, its data, and the counters of one run."""

    learner: Learner
    buffer: ReplayBuffer
    phase: Literal["offline", "online"]
    seed: int
    batch_size: int
    offline_ratio: float | None
    success_ratio: float
    execution: Execution
    machine: Machine
    metrics: MetricsLog
    clock: Clock
    updates: int = 0
    """Gradient updates in all, those of earlier stages included."""
    env_steps: int = 0
    """Environment steps in all, those of earlier stages included."""
    shown: dict[str, float | list[float]] = field(default_factory=dict)
    """For a progress display: the latest diagnostics, and the success of all evaluations so far."""
    health: Health = field(default_factory=Health)
    remarks: Remarks | None = None
    """Who puts the log into words, if anybody listens."""
    _ahead: deque[Drawn] = field(default_factory=deque)
    """What the next updates learn from."""
    _kept: int | None = None
    """Updates that the last snapshot holds."""
    _saved_s: float = field(default_factory=time.monotonic)
    _save_cost_s: float = 0.0

    def update(self) -> None:
        """Make one gradient update, and log where the interval says so.

        Raises:
            RunError: at a line of the log, if a loss or value since the last one was not sane.
        """
        batch, noise = self._ahead.popleft() if self._ahead else self._draw("update", self.updates)
        with self.machine.products():
            losses = self.learner.update(batch, noise)
        self.updates += 1
        self.health.note(self.updates, losses)
        if self.updates % self.execution.log_every == 0:
            self._log(losses)

    def update_to(
        self,
        goal: int,
        scratch: Path,
        evaluation: PeriodicEvaluation,
        report: Reporter,
        progress: Progress | None = None,
    ) -> None:
        """Update until ``goal`` updates are made in all; evaluate, snapshot and stop as asked on the way.

        Raises:
            RunError: a loss or value is not finite, or exploded; the last good snapshot stays.
            InterruptedRunError: a signal came; the run can be resumed.
        """
        while self.updates < goal:
            if not self._ahead:
                ahead = range(self.updates, min(self.updates + _AHEAD, goal))
                self._ahead.extend(self._draw("update", update) for update in ahead)
            self.update()
            if progress:
                progress.update(self.updates, **self.shown)
            evaluation.after_update(self)
            if self._save_is_due():
                self.save(scratch)
            self.stop_if_asked(report, scratch)

    def _draw(self, purpose: str, update: int) -> Drawn:
        source = draws(self.machine.device, self.seed, purpose, update)
        batch = self.buffer.sample(source, self.batch_size, self.offline_ratio, self.success_ratio)
        shapes = self.learner.noise_shapes(self.batch_size)
        return batch, {name: source.normal(shape) for name, shape in shapes.items()}

    def _log(self, losses: Mapping[str, torch.Tensor]) -> None:
        self.require_sane()
        values = {name: float(value) for name, value in losses.items()}
        found = self.learner.diagnose(*self._draw("diagnose", self.updates))
        self.shown.update(values | {name: value for name, value in found.items() if isinstance(value, float)})
        self.write(values | found)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a line to the metrics, with the counters that place it."""
        counters = {"phase": self.phase, "updates": self.updates, "env_steps": self.env_steps}
        step_s = self.buffer.task.control_dt
        robot = {"robot_min": round(self.env_steps * step_s / 60, 3)} if step_s else {}
        line = counters | robot | {"wall_s": round(self.clock.elapsed_s, 3)} | dict(row)
        self.metrics.write(line)
        if _SUCCESS in line:
            self.shown[_SUCCESS] = self.metrics.numbers(_SUCCESS)
        if self.remarks:
            self.remarks.read(line)

    def q_gap(self, episodes: Sequence[Episode]) -> float | None:
        """Return how much more the critics expect at the start of episodes than came of them, on average.

        Positive: they are too optimistic. None for a learner without critics.
        """
        starts = np.stack([episode.observations[0] for episode in episodes])
        expected = self.learner.state_values(torch.from_numpy(starts).to(self.machine.device))
        if expected is None:
            return None
        return float(expected.mean()) - float(self.buffer.returns_at_start(episodes).mean())

    def require_sane(self) -> None:
        """Check what the updates so far returned.

        Raises:
            RunError: a loss or value is not finite, or exploded; names the update.
        """
        limit = _BEYOND * max(1.0, self.buffer.value_bound())
        self.health.require_sane({"q/largest": limit}, hint=advice(self._kept))

    def policy(self) -> PolicyWeights:
        """Return the policy that acts.

        Raises:
            RunError: it comes of updates that were not sane.
        """
        self.require_sane()
        policy = self.learner.policy()
        self._require_finite(policy.arrays)
        return policy

    def tensors(self) -> dict[str, np.ndarray]:
        """Return all that the learner needs to go on, as arrays.

        Raises:
            RunError: something is not sane; it must not replace the last good state.
        """
        self.require_sane()
        arrays = to_arrays(self.learner.tensors())
        self._require_finite(arrays)
        return arrays

    def _require_finite(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise RunError(f"update {self.updates}: {name} is not finite", hint=advice(self._kept))

    def _save_is_due(self) -> bool:
        if self.execution.save_every:
            return self.updates % self.execution.save_every == 0
        return time.monotonic() - self._saved_s > max(_SAVE_S, _SAVE_COSTS * self._save_cost_s)

    def save(self, scratch: Path) -> None:
        """Write a snapshot that ``restore`` continues from."""
        started = time.monotonic()
        facts = {"updates": self.updates, "env_steps": self.env_steps, "wall_s": self.clock.elapsed_s}
        write_arrays(scratch / SNAPSHOT, self.tensors(), facts)
        self._kept, self._saved_s = self.updates, time.monotonic()
        self._save_cost_s = self._saved_s - started

    def restore(self, scratch: Path) -> None:
        """Continue from the last snapshot in ``scratch``, if there is one; drop what else a kill left."""
        for leftover in scratch.glob("policy-*.safetensors"):
            leftover.unlink()
        if (scratch / SNAPSHOT).is_file():
            arrays, facts = _read_snapshot(scratch / SNAPSHOT)
            self.learner.load(to_tensors(arrays, self.machine.device))
            self.updates, self.env_steps = facts["updates"], facts["env_steps"]
            self._kept = self.updates
            self.clock.resume(facts.get("wall_s", 0.0))
        self.metrics.rewind(updates=self.updates, env_steps=self.env_steps)
        self.shown[_SUCCESS] = self.metrics.numbers(_SUCCESS)

    def stop_if_asked(self, report: Reporter, scratch: Path) -> None:
        """Save and leave if a signal asked for it.

        Raises:
            InterruptedRunError: a signal came; the run can be resumed.
        """
        signal = report.interrupted()
        if signal:
            self.save(scratch)
            raise InterruptedRunError(
                signal,
                f"stopped after {self.updates} updates; `{scratch}` keeps them",
                hint="repeat the command with --resume to go on",
            )


def _read_snapshot(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        return read_arrays(path)
    except CheckpointError as error:
        raise CheckpointError(
            str(error),
            hint=f"rm {path}, then --resume learns again from the first update; no episode is lost by that",
        ) from error
