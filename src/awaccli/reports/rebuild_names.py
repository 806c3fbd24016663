"""What commands are called, and what they make."""

from __future__ import annotations

from awaccli.artifacts.manifest import Recipe
from awaccli.reports.import_arguments import STAGE as IMPORT
from awaccli.reports.verb_arguments import PREFIX

SPLIT = f"{PREFIX}split"
_NAMES = {
    "collect-demos": "demos.zarr",
    "bc-rollout": "rollouts.zarr",
    "pretrain": "pretrained.ckpt",
    "finetune": "finetuned.ckpt",
    "finetune-online": "finetuned.ckpt",  # the checkpoint that the same command makes
    "eval": "result.json",
    "import": "imported.zarr",
    "data-filter": "filtered.zarr",
    "data-split": "split.zarr",  # the beginning of the names of its parts
    "data-merge": "merged.zarr",
    "data-subsample": "subsampled.zarr",
    "data-relabel": "relabelled.zarr",
    "data-dedupe": "distinct.zarr",
}
"""How the main output of a stage's command is called."""


def plain_name(recipe: Recipe) -> str:
    """Return a file name for what a command makes, or for the main one of several."""
    if recipe.stage == "pretrain" and recipe.settings.get("algo") == "bc":
        return "clone.ckpt"
    if recipe.stage == "data-relabel" and "hindsight" in recipe.settings:
        return "hindsight.zarr"
    return _NAMES[recipe.stage]


def command_name(stage: str) -> list[str]:
    """Return the words that call the command of a stage."""
    if stage == IMPORT or stage.startswith(PREFIX):
        return ["data", stage.removeprefix(PREFIX)]
    return [stage.removesuffix("-online")]


def without_part(recipe: Recipe) -> Recipe:
    """Return the recipe that all parts of a split share."""
    settings = {name: value for name, value in recipe.settings.items() if name != "part"}
    return recipe.model_copy(update={"settings": settings})
