"""Datasets as LeRobot writes them; what it has no field for goes into a file of notes.

Source: ``lerobot/datasets/utils.py`` and ``lerobot_dataset.py``, version 0.4.4.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from awaccli.config.task import TaskFacts
from awaccli.data.dataset import Dataset
from awaccli.data.formats.layout import is_one_array, observation_parts
from awaccli.data.formats.lerobot_frames import EPISODE, FRAME, TASK
from awaccli.data.formats.notes import DatasetNote, EpisodeNotes
from awaccli.data.formats.tables import arrow
from awaccli.data.statistics import Statistics
from awaccli.episode import Episode
from awaccli.protocols import Reporter

OBSERVATION, ACTION, INFOS = "observation.", "action", "infos."
REWARD, DONE, SUCCESS = "next.reward", "next.done", "next.success"
NOTES = Path("meta", "awac.jsonl")
"""A note on the dataset, then one on each episode: one line each."""
_VERSION = "v3.0"
_STATE = "state"
_FILE_MB, _FILES_PER_CHUNK = 100, 1000
_EPISODES_AT_ONCE = 100
_ROW_GROUP_BYTES, _PAGE_BYTES = 2 << 20, 64 << 10


def write_lerobot(dataset: Dataset, out: Path, report: Reporter) -> None:
    """Write a dataset as the folder ``out``.

    Raises:
        UsageError: pyarrow is missing.
    """
    arrow()
    (out / "meta").mkdir(parents=True)
    rate, features = fps(dataset.task), _Features()
    notes = EpisodeNotes(dataset, with_final=True)
    frames = _Files(out / "data", _FILE_MB)
    episodes = _Files(out / "meta" / "episodes", math.inf)
    rows: list[dict[str, Any]] = []
    with (
        frames,
        episodes,
        (out / NOTES).open("w", encoding="utf-8") as lines,
        report.phase("export", dataset.n_episodes, "episodes") as progress,
    ):
        lines.write(f"{DatasetNote.of(dataset).to_text()}\n")
        start = 0
        for index, episode in enumerate(dataset):
            columns = _columns(dataset.task, episode, index, start, rate)
            place = frames.write(_table(columns))
            rows.append(_row(dataset.task, index, start, len(episode), place) | features.add(columns))
            if len(rows) == _EPISODES_AT_ONCE:
                episodes.write(arrow().Table.from_pylist(rows))
                rows.clear()
            lines.write(f"{notes.of(index, episode).to_text()}\n")
            start += len(episode)
            progress.update(index + 1)
        if rows:
            episodes.write(arrow().Table.from_pylist(rows))
    _write_tasks(out / "meta" / "tasks.parquet", dataset.task.spec.name)
    _write_json(out / "meta" / "stats.json", features.statistics())
    _write_json(out / "meta" / "info.json", _info(dataset, rate, features.declared))


def fps(task: TaskFacts) -> float:
    """Return frames per second, a whole number where it is one; 1 where the task does not say."""
    rate = round(1 / task.control_dt, 6) if task.control_dt else 1.0
    return int(rate) if rate == int(rate) else rate


def _columns(task: TaskFacts, episode: Episode, index: int, start: int, rate: float) -> dict[str, np.ndarray]:
    """Return the columns of an episode, [T] or [T, k] each."""
    steps = len(episode)
    frames = np.arange(steps)
    parts = observation_parts(task, episode.observations[:-1])
    if is_one_array(task):
        parts = {_STATE: episode.observations[:-1]}
    columns = {
        **{f"{OBSERVATION}{key}": part for key, part in parts.items()},
        ACTION: episode.actions,
        REWARD: episode.rewards,
        DONE: frames == steps - 1,
        SUCCESS: episode.success,
        **{f"{INFOS}{name.replace('/', '.')}": column for name, column in episode.infos.items()},
        "timestamp": (frames / rate).astype(np.float32),
        FRAME: frames,
        EPISODE: np.full(steps, index),
        "index": frames + start,
        TASK: np.zeros(steps, np.int64),
    }
    return {
        name: column.reshape(steps) if column.size == steps else column.reshape(steps, -1)
        for name, column in columns.items()
    }


def _table(columns: Mapping[str, np.ndarray]) -> Any:
    pa = arrow()

    def array(column: np.ndarray) -> Any:
        flat = pa.array(column.ravel())
        return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, column.shape[1])

    return pa.table({name: array(column) for name, column in columns.items()})


def _row(task: TaskFacts, index: int, start: int, steps: int, place: tuple[int, int]) -> dict[str, Any]:
    """Return what the table of episodes says of one; it is small enough to be in one file."""
    return {
        EPISODE: index,
        "tasks": [task.spec.name],
        "length": steps,
        "data/chunk_index": place[0],
        "data/file_index": place[1],
        "dataset_from_index": start,
        "dataset_to_index": start + steps,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }


class _Files:
    """Parquet files of about the same size, numbered as LeRobot does."""

    def __init__(self, folder: Path, size_mb: float) -> None:
        self._folder, self._most_bytes = folder, size_mb * (1 << 20)
        self._number = -1
        self._size_bytes = 0
        self._writer: Any = None
        self._pending: list[Any] = []
        self._pending_bytes = 0

    def write(self, table: Any) -> tuple[int, int]:
        """Write rows; return the numbers of chunk and file that they are in."""
        if self._writer is None or self._size_bytes + table.nbytes > self._most_bytes:
            self._begin(table.schema)
        self._pending.append(table)
        self._pending_bytes += table.nbytes
        self._size_bytes += table.nbytes
        if self._pending_bytes > _ROW_GROUP_BYTES:
            self._flush()
        return divmod(self._number, _FILES_PER_CHUNK)

    def _flush(self) -> None:
        """Write what is pending as a row group: writer and reader keep some KiB for each of these."""
        if self._pending:
            self._writer.write_table(arrow().concat_tables(self._pending))
            self._pending, self._pending_bytes = [], 0

    def _begin(self, schema: Any) -> None:
        self.__exit__()
        self._number, self._size_bytes = self._number + 1, 0
        chunk, file = divmod(self._number, _FILES_PER_CHUNK)
        path = self._folder / f"chunk-{chunk:03d}" / f"file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = arrow().parquet.ParquetWriter(
            path, schema, use_dictionary=False, data_page_size=_PAGE_BYTES
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._flush()
            self._writer.close()


@dataclass(slots=True)
class _Features:
    """What the columns are, and how the numbers in each are spread."""

    declared: dict[str, dict[str, Any]] = field(default_factory=dict)
    _spread: dict[str, _Spread] = field(default_factory=dict)

    def add(self, columns: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
        """Count the frames of an episode; return its own statistics, under their names in the table."""
        own: dict[str, list[float]] = {}
        for name, column in columns.items():
            self.declared.setdefault(
                name, {"dtype": column.dtype.name, "shape": list(column.shape[1:]) or [1], "names": None}
            )
            measured = Statistics.of([column.reshape(len(column), -1)])
            spread = _Spread(len(column), measured)
            self._spread[name] = self._spread[name].with_(spread) if name in self._spread else spread
            own |= {f"stats/{name}/{measure}": values for measure, values in spread.to_json().items()}
        return own

    def statistics(self) -> dict[str, dict[str, list[float]]]:
        """Return statistics over all episodes, by feature."""
        return {name: spread.to_json() for name, spread in self._spread.items()}


@dataclass(frozen=True, slots=True)
class _Spread:
    """Statistics over a number of rows."""

    count: int
    of: Statistics

    def with_(self, other: _Spread) -> _Spread:
        """Return the statistics over the rows of both; see `Statistics.of`."""
        total = self.count + other.count
        apart = other.of.mean - self.of.mean
        squares = self.count * self.of.std**2 + other.count * other.of.std**2
        squares = squares + apart**2 * (self.count * other.count / total)
        joined = Statistics(
            mean=self.of.mean + apart * (other.count / total),
            std=np.sqrt(squares / total),
            min=np.minimum(self.of.min, other.of.min),
            max=np.maximum(self.of.max, other.of.max),
        )
        return _Spread(total, joined)

    def to_json(self) -> dict[str, list[float]]:
        """Return the statistics under LeRobot's names."""
        values = {name: getattr(self.of, name).tolist() for name in ("min", "max", "mean", "std")}
        return values | {"count": [self.count]}


