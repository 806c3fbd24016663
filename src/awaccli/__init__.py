"""awac: a few demonstrations in, a competent robot policy out, every step a file you can check.

The stages and what they exchange are importable from here; each is loaded when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "collect_demos": "awaccli.stages.collect_demos",
    "bc_rollout": "awaccli.stages.bc_rollout",
    "pretrain": "awaccli.stages.pretrain",
    "finetune": "awaccli.stages.finetune",
    "evaluate": "awaccli.stages.evaluate",
    "evaluate_offline": "awaccli.stages.offline_evaluation",
    "find_training_data": "awaccli.stages.finding",
    "import_data": "awaccli.stages.import_data",
    "export_data": "awaccli.stages.export_data",
    "replay": "awaccli.stages.replay",
    "ReplaySettings": "awaccli.stages.replay",
    "hand_success": "awaccli.stages.relabel",
    "environment_goals": "awaccli.stages.relabel",
    "validated": "awaccli.data.validate",
    "open_checkpoint": "awaccli.artifacts.checkpoint",
    "open_dataset": "awaccli.data.dataset",
    "open_evaluation": "awaccli.data.evaluation",
    "resolve_task": "awaccli.envs.registry",
    "resolve": "awaccli.config.resolve",
    "Settings": "awaccli.config.tree",
    "CollectSettings": "awaccli.config.settings",
    "EvaluateSettings": "awaccli.config.settings",
    "Execution": "awaccli.config.settings",
    "Existing": "awaccli.artifacts.commit",
    "claimed": "awaccli.artifacts.commit",
    "Clock": "awaccli.artifacts.manifest",
    "Recipe": "awaccli.artifacts.manifest",
    "TaskFacts": "awaccli.config.task",
    "TaskSpec": "awaccli.config.task",
    "Episode": "awaccli.episode",
    "EndReason": "awaccli.episode",
}
__all__ = sorted(_EXPORTS)  # noqa: PLE0605 - PEP 562


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_EXPORTS]
