"""From the recipe of ``awac data import`` to the words of the command, and to the description it reads."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from awaccli.artifacts.manifest import Recipe
from awaccli.config.versions import IMPORT_VERSION
from awaccli.data.formats.mapped_settings import RobotMap
from awaccli.data.import_settings import ImportSettings
from awaccli.data.schema import Credits, Source
from awaccli.errors import InputError
from awaccli.reports.recipe_arguments import require_version, spelled

STAGE = "import"


def import_settings(recipe: Recipe) -> ImportSettings:
    """Return what whoever imported a file said of it.

    Raises:
        InputError: the recipe is of another version, or none of an import.
    """
    require_version(recipe, IMPORT_VERSION)
    try:
        return ImportSettings.model_validate(recipe.settings.get("import"))
    except ValidationError as error:
        raise InputError("has settings of an import that this awac does not read") from error


def import_arguments(recipe: Recipe) -> list[str]:
    """Return what follows the file in the command that imports it as a recipe says, but for ``--map``.

    Raises:
        InputError: no command line says that.
    """
    said, form = import_settings(recipe), str(recipe.settings.get("format"))
    words = [] if form == "map" else ["--format", form]
    if said.task:
        text, flags = spelled(said.task)
        words += ["--task", text, *flags]
    words += [] if said.name is None else ["--name", said.name]
    words += _horizon(recipe, said, words)
    if said.obs_keys:
        words += ["--obs-keys", _listed(said.obs_keys)]
    words += ["--keep-reward"] if said.keep_reward else []
    words += ["--success-at-end"] if said.success_at_end else []
    return [*words, *_source(said.source), *_credits(said.credits)]


def description_text(robot: RobotMap) -> str:
    """Return a description as TOML, one key a line."""
    values = robot.model_dump(mode="json", exclude_defaults=True)
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: Any) -> str:
    match value:
        case dict():
            return f"{{ {', '.join(f'{_toml(key)} = {_toml(item)}' for key, item in value.items())} }}"
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _horizon(recipe: Recipe, said: ImportSettings, words: list[str]) -> list[str]:
    """Return the flag where the task does not say it: readers may have been told, too."""
    reading = recipe.settings.get("reading")
    told = reading.get("horizon") if isinstance(reading, dict) else None
    horizon = said.horizon or told
    return ["--horizon", str(horizon)] if horizon and "--horizon" not in words else []


def _source(source: Source | None) -> list[str]:
    if source is None:
        return []
    if source != Source(kind=source.kind, name=source.name):
        raise InputError("was imported from Python, with more about its source than a command can say")
    kind = [] if source.kind == "imported" else ["--source-kind", source.kind]
    return [*kind, "--source-name", source.name]


def _credits(thanks: Credits | None) -> list[str]:
    if thanks is None:
        return []
    words = ["--authors", thanks.authors, "--licence", thanks.licence]
    return [*words, "--citation", thanks.citation] if thanks.citation else words


def _listed(names: tuple[str, ...]) -> str:
    if any("," in name for name in names):
        raise InputError("was imported with keys that hold a comma: no command line can name them")
    return ",".join(names)
