"""What an artifact says of itself, as data and as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from awaccli.artifacts.checkpoint import Checkpoint, open_checkpoint
from awaccli.artifacts.commit import PART, describe_progress, payload_of
from awaccli.artifacts.manifest import Manifest, Recipe, read_manifest
from awaccli.artifacts.urls import RemotePath
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.evaluation import Evaluation, SuccessRates, open_evaluation
from awaccli.errors import DatasetError, InputError
from awaccli.reports.kind import kind_of
from awaccli.reports.success import dataset_outcome, evaluation_text, rate_text


class _Info(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    schema_version: Literal[1] = 1
    id: str | None
    path: str
    task: str | None
    recipe: dict[str, Any] | None
    """``stage, config, seed, inputs[]``, and the recipe key."""


class Returns(BaseModel):
    """Undiscounted returns over episodes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    min: float
    max: float

    @classmethod
    def of(cls, returns: np.ndarray) -> Self:
        """Summarise returns, float64 [E]."""
        return cls(mean=float(returns.mean()), min=float(returns.min()), max=float(returns.max()))


class DatasetInfo(_Info):
    """A dataset in numbers."""

    kind: Literal["dataset"] = "dataset"
    n_episodes: int
    n_steps: int
    observation_dim: int
    action_dim: int
    sealed: bool
    success_rate: float
    """Share of episodes that end in success."""
    success: SuccessRates
    return_: Returns = Field(serialization_alias="return")
    sources: list[dict[str, Any]]
    credits: list[dict[str, Any]]
    clipped_share: float
    size_bytes: int


class CheckpointInfo(_Info):
    """A checkpoint in numbers."""

    kind: Literal["checkpoint"] = "checkpoint"
    algo: str
    updates: int
    env_steps: int
    observation_dim: int
    action_dim: int
    data: list[dict[str, Any]]
    size_bytes: int


class EvaluationInfo(_Info):
    """An evaluation's result."""

    kind: Literal["evaluation"] = "evaluation"
    evaluation: Evaluation


def info(path: Path, *, max_memory: int | None = None) -> DatasetInfo | CheckpointInfo | EvaluationInfo:
    """Return what the artifact at ``path`` says of itself; an unfinished dataset too.

    Args:
        path: what to describe.
        max_memory: see `Dataset.max_memory`.

    Raises:
        InputError: nothing there, or not an artifact.
    """
    if path.suffix == PART and path.is_dir():
        return _unfinished_info(path, max_memory)
    match kind_of(path):
        case "dataset":
            return _dataset_info(open_dataset(path, max_memory=max_memory))
        case "checkpoint":
            return _checkpoint_info(open_checkpoint(path))
        case "evaluation":
            return EvaluationInfo(**_common(path, read_manifest(path)), evaluation=open_evaluation(path))


def _unfinished_info(path: Path, max_memory: int | None) -> DatasetInfo:
    if not (payload_of(path) / "zarr.json").is_file():
        raise InputError(
            f"`{path}` is an unfinished run without episodes ({describe_progress(path)})",
            hint="repeat its command with --resume to go on",
        )
    return _dataset_info(open_dataset(path, unfinished=True, max_memory=max_memory))


def _common(path: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "id": manifest.id,
        "path": str(path),
        "task": manifest.task.name if manifest.task else None,
        "recipe": _recipe(manifest.recipe),
    }


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return {
        "stage": recipe.stage,
        "config": recipe.settings,
        "seed": recipe.seed,
        "inputs": [ref.model_dump() for ref in recipe.inputs],
        "key": recipe.key,
    }


