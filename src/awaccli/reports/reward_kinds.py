"""The kind of reward that a dataset of a chain has, also where the dataset itself is gone."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from awaccli.artifacts.manifest import Recipe
from awaccli.config.task import TaskSpec
from awaccli.errors import InputError
from awaccli.reports.chain import Chain, lookup

Kinds = tuple[str, ...]
"""One, or both where it is not known."""
_BOTH = ("dense", "binary")
_ROLLED_OUT = ("bc-rollout", "finetune-online")


def reward_kinds(chain: Chain, identity: str) -> Kinds:
    """Return what the rewards of a dataset can be: of the dataset if it is on disk, else by the recipes."""
    while recipe := chain.recipe(identity):
        if recipe.stage == "collect-demos":
            return _of_task(recipe.settings.get("task"))
        if recipe.stage in _ROLLED_OUT:  # in the environment of the data it comes from
            return _of_task(_environment(chain, identity))
        if known := _on_disk(chain, identity) or _relabelled(recipe):
            return known
        if not (recipe.stage.startswith("data-") and recipe.inputs):
            return _BOTH
        identity = recipe.inputs[0].id
    return _on_disk(chain, identity) or _BOTH


def _relabelled(recipe: Recipe) -> Kinds:
    """Return what relabelled rewards are, or nothing where they are what they were."""
    settings = recipe.settings
    if recipe.stage != "data-relabel" or "hindsight" in settings:
        return ()
    if (settings.get("scale"), settings.get("shift")) != (1.0, 0.0):
        return ("dense",)
    if settings.get("binary"):
        return ("binary",)
    return _BOTH if settings.get("success") is not None else ()  # it depends on what the rule was before


def _environment(chain: Chain, identity: str) -> Any:
    """Return the task, as recorded, whose environment made what a dataset goes back to."""
    while recipe := chain.recipe(identity):
        task = recipe.settings.get("task") or lookup(recipe.settings, "import.task")
        if task is not None:
            return task
        found = chain.found.get(identity)
        if found and found.manifest.task:
            return found.manifest.task.model_dump()
        identity = next((ref.id for ref in recipe.inputs if ref.role in ("demos", "data")), "")
    found = chain.found.get(identity)
    return found.manifest.task.model_dump() if found and found.manifest.task else None


def _of_task(task: Any) -> Kinds:
    try:
        return ("binary" if TaskSpec.model_validate(task).binary_reward else "dense",)
    except ValidationError:
        return _BOTH


def _on_disk(chain: Chain, identity: str) -> Kinds:
    found = chain.found.get(identity)
    if found is None or found.manifest.kind != "dataset":
        return ()
    from awaccli.data.schema import Header
    from awaccli.data.stores import open_store

    try:
        header = Header.from_json(open_store(found.path).attributes(), origin=str(found.path))
    except InputError:
        return ()
    return (header.task.reward_kind,)
