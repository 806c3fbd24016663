"""From the recipe of ``awac data VERB`` to the words of the command; inputs and outputs are the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from awaccli.artifacts.manifest import Recipe
from awaccli.errors import InputError

PREFIX = "data-"


def verb_arguments(recipe: Recipe) -> list[str]:
    """Return what follows the inputs of the command that makes what a recipe says.

    Raises:
        InputError: it is no recipe of a verb, or of a rule that only Python code knows.
    """
    settings = recipe.settings
    match recipe.stage.removeprefix(PREFIX):
        case "filter":
            words = [str(settings["where"])]
        case "split":
            words = _split(settings)
        case "subsample":
            names = (("episodes", "-n"), ("fraction", "--fraction"), ("stratify", "--stratify"))
            words = [
                w for name, flag in names if settings[name] is not None for w in (flag, str(settings[name]))
            ]
        case "relabel":
            words = _hindsight(settings) if "hindsight" in settings else _relabel(settings)
        case "merge" | "dedupe":
            words = []
        case _:
            raise InputError(f"was made by `{recipe.stage}`, which no command repeats")
    return [*words, *(["--seed", str(recipe.seed)] if recipe.seed else [])]


def _split(settings: Mapping[str, Any]) -> list[str]:
    words = ["--by", str(settings["by"])]
    if settings["by"] == "ratio":
        words = ["--ratio", ",".join(f"{share:g}" for share in settings["ratio"])]
    return words + (["--names", ",".join(settings["names"])] if "names" in settings else [])


def _relabel(settings: Mapping[str, Any]) -> list[str]:
    words = [] if settings["horizon"] is None else ["--horizon", str(settings["horizon"])]
    if (rule := settings["success"]) is not None:
        if "where" in rule:
            words += ["--success", str(rule["where"])]
        elif "task" in rule:
            words += ["--task", str(rule["task"])]
        else:
            raise InputError("was relabelled by a rule that only Python code knows")
    words += ["--binary"] if settings["binary"] else []
    for name, usual in (("scale", 1.0), ("shift", 0.0)):
        words += [f"--reward-{name}", str(settings[name])] if settings[name] != usual else []
    return words + ([] if settings["keep_before"] else ["--drop-before"])


def _hindsight(settings: Mapping[str, Any]) -> list[str]:
    words = ["--hindsight", f"future:{settings['hindsight']}"]
    for name in ("achieved", "desired"):
        usual = [f"{name}_goal"]
        words += [f"--{name}", ",".join(settings[name])] if settings[name] != usual else []
    rule = settings["rule"]
    if "task" in rule and rule["task"] is None:
        words += ["--goal-reward", "env"]
    elif "task" in rule or "threshold" not in rule:
        raise InputError("has goals by the rule of another task, or of Python code")
    return words + ([] if rule["threshold"] is None else ["--goal-threshold", str(rule["threshold"])])
