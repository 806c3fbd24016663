"""How an artifact came about, step by step, roots first: in words, and as commands where they are known."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from awaccli.artifacts.manifest import Recipe
from awaccli.errors import InputError
from awaccli.reports.chain import Chain, lookup, read_chain
from awaccli.reports.recipe_arguments import recipe_arguments
from awaccli.reports.verb_arguments import PREFIX, verb_arguments

_INPUT_FLAGS = {"policy": "--policy", "demos": "--demos", "data": "--data", "online": "--add-data"}
_EXPERT = "expert"
_SENTENCES: Mapping[str, str] = {
    "collect-demos": "{collect.episodes} episodes of the policy `{collect.policy}` were recorded",
    "bc-rollout": "a clone of the demonstrations was rolled out {rollout.episodes} times",
    "pretrain": "a policy was trained offline with `{algo}`",
    "finetune": "a policy was trained further, with {finetune.env_steps} steps of its environment",
    "finetune-online": "these are the episodes that a policy went through while it was trained further",
    "repair": "an unfinished run was sealed: what was committed was kept",
    "data-filter": "episodes were kept where `{where}`",
    "data-split": "episodes were split by {by}: this is the part `{part}`",
    "data-merge": "datasets were merged, in this order",
    "data-subsample": "a random part of the episodes was kept",
    "data-relabel": "rewards, successes, ends or goals were relabelled",
    "data-dedupe": "copies of episodes were dropped",
    "import": "recordings in another format were imported",
}


class Step(NamedTuple):
    """One artifact of the chain."""

    id: str
    name: str
    """Of its file where that is known, or the beginning of its id."""
    words: str
    command: str | None
    """None: no command is known to make it."""


def steps_to(path: Path) -> list[Step]:
    """Return how the artifact at ``path`` was made, itself last.

    Raises:
        InputError: not an artifact.
    """
    chain = read_chain(path)
    inputs = {
        child: [ref.id for ref in known.recipe.inputs if ref.id in chain.recipes]
        for child, known in chain.recipes.items()
    }
    return [_step(chain, identity) for identity in TopologicalSorter(inputs).static_order()]


def _step(chain: Chain, identity: str) -> Step:
    recipe, name = chain.recipes[identity].recipe, _name(chain, identity)
    is_plain = recipe.stage.startswith((PREFIX, "import", "repair")) and not recipe.seed
    seed = "" if is_plain else f", seed {recipe.seed}"
    return Step(identity, name, _sentence(recipe) + seed, _command(chain, identity, recipe))


def _sentence(recipe: Recipe) -> str:
    template = _SENTENCES.get(recipe.stage, f"`{recipe.stage}` with the settings {{}}")
    return re.sub(
        r"\{([\w.]*)\}",
        lambda match: str(lookup(recipe.settings, match[1])) if match[1] else json.dumps(recipe.settings),
        template,
    )


def _command(chain: Chain, identity: str, recipe: Recipe) -> str | None:
    name = _name(chain, identity)
    inputs = [(ref.role, _name(chain, ref.id)) for ref in recipe.inputs if ref.role != _EXPERT]
    try:
        if recipe.stage.startswith(PREFIX):
            words = ["data", recipe.stage.removeprefix(PREFIX), *(name for _, name in inputs)]
            words += verb_arguments(recipe)
        else:
            found = recipe_arguments(chain, identity)
            given = [word for role, path in inputs for word in (_INPUT_FLAGS.get(role), path) if word]
            words = [recipe.stage.removesuffix("-online"), *found.subject, *given, *found.rest]
    except (InputError, KeyError):
        return None
    part = recipe.settings.get("part")
    if recipe.stage == f"{PREFIX}split":
        name = Path(name).name.replace(f"-{part}.", ".")
    return shlex.join(["awac", *words, "-o", name])


def _name(chain: Chain, identity: str) -> str:
    found, known = chain.found.get(identity), chain.recipes.get(identity)
    if found:
        return found.path.name
    endings = {"dataset": ".zarr", "checkpoint": ".ckpt", "evaluation": ".json"}
    return identity[:12] + (endings[known.kind] if known else "")
