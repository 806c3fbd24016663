"""The record of an evaluation on data alone."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

CAVEAT = (
    "fitted Q evaluation extrapolates where the policy leaves the data, and then errs on the bright side: "
    "use it to compare checkpoints on the same data, not as the return to expect"
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Record):
    """A mean over episodes with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


class FittedValue(_Record):
    """What fitted Q evaluation found."""

    value: Estimate
    """Discounted return that the policy is expected to get from the episodes' first states."""
    behaviour: Estimate
    """Discounted return that the recorded actions got from there."""
    updates: int
    bellman_error: float
    """Root of the mean squared error of the last tenth of the updates, in units of return."""
    caveat: str = CAVEAT


class OfflineEvaluation(_Record):
    """What ``awac eval --offline --json`` prints."""

    schema_version: Literal[1] = 1
    kind: Literal["offline-evaluation"] = "offline-evaluation"
    checkpoint: str
    data: tuple[str, ...]
    algo: str
    updates: int
    env_steps: int
    seed: int
    episodes: int
    steps: int
    nll: Estimate
    """Negative log likelihood of the recorded actions, per step; the action box is 2 wide."""
    td_error: Estimate | None
    """Mean absolute TD error of the critics, in units of return; None for a learner without critics."""
    q_mean: Estimate | None
    fitted_q: FittedValue | None
    seen: bool
    """True: the checkpoint was trained on some of these episodes, so nothing here is held out."""