def _write_tasks(path: Path, task: str) -> None:
    """Write the table of tasks as pandas would, with texts as its index: LeRobot reads it with pandas."""
    pa = arrow()
    index = "__index_level_0__"
    kinds = {"task_index": ("int64", "int64"), index: ("unicode", "object")}
    columns = [
        {
            "name": None if name == index else name,
            "field_name": name,
            "pandas_type": kind,
            "numpy_type": stored,
            "metadata": None,
        }
        for name, (kind, stored) in kinds.items()
    ]
    described = {
        "index_columns": [index],
        "column_indexes": [],
        "columns": columns,
        "pandas_version": "2.2.0",
    }
    table = pa.table({"task_index": np.array([0]), index: [task]})
    pa.parquet.write_table(table.replace_schema_metadata({"pandas": json.dumps(described)}), path)


def _info(dataset: Dataset, rate: float, features: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "codebase_version": _VERSION,
        "robot_type": None,
        "total_episodes": dataset.n_episodes,
        "total_frames": dataset.n_steps,
        "total_tasks": 1,
        "chunks_size": _FILES_PER_CHUNK,
        "data_files_size_in_mb": _FILE_MB,
        "video_files_size_in_mb": 200,
        "fps": rate,
        "splits": {"train": f"0:{dataset.n_episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": features,
    }


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=4))
