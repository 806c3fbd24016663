"""Minari's folders, read and written without Minari: its environment spec is text here, and never made.

Source: github.com/Farama-Foundation/Minari, version 0.5.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from awaccli.artifacts.containment import own_size_bytes
from awaccli.data.dataset import Dataset
from awaccli.data.formats import Export, Foreign, ForeignEpisode, Part
from awaccli.data.formats.folders import folder_sha256, json_object, plain_json
from awaccli.data.formats.minari_export import METADATA, env_spec, write_minari
from awaccli.data.formats.minari_storage import MAIN, Storage, opened_storage
from awaccli.data.formats.minari_survey import Survey
from awaccli.data.formats.notes import NOTE, DatasetNote, EpisodeNote, noted, noted_facts, noted_sources
from awaccli.data.formats.spaces import Leaf, leaves
from awaccli.data.progress import watched
from awaccli.data.schema import Credits, Source
from awaccli.episode import EndReason
from awaccli.errors import InputError
from awaccli.protocols import SILENT, Reporter

_SEED = re.compile(r"[0-9]{1,20}")


def _data_folder(path: Path) -> Path:
    if path.name == MAIN:
        return path.parent
    return path / "data" if (path / "data").is_dir() else path


def read_minari(path: Path, report: Reporter = SILENT) -> Foreign:
    """Open a dataset of Minari.

    Args:
        path: its folder, the folder ``data`` in it, or the file ``main_data.hdf5`` in that.
        report: whom to tell how far a first look is.

    Raises:
        InputError: damaged, its actions are no box of numbers, or no observation is a vector.
        UsageError: it is stored as Arrow or Parquet, and pyarrow is missing.
    """
    folder = _data_folder(path)
    own_size_bytes(folder)
    metadata = json_object(folder / METADATA)
    form = str(metadata.get("data_format", "hdf5"))
    spec = _env_spec(metadata)
    note = DatasetNote.parse(metadata.get(NOTE), origin=f"`{folder / METADATA}`")
    action = _action(metadata, folder)
    algorithm = Source(kind="imported", name=str(metadata.get("algorithm_name") or "unknown"))
    with opened_storage(folder, form) as storage:
        numbers = storage.numbers()
        if not numbers:
            raise InputError(f"`{folder}` holds no episode", hint="there is nothing to import")
        observed = _observed(metadata, folder, storage.columns(numbers[0]))
        vectors = [leaf.path for leaf in observed if leaf.is_vector]
        survey = Survey(folder, spec.get("max_episode_steps"), vectors)
        for number in watched(numbers, report, "look at the episodes", len(numbers)):
            survey.add(storage, number)
    sources = noted_sources(note, complete=not survey.unnoted, otherwise=algorithm)
    facts: dict[str, Any] = {
        "env_id": spec.get("id"),
        "horizon": spec.get("max_episode_steps"),
        "action_low": action.low,
        "action_high": action.high,
        "credits": _credits(metadata),
    }
    return Foreign(
        format="minari",
        path=path,
        sha256=folder_sha256(folder, _files(folder, form, numbers)),
        episodes=lambda: _episodes(folder, form, vectors, survey, len(sources) - 1),
        n_episodes=len(survey.numbers),
        sources=sources,
        losses=(*_metadata_losses(metadata, observed, len(numbers)), *survey.losses()),
        **(facts | noted_facts(note)),
    )


def _files(folder: Path, form: str, numbers: list[int]) -> list[Path]:
    if form == "hdf5":
        return [folder / METADATA, folder / MAIN]
    inside = (path for number in numbers for path in sorted((folder / str(number)).iterdir()))
    return [folder / METADATA, *inside]


def _env_spec(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return name and horizon of the environment, where they are what they should be."""
    try:
        spec = plain_json(str(metadata.get("env_spec", "{}")))
    except ValueError:
        return {}
    found = spec if isinstance(spec, dict) else {}
    name, steps = found.get("id"), found.get("max_episode_steps")
    horizon = steps if type(steps) is int and 0 < steps < 1 << 31 else None
    return {"id": name if isinstance(name, str) else None, "max_episode_steps": horizon}


def _action(metadata: Mapping[str, Any], folder: Path) -> Leaf:
    """Return the action space."""
    if "action_space" not in metadata:
        return Leaf("", "Box", (), "", None, None)
    found = leaves(metadata["action_space"], origin=f"action_space in `{folder / METADATA}`")
    if len(found) != 1 or found[0].path or not found[0].is_vector:
        kinds = ", ".join(leaf.kind for leaf in found)
        raise InputError(
            f"`{folder}` has actions of {kinds}", hint="awac learns actions that are one box of numbers"
        )
    return found[0]


