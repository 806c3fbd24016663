"""The chain that an artifact comes from: recipes out of its manifest, and which ancestors are on disk."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

from awaccli.artifacts.commit import begun_in
from awaccli.artifacts.manifest import Ancestor, InputRef, Kind, Manifest, Recipe, Run, read_manifest
from awaccli.errors import InputError
from awaccli.seeding import integer

_PARENT_SUFFIXES = (".zarr", ".h5", ".hdf5", ".ckpt")
_ANY_VERSION = 0
CLONE, COLLECTED, ANCESTOR = "clone", "collected", "ancestor"
"""Roles of parents that are no inputs of a recipe."""


class Found(NamedTuple):
    """An artifact of the chain that is on disk."""

    path: Path
    manifest: Manifest


class Link(NamedTuple):
    """What one artifact was for another."""

    parent: str
    child: str
    role: str
    """The role in the child's recipe, or one of the three above."""


class Companion(NamedTuple):
    """What a command commits beside its main output."""

    id: str
    role: str
    ending: str
    """Of its name, after the stem of the main output."""


@dataclass(frozen=True)
class Chain:
    """An artifact with the recipes of all that led to it, by content id."""

    path: Path
    manifest: Manifest
    recipes: dict[str, Ancestor]
    """Of the artifact itself too; an id that only occurs as an input is of unknown origin."""
    found: dict[str, Found]

    def recipe(self, identity: str) -> Recipe | None:
        """Return how an artifact was made, or None where that is not known."""
        known = self.recipes.get(identity)
        return known.recipe if known else None

    def companions(self, identity: str) -> list[Companion]:
        """Return what the command of an artifact commits beside it; none of it is an input of the recipe."""
        recipe = self.recipe(identity)
        if recipe and recipe.stage == "bc-rollout":
            return [
                Companion(found, CLONE, f"-bc-{number}.ckpt" if number else "-bc.ckpt")
                for number, wanted in enumerate(_clone_recipes(recipe, len(self.recipes)))
                for found in self._like(wanted)
            ]
        if recipe and recipe.stage == "finetune":
            wanted = recipe.model_copy(update={"stage": "finetune-online"})
            return [Companion(found, COLLECTED, "-online.zarr") for found in self._like(wanted)]
        return []

    def links(self) -> list[Link]:
        """Return every connection, parents of one child in the order of its recipe."""
        links = []
        for child, known in self.recipes.items():
            links += [Link(ref.id, child, ref.role) for ref in known.recipe.inputs]
            links += [Link(beside.id, child, beside.role) for beside in self.companions(child)]
        used = {link.parent for link in links} | {self.manifest.id}
        links += [Link(alone, self.manifest.id, ANCESTOR) for alone in self.recipes if alone not in used]
        return list(dict.fromkeys(links))

    def _like(self, recipe: Recipe) -> list[str]:
        """Return what was made by a recipe, in any version of its stage, from the very same inputs."""
        inputs = [ref.id for ref in recipe.inputs]
        alike = self._by_recipe[_fingerprint(recipe)]
        return [known for known in alike if [ref.id for ref in self.recipes[known].recipe.inputs] == inputs]

    @cached_property
    def _by_recipe(self) -> dict[str, list[str]]:
        ids = defaultdict(list)
        for identity, known in self.recipes.items():
            ids[_fingerprint(known.recipe)].append(identity)
        return ids


def read_chain(path: Path, parents: Path | None = None) -> Chain:
    """Read the lineage of the artifact at ``path`` and look for its ancestors.

    An ancestor is where the manifest of an artifact that was found remembers it, or beside the artifact, or
    in the folder ``parents``; its content id decides, from its manifest alone.

    Raises:
        InputError: not an artifact, no such folder, or recipes that need themselves.
    """
    if parents is not None and not parents.is_dir():
        raise InputError(f"the folder `{parents}` does not exist", hint="--parents names where to look")
    return _chain(path, read_manifest(path), parents)


