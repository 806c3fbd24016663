"""Checkpoints: a directory with the policy, the trainer's tensors, the metrics and a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from awaccli.artifacts.identity import canonical_json, sha256_arrays
from awaccli.artifacts.manifest import (
    MANIFEST,
    Clock,
    Manifest,
    Recipe,
    ancestors_of,
    damaged_files,
    inventory,
    read_manifest,
)
from awaccli.artifacts.tensors import read_arrays, read_policy, write_arrays, write_policy
from awaccli.config.algorithms import ALGORITHMS
from awaccli.config.json_value import first_problem
from awaccli.config.task import TaskSpec
from awaccli.config.tree import Settings
from awaccli.errors import CheckpointError
from awaccli.protocols import PolicyWeights

POLICY = "policy.safetensors"
TRAINER = "trainer.safetensors"
METRICS = "metrics.jsonl"


class DataRef(BaseModel):
    """A dataset that a checkpoint was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    role: Literal["offline", "online"]


class CheckpointContent(BaseModel):
    """What a checkpoint's identity covers beside its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algo: str
    settings: dict[str, Any]
    updates: int = Field(ge=0, lt=1 << 62)
    env_steps: int = Field(ge=0, lt=1 << 62)
    observation_dim: int = Field(ge=1)
    action_dim: int = Field(ge=1)
    data: tuple[DataRef, ...]

    @model_validator(mode="after")
    def _knows_its_algorithm(self) -> Self:
        if type(self.settings.get(self.section)) is not dict:
            raise ValueError(f"settings has no section `{self.section}`")
        return self

    @property
    def section(self) -> str:
        """The section of the settings that its algorithm reads."""
        return ALGORITHMS.get(self.algo, self.algo)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint."""

    path: Path
    manifest: Manifest
    content: CheckpointContent

    @property
    def id(self) -> str:
        """Content id."""
        return self.manifest.id

    @property
    def policy_path(self) -> Path:
        """The file that acting needs, and nothing else."""
        return self.path / POLICY

    def settings(self) -> Settings:
        """Return the settings of its algorithm, all others as they are by default.

        Raises:
            CheckpointError: this version knows no such settings.
        """
        section = self.content.section
        try:
            return Settings.model_validate({section: self.content.settings[section]})
        except ValidationError as error:
            raise CheckpointError(
                f"`{self.path}` has settings that this version does not know: {first_problem(error)}",
                hint="it was made by another version of awac; `awac info` shows its settings",
            ) from error

    def policy(self) -> PolicyWeights:
        """Return the policy that acts."""
        return read_policy(self.policy_path)

    def trainer(self) -> dict[str, np.ndarray]:
        """Return networks, targets, optimiser moments and counters by name."""
        return read_arrays(self.path / TRAINER)[0]


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint.

    Raises:
        CheckpointError: not a checkpoint, or its files are damaged.
        InputError: missing or without a valid manifest.
    """
    manifest = read_manifest(path)
    if manifest.kind != "checkpoint":
        raise CheckpointError(
            f"`{path}` is not a checkpoint, it is: {manifest.kind}",
            hint="expected a .ckpt made by `awac pretrain`, `bc-rollout` or `finetune`",
        )
    problems = damaged_files(path, manifest)
    if problems:
        raise CheckpointError(f"`{path}` is damaged: {problems[0]}", hint="restore it, or make it again")
    return Checkpoint(path, manifest, checkpoint_content(path, manifest))


def checkpoint_content(path: Path, manifest: Manifest) -> CheckpointContent:
    """Return what the manifest of the checkpoint at ``path`` says of its content.

    Raises:
        CheckpointError: it says something else.
    """
    try:
        return CheckpointContent.model_validate(manifest.content)
    except ValidationError as error:
        raise CheckpointError(
            f"the manifest of `{path}` is not that of a checkpoint: content.{first_problem(error)}",
            hint="it was made by another version of awac; `run.versions` in it names which",
        ) from error


def write_checkpoint(
    payload: Path,
    *,
    policy: PolicyWeights,
    trainer: Mapping[str, np.ndarray],
    content: CheckpointContent,
    task: TaskSpec | None,
    recipe: Recipe,
    parents: Sequence[tuple[Path, Manifest]],
    clock: Clock,
    target: Path,
) -> Manifest:
    """Complete ``payload``, where the metrics are already; the caller commits it to ``target``."""
    payload.mkdir(exist_ok=True)
    for leftover in payload.iterdir():
        if leftover.name != METRICS:
            leftover.unlink()
    write_policy(payload / POLICY, policy)
    write_arrays(payload / TRAINER, trainer, {"algo": content.algo})
    manifest = Manifest(
        kind="checkpoint",
        id=checkpoint_id(policy, trainer, content, task),
        task=task,
        content=content.model_dump(mode="json"),
        files=inventory(payload),
        recipe=recipe,
        ancestors=ancestors_of(manifest for _, manifest in parents),
        run=clock.run(target, {parent.id: path for path, parent in parents}),
    )
    (payload / MANIFEST).write_bytes(manifest.to_bytes())
    return manifest


def checkpoint_id(
    policy: PolicyWeights,
    trainer: Mapping[str, np.ndarray],
    content: CheckpointContent,
    task: TaskSpec | None,
) -> str:
    """Return the content id: tensors by name, then settings, task, data ids and counters."""
    arrays = {f"policy/{name}": array for name, array in policy.arrays.items()}
    arrays |= {f"trainer/{name}": array for name, array in trainer.items()}
    facts = {
        "content": content.model_dump(mode="json"),
        "task": task.model_dump(mode="json") if task else None,
        "policy": {"kind": policy.kind, "config": dict(policy.config)},
    }
    return sha256_arrays(arrays, extra=canonical_json(facts)).hex()
