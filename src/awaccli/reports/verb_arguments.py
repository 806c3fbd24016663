"""From the recipe of ``awac data VERB`` to the words of the command; inputs and outputs are the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from awaccli.artifacts.manifest import Recipe
from awaccli.config.task import TaskSpec
from awaccli.config.versions import VERB_VERSION
from awaccli.errors import InputError
from awaccli.reports.recipe_arguments import require_version, spelled

PREFIX = "data-"
_BY_PYTHON = "was relabelled by a rule that only Python code knows"


def verb_arguments(recipe: Recipe) -> list[str]:
    """Return what follows the inputs of the command that makes what a recipe says.

    Raises:
        InputError: it is no recipe of a verb, or of a rule that only Python code knows.
    """
    try:
        words = _words(recipe)
    except (KeyError, TypeError) as error:
        raise InputError(f"has settings of `{recipe.stage}` that this awac does not read") from error
    require_version(recipe, VERB_VERSION)
    return [*words, *(["--seed", str(recipe.seed)] if recipe.seed else [])]


def goal_task(recipe: Recipe) -> TaskSpec | None:
    """Return the task that the user named to take rewards of goals from; None: no other than the data's."""
    rule = recipe.settings.get("rule")
    if recipe.stage != f"{PREFIX}relabel" or not isinstance(rule, dict) or rule.get("task") is None:
        return None
    try:
        return TaskSpec.model_validate(rule["task"])
    except ValidationError as error:
        raise InputError("has a recipe without a valid task") from error


def part_of(recipe: Recipe) -> str:
    """Return which part of a split a recipe makes: a piece of a file name.

    Raises:
        InputError: it could not be one.
    """
    part = str(recipe.settings.get("part"))
    if Path(part).name != part:
        raise InputError(f"is the part `{part}` of a split, which no file can be called")
    return part


def _words(recipe: Recipe) -> list[str]:
    settings = recipe.settings
    match recipe.stage.removeprefix(PREFIX):
        case "filter":
            where = str(settings["where"])
            return [f" {where}" if where.startswith("-") else where]  # a flag begins like that
        case "split":
            return _split(recipe)
        case "subsample":
            flags = (("episodes", "-n"), ("fraction", "--fraction"), ("stratify", "--stratify"))
            given = [(flag, settings[name]) for name, flag in flags if settings[name] is not None]
            return [word for flag, value in given for word in (flag, str(value))]
        case "relabel":
            return _hindsight(recipe) if "hindsight" in settings else _relabel(settings)
        case "merge" | "dedupe":
            return []
        case _:
            raise InputError(f"was made by `{recipe.stage}`, which no command repeats")


def _split(recipe: Recipe) -> list[str]:
    settings = recipe.settings
    part_of(recipe)
    if any("," in name for name in settings.get("names", [])):
        raise InputError("is of splits whose names hold a comma: no command line can name them")
    words = ["--by", str(settings["by"])]
    if settings["by"] == "ratio":
        words = ["--ratio", ",".join(map(str, settings["ratio"]))]
    return words + (["--names", ",".join(settings["names"])] if "names" in settings else [])


def _relabel(settings: Mapping[str, Any]) -> list[str]:
    words = [] if settings["horizon"] is None else ["--horizon", str(settings["horizon"])]
    if (rule := settings["success"]) is not None:
        if "where" in rule:
            words += ["--success", str(rule["where"])]
        elif "task" in rule:
            words += ["--task", str(rule["task"])]
        else:
            raise InputError(_BY_PYTHON)
    words += ["--binary"] if settings["binary"] else []
    for name, usual in (("scale", 1.0), ("shift", 0.0)):
        words += [f"--reward-{name}", str(settings[name])] if settings[name] != usual else []
    return words + ([] if settings["keep_before"] else ["--drop-before"])


def _hindsight(recipe: Recipe) -> list[str]:
    settings = recipe.settings
    words = ["--hindsight", f"future:{settings['hindsight']}"]
    for name in ("achieved", "desired"):
        usual = [f"{name}_goal"]
        words += [f"--{name}", ",".join(settings[name])] if settings[name] != usual else []
    rule = settings["rule"]
    if "task" in rule:
        words += ["--goal-reward", "env", *_task(recipe)]
    elif "threshold" not in rule:
        raise InputError(_BY_PYTHON)
    return words + ([] if rule["threshold"] is None else ["--goal-threshold", str(rule["threshold"])])


def _task(recipe: Recipe) -> list[str]:
    task = goal_task(recipe)
    if task is None:
        return []
    text, flags = spelled(task)
    if flags:
        raise InputError(f"has goals by the rule of the task `{task.name}`, which no command line can name")
    return ["--task", text]
