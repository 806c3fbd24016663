"""The checks of a checkpoint: it loads, it acts, and its id follows from its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from awaccli.artifacts.checkpoint import (
    POLICY,
    TRAINER,
    CheckpointContent,
    checkpoint_content,
    checkpoint_id,
)
from awaccli.artifacts.manifest import Manifest
from awaccli.artifacts.tensors import read_arrays, read_policy
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.envs.acting import policy_from_weights
from awaccli.protocols import PolicyWeights
from awaccli.reports.verify_checks import Checks, check_id, short


def check_checkpoint(checks: Checks, path: Path, manifest: Manifest | None) -> None:
    """Add the checks of the checkpoint at ``path``."""
    content = None
    if manifest is not None:
        content = checks.attempt(
            "content", lambda: checkpoint_content(path, manifest), "the manifest tells algorithm and counters"
        )
    policy = checks.attempt("policy", lambda: _policy(path / POLICY, content), "it loads, and fits its task")
    trainer = checks.attempt(
        "trainer", lambda: read_arrays(path / TRAINER)[0], "its tensors can be read, and are finite"
    )
    if manifest and content and policy and trainer is not None:
        check_id(checks, checkpoint_id(policy, trainer, content, manifest.task), manifest)
        checks.none_of(
            "training", _training_faults(content, manifest), "settings are the recipe's, data are ancestors"
        )


def _policy(path: Path, content: CheckpointContent | None) -> PolicyWeights:
    """Return the policy, having seen that one can act with it."""
    weights = read_policy(path)
    if content is not None:
        facts = TaskFacts.model_construct(  # the three that a policy is checked against
            spec=TaskSpec(name="of the checkpoint"),
            observation_dim=content.observation_dim,
            action_dim=content.action_dim,
        )
        policy_from_weights(weights, facts)
    return weights


def _training_faults(content: CheckpointContent, manifest: Manifest) -> Iterator[str]:
    if content.settings != manifest.recipe.settings:
        yield "the settings in its content are not those of its recipe"
    for data in content.data:
        found = manifest.ancestors.get(data.id)
        if found is None or found.kind != "dataset":
            yield f"the {data.role} dataset {short(data.id)} it was trained on is not among its ancestors"