def begun_chain(path: Path) -> Chain | None:
    """Return the chain of an unfinished run, ``X.part``, or None where that cannot be read.

    It has no content id yet: its recipe key stands for it.
    """
    begun = begun_in(path)
    if begun is None:
        return None
    recipe = begun.recipe
    kind: Kind = "checkpoint" if path.stem.endswith(".ckpt") else "dataset"
    run = Run(started="", wall_s=0, versions={}, platform="", execution={})
    manifest = Manifest(
        kind=kind,
        id=recipe.key,
        task=None,
        content={},
        files=(),
        recipe=recipe,
        ancestors=begun.ancestors,
        run=run,
    )
    return _chain(path, manifest, None)


def _chain(path: Path, manifest: Manifest, parents: Path | None) -> Chain:
    found = _find(path, manifest, [path.absolute().parent, *([parents] if parents else [])])
    recipes: dict[str, Ancestor] = {}
    for _, known in found.values():  # the artifact itself is the first
        recipes = known.lineage() | recipes
    chain = Chain(path, manifest, recipes, found)
    _require_order(chain)
    return chain


def _require_order(chain: Chain) -> None:
    inputs = {child: [ref.id for ref in known.recipe.inputs] for child, known in chain.recipes.items()}
    try:
        TopologicalSorter(inputs).prepare()
    except CycleError as error:
        circle = " from ".join(identity[:12] for identity in error.args[1])
        raise InputError(
            f"the lineage of `{chain.path}` is a circle: {circle}", hint="nobody can have made such a thing"
        ) from error


def _find(path: Path, manifest: Manifest, folders: list[Path]) -> dict[str, Found]:
    found = {manifest.id: Found(path, manifest)}
    wanted = _ids(manifest)
    _follow_hints(found, [manifest.id], wanted)
    for folder in folders:
        if wanted <= found.keys():
            break
        for candidate in sorted(folder.glob("*")):
            known = _manifest_at(candidate)
            if known and known.id in wanted and known.id not in found:
                found[known.id] = Found(shown(candidate), known)
                _follow_hints(found, [known.id], wanted)
    return found


def _follow_hints(found: dict[str, Found], queue: list[str], wanted: set[str]) -> None:
    """Look where artifacts remember their inputs, and their inputs', and so on."""
    while queue:
        path, manifest = found[queue.pop()]
        wanted |= _ids(manifest)
        for identity, hint in manifest.run.paths.items():
            candidate = Path(os.path.normpath(path.absolute().parent / hint))
            known = _manifest_at(candidate) if identity not in found else None
            if known and known.id == identity:
                found[identity] = Found(shown(candidate), known)
                queue.append(identity)


def _ids(manifest: Manifest) -> set[str]:
    recipes = manifest.lineage()
    return recipes.keys() | {ref.id for known in recipes.values() for ref in known.recipe.inputs}


def _manifest_at(path: Path) -> Manifest | None:
    if path.suffix not in _PARENT_SUFFIXES or not (path.is_dir() or path.is_file()):
        return None
    try:
        return read_manifest(path)
    except InputError:
        return None


def shown(path: Path) -> Path:
    """Return a path as a person in the current folder would write it."""
    plain, here = Path(os.path.normpath(path.absolute())), Path.cwd()
    return plain.relative_to(here) if plain.is_relative_to(here) else Path(os.path.normpath(path))


def _clone_recipes(rollout: Recipe, limit: int) -> Iterator[Recipe]:
    """Yield the recipes of a rollout's clones; there are no more than ``limit``."""
    demos = [ref for ref in rollout.inputs if ref.role == "demos"]
    settings = {name: value for name, value in rollout.settings.items() if name in ("algo", "bc")}
    count = lookup(rollout.settings, "rollout.bc_seeds")
    for number in range(min(count, limit) if isinstance(count, int) else 0):
        yield Recipe(
            stage="pretrain",
            version=_ANY_VERSION,
            settings=settings,
            seed=rollout.seed if number == 0 else integer(rollout.seed, "clone", number),
            inputs=tuple(InputRef(role="data", id=ref.id, key=ref.key) for ref in demos),
        )


def _fingerprint(recipe: Recipe) -> str:
    return recipe.model_copy(update={"version": _ANY_VERSION}).key


def lookup(settings: Mapping[str, Any], name: str) -> Any:
    """Return a recorded setting by its dotted name, or None where there is none."""
    value: Any = dict(settings)
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
