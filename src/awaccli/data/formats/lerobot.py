"""LeRobot's folders, version 3: one Parquet row per frame, many episodes per file; videos are left out.

Source: docs/source/lerobot-dataset-v3.mdx and ``lerobot/datasets`` of github.com/huggingface/lerobot, 0.4.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any, get_args

import numpy as np

from awaccli.artifacts.containment import own_size_bytes
from awaccli.data.dataset import Dataset
from awaccli.data.formats import Export, Foreign, ForeignEpisode, Part
from awaccli.data.formats.folders import folder_sha256, json_object, period_s
from awaccli.data.formats.lerobot_export import (
    ACTION,
    DONE,
    INFOS,
    NOTES,
    OBSERVATION,
    REWARD,
    SUCCESS,
    write_lerobot,
)
from awaccli.data.formats.lerobot_frames import EPISODE, FRAME, TASK, Run, recordings, runs
from awaccli.data.formats.names import counted
from awaccli.data.formats.notes import (
    DatasetNote,
    EpisodeNote,
    note_lines,
    noted,
    noted_facts,
    noted_sources,
)
from awaccli.data.formats.tables import labels
from awaccli.data.progress import watched
from awaccli.data.schema import Source
from awaccli.errors import InputError
from awaccli.protocols import SILENT, Reporter

_INFO, _TASKS = Path("meta", "info.json"), Path("meta", "tasks.parquet")
_INDICES = frozenset({"timestamp", FRAME, EPISODE, "index", TASK})
_NUMBER = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_RANGE = re.compile(r"(\d{1,12}):(\d{1,12})")


@dataclass(frozen=True, slots=True)
class _Features:
    """Which column is what."""

    observations: tuple[str, ...]
    outcomes: tuple[str, ...]
    """Reward and success, where the file has them."""
    infos: tuple[str, ...]
    left_out: tuple[str, ...]
    """Videos, images and texts."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All that are read."""
        return (*self.observations, ACTION, *self.outcomes, *self.infos)


def read_lerobot(path: Path, report: Reporter = SILENT) -> Foreign:
    """Open a dataset of LeRobot.

    Args:
        path: its folder, with ``meta/info.json``.
        report: whom to tell how far a first look is.

    Raises:
        InputError: damaged, of another version, or without actions or observations that are vectors.
        UsageError: pyarrow is missing.
    """
    own_size_bytes(path)
    info = json_object(path / _INFO)
    _require_version(info, path)
    declared = info["features"] if isinstance(info.get("features"), dict) else {}
    features = _features(declared, path)
    files = sorted((path / "data").glob("chunk-*/file-*.parquet"), key=lambda file: counted(file.as_posix()))
    found = runs(list(watched(files, report, "look at the frames", len(files), "files")))
    if not found:
        raise InputError(f"`{path}` has no frame in data/chunk-*/file-*.parquet", hint="get it again")
    stale = sum(1 for _ in note_lines(path / NOTES)) not in (0, len(found) + 1)
    first = None if stale else next(note_lines(path / NOTES), None)
    note = DatasetNote.parse(first, origin=f"`{path / NOTES}`")
    splits = _splits(info, found, labels(path / _TASKS, TASK))
    robot = Source(kind="imported", name=str(info.get("robot_type") or "unknown"))
    return Foreign(
        format="lerobot",
        path=path,
        sha256=folder_sha256(path, _files(path, files, noted=note is not None)),
        episodes=lambda: _episodes(path, files, features, splits, noted_too=note is not None),
        n_episodes=len(found),
        sources=noted_sources(note, complete=True, otherwise=robot),
        losses=tuple(_losses(info, features, found, note, stale=stale)),
        **({"control_dt": period_s(info.get("fps"))} | noted_facts(note)),
    )


def _require_version(info: Mapping[str, Any], path: Path) -> None:
    version = str(info.get("codebase_version"))
    if not version.startswith("v3."):
        raise InputError(
            f"`{path}` has codebase_version {version}, read is v3",
            hint="LeRobot converts v2.1: python -m lerobot.datasets.v30.convert_dataset_v21_to_v30 --help",
        )


def _features(declared: Mapping[str, Any], path: Path) -> _Features:
    """Sort the features that ``info.json`` declares."""
    vectors = {name for name, feature in declared.items() if _is_vector(feature)}
    observations = tuple(name for name in declared if name.startswith(OBSERVATION) and name in vectors)
    if ACTION not in vectors or not observations:
        raise InputError(
            f"`{path}` has no {'observation' if ACTION in vectors else 'action'} that is a vector: its "
            f"features are {', '.join(declared)}",
            hint="expected `action` and `observation.*`, vectors of numbers",
        )
    known = {*observations, ACTION, REWARD, DONE, SUCCESS, *_INDICES}
    return _Features(
        observations=observations,
        outcomes=tuple(name for name in (REWARD, SUCCESS) if name in vectors),
        infos=tuple(name for name in declared if name in vectors - known),
        left_out=tuple(name for name in declared if name not in vectors),
    )


