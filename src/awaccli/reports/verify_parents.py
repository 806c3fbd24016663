"""Where an artifact comes from: its chain of recipes, and its parents themselves where they are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from awaccli.artifacts.manifest import InputRef, Manifest, Recipe, read_manifest
from awaccli.errors import InputError
from awaccli.reports.chain import shown
from awaccli.reports.verify_checks import Checks, short

_EXPERT = "expert"
"""Role of the policies that ship with the package: they are no artifacts."""
_SUFFIXES = frozenset({".zarr", ".h5", ".hdf5", ".ckpt"})


def check_recipe(checks: Checks, manifest: Manifest) -> None:
    """Add whether every recipe that the artifact rests on is there, with the key that its child recorded."""
    recipe = manifest.recipe
    made = f"{recipe.stage}, seed {recipe.seed}, key {short(recipe.key)}"
    checks.none_of(
        "recipe", _recipe_faults(manifest), f"{made}; ancestors with their recipes: {len(manifest.ancestors)}"
    )


def _recipe_faults(manifest: Manifest) -> Iterator[str]:
    yield from _broken_links("it", manifest.recipe, manifest)
    for identity, ancestor in manifest.ancestors.items():
        yield from _broken_links(f"its ancestor {short(identity)}", ancestor.recipe, manifest)
    imported = str(manifest.recipe.settings.get("sha256"))  # of the file that it was made of
    for identity in manifest.run.paths.keys() - manifest.ancestors.keys() - {imported}:
        yield f"it remembers where {short(identity)} was, which is no ancestor of it"


def _broken_links(who: str, recipe: Recipe, manifest: Manifest) -> Iterator[str]:
    for reference in recipe.inputs:
        if reference.role == _EXPERT:
            continue
        found = manifest.ancestors.get(reference.id)
        if found is None:
            yield f"{who} was made from {reference.role} {short(reference.id)}, whose recipe is not kept"
        elif found.recipe.key != reference.key:
            yield (
                f"{who} was made from {reference.role} {short(reference.id)} with recipe "
                f"{short(reference.key)}, but the recipe kept for it is {short(found.recipe.key)}"
            )


class Shelf:
    """Artifacts that may be parents, by id; each folder is looked into once."""

    def __init__(self) -> None:
        self._folders: dict[Path, list[tuple[Path, Manifest]]] = {}

    def find(self, parent: InputRef, folder: Path) -> Path | None:
        """Return the artifact in ``folder`` with this content and recipe, or None."""
        if folder not in self._folders:
            found = ((path, _manifest_at(path)) for path in sorted(folder.glob("*")))
            self._folders[folder] = [(path, manifest) for path, manifest in found if manifest]
        known = self._folders[folder]
        return next((path for path, manifest in known if _is(manifest, parent)), None)


def _manifest_at(path: Path) -> Manifest | None:
    """Return the manifest of what may be a parent, or None."""
    if path.suffix not in _SUFFIXES or not (path.is_dir() or path.is_file()):
        return None
    try:
        return read_manifest(path)
    except InputError:
        return None


def _is(manifest: Manifest, parent: InputRef) -> bool:
    return (manifest.id, manifest.recipe.key) == (parent.id, parent.key)


def check_parents(
    checks: Checks, path: Path, manifest: Manifest, *, shelf: Shelf, folder: Path | None
) -> list[Path]:
    """Add, for every parent, whether it is there; return where those are that were found.

    A parent that is nowhere is a fault only where ``folder`` was named to hold it: artifacts are often passed
    on alone.
    """
    beside = path.absolute().parent
    found = []
    for parent in parents_of(manifest):
        what, hint = f"{parent.role} {short(parent.id)}", manifest.run.paths.get(parent.id)
        remembered = shown(beside / hint) if hint else None
        place = remembered if remembered and _holds(remembered, parent) else None
        for other in (beside, folder):
            place = place or (shelf.find(parent, other) if other else None)
        if place:
            found.append(shown(place))
            checks.note("parent", f"{what} is `{shown(place)}`")
        elif remembered and (remembered.is_dir() or remembered.is_file()):
            checks.fail("parent", f"{what} is not what lies where it was: {_instead(remembered, parent)}")
        elif folder:
            checks.fail("parent", f"{what} is neither where it was, nor beside `{path}`, nor in `{folder}`")
        else:
            checks.note("parent", f"{what} is absent; its recipe is kept")
    return found


def _holds(path: Path, parent: InputRef) -> bool:
    manifest = _manifest_at(path)
    return manifest is not None and _is(manifest, parent)


def _instead(place: Path, parent: InputRef) -> str:
    """Say what is at a place where a parent was."""
    try:
        found = read_manifest(place)
    except InputError as error:
        return str(error)
    if found.id != parent.id:
        return f"`{place}` is {found.kind} {short(found.id)}"
    made = f"recipe {short(found.recipe.key)}, not {short(parent.key)}"
    return f"`{place}` has the same content, but was made by {made}"


def parents_of(manifest: Manifest) -> list[InputRef]:
    """Return the artifacts that one was made from: inputs of its recipe, and what came up on the way."""
    inputs = {ref.id: ref for ref in manifest.recipe.inputs if ref.role != _EXPERT}
    others = [identity for identity in manifest.run.paths if identity not in inputs]
    known = {identity: manifest.ancestors[identity] for identity in others if identity in manifest.ancestors}
    return [
        *inputs.values(),
        *(InputRef(role=found.kind, id=identity, key=found.recipe.key) for identity, found in known.items()),
    ]
