"""robomimic's HDF5 files; their ``env_args`` and MuJoCo models are text here, and never made.

Source: docs/datasets/overview.md, ``scripts/run_trained_agent.py``, ``scripts/split_train_val.py`` and
``utils/dataset.py`` of github.com/ARISE-Initiative/robomimic, version 0.3.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np

from awaccli.artifacts.identity import sha256_file
from awaccli.data.dataset import Dataset
from awaccli.data.formats import Export, Foreign, ForeignEpisode, Part
from awaccli.data.formats.folders import period_s, plain_json
from awaccli.data.formats.hdf5 import Hdf5Arrays, bound_metadata, opened
from awaccli.data.formats.layout import observation_parts
from awaccli.data.formats.names import counted
from awaccli.data.formats.notes import (
    NOTE,
    DatasetNote,
    EpisodeNote,
    EpisodeNotes,
    noted,
    noted_facts,
    noted_sources,
)
from awaccli.data.progress import watched
from awaccli.episode import Episode
from awaccli.errors import InputError
from awaccli.protocols import SILENT, Reporter

_GYM = 2
"""robomimic's number for environments of Gym."""
_KNOWN = ("actions", "rewards", "dones", "states", "obs", "next_obs", "success", "infos")


@dataclass(slots=True)
class _Found:
    """What is in a file."""

    demos: list[str]
    observed: list[str]
    """Observations that are vectors."""
    with_next: bool
    """Every demonstration has the observation after its last action."""
    splits: dict[str, list[str]] = field(default_factory=dict)
    """Names of subsets by demonstration."""
    counts: Counter[str] = field(default_factory=Counter)


def read_robomimic(path: Path, report: Reporter = SILENT) -> Foreign:
    """Open a file of robomimic.

    Raises:
        InputError: damaged, or demonstrations without actions or observations.
    """
    with opened(path) as file:
        found = _survey(file, report)
        note = DatasetNote.parse(file.attribute("data", NOTE), origin=f"`{path}`")
        if note is not None:
            order = [key.replace("/", ".") for key, _ in note.task.observation_layout]
            found.observed.sort(key=lambda key: order.index(key) if key in order else len(order))
        args = _env_args(file)
        losses = tuple(_losses(file, found, args))
    sources = noted_sources(note, complete=not found.counts["unnoted"])
    facts: dict[str, Any] = {
        "env_id": args.get("env_name"),
        "control_dt": period_s(args["env_kwargs"].get("control_freq")),
    }
    return Foreign(
        format="robomimic",
        path=path,
        sha256=sha256_file(path),
        episodes=lambda: _episodes(path, found, len(sources) - 1),
        n_episodes=len(found.demos),
        sources=sources,
        losses=losses,
        **(facts | noted_facts(note)),
    )


def _survey(file: Hdf5Arrays, report: Reporter) -> _Found:
    demos = sorted((name for name in file.members("data") if file.is_group(f"data/{name}")), key=counted)
    if not demos:
        raise InputError(
            f"`{file.path}` has no demonstration", hint="expected groups data/demo_0, data/demo_1 ..."
        )
    _require_actions(file, demos[0])
    keys = [path.removeprefix(f"data/{demos[0]}/obs/") for path in file.arrays(f"data/{demos[0]}/obs")]
    observed = [key for key in keys if _is_vector(file, f"data/{demos[0]}/obs/{key}")]
    if not observed:
        raise InputError(
            f"`{file.path}`: data/{demos[0]}/obs has no vector of numbers",
            hint="a file with states alone gets its observations from robomimic's dataset_states_to_obs.py",
        )
    found = _Found(demos, observed, with_next=True)
    for name in file.members("mask"):
        for demo in file.texts(f"mask/{name}"):
            found.splits.setdefault(demo, []).append(name)
    for demo in watched(demos, report, "look at the demonstrations", len(demos)):
        group = f"data/{demo}"
        _require_actions(file, demo)
        found.with_next = found.with_next and all(_has_next(file, group, key) for key in observed)
        found.counts["unnoted"] += file.attribute(group, NOTE) is None
        found.counts["models"] += "model_file" in file.attribute_names(group)
        if f"{group}/dones" in file:
            dones = file.rows(f"{group}/dones").astype(bool)
            found.counts["done"] += bool(dones[-1:].any())
            found.counts["done early"] += bool(dones[:-1].any())
    return found


def _require_actions(file: Hdf5Arrays, demo: str) -> None:
    group = f"data/{demo}"
    if f"{group}/actions" not in file:
        raise InputError(
            f"`{file.path}`: {group} has no actions", hint=f"it has {', '.join(file.members(group))}"
        )
    if file.shape(f"{group}/actions")[:1] in ((), (0,)):
        raise InputError(f"`{file.path}`: {group} has no step", hint="remove it: an episode has actions")


def _has_next(file: Hdf5Arrays, group: str, key: str) -> bool:
    following = f"{group}/next_obs/{key}"
    return following in file and file.shape(following) == file.shape(f"{group}/obs/{key}")


def _is_vector(file: Hdf5Arrays, name: str) -> bool:
    return len(file.shape(name)) <= 2 and file.dtype(name) != np.uint8


def _env_args(file: Hdf5Arrays) -> dict[str, Any]:
    """Return what the file says of its environment; ``env_kwargs`` is always there."""
    try:
        args = plain_json(str(file.attribute("data", "env_args") or "{}"))
    except ValueError as error:
        raise InputError(f"`{file.path}`: env_args is no JSON: {error}", hint="get it again") from error
    known = args if isinstance(args, dict) else {}
    name, kwargs = known.get("env_name"), known.get("env_kwargs")
    return {
        "env_name": name if isinstance(name, str) else None,
        "env_kwargs": kwargs if isinstance(kwargs, dict) else {},
    }


