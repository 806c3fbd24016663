"""The checks of an evaluation: one JSON file whose bytes follow from its values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from awaccli.artifacts.identity import json_finite, sha256_json
from awaccli.artifacts.json_file import json_problem, read_json_artifact
from awaccli.artifacts.manifest import Manifest
from awaccli.config.json_value import first_problem
from awaccli.data.evaluation import Evaluation
from awaccli.errors import InputError
from awaccli.reports.verify_checks import Checks, check_id


def check_evaluation(checks: Checks, path: Path, manifest: Manifest | None) -> None:
    """Add the checks of the evaluation at ``path``."""
    problem = json_problem(path)
    checks.none_of(
        "bytes",
        [f"{path.name}: {problem}"] if problem else [],
        "they are those that awac writes for its values",
    )
    found = read_json_artifact(path)
    if found is None:
        return
    result = checks.attempt("values", lambda: _evaluation(found[0]), "they are those of an evaluation")
    if result is None:
        return
    check_id(checks, sha256_json(result.model_dump(mode="json")), manifest)
    if manifest:
        checks.none_of("content", _content_faults(result, manifest), "the manifest tells how it was measured")


def _evaluation(record: dict[str, object]) -> Evaluation:
    try:
        result = Evaluation.model_validate_json(json.dumps(record))
    except ValidationError as error:
        raise InputError(first_problem(error)) from error
    if json_finite(values := result.model_dump(mode="json")) != values:
        raise InputError("a number in it is not finite")
    return result


def _content_faults(result: Evaluation, manifest: Manifest) -> Iterator[str]:
    measured = {"deterministic": result.deterministic, "episodes": result.outcome.episodes}
    if manifest.content != measured:
        yield f"it was measured with {measured}, the manifest says {manifest.content}"
    if len(result.seeds) != result.outcome.episodes:
        yield f"it has {len(result.seeds)} seeds for {result.outcome.episodes} episodes"
    if result.checkpoint not in manifest.ancestors:
        yield f"the checkpoint it measured, {result.checkpoint}, is not among its ancestors"
