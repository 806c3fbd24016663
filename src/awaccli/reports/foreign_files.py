"""The files of other formats that imports were made of: found again by their hash, or described."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from awaccli.artifacts.identity import sha256_file
from awaccli.artifacts.manifest import Recipe
from awaccli.data.formats.detect import detect
from awaccli.data.formats.folders import folder_sha256
from awaccli.data.formats.mapped_settings import RobotMap
from awaccli.data.formats.pieces import pieces
from awaccli.data.formats.registry import read_foreign
from awaccli.data.public_sets import public_set_with
from awaccli.data.schema import Header, Import
from awaccli.data.stores import open_store
from awaccli.errors import AwacError, InputError
from awaccli.reports.chain import Chain, shown

_OF_ARRAYS = (".h5", ".hdf5", ".npz")


def find_foreign(chain: Chain, identity: str, folders: Sequence[Path]) -> Path:
    """Return the file or folder that a dataset of a chain was imported from; its hash decides.

    It is looked for where the dataset remembers it, then in ``folders``: under the name that datasets of the
    chain know, then among all that look like its format.

    Raises:
        InputError: it is not there; says as the rest of a sentence about the dataset which file it is.
    """
    recipe = chain.recipes[identity].recipe
    known = next(_known(chain, _sha256(recipe)), None)
    for path in _candidates(chain, identity, recipe, known, folders):
        if path.exists() and _is(path, recipe):
            return shown(path)
    raise InputError(f"was imported from {_described(recipe, known)}, which is not found", hint=_hint(recipe))


def described_by(recipe: Recipe) -> RobotMap | None:
    """Return the description of the arrays that an import followed; None: the format needs none.

    Raises:
        InputError: it is none that this awac reads, or the order of the observations is not known.
    """
    if recipe.settings.get("format") != "map":
        return None
    try:
        reading = recipe.settings["reading"]
        robot = RobotMap.model_validate(reading["map"])
        observations = {name: robot.observations[name] for name in reading["observations"]}
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError("was imported by a description that this awac does not read") from error
    return robot.model_copy(update={"observations": observations})


def _candidates(
    chain: Chain, identity: str, recipe: Recipe, known: Import | None, folders: Sequence[Path]
) -> Iterator[Path]:
    found = chain.found.get(identity)
    hint = found.manifest.run.paths.get(_sha256(recipe)) if found else None
    if found and hint:
        yield found.path.absolute().parent / hint
    if known:
        yield from (folder / known.file for folder in folders)
    for folder in folders:
        yield from (path for path in sorted(folder.glob("*")) if _looks_like(path, recipe))


def _looks_like(path: Path, recipe: Recipe) -> bool:
    if robot := described_by(recipe):
        return path.is_dir() if robot.episodes.files else path.suffix in _OF_ARRAYS
    try:
        return detect(path) == recipe.settings.get("format")
    except (AwacError, OSError):
        return False


def _is(path: Path, recipe: Recipe) -> bool:
    try:
        return _hash(path, recipe) == _sha256(recipe)
    except (AwacError, OSError):
        return False


def _hash(path: Path, recipe: Recipe) -> str:
    """Return the hash that an import of ``path`` would record."""
    if path.is_file():
        return sha256_file(path)
    if robot := described_by(recipe):
        return folder_sha256(path, {piece.file for piece in pieces(path, robot)})
    return read_foreign(path, str(recipe.settings.get("format"))).sha256


def _known(chain: Chain, sha256: str) -> Iterator[Import]:
    """Yield what is known of a file: datasets keep the name and size of all that they descend from."""
    for path, manifest in chain.found.values():
        if manifest.kind == "dataset":
            try:
                header = Header.from_json(open_store(path).attributes(), origin=str(path))
            except InputError:
                continue
            yield from (record for record in header.imports if record.sha256 == sha256)
    if public := public_set_with(sha256):
        (file,) = public.files
        yield Import(format=public.format, file=file.name, sha256=sha256, size_bytes=file.size_bytes)


def _described(recipe: Recipe, known: Import | None) -> str:
    name = f"`{known.file}`" if known else f"a file of the format {recipe.settings.get('format')}"
    size = f"{known.size_bytes} bytes, " if known and known.size_bytes else ""
    return f"{name} ({size}SHA-256 {_sha256(recipe)})"


def _hint(recipe: Recipe) -> str | None:
    public = public_set_with(_sha256(recipe))
    where = "put it beside the artifact, or name its folder with --parents"
    return f"awac data download {public.name}; then {where}" if public else where


def _sha256(recipe: Recipe) -> str:
    return str(recipe.settings.get("sha256"))