def _losses(file: Hdf5Arrays, found: _Found, args: Mapping[str, Any]) -> Iterator[str]:
    first, counts, total = f"data/{found.demos[0]}", found.counts, len(found.demos)
    images = [
        key for key in file.arrays(f"{first}/obs") if key.removeprefix(f"{first}/obs/") not in found.observed
    ]
    if images:
        names = ", ".join(key.removeprefix(f"{first}/obs/") for key in images)
        yield f"Observations that are no vectors of numbers are left out: {names}."
    if counts["unnoted"] and counts["done"] + counts["done early"]:
        yield (
            f"`dones` is set at the end of {counts['done']} of {total} demonstrations, and before it in "
            f"{counts['done early']}. It may mean success, the task's end, or the end of the recording: "
            "it is kept as a further column, and no episode counts as terminated."
        )
    if f"{first}/states" in file:
        yield "Simulator states are kept as the column `states`, which awac cannot set a simulator to."
    if counts["models"]:
        yield f"The MuJoCo models of {counts['models']} demonstrations (model_file) are left out."
    if args["env_kwargs"] and counts["unnoted"]:
        yield f"The arguments of the environment are left out: {', '.join(args['env_kwargs'])}."
    other = [name for name in file.members(first) if name not in _KNOWN]
    if other:
        yield f"Arrays that awac has no place for are left out: {', '.join(other)}."
    unknown = found.splits.keys() - set(found.demos)
    if unknown:
        yield f"Masks name {len(unknown)} demonstrations that are not in the file."


def _episodes(path: Path, found: _Found, unnoted_source: int) -> Iterator[ForeignEpisode]:
    with opened(path) as file:
        for demo in found.demos:
            note = EpisodeNote.parse(file.attribute(f"data/{demo}", NOTE), origin=f"`{path}`: data/{demo}")
            episode = noted(_episode(file, demo, found, note), note, unnoted_source=unnoted_source)
            yield replace(episode, splits=tuple(found.splits.get(demo, ())))


def _episode(file: Hdf5Arrays, demo: str, found: _Found, note: EpisodeNote | None) -> ForeignEpisode:
    group = f"data/{demo}"

    def rows(name: str) -> np.ndarray | None:
        return file.rows(f"{group}/{name}") if f"{group}/{name}" in file else None

    observations = {key: file.rows(f"{group}/obs/{key}") for key in found.observed}
    if found.with_next:
        observations = {
            key: np.concatenate([column, file.rows(f"{group}/next_obs/{key}", -1)])
            for key, column in observations.items()
        }
    infos = {path.removeprefix(f"{group}/infos/"): file.rows(path) for path in file.arrays(f"{group}/infos")}
    for name in ("states",) if note else ("states", "dones"):
        column = rows(name)
        if column is not None:
            infos[name] = column
    success = rows("success")
    return ForeignEpisode(
        observations=observations,
        actions=file.rows(f"{group}/actions"),
        rewards=rows("rewards"),
        success=None if success is None else success.astype(bool),
        infos=infos,
    )


def write_robomimic(dataset: Dataset, out: Path, report: Reporter) -> None:
    """Write a dataset as a file of robomimic, with ``next_obs``."""
    task, notes = dataset.task, EpisodeNotes(dataset)
    with (
        h5py.File(out, "w") as file,
        report.phase("export", dataset.n_episodes, "episodes") as progress,
    ):
        bound_metadata(file)
        data = file.create_group("data")
        for index, episode in enumerate(dataset):
            group = data.create_group(f"demo_{index}")
            group.attrs["num_samples"] = len(episode)
            group.attrs[NOTE] = notes.of(index, episode).to_text()
            for name, column in _columns(dataset, episode).items():
                group.create_dataset(name, data=column)
            progress.update(index + 1)
        environment = {
            "env_name": task.spec.env_id or task.spec.name,
            "type": _GYM,
            "env_kwargs": task.spec.kwargs,
        }
        data.attrs["total"] = dataset.n_steps
        data.attrs["env_args"] = json.dumps(environment)
        data.attrs[NOTE] = DatasetNote.of(dataset).to_text()
        for name, members in dataset.header.splits.items():
            demos = np.array([f"demo_{index}" for index in members], "S")
            file.create_dataset(f"mask/{name.replace('/', '.')}", data=demos)


def _columns(dataset: Dataset, episode: Episode) -> dict[str, np.ndarray]:
    last = np.arange(len(episode)) == len(episode) - 1
    columns = {
        "actions": episode.actions,
        "rewards": episode.rewards,
        "dones": (last & episode.terminated).astype(np.uint8),
        "success": episode.success,
        **{f"infos/{name}": column for name, column in episode.infos.items()},
    }
    for key, part in observation_parts(dataset.task, episode.observations).items():
        columns |= {f"obs/{key}": part[:-1], f"next_obs/{key}": part[1:]}
    return columns


def _remarks(dataset: Dataset) -> tuple[str, ...]:
    task = dataset.task
    remarks = [
        "`dones` marks terminations alone: an episode that was truncated ends without it.",
        "Who acted, seeds, why episodes ended, the task and start states are in notes that only awac reads.",
    ]
    if min(task.action_low) < -1 or max(task.action_high) > 1:
        remarks.append(
            f"robomimic expects actions from -1 to 1, these may go from {min(task.action_low):g} to "
            f"{max(task.action_high):g}."
        )
    return tuple(remarks)


EXPORT = Export(
    ending=".hdf5",
    keeps=frozenset(get_args(Part)) - {"clipped", "sim"},
    write=write_robomimic,
    remarks=_remarks,
)
