"""Datasets as Minari writes them, in one HDF5 file; what Minari has no field for goes into notes."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from awaccli.artifacts.commit import PART
from awaccli.config.task import TaskFacts
from awaccli.data.dataset import Dataset
from awaccli.data.formats.hdf5 import bound_metadata
from awaccli.data.formats.layout import is_one_array, observation_parts
from awaccli.data.formats.minari_storage import MAIN
from awaccli.data.formats.minari_survey import SIM
from awaccli.data.formats.notes import NOTE, DatasetNote, EpisodeNotes
from awaccli.data.formats.spaces import box
from awaccli.episode import Episode
from awaccli.protocols import Reporter

METADATA = "metadata.json"
_REGISTERING = ("awaccli.envs", "gymnasium_robotics")
"""Packages that register environments when they are imported."""
_VERSION = "0.5.0"
"""The first version of Minari with this layout; later ones read it."""


def write_minari(dataset: Dataset, out: Path, report: Reporter) -> None:
    """Write a dataset as the folder ``out``, with everything in its folder ``data``."""
    data, notes = out / "data", EpisodeNotes(dataset)
    data.mkdir(parents=True)
    with (
        h5py.File(data / MAIN, "w", track_order=True) as file,
        report.phase("export", dataset.n_episodes, "episodes") as progress,
    ):
        bound_metadata(file)
        for index, episode in enumerate(dataset):
            group = file.create_group(f"episode_{index}")
            _write_arrays(group, dataset.task, episode)
            group.attrs.update(_attributes(index, episode))
            group.attrs[NOTE] = notes.of(index, episode).to_text()
            progress.update(index + 1)
    name = out.parent.name.removesuffix(PART) if out.parent.suffix == PART else out.name
    metadata = _metadata(dataset, dataset_id(name), size_bytes=(data / MAIN).stat().st_size)
    (data / METADATA).write_text(json.dumps(metadata))


def _write_arrays(group: h5py.Group, task: TaskFacts, episode: Episode) -> None:
    last = np.arange(len(episode)) == len(episode) - 1
    parts = observation_parts(task, episode.observations)
    infos = {"success": episode.success, **episode.infos}
    columns = {
        **({"observations": episode.observations} if is_one_array(task) else _below("observations", parts)),
        "actions": episode.actions,
        "rewards": episode.rewards,
        "terminations": last & episode.terminated,
        "truncations": last & episode.truncated,
        **_below("infos", {name: _after_reset(name, column) for name, column in infos.items()}),
        **_below("infos", dict(episode.sim)),
    }
    for name, column in columns.items():
        group.create_dataset(name, data=column)


def _below(group: str, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{group}/{name}": column for name, column in columns.items()}


def _after_reset(name: str, column: np.ndarray) -> np.ndarray:
    """Return a column [T, ...] with a row of zeros before it, which Minari takes from the reset.

    A simulator state among the infos is known only after actions: made longer, it would pass for a whole one.
    """
    return column if name in SIM else np.concatenate([np.zeros_like(column[:1]), column])


def _attributes(index: int, episode: Episode) -> dict[str, Any]:
    rewards = episode.rewards.astype(np.float64)
    measures = {name: float(getattr(rewards, name)()) for name in ("sum", "mean", "std", "max", "min")}
    return {
        "id": index,
        "total_steps": len(episode),
        **({} if episode.seed is None else {"seed": episode.seed}),
        **{f"rewards_{name}": value for name, value in measures.items()},
    }


def _metadata(dataset: Dataset, identity: str, *, size_bytes: int) -> dict[str, Any]:
    task, header = dataset.task, dataset.header
    spec = env_spec(task)
    authors = [credits_.authors for credits_ in header.credits]
    return {
        "total_episodes": dataset.n_episodes,
        "total_steps": dataset.n_steps,
        "data_format": "hdf5",
        "observation_space": json.dumps(_observation_space(task)),
        "action_space": json.dumps(box(task.action_dim, task.action_low, task.action_high)),
        **({"env_spec": spec} if spec else {}),
        "dataset_id": identity,
        "dataset_size": round(size_bytes / 1e6, 1),
        "algorithm_name": ", ".join(source.name for source in header.sources),
        **({"author": authors} if authors else {}),
        "description": f"Task {task.spec.name}, exported by awac. Success: {task.success_rule}",
        "requirements": [f"{package}=={version}" for package, version in sorted(task.versions.items())],
        "minari_version": _VERSION,
        NOTE: DatasetNote.of(dataset).to_text(),
    }


def _observation_space(task: TaskFacts) -> dict[str, Any]:
    if is_one_array(task):
        return box(task.observation_dim)
    sizes = observation_parts(task, np.zeros(task.observation_dim))
    return {"type": "Dict", "subspaces": {key: box(len(part)) for key, part in sizes.items()}}


def dataset_id(name: str) -> str:
    """Return the id that Minari allows for a folder of that name: letters, digits, dashes, and a version."""
    plain = re.sub(r"[^\w-]+", "-", name).strip("-") or "dataset"
    return plain if re.search(r"-v\d+$", plain) else f"{plain}-v0"


def env_spec(task: TaskFacts) -> str | None:
    """Return the spec from which Gymnasium makes the task's environment, or None where it is not installed.

    Only environments of Gymnasium, Gymnasium-Robotics and awac are looked up: nothing that a dataset names is
    imported.
    """
    import gymnasium

    for module in _REGISTERING:
        if task.spec.env_id not in gymnasium.registry:
            with contextlib.redirect_stderr(io.StringIO()):  # one prints a notice on rewards of other tasks
                importlib.import_module(module)
    spec = deepcopy(gymnasium.registry.get(task.spec.env_id or ""))
    if spec is None:
        return None
    spec.kwargs |= task.spec.kwargs
    spec.max_episode_steps = task.spec.horizon
    try:
        return spec.to_json()
    except (TypeError, ValueError):  # an argument is a function
        return None
