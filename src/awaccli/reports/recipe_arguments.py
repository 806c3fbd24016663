"""From a recipe to the arguments of the command that follows it; inputs and outputs are the caller's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from awaccli.artifacts.manifest import Recipe
from awaccli.config.algorithms import default_preset, inherited_settings, own_preset, section_of
from awaccli.config.resolve import preset_names, resolve, setting_names
from awaccli.config.task import TaskSpec
from awaccli.config.versions import STAGE_VERSIONS
from awaccli.errors import InputError, UsageError
from awaccli.reports.chain import Chain, lookup
from awaccli.reports.reward_kinds import reward_kinds

_FLAGS = {
    "collect.episodes": "-n",
    "collect.policy": "--policy",
    "collect.actions": "--actions",
    "collect.noise": "--noise",
    "rollout.episodes": "-n",
    "rollout.actions": "--actions",
    "bc.updates": "--updates",
    "pretrain.updates": "--updates",
    "finetune.env_steps": "--env-steps",
    "finetune.updates": "--updates",
    "evaluate.episodes": "-n",
    "evaluate.actions": "--actions",
    "awac.lam": "--lam",
}
"""Settings with a flag that reads better than ``--set``; each means the same in every command that has it."""


_FINE_TUNING = ("finetune", "finetune-online")
"""Stages of the one command that goes on from a checkpoint: of what it makes, and of its episodes."""


class _Start(NamedTuple):
    """What a command starts from by itself; arguments of ``resolve``."""

    default: str | None
    inherited: list[tuple[str, dict[str, Any]]]


class Arguments(NamedTuple):
    """Of one command."""

    doubt: str | None
    """Whose code would run that only the artifact's maker may trust, as a sentence."""

    subject: list[str]
    """What comes first: the task, where the command has one."""
    rest: list[str]
    """Everything that differs from what the command would do by itself."""
    description: str = ""
    """Text of a file that goes with the command, behind ``--map``."""


def recipe_arguments(chain: Chain, identity: str) -> Arguments:
    """Return how a command is told to follow the recipe of one artifact of a chain.

    Raises:
        InputError: no command of this version does; says why, as the rest of a sentence about the artifact.
    """
    recipe = chain.recipe(identity)
    if recipe is None:
        raise InputError("is of unknown origin")
    if recipe.stage == "repair":
        raise InputError("was repaired: it is what an interrupted run left, and no command stops there again")
    if recipe.stage not in STAGE_VERSIONS:
        raise InputError(f"was made by `{recipe.stage}`, which no command repeats")
    require_version(recipe, STAGE_VERSIONS[recipe.stage])
    subject, task = _task_arguments(chain, recipe)
    algo, usual = lookup(recipe.settings, "algo"), _usual_algorithm(chain, recipe)
    named = ["--algo", str(algo)] if usual is not None and algo != usual else []
    seed = ["--seed", str(recipe.seed)] if recipe.seed else []
    return Arguments(
        _doubt(chain, recipe), subject, [*named, *task, *_settings_arguments(chain, recipe), *seed]
    )


def _usual_algorithm(chain: Chain, recipe: Recipe) -> str | None:
    """Return the algorithm of a training that names none; None: the command has no such choice."""
    if recipe.stage in _FINE_TUNING:
        return str(lookup(_checkpoint_settings(chain, recipe), "algo"))
    return "awac" if recipe.stage == "pretrain" else None


def _checkpoint_settings(chain: Chain, recipe: Recipe) -> Mapping[str, Any]:
    """Return the settings of the checkpoint that a recipe goes on from; empty where it has none."""
    start = next((ref.id for ref in recipe.inputs if ref.role == "checkpoint"), None)
    before = chain.recipe(start) if start is not None else None
    return before.settings if before else {}


def require_version(recipe: Recipe, version: int) -> None:
    """Check that the stage of this awac is the one that a recipe is of.

    Raises:
        InputError: it is another; says so as the rest of a sentence about the artifact.
    """
    if recipe.version != version:
        raise InputError(
            f"was made by version {recipe.version} of {recipe.stage}; this awac has version {version}"
        )


def _doubt(chain: Chain, recipe: Recipe) -> str | None:
    """Return what speaks against following a recipe that names an environment or a policy."""
    policy = str(lookup(recipe.settings, "collect.policy"))
    if not recipe.inputs and ":" in policy:
        return f"`{chain.path}` names the policy `{policy}`: loading it could run its author's code"
    return task_doubt(chain, _spec(recipe)) if "task" in recipe.settings else None


def task_doubt(chain: Chain, task: TaskSpec) -> str | None:
    """Return what speaks against making the environment of a task that a recipe of the chain names."""
    from awaccli.envs.trust import require_trusted

    try:
        require_trusted(task, chain.path, trust_env=False)
    except InputError as error:
        return str(error)
    return None


