"""Named arrays as safetensors, with one JSON text of metadata: several keys would come in random order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from awaccli.artifacts.identity import canonical_json
from awaccli.errors import CheckpointError
from awaccli.protocols import PolicyWeights

_KEY = "awac"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write arrays and facts to ``path``, whole or not at all; equal content gives equal bytes."""
    ordered = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_bytes(save(ordered, metadata={_KEY: canonical_json(dict(facts)).decode()}))
    scratch.replace(path)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and facts of ``write_arrays``.

    Raises:
        CheckpointError: missing, truncated, or not a safetensors file of awac.
    """
    if not path.is_file():
        raise CheckpointError(f"`{path}` does not exist")
    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"`{path}` is not a readable safetensors file of awac: {error}",
            hint="it may be truncated or foreign; make its checkpoint again",
        ) from error


def write_policy(path: Path, policy: PolicyWeights) -> None:
    """Write a policy as the file that acting reads."""
    write_arrays(path, policy.arrays, {"kind": policy.kind, "config": dict(policy.config)})


def read_policy(path: Path) -> PolicyWeights:
    """Return the policy in ``path``.

    Raises:
        CheckpointError: unreadable, not a policy, or with values that are not finite.
    """
    arrays, facts = read_arrays(path)
    if not {"kind", "config"} <= facts.keys():
        raise CheckpointError(
            f"`{path}` holds no policy", hint="expected the policy.safetensors of a checkpoint"
        )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"`{path}`: `{name}` has values that are not finite")
    return PolicyWeights(facts["kind"], facts["config"], arrays)
