"""Named arrays as safetensors, with one JSON text of metadata: several keys would come in random order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from awaccli.artifacts.identity import canonical_json
from awaccli.config.json_value import parse_json
from awaccli.errors import CheckpointError
from awaccli.protocols import PolicyWeights

_KEY = "awac"
_MAX_HEADER_BYTES = 8 << 20
"""A tensor takes about 100 bytes of the header."""


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write arrays and facts to ``path``, whole or not at all; equal content gives equal bytes."""
    ordered = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    scratch = path.with_name(f".{path.name}.new")
    with scratch.open("wb") as file:
        file.write(save(ordered, metadata={_KEY: canonical_json(dict(facts)).decode()}))
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the name without its content
    scratch.replace(path)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and facts of ``write_arrays``.

    Raises:
        CheckpointError: missing, truncated, not a safetensors file of awac, or with values that are no
            finite numbers.
    """
    if not path.is_file():
        raise CheckpointError(f"`{path}` does not exist")
    try:
        _require_small_header(path)
        with safe_open(path, framework="numpy") as file:
            facts = parse_json((file.metadata() or {})[_KEY].encode())
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"`{path}` is not a readable safetensors file of awac: {error}",
            hint="it may be truncated or foreign; make its checkpoint again",
        ) from error
    if not isinstance(facts, dict):
        raise CheckpointError(f"`{path}` is not a safetensors file of awac: its facts are no object")
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise CheckpointError(f"`{path}`: `{name}` is {array.dtype}, which awac does not store")
        if not np.isfinite(array).all():
            raise CheckpointError(f"`{path}`: `{name}` has values that are not finite")
    return arrays, facts


def _require_small_header(path: Path) -> None:
    """Look at the size of the header before the library takes it all in.

    Raises:
        ValueError: it is larger than any honest one.
    """
    with path.open("rb") as file:
        size_bytes = int.from_bytes(file.read(8), "little")
    if size_bytes > _MAX_HEADER_BYTES:
        raise ValueError(f"its header claims {size_bytes} bytes")


def write_policy(path: Path, policy: PolicyWeights) -> None:
    """Write a policy as the file that acting reads."""
    write_arrays(path, policy.arrays, {"kind": policy.kind, "config": dict(policy.config)})


def read_policy(path: Path) -> PolicyWeights:
    """Return the policy in ``path``.

    Raises:
        CheckpointError: unreadable, or not a policy.
    """
    arrays, facts = read_arrays(path)
    kind, config = facts.get("kind"), facts.get("config")
    if not isinstance(kind, str) or not isinstance(config, dict):
        raise CheckpointError(
            f"`{path}` holds no policy", hint="expected the policy.safetensors of a checkpoint"
        )
    return PolicyWeights(kind, config, arrays)
