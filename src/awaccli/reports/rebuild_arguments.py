"""From the recipe of any artifact to the words of the command that makes it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from awaccli.artifacts.manifest import Recipe
from awaccli.reports.chain import Chain
from awaccli.reports.import_arguments import STAGE as IMPORT
from awaccli.reports.import_arguments import description_text, import_arguments, import_settings
from awaccli.reports.recipe_arguments import Arguments, recipe_arguments, task_doubt
from awaccli.reports.verb_arguments import PREFIX, goal_task, verb_arguments


def rebuild_arguments(chain: Chain, identity: str, folders: Sequence[Path]) -> Arguments:
    """Return how a command is told to make one artifact of a chain again.

    Args:
        chain: read from the artifact that is wanted.
        identity: of what is to be made.
        folders: where files of other formats may be.

    Raises:
        InputError: no command can; says why, as the rest of a sentence about the artifact.
    """
    recipe = chain.recipe(identity)
    if recipe and recipe.stage.startswith(PREFIX):
        return _of_verb(chain, recipe)
    if recipe and recipe.stage == IMPORT:
        return _of_import(chain, identity, recipe, folders)
    return recipe_arguments(chain, identity)


def _of_verb(chain: Chain, recipe: Recipe) -> Arguments:
    words, task = verb_arguments(recipe), goal_task(recipe)
    return Arguments(task_doubt(chain, task) if task else None, [], words)


def _of_import(chain: Chain, identity: str, recipe: Recipe, folders: Sequence[Path]) -> Arguments:
    from awaccli.reports.foreign_files import described_by, find_foreign

    words, task, robot = import_arguments(recipe), import_settings(recipe).task, described_by(recipe)
    return Arguments(
        task_doubt(chain, task) if task else None,
        [str(find_foreign(chain, identity, folders))],
        words,
        description_text(robot) if robot else "",
    )
