"""Training runs as their checkpoints record them: facts, and the log from the first offline update on."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from awaccli.artifacts.checkpoint import METRICS, open_checkpoint
from awaccli.artifacts.commit import PART, begun_in, payload_of
from awaccli.artifacts.manifest import Ancestor, Manifest, Recipe, read_manifest
from awaccli.artifacts.metrics import read_metrics
from awaccli.errors import CheckpointError, InputError

COUNTERS = ("updates", "env_steps", "wall_s", "robot_min")
_CHECKPOINT = "checkpoint"
"""Role of the checkpoint that a run goes on from."""

Line = dict[str, Any]
"""A line of ``metrics.jsonl``, whose counters and phase have been checked."""


@dataclass(frozen=True)
class Run:
    """A policy in training, or trained."""

    path: Path
    id: str | None
    """Content id; None while it is unfinished."""
    algo: str
    seed: int
    task: str | None
    updates: int
    """Gradient updates in all, those of the checkpoints it went on from included; so for ``env_steps``."""
    env_steps: int
    facts: Mapping[str, Any]
    """All that decided it but seeds and content ids, by dotted name; parents' below their role."""
    lines: tuple[Line, ...]
    """What the run itself logged."""
    earlier: tuple[Line, ...]
    """What the checkpoints logged that it went on from, the first of all first."""
    whole: bool
    """False: such a checkpoint is not on disk any more, ``earlier`` begins late."""
    wall_s: float
    """Seconds of training, of earlier checkpoints too where they were found."""

    @property
    def name(self) -> str:
        """File name without its ending."""
        return self.path.name.removesuffix(PART).removesuffix(".ckpt")

    @property
    def log(self) -> tuple[Line, ...]:
        """All lines, of earlier checkpoints too."""
        return self.earlier + self.lines

    @property
    def robot_min(self) -> float | None:
        """Minutes of the robot's time, or None where the task does not say how long a step is."""
        return next((line["robot_min"] for line in reversed(self.log) if "robot_min" in line), None)


class _Earlier(NamedTuple):
    """What is known of the checkpoints that a run went on from."""

    lines: tuple[Line, ...] = ()
    wall_s: float = 0.0
    whole: bool = True


def read_run(path: Path) -> Run:
    """Read a checkpoint's log and lineage; ``path`` may be the folder of an unfinished run, ``X.ckpt.part``.

    Raises:
        InputError: missing, damaged, not a checkpoint, or a log that nobody can have written.
    """
    if path.suffix == PART and path.is_dir():
        return _unfinished(path)
    checkpoint = open_checkpoint(path)
    manifest, content = checkpoint.manifest, checkpoint.content
    lines, earlier = _lines(path), _earlier(path, manifest.recipe, manifest)
    return Run(
        path=path,
        id=manifest.id,
        algo=content.algo,
        seed=manifest.recipe.seed,
        task=manifest.task.name if manifest.task else None,
        updates=content.updates,
        env_steps=content.env_steps,
        facts=facts(manifest.recipe, manifest.ancestors),
        lines=lines,
        earlier=earlier.lines,
        whole=earlier.whole,
        wall_s=earlier.wall_s + _wall_s(lines, manifest.run.wall_s),
    )


def _unfinished(path: Path) -> Run:
    begun = begun_in(path)
    if begun is None or not path.stem.endswith(".ckpt"):
        raise CheckpointError(
            f"`{path}` is no unfinished training run", hint="expected the folder X.ckpt.part of a running one"
        )
    lines, earlier = _lines(payload_of(path)), _earlier(path, begun.recipe, None)
    last = (earlier.lines + lines or ({"updates": 0, "env_steps": 0},))[-1]
    return Run(
        path=path,
        id=None,
        algo=str(begun.recipe.settings.get("algo")),
        seed=begun.recipe.seed,
        task=None,
        updates=last["updates"],
        env_steps=last["env_steps"],
        facts=facts(begun.recipe, begun.ancestors),
        lines=lines,
        earlier=earlier.lines,
        whole=earlier.whole,
        wall_s=earlier.wall_s + _wall_s(lines),
    )


