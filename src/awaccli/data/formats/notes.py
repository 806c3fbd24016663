"""Notes that awac leaves in files of other formats, so that a round trip keeps what these have no field for.

A note is one JSON text, in a place that the format leaves free and that other programs pass over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from awaccli.config.json_value import first_problem
from awaccli.config.task import TaskFacts
from awaccli.data.dataset import Dataset
from awaccli.data.formats import ForeignEpisode
from awaccli.data.schema import Credits, Source
from awaccli.episode import EndReason, Episode
from awaccli.errors import InputError

NOTE = "awac"
"""Name of the attribute or key that holds a note."""
MAX_NOTE_BYTES = 16 << 20
UNKNOWN = Source(kind="imported", name="unknown")


class _Note(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_text(self) -> str:
        """Return the note as one line; bounds may be infinite, which its reader understands."""
        return json.dumps(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, text: object, *, origin: str) -> Self | None:
        """Read a note, or return None where there is none.

        Raises:
            InputError: it is not as awac writes it; ``origin`` names the place.
        """
        if text is None:
            return None
        try:
            return cls.model_validate_json(str(text))
        except ValidationError as error:
            raise InputError(
                f"the note of awac in {origin} is damaged: {first_problem(error)}",
                hint=f"remove `{NOTE}` there: the file can be read without it",
            ) from error


class DatasetNote(_Note):
    """What holds for all episodes of an exported dataset."""

    id: str
    """Its content id."""
    task: TaskFacts
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    credits: tuple[Credits, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the note of a dataset."""
        header = dataset.header
        return cls(id=dataset.id, task=header.task, sources=header.sources, credits=header.credits)


class EpisodeNote(_Note):
    """What holds for one episode."""

    terminated: bool
    truncated: bool
    end_reason: EndReason
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] | None = None
    source: Annotated[int, Field(ge=0)] = 0
    splits: tuple[str, ...] = ()
    sim_init: tuple[float, ...] | None = None
    model: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    final: tuple[float, ...] | None = None
    """The flat observation after the last action, where the format has no place for it."""


def note_lines(path: Path) -> Iterator[str]:
    """Yield the notes in a file that has one in each line; none where there is no file.

    Raises:
        InputError: a line is longer than any note.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        while line := file.readline(MAX_NOTE_BYTES):
            if len(line) == MAX_NOTE_BYTES:
                raise InputError(
                    f"`{path}` has a line of more than {MAX_NOTE_BYTES} bytes", hint="remove the file"
                )
            yield line


class EpisodeNotes:
    """The notes of a dataset's episodes."""

    def __init__(self, dataset: Dataset, *, with_final: bool = False) -> None:
        self._with_final = with_final
        self._splits: dict[int, list[str]] = {}
        for name, members in dataset.header.splits.items():
            for index in members:
                self._splits.setdefault(index, []).append(name)

    def of(self, index: int, episode: Episode) -> EpisodeNote:
        """Return the note of episode ``index``."""
        return EpisodeNote(
            terminated=episode.terminated,
            truncated=episode.truncated,
            end_reason=episode.end_reason,
            seed=episode.seed,
            source=episode.source,
            splits=tuple(self._splits.get(index, ())),
            sim_init=None if episode.sim_init is None else _numbers(episode.sim_init),
            model={name: _numbers(values) for name, values in episode.model.items()},
            final=_numbers(episode.observations[-1]) if self._with_final else None,
        )


def _numbers(array: np.ndarray) -> tuple[float, ...]:
    return tuple(array.ravel().tolist())


def noted(episode: ForeignEpisode, note: EpisodeNote | None, *, unnoted_source: int = 0) -> ForeignEpisode:
    """Return an episode with what its note says; without a note, from the source ``unnoted_source``."""
    if note is None:
        return replace(episode, source=unnoted_source)
    return replace(
        episode,
        terminated=note.terminated,
        truncated=note.truncated,
        end_reason=note.end_reason,
        seed=note.seed,
        source=note.source,
        splits=note.splits,
        sim_init=None if note.sim_init is None else np.array(note.sim_init, np.float64),
        model={name: np.array(values, np.float64) for name, values in note.model.items()},
    )


def noted_facts(note: DatasetNote | None) -> dict[str, Any]:
    """Return what the note of a dataset says, as fields of a `Foreign`."""
    if note is None:
        return {}
    task = note.task
    return {
        "env_id": task.spec.env_id,
        "name": task.spec.name,
        "horizon": task.spec.horizon,
        "control_dt": task.control_dt,
        "action_low": np.array(task.action_low),
        "action_high": np.array(task.action_high),
        "reward_range": task.reward_range,
        "success_rule": task.success_rule,
        "held_steps": task.held_steps,
        "credits": note.credits,
    }


def noted_sources(
    note: DatasetNote | None, *, complete: bool, otherwise: Source = UNKNOWN
) -> tuple[Source, ...]:
    """Return who acted: those that the note names, and at the end one for episodes without a note."""
    named = note.sources if note else ()
    return named if named and complete else (*named, otherwise)
