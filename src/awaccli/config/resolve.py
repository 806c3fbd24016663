"""Where a setting's value comes from: flags > ``--set`` > config file > preset > checkpoint > defaults.

``--preset`` replaces the default preset, and so does ``extends`` in a config file, in its very place.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from awaccli.errors import InputError, UsageError

if TYPE_CHECKING:
    from awaccli.config.tree import Settings

Flat = dict[str, Any]
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings, and who decided each of them."""

    settings: Settings
    origins: dict[str, str]
    """Origin by dotted name, e.g. ``{"awac.lam": "flag --lam"}``; names absent here have their default."""


def resolve(
    *,
    default: str | None = None,
    inherited: Sequence[tuple[str, Mapping[str, Any]]] = (),
    preset: str | None = None,
    file: Path | None = None,
    assignments: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Resolved:
    """Combine all sources of settings.

    Args:
        default: name of the preset to start from where neither ``preset`` nor ``file`` names one.
        inherited: (origin, tree) pairs that only override what one starts from: a checkpoint's settings.
        preset: name of a preset.
        file: TOML file; its ``extends`` names what to start from, unless there is a ``preset``.
        assignments: ``section.name=value`` texts.
        flags: values by dotted name; None means not given.

    Raises:
        UsageError: an unknown name (with a suggestion), or a value out of bounds; names where it came from.
        InputError: the config file is missing or is not TOML.
    """
    in_file = {} if file is None else _load_toml(file)
    start = _extended(in_file, file) or default
    layers = [(origin, _flatten(tree)) for origin, tree in inherited]
    if preset is not None:
        layers.append((f"preset {preset}", _flatten(load_preset(preset))))
    elif start is not None:
        layers.insert(0, (f"preset {start}", _flatten(load_preset(start))))
    layers.append((f"config file {file}", _flatten(in_file)))
    layers.append(("--set", dict(_parse_assignment(text) for text in assignments)))
    layers.append(("a flag", {name: value for name, value in (flags or {}).items() if value is not None}))
    merged: Flat = {}
    origins: dict[str, str] = {}
    for origin, values in layers:
        for name, value in values.items():
            require_known(name, origin)
            merged[name] = value
            origins[name] = origin
    return Resolved(_build(merged, origins), origins)


def setting_names() -> dict[str, Any]:
    """Return every dotted setting name with its default."""
    from awaccli.config.tree import Settings

    return _flatten(Settings().model_dump(mode="json"))


def preset_names() -> list[str]:
    """Return the presets that ship with awac."""
    return sorted(entry.name[:-5] for entry in _presets().iterdir() if entry.name.endswith(".toml"))


def load_preset(name: str) -> dict[str, Any]:
    """Return a preset's settings as a tree, those of the preset that it extends included.

    Raises:
        UsageError: there is no such preset.
    """
    if name not in preset_names():
        raise UsageError(f"unknown preset `{name}`", hint=did_you_mean(name, preset_names()))
    tree = tomllib.loads((_presets() / f"{name}.toml").read_text())
    extended = tree.pop("extends", None)
    return _merge(load_preset(extended), tree) if extended else tree


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return a hint: the nearest known words, or all of them if none is near."""
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else f"known: {', '.join(known)}"


def require_known(name: str, origin: str) -> None:
    """Raise a UsageError with a suggestion if ``name`` is no setting."""
    names = list(setting_names())
    if name not in names:
        leaves = [known for known in names if known.rpartition(".")[2] == name.rpartition(".")[2]]
        hint = f"did you mean `{leaves[0]}`?" if leaves else did_you_mean(name, names)
        raise UsageError(f"unknown setting `{name}` in {origin}", hint=hint)


def _presets() -> Any:
    return resources.files("awaccli.config") / "presets"


def _load_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"config file `{path}` does not exist",
            hint="settings can be given by --set section.name=value too",
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"config file `{path}` cannot be read as TOML: {error}", hint="expected e.g. [awac] and lam = 0.3"
        ) from error


def _extended(tree: dict[str, Any], file: Path | None) -> str | None:
    """Take the name of the preset that a config file extends out of its tree.

    Raises:
        UsageError: there is no such preset.
    """
    if "extends" not in tree:
        return None
    name = str(tree.pop("extends"))
    if name not in preset_names():
        message = f"config file {file} extends `{name}`, which is no preset"
        raise UsageError(message, hint=did_you_mean(name, preset_names()))
    return name


def _parse_assignment(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"`--set {text}` has no value", hint="expected --set section.name=value")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()  # a bare word such as `binary`


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Flat:
    flat: Flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _build(values: Flat, origins: Mapping[str, str]) -> Settings:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *sections, leaf = name.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[leaf] = value
    from awaccli.config.tree import Settings

    # A partial section must not fall back to its class's defaults but to those of the tree.
    complete = _merge(Settings().model_dump(), tree)
    try:
        return Settings.model_validate(complete)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        place = f" in {origins[name]}" if name in origins else ""
        message = first["msg"].removeprefix("Value error, ")
        # What is wrong with a section as a whole says so itself; its values would fill a screen.
        given = "" if isinstance(first["input"], Mapping) else f", not {first['input']!r}"
        raise UsageError(f"setting `{name}`{place}: {message}{given}", hint=_about(name)) from error


def _about(name: str) -> str:
    """Return a setting's own words, for hints."""
    from awaccli.config.tree import Settings

    node: Any = Settings()
    *sections, leaf = name.split(".")
    for section in sections:
        node = getattr(node, section, None)
    fields = type(node).model_fields if isinstance(node, BaseModel) else {}
    if leaf in fields and fields[leaf].description:
        return f"{name}: {field_help(type(node), leaf)}"
    return "`awac config show` lists all settings"


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        inner = base.get(key)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            merged[key] = _merge(inner, value)
        else:
            merged[key] = value
    return merged


def field_help(model: type[BaseModel], field: str) -> str:
    """Return a setting's help text with its choices, bounds and default, for flags and documentation."""
    info = model.model_fields[field]
    facts = [] if info.default is None else [f"default: {str(info.default).lower()}"]
    if get_origin(info.annotation) is Literal:
        facts.append("|".join(get_args(info.annotation)))
    for bound in info.metadata:
        facts += [f"{sign} {getattr(bound, name)}" for name, sign in _BOUNDS.items() if hasattr(bound, name)]
    return f"{info.description} [{'; '.join(facts)}]" if facts else str(info.description)