def _lines(folder: Path) -> tuple[Line, ...]:
    """Return the log in a folder.

    Raises:
        CheckpointError: a line without its phase or counters.
    """
    found = read_metrics(folder / METRICS)
    for number, line in enumerate(found, 1):
        counts = [line.get("updates"), line.get("env_steps")]
        times = [line.get("wall_s"), line.get("robot_min", 0)]
        sound = all(type(count) is int and count >= 0 for count in counts)
        if not sound or not all(is_number(time) for time in times) or not _in_a_phase(line):
            raise CheckpointError(
                f"line {number} of `{folder / METRICS}` lacks its phase or counters",
                hint="phase, updates, env_steps and wall_s: restore the file, or train again",
            )
    return tuple(found)


def _in_a_phase(line: Line) -> bool:
    return line.get("phase") in ("offline", "online")


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a logged value can be drawn; what was NaN is null in the log."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _wall_s(lines: Sequence[Line], last_s: float = 0.0) -> float:
    """Return the time of a run: its clock starts again with every process that goes on with it.

    ``last_s`` is what its manifest says, of the last process.
    """
    times = [line["wall_s"] for line in lines]
    ended = [now for now, then in pairwise(times) if then < now]
    return float(sum(ended) + max([last_s, *times[-1:]]))


def _earlier(path: Path, recipe: Recipe, manifest: Manifest | None) -> _Earlier:
    """Follow a run back to the first checkpoint, or as far as they are found."""
    known = _Earlier()
    passed: set[str] = set()
    while wanted := next((ref.id for ref in recipe.inputs if ref.role == _CHECKPOINT), None):
        found = None if wanted in passed else _find(wanted, path, manifest)
        if found is None:
            return known._replace(whole=False)
        path, manifest = found
        recipe, lines = manifest.recipe, _lines(path)
        passed.add(wanted)
        known = _Earlier(lines + known.lines, known.wall_s + _wall_s(lines, manifest.run.wall_s))
    return known


def _find(wanted: str, path: Path, manifest: Manifest | None) -> tuple[Path, Manifest] | None:
    """Look for a checkpoint where an artifact remembers it, then beside that artifact."""
    folder = path.absolute().parent
    hint = manifest.run.paths.get(wanted) if manifest else None
    hinted = [Path(os.path.normpath(folder / hint))] if hint and "://" not in hint else []
    for candidate in (*hinted, *sorted(folder.glob("*.ckpt"))):
        if (known := _manifest_of(candidate)) and known.id == wanted and known.kind == "checkpoint":
            return candidate, known
    return None


def _manifest_of(path: Path) -> Manifest | None:
    try:
        return read_manifest(path) if path.suffix == ".ckpt" and path.is_dir() else None
    except InputError:
        return None


def facts(recipe: Recipe, ancestors: Mapping[str, Ancestor]) -> dict[str, Any]:
    """Return what decided a run, its ancestors' recipes included, without seeds and content ids.

    Settings have their dotted names; those of a parent follow its role: ``checkpoint.awac.lam``.
    """
    return dict(_facts(recipe, ancestors, "", {}))


def _facts(
    recipe: Recipe, ancestors: Mapping[str, Ancestor], prefix: str, told: dict[str, str]
) -> Iterator[tuple[str, Any]]:
    yield f"{prefix}stage", f"{recipe.stage}/{recipe.version}"
    yield from flat(recipe.settings, prefix)
    roles: list[str] = []
    for ref in recipe.inputs:
        roles.append(ref.role)
        count = roles.count(ref.role)
        name = f"{prefix}{ref.role}{count if count > 1 else ''}"
        if ref.id in told:
            yield name, f"as {told[ref.id]}"
        elif ref.id in ancestors:
            told[ref.id] = name
            yield from _facts(ancestors[ref.id].recipe, ancestors, f"{name}.", told)
        else:
            yield name, ref.key


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested settings by their dotted names."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