def _observed(metadata: Mapping[str, Any], folder: Path, columns: Mapping[str, Any]) -> list[Leaf]:
    """Return the parts of the observation."""
    if "observation_space" in metadata:
        found = leaves(metadata["observation_space"], origin=f"observation_space in `{folder / METADATA}`")
    else:
        paths = [name for name in columns if name.split("/")[0] == "observations"]
        found = [Leaf(path.partition("/")[2], "Box", (), "", None, None) for path in paths]
    if not any(leaf.is_vector for leaf in found):
        kinds = ", ".join(f"{leaf.path or 'observation'} ({leaf.kind} {leaf.shape})" for leaf in found)
        raise InputError(
            f"`{folder}` has no observation that is a vector of numbers: {kinds}",
            hint="awac learns from vectors, not from images or texts",
        )
    return found


def _credits(metadata: Mapping[str, Any]) -> tuple[Credits, ...]:
    def listed(key: str) -> list[str]:
        value = metadata.get(key)
        return sorted(map(str, value)) if isinstance(value, list) else [str(value)] if value else []

    authors = ", ".join([*listed("author"), *(f"<{email}>" for email in listed("author_email"))])
    link = str(metadata.get("code_permalink") or "")
    return (Credits(authors=authors, licence="not stated", citation=link),) if authors else ()


def _metadata_losses(metadata: Mapping[str, Any], observed: list[Leaf], episodes: int) -> list[str]:
    losses = []
    left_out = [f"{leaf.path or 'observation'} ({leaf.kind})" for leaf in observed if not leaf.is_vector]
    if left_out:
        losses.append(f"Observations that are no vectors of numbers are left out: {', '.join(left_out)}.")
    if metadata.get("total_episodes", episodes) != episodes:
        losses.append(
            f"The metadata count {metadata['total_episodes']} episodes, there are {episodes}: all are read."
        )
    return losses


def _episodes(
    folder: Path, form: str, vectors: list[str], survey: Survey, unnoted_source: int
) -> Iterator[ForeignEpisode]:
    with opened_storage(folder, form) as storage:
        for number in survey.numbers:
            origin = f"`{folder}`: episode {number}"
            note = EpisodeNote.parse(storage.fact(number, NOTE), origin=origin)
            episode = _episode(storage, number, vectors, survey)
            yield noted(episode, note, unnoted_source=unnoted_source)


def _episode(storage: Storage, number: int, paths: list[str], survey: Survey) -> ForeignEpisode:
    rewards = storage.read(number, "rewards")
    steps = len(rewards)
    terminated = bool(storage.read(number, "terminations")[-1])
    truncated = bool(storage.read(number, "truncations")[-1])
    on_time = truncated and steps == survey.horizon
    reason = EndReason.TIME_LIMIT if on_time else EndReason.UNKNOWN
    seed = str(storage.fact(number, "seed"))
    parts = {path: storage.read(number, f"observations/{path}".rstrip("/")) for path in paths}
    infos = {name: storage.read(number, f"infos/{name}")[-steps:] for name in survey.infos}
    success = storage.read(number, f"infos/{survey.success}")[-steps:] if survey.success else None
    return ForeignEpisode(
        observations=parts[""] if list(parts) == [""] else parts,
        actions=storage.read(number, "actions").reshape(steps, -1),
        rewards=rewards,
        success=None if success is None else success.reshape(steps).astype(bool),
        terminated=terminated,
        truncated=truncated,
        end_reason=EndReason.TERMINATED if terminated else reason,
        seed=int(seed) if _SEED.fullmatch(seed) and int(seed) < 1 << 64 else None,
        infos=infos,
        sim={name: storage.read(number, f"infos/{name}").astype(np.float64) for name in survey.sim},
    )


def _remarks(dataset: Dataset) -> tuple[str, ...]:
    task = dataset.task
    remarks = ["Who acted, why episodes ended, splits and start states are in notes that only awac reads."]
    if env_spec(task) is None:
        remarks.append(f"Minari cannot make the environment: {task.spec.env_id or 'there is none'}.")
    remarks.append("Infos of resets, which Minari expects before the first action, are zeros.")
    return tuple(remarks)


EXPORT = Export(
    ending="",
    keeps=frozenset(get_args(Part)) - {"clipped"},
    write=write_minari,
    remarks=_remarks,
)