def _task_arguments(chain: Chain, recipe: Recipe) -> tuple[list[str], list[str]]:
    """Return the task of a recipe that has one: as the command's subject, and its flags."""
    if recipe.stage == "collect-demos":
        spec = _spec(recipe)
        _require_expert(recipe, spec)
        text, flags = spelled(spec)
        return [text], flags
    if recipe.stage == "eval" and _spec(recipe) != chain.manifest.task:
        text, flags = spelled(_spec(recipe))
        return [], ["--task", text, *flags]
    return [], []


def spelled(spec: TaskSpec) -> tuple[str, list[str]]:
    """Return a task as a TASK argument and the flags that complete it.

    Raises:
        InputError: no command line can name it.
    """
    from awaccli.envs.registry import resolve_task, task_text

    text = task_text(spec)
    if text is None or any("," in key for key in spec.obs_keys or ()):
        raise InputError(f"has the task `{spec.name}`, which no command line can name")
    flags = ["--env-kwargs", json.dumps(spec.kwargs)] if spec.kwargs else []
    if spec.horizon is not None and (text != spec.name or spec.horizon != resolve_task(text).horizon):
        flags += ["--horizon", str(spec.horizon)]
    if spec.obs_keys:
        flags += ["--obs-keys", ",".join(spec.obs_keys)]
    if spec.success_key != TaskSpec.model_fields["success_key"].default:
        flags += ["--success-key", spec.success_key]
    return text, flags


def _spec(recipe: Recipe) -> TaskSpec:
    try:
        return TaskSpec.model_validate(recipe.settings.get("task"))
    except ValidationError as error:
        raise InputError("has a recipe without a valid task") from error


def _require_expert(recipe: Recipe, spec: TaskSpec) -> None:
    from awaccli.envs.experts import expert_id, find_expert

    wanted = [ref.id for ref in recipe.inputs if ref.role == "expert"]
    file = find_expert(spec.env_id)
    if wanted and (file is None or [expert_id(file)] != wanted):
        raise InputError(f"was recorded from an expert {wanted[0][:12]} that this awac does not have")


def _settings_arguments(chain: Chain, recipe: Recipe) -> list[str]:
    recorded = {name: value for name, value in recipe.settings.items() if name not in ("algo", "task")}
    if recipe.inputs and isinstance(recorded.get("collect"), dict):  # its policy is an input, not a setting
        recorded["collect"] = recorded["collect"] | {"policy": "expert"}
    try:
        starts = _starts(chain, recipe)
        tried = [(preset, _changed(recorded, starts, preset)) for preset in (None, *preset_names())]
        preset, changed = min(tried, key=lambda pair: len(pair[1]) + (pair[0] is not None))
        assignments = [f"{name}={value}" for name, value in changed.items()]
        found = _resolved(starts, preset, assignments)
    except UsageError as error:
        raise InputError(f"has settings that this awac refuses: {error}") from error
    for again in found:
        for section, values in recorded.items():
            if again.get(section) != values:
                raise InputError(f"has settings `{section}` of another version of awac")
    named = ["--preset", preset] if preset else []
    return [*named, *(word for name, value in changed.items() for word in _words(name, value))]


def _resolved(starts: list[_Start], preset: str | None, assignments: list[str]) -> list[dict[str, Any]]:
    """Return what a preset and assignments make of each start."""
    found = [resolve(**start._asdict(), preset=preset, assignments=assignments) for start in starts]
    return [resolved.settings.model_dump(mode="json") for resolved in found]


def _changed(recorded: Mapping[str, Any], starts: list[_Start], preset: str | None) -> dict[str, str]:
    """Return recorded settings that a preset does not give by itself, as ``--set`` writes their values."""
    usual = _resolved(starts, preset, [])
    values = {name: lookup(recorded, name) for name in setting_names() if name.partition(".")[0] in recorded}
    return {
        name: _text(value)
        for name, value in values.items()
        if any(lookup(settings, name) != value for settings in usual)
    }


def _words(name: str, value: str) -> list[str]:
    return [_FLAGS[name], value] if name in _FLAGS else ["--set", f"{name}={value}"]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _inherited(chain: Chain, recipe: Recipe, algo: str) -> list[tuple[str, dict[str, Any]]]:
    settings = _checkpoint_settings(chain, recipe)
    before = str(lookup(settings, "algo"))
    section = lookup(settings, section_of(before))
    if not isinstance(section, dict) or "network" not in section:
        raise InputError("goes on from a checkpoint without settings")
    return inherited_settings(algo, before, section)


def _starts(chain: Chain, recipe: Recipe) -> list[_Start]:
    """Return what the command starts from by itself: the same as its own file in ``cli``.

    There are several where the reward of the data, and with it the default preset, is not known before they
    are made; what then differs from one of them must be said.
    """
    if recipe.stage in ("collect-demos", "eval"):
        return [_Start(None, [])]
    first = next((ref.id for ref in recipe.inputs if ref.role in ("demos", "data")), "")
    algo = str(lookup(recipe.settings, "algo"))
    inherited = _inherited(chain, recipe, algo) if recipe.stage in _FINE_TUNING else own_preset(algo)
    return [_Start(default_preset(algo, kind), inherited) for kind in reward_kinds(chain, first)]
