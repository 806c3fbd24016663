"""``awac config``."""

from __future__ import annotations

import json
from functools import reduce
from typing import Annotated, Any

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json
from awaccli.config.resolve import preset_names, resolve, setting_names

config_app = typer.Typer(help="Look at settings and presets.", rich_markup_mode=None, no_args_is_help=True)


@config_app.command("show")
def show(
    config: opt.Config = None,
    preset: opt.Preset = None,
    assign: opt.Assign = [],  # noqa: B006 - typer's way
    explain: Annotated[bool, typer.Option("--explain", help="Say where each value comes from.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Print every setting with its value.

    bc-rollout, pretrain and finetune start from a preset, modern where rewards are
    binary and paper-gym where not: name it to see what they would take.

    Example: awac config show --preset released-hand --explain
    """
    resolved = resolve(preset=preset, file=config, assignments=assign)
    values = resolved.settings.model_dump(mode="json")
    if as_json:
        emit_json({"schema_version": 1, "settings": values, "origins": resolved.origins})
        return
    for name in setting_names():
        value: Any = reduce(lambda tree, part: tree[part], name.split("."), values)
        origin = f"  # {resolved.origins.get(name, 'default')}" if explain else ""
        emit(f"{name} = {json.dumps('none' if value is None else value)}{origin}")


@config_app.command("presets")
def presets(as_json: opt.Json = False) -> None:
    """List the presets.

    Example: awac config presets
    """
    if as_json:
        emit_json({"schema_version": 1, "presets": preset_names()})
    else:
        emit("\n".join(preset_names()))