def _dataset_info(dataset: Dataset) -> DatasetInfo:
    manifest, header, table = dataset.manifest, dataset.header, dataset.episodes
    if dataset.n_episodes == 0:
        raise DatasetError(
            f"`{dataset.path}` holds no episode yet", hint="repeat the command that writes it, with --resume"
        )
    common: dict[str, Any] = {"id": dataset.id, "path": str(dataset.path), "task": dataset.task.spec.name}
    return DatasetInfo(
        **common | {"recipe": _recipe(manifest.recipe) if manifest else None},
        n_episodes=dataset.n_episodes,
        n_steps=dataset.n_steps,
        observation_dim=dataset.task.observation_dim,
        action_dim=dataset.task.action_dim,
        sealed=manifest is not None,
        success_rate=float(table.success.mean()),
        success=dataset_outcome(dataset).success,
        return_=Returns.of(table.return_),
        sources=[
            source.model_dump() | {"episodes": int((table.source == index).sum())}
            for index, source in enumerate(header.sources)
        ],
        credits=[credit.model_dump() for credit in header.credits],
        clipped_share=float(table.clipped.sum()) / (dataset.n_steps * dataset.task.action_dim),
        size_bytes=size_bytes(dataset.path),
    )


def _checkpoint_info(checkpoint: Checkpoint) -> CheckpointInfo:
    content = checkpoint.content
    return CheckpointInfo(
        **_common(checkpoint.path, checkpoint.manifest),
        algo=content.algo,
        updates=content.updates,
        env_steps=content.env_steps,
        observation_dim=content.observation_dim,
        action_dim=content.action_dim,
        data=[reference.model_dump() for reference in content.data],
        size_bytes=size_bytes(checkpoint.path),
    )


def size_bytes(path: Path) -> int:
    """Return the size of a file, of all files below a folder, or of a dataset behind a URL."""
    if isinstance(path, RemotePath):
        from awaccli.artifacts.remote import stored_bytes

        return stored_bytes(path)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def info_text(found: DatasetInfo | CheckpointInfo | EvaluationInfo) -> str:
    """Return the facts as lines that a person reads."""
    match found:
        case DatasetInfo():
            lines = _dataset_lines(found)
        case CheckpointInfo():
            lines = [
                f"algorithm  {found.algo}, {found.updates} updates, {found.env_steps} environment steps",
                f"shapes     observations {found.observation_dim}, actions {found.action_dim}",
                *(f"data       {reference['role']} {reference['id']}" for reference in found.data),
                f"size       {found.size_bytes / 1e6:.2f} MB",
            ]
        case EvaluationInfo():
            lines = evaluation_text(found.evaluation).splitlines()
    return "\n".join([f"{found.kind}  {found.path}", f"id         {found.id}", *lines, *_recipe_lines(found)])


def _dataset_lines(found: DatasetInfo) -> list[str]:
    success = found.success
    return [
        f"task       {found.task}: observations {found.observation_dim}, actions {found.action_dim}",
        f"content    {found.n_episodes} episodes, {found.n_steps} steps"
        + ("" if found.sealed else ", unfinished"),
        "success    "
        + ", ".join(f"{name} {rate_text(getattr(success, name))}" for name in ("final", "any", "held")),
        f"return     mean {found.return_.mean:.2f}, from {found.return_.min:.2f} to {found.return_.max:.2f}",
        *(
            f"source {index}   {source['name']} ({source['kind']}, {source['episodes']} episodes)"
            for index, source in enumerate(found.sources)
        ),
        *(
            f"credit     {credit['citation'] or credit['authors']} ({credit['licence']})"
            for credit in found.credits
        ),
        f"clipped    {found.clipped_share:.2%} of action entries",
        f"size       {found.size_bytes / 1e6:.2f} MB",
    ]


def _recipe_lines(found: DatasetInfo | CheckpointInfo | EvaluationInfo) -> list[str]:
    if found.recipe is None:
        return ["recipe     none yet: unfinished"]
    recipe = found.recipe
    made = [f"made by    {recipe['stage']}, seed {recipe['seed']}, recipe {recipe['key'][:12]}"]
    return made + [f"from       {ref['role']} {ref['id']}" for ref in recipe["inputs"]]
