"""Two checkpoints: how far they were trained, on what, and where their tensors differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from awaccli.artifacts.checkpoint import METRICS, Checkpoint, DataRef
from awaccli.artifacts.metrics import read_metrics
from awaccli.reports.diff_changes import Change, Record, changes

_EVALUATION = "eval/"


class TensorChange(Record):
    """A tensor of the same name and shape with other values."""

    name: str
    max_abs: float
    """Largest absolute difference of two entries; NaN where one of them is."""
    changed: int
    """Entries that differ."""
    size: int


class Tensors(Record):
    """Tensors of policy and trainer by name."""

    equal: int
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    reshaped: tuple[Change, ...]
    """Same name, other shape or dtype."""
    changed: tuple[TensorChange, ...]
    """Largest difference first."""


class LastEvaluation(Record):
    """The last evaluation during training that both have, at the same counters."""

    updates: int
    env_steps: int
    a: dict[str, Any]
    b: dict[str, Any]


class CheckpointDifference(Record):
    """What was done differently, and what became of the weights."""

    counters: tuple[Change, ...]
    data_both: tuple[DataRef, ...]
    data_only_a: tuple[DataRef, ...]
    data_only_b: tuple[DataRef, ...]
    tensors: Tensors
    evaluation: LastEvaluation | None


def checkpoint_difference(a: Checkpoint, b: Checkpoint) -> CheckpointDifference:
    """Compare two checkpoints.

    Raises:
        CheckpointError: tensors that cannot be read.
    """
    data_a, data_b = a.content.data, b.content.data
    return CheckpointDifference(
        counters=changes(*(item.content.model_dump(exclude={"settings", "data"}) for item in (a, b))),
        data_both=tuple(reference for reference in data_a if reference in data_b),
        data_only_a=tuple(reference for reference in data_a if reference not in data_b),
        data_only_b=tuple(reference for reference in data_b if reference not in data_a),
        tensors=compare_tensors(_tensors(a), _tensors(b)),
        evaluation=_last_common_evaluation(a, b),
    )


def _tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    policy = {f"policy/{name}": array for name, array in checkpoint.policy().arrays.items()}
    return policy | {f"trainer/{name}": array for name, array in checkpoint.trainer().items()}


def compare_tensors(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> Tensors:
    """Compare arrays by name."""
    shared = [name for name in a if name in b]
    layouts = changes(
        {name: _layout(a[name]) for name in shared}, {name: _layout(b[name]) for name in shared}
    )
    reshaped = {change.name for change in layouts}
    found = [_compare(name, a[name], b[name]) for name in shared if name not in reshaped]
    changed = [tensor for tensor in found if tensor.changed]
    return Tensors(
        equal=len(found) - len(changed),
        only_a=tuple(name for name in a if name not in b),
        only_b=tuple(name for name in b if name not in a),
        reshaped=layouts,
        changed=tuple(sorted(changed, key=lambda tensor: -np.nan_to_num(tensor.max_abs, nan=np.inf))),
    )


def _layout(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _compare(name: str, a: np.ndarray, b: np.ndarray) -> TensorChange:
    changed = np.atleast_1d((a != b) & ~((a != a) & (b != b)))  # noqa: PLR0124 - two NaN are no change
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(np.atleast_1d(a).astype(np.float64) - np.atleast_1d(b).astype(np.float64))[changed]
    return TensorChange(
        name=name, max_abs=apart.max() if apart.size else 0.0, changed=int(changed.sum()), size=a.size
    )


def _last_common_evaluation(a: Checkpoint, b: Checkpoint) -> LastEvaluation | None:
    first, second = (_evaluations(item) for item in (a, b))
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return None
    updates, env_steps = shared[-1]
    return LastEvaluation(updates=updates, env_steps=env_steps, a=first[shared[-1]], b=second[shared[-1]])


def _evaluations(checkpoint: Checkpoint) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the evaluations that were logged during training, by the counters they were made at."""
    found = {}
    for row in read_metrics(checkpoint.path / METRICS):
        result = {key: value for key, value in row.items() if key.startswith(_EVALUATION)}
        at = row.get("updates"), row.get("env_steps")
        if result and isinstance(at[0], int) and isinstance(at[1], int):
            found[at[0], at[1]] = result
    return found
