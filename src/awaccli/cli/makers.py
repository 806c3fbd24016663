"""What every command that makes an artifact does around its stage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from awaccli.artifacts.urls import RemotePath
from awaccli.cli.console import emit, emit_json
from awaccli.cli.options import memory_bytes
from awaccli.errors import UsageError
from awaccli.protocols import Reporter

if TYPE_CHECKING:
    from awaccli.artifacts.commit import Existing
    from awaccli.artifacts.manifest import Recipe
    from awaccli.config.task import TaskSpec
    from awaccli.data.dataset import Dataset

_KWARGS_EXAMPLE = """e.g. --env-kwargs '{"max_episode_steps": 100}'"""
DATASET, CHECKPOINT, EVALUATION = (".zarr", ".h5", ".hdf5"), (".ckpt",), (".json",)
"""Endings of artifacts by kind: every reader tells kinds apart by them."""


def existing(*, overwrite: bool, resume: bool, if_changed: bool) -> Existing:
    """Return what to do about an output that is there."""
    from awaccli.artifacts.commit import Existing

    if overwrite + resume + if_changed > 1:
        raise UsageError("--overwrite, --resume and --if-changed exclude each other", hint="keep one of them")
    if overwrite:
        return Existing.OVERWRITE
    if resume:
        return Existing.RESUME
    return Existing.IF_CHANGED if if_changed else Existing.REFUSE


def announce(path: Path, *, as_json: bool) -> None:
    """Print what was made: its path, or all that `awac info` knows."""
    if as_json:
        from awaccli.reports.info import info

        emit_json(info(path).model_dump(mode="json"))
    else:
        emit(str(path))


def plan(
    recipe: Recipe,
    out: Path | None,
    when: Existing,
    cost: Mapping[str, Any],
    *,
    as_json: bool,
    others: Sequence[Path] = (),
) -> None:
    """Print what a command would do, having checked that it could."""
    from awaccli.artifacts.commit import check_free

    there = out is not None and check_free(out, recipe, when)
    facts = {
        "schema_version": 1,
        "stage": recipe.stage,
        "output": str(out) if out else None,
        "also": [str(path) for path in others],
        "already_there": there,
        "recipe_key": recipe.key,
        "seed": recipe.seed,
        "inputs": [ref.model_dump() for ref in recipe.inputs],
        "cost": dict(cost),
        "settings": recipe.settings,
    }
    if as_json:
        emit_json(facts)
        return
    what = f"make {out} by {recipe.stage}" if out else f"run {recipe.stage}, keeping no file"
    emit(f"would {what}, seed {recipe.seed}" + (" (already there)" if there else ""))
    for path in others:
        emit(f"  also makes: {path}")
    for name, value in cost.items():
        emit(f"  {name}: {value}")
    for ref in recipe.inputs:
        emit(f"  {ref.role}: {ref.id}")
    emit(f"  settings: {json.dumps(recipe.settings)}")


def task_spec(
    text: str, *, kwargs: str | None, horizon: int | None, obs_keys: str | None, success_key: str | None
) -> TaskSpec:
    """Return the task that a TASK argument and its flags name."""
    from awaccli.envs.registry import resolve_task

    return resolve_task(
        text,
        kwargs=_json_object(kwargs),
        horizon=horizon,
        obs_keys=tuple(obs_keys.split(",")) if obs_keys else None,
        success_key=success_key,
    )


def _json_object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--env-kwargs is not JSON: {error}", hint=_KWARGS_EXAMPLE) from error
    if not isinstance(value, dict):
        raise UsageError(f"--env-kwargs {text}: expected a JSON object", hint=_KWARGS_EXAMPLE)
    return value


def open_all(
    given: Sequence[Path], report: Reporter | None = None, *, max_memory: str | None = None
) -> list[Dataset]:
    """Open datasets; those behind URLs are fetched whole if there is somebody to tell how far it is."""
    from awaccli.data.dataset import open_dataset

    if report:
        for path in given:
            fetch_whole(path, report)
    return [open_dataset(path, max_memory=memory_bytes(max_memory)) for path in given]


def fetch_whole(path: Path, report: Reporter) -> None:
    """Bring all of a dataset behind a URL here, with progress."""
    if isinstance(path, RemotePath):
        from awaccli.artifacts.remote import fetch_all

        fetch_all(path, report)


def output_path(given: Path | None, endings: tuple[str, ...], default: str) -> Path:
    """Return where the result goes: the given path, or a plain name in the current folder.

    Raises:
        UsageError: the ending says that it is something else.
    """
    path = given or Path(default.replace("/", "-").lower())
    if path.suffix not in endings:
        raise UsageError(
            f"`{path}` cannot be the output: its name must end in {' or '.join(endings)}",
            hint=f"e.g. -o {path.stem or 'result'}{endings[0]}",
        )
    return path
