"""Datasets, the main object: schema, reading, writing, verbs that make new ones, and the replay buffer.

The verbs are importable from here; each is loaded when first asked for. Those that change data return a
`Derivation`: ``filtered(demos, "success").write(Path("good.zarr"))``. What needs an environment too (replay,
import, export) is a stage: ``from awaccli import replay``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "open_dataset": "awaccli.data.dataset",
    "Dataset": "awaccli.data.dataset",
    "Writer": "awaccli.data.writer",
    "commit_dataset": "awaccli.data.writer",
    "Header": "awaccli.data.schema",
    "Source": "awaccli.data.schema",
    "Credits": "awaccli.data.schema",
    "read_foreign": "awaccli.data.formats.registry",
    "ImportSettings": "awaccli.data.import_settings",
    "Derivation": "awaccli.data.derivation",
    "filtered": "awaccli.data.filter",
    "episode_columns": "awaccli.data.filter",
    "split_by_ratio": "awaccli.data.split",
    "split_by_source": "awaccli.data.split",
    "split_as_stored": "awaccli.data.split",
    "merged": "awaccli.data.merge",
    "subsampled": "awaccli.data.subsample",
    "relabelled": "awaccli.data.relabel",
    "Relabelling": "awaccli.data.relabel",
    "SuccessRule": "awaccli.data.relabel",
    "success_where": "awaccli.data.relabel",
    "with_hindsight": "awaccli.data.hindsight",
    "goal_within": "awaccli.data.hindsight",
    "GoalRule": "awaccli.data.hindsight",
    "deduplicated": "awaccli.data.dedupe",
    "duplicates": "awaccli.data.dedupe",
    "converted": "awaccli.data.convert",
    "dataset_stats": "awaccli.data.stats",
    "dataset_distributions": "awaccli.data.distributions",
    "validated": "awaccli.data.validate",
    "Validation": "awaccli.data.validate",
    "open_certificate": "awaccli.data.certificate",
    "Certificate": "awaccli.data.certificate",
}
__all__ = sorted(_EXPORTS)  # noqa: PLE0605 - PEP 562


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_EXPORTS]