def _is_vector(feature: object) -> bool:
    if not isinstance(feature, dict):
        return False
    shape = feature.get("shape")
    return (
        _NUMBER.fullmatch(str(feature.get("dtype"))) is not None
        and isinstance(shape, list)
        and len(shape) <= 2
    )


def _splits(info: Mapping[str, Any], found: Sequence[Run], tasks: Mapping[int, str]) -> list[tuple[str, ...]]:
    """Return the subsets of each episode: tasks and splits, where there are several of them."""
    used = {task for run in found for task in run.tasks}
    declared = info.get("splits")
    ranges = {
        name: range(int(match[1]), int(match[2]))
        for name, text in (declared.items() if isinstance(declared, dict) else ())
        if (match := _RANGE.fullmatch(str(text)))
    }
    subsets: list[tuple[str, ...]] = []
    for run in found:
        names = [tasks.get(task, f"task {task}") for task in sorted(run.tasks)] if len(used) > 1 else []
        names += [name for name, members in ranges.items() if len(ranges) > 1 and run.episode in members]
        subsets.append(tuple(names))
    return subsets


def _files(path: Path, data: Sequence[Path], *, noted: bool) -> list[Path]:
    """Return the files that are read; statistics and videos are not."""
    return [path / _INFO, path / _TASKS, *data, *([path / NOTES] if noted else [])]


def _losses(
    info: Mapping[str, Any],
    features: _Features,
    found: Sequence[Run],
    note: DatasetNote | None,
    *,
    stale: bool,
) -> Iterator[str]:
    if features.left_out:
        yield f"Videos, images and texts are left out: {', '.join(features.left_out)}."
    if note is None:
        yield "LeRobot does not tell termination from truncation: no episode counts as terminated."
    if stale:
        yield f"{NOTES} does not fit the episodes, which were changed since awac wrote it: it is not read."
    broken = sum(not run.whole for run in found)
    if broken:
        yield f"{broken} of {len(found)} episodes have gaps in {FRAME}: some of their steps are missing."
    for name, count in (("total_episodes", len(found)), ("total_frames", sum(run.length for run in found))):
        if info.get(name, count) != count:
            yield f"info.json counts {info[name]} as {name}, there are {count}: all of these are read."


def _episodes(
    path: Path,
    files: Sequence[Path],
    features: _Features,
    splits: Sequence[tuple[str, ...]],
    *,
    noted_too: bool,
) -> Iterator[ForeignEpisode]:
    lines: Iterator[str | None] = islice(note_lines(path / NOTES), 1, None) if noted_too else repeat(None)
    for columns, names, line in zip(recordings(files, features.columns), splits, lines, strict=False):
        note = EpisodeNote.parse(line, origin=f"`{path / NOTES}`")
        episode = noted(_episode(columns, features, note, path), note)
        yield replace(episode, splits=(*episode.splits, *names))


def _episode(
    columns: Mapping[str, np.ndarray], features: _Features, note: EpisodeNote | None, path: Path
) -> ForeignEpisode:
    parts = {name.removeprefix(OBSERVATION): columns[name] for name in features.observations}
    if note is not None and note.final is not None:
        parts = _with_final(parts, np.array(note.final), path)
    success = columns.get(SUCCESS)
    return ForeignEpisode(
        observations=parts if len(parts) > 1 else next(iter(parts.values())),
        actions=columns[ACTION].reshape(len(columns[ACTION]), -1),
        rewards=columns.get(REWARD),
        success=None if success is None else success.astype(bool),
        infos={name.removeprefix(INFOS): columns[name] for name in features.infos},
    )


def _with_final(parts: Mapping[str, np.ndarray], final: np.ndarray, path: Path) -> dict[str, np.ndarray]:
    """Return the parts of an observation with that after the last action, which is noted in one piece."""
    sizes = [part[0].size for part in parts.values()]
    if len(final) != sum(sizes):
        raise InputError(
            f"the notes of awac in `{path / NOTES}` have {len(final)} of {sum(sizes)} numbers",
            hint="remove that file: the dataset can be read without it",
        )
    pieces = np.split(final, np.cumsum(sizes)[:-1])
    return {
        name: np.concatenate([part, piece.astype(part.dtype).reshape(1, *part.shape[1:])])
        for (name, part), piece in zip(parts.items(), pieces, strict=True)
    }


def _remarks(dataset: Dataset) -> tuple[str, ...]:
    remarks = [
        "`next.done` marks the last frame of every episode, terminated or truncated.",
        (
            "The observation after the last action, who acted, seeds, why episodes ended, the task, splits "
            "and start states are in notes that only awac reads."
        ),
    ]
    if dataset.task.control_dt is None:
        remarks.append("How long a step takes is not known, and LeRobot asks for it: fps is set to 1.")
    return tuple(remarks)


EXPORT = Export(
    ending="",
    keeps=frozenset(get_args(Part)) - {"clipped", "sim"},
    write=write_lerobot,
    remarks=_remarks,
)
