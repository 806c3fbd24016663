"""D4RL's HDF5 files: flat arrays, ``terminals`` and ``timeouts``, now and then ``next_observations``.

Source: ``d4rl/offline_env.py``, ``qlearning_dataset`` in ``d4rl/__init__.py``, and ``scripts/generation``, in
github.com/Farama-Foundation/D4RL.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from awaccli.artifacts.identity import sha256_file
from awaccli.data.dataset import Dataset
from awaccli.data.formats import Export, Foreign
from awaccli.data.formats.flat import (
    Columns,
    Span,
    common_length,
    flags,
    flat_episodes,
    require_rows,
    spans_by_clock,
    spans_by_flags,
)
from awaccli.data.formats.hdf5 import Hdf5Arrays, opened
from awaccli.data.schema import Source
from awaccli.data.stores import chunk_rows
from awaccli.episode import EndReason
from awaccli.protocols import Reporter

REQUIRED = ("observations", "actions", "rewards", "terminals")
_CACHE_BYTES = 2 << 20


def read_d4rl(path: Path, *, horizon: int | None = None) -> Foreign:
    """Open a D4RL file.

    Args:
        path: the file.
        horizon: steps after which the clock ends an episode; needed where the file has no ``timeouts``.

    Raises:
        InputError: an array is missing, or the file is damaged.
        UsageError: the file has no ``timeouts`` and ``horizon`` is not given.
    """
    with opened(path) as file:
        rows = require_rows(file, REQUIRED)
        terminals = flags(file, "terminals")
        if "timeouts" in file:
            timeouts = flags(file, "timeouts")
            clock = horizon or common_length(terminals, timeouts)
            spans = spans_by_flags(terminals, timeouts, clock)
        else:
            clock = horizon
            spans = spans_by_clock(terminals, horizon, f"`{path}`")
        columns = Columns(
            rewards="rewards",
            success="infos/success" if _has_rows(file, "infos/success", rows) else None,
            next_observations="next_observations" if "next_observations" in file else None,
            infos={
                name.removeprefix("infos/"): name
                for name in file.arrays("infos")
                if _has_rows(file, name, rows) and name != "infos/success"
            },
        )
        losses = (*_boundary_losses(spans, clock, flagged="timeouts" in file), *_other_losses(file, columns))
        algorithm = file.text("metadata/algorithm")
    return Foreign(
        format="d4rl",
        path=path,
        sha256=sha256_file(path),
        episodes=lambda: flat_episodes(path, columns, spans),
        n_episodes=len(spans),
        horizon=clock,
        sources=(
            Source(kind="policy", name=algorithm) if algorithm else Source(kind="imported", name="unknown"),
        ),
        losses=losses,
        settings={"horizon": horizon} if horizon else {},
    )


def _has_rows(file: Hdf5Arrays, name: str, rows: int) -> bool:
    return name in file and file.shape(name)[:1] == (rows,)


def _boundary_losses(spans: list[Span], clock: int | None, *, flagged: bool) -> list[str]:
    losses = []
    if not flagged:
        losses.append(
            f"The file has no timeouts: episodes without a termination are taken to end after {clock} steps."
        )
    segments = [span.stop - span.start for span in spans if span.end_reason is EndReason.SEGMENT]
    if segments:
        losses.append(
            f"{len(segments)} timeouts come after {min(segments)} to {max(segments)} steps: they are taken "
            "for ends of segments, not for the task's clock."
        )
    if spans[-1].truncated is None:
        losses.append(
            f"The last {spans[-1].stop - spans[-1].start} rows have no end: they count as an episode that "
            "stopped for an unknown reason."
        )
    return losses


def _other_losses(file: Hdf5Arrays, columns: Columns) -> list[str]:
    losses = []
    known = {*REQUIRED, "timeouts", "next_observations", "infos/success", *columns.infos.values()}
    left_out = [name for name in file.arrays() if name not in known and not name.startswith("metadata/")]
    if left_out:
        losses.append(f"Arrays that awac has no place for are left out: {', '.join(left_out)}.")
    if file.is_group("metadata/policy"):
        losses.append("The weights of the policy that acted (metadata/policy) are left out.")
    coarse = [
        name for name in ("qpos", "qvel") if name in columns.infos and file.dtype(f"infos/{name}") == "<f4"
    ]
    if coarse:
        losses.append(
            f"Simulator states ({', '.join(coarse)}) are float32, too coarse to replay from: they are kept "
            "as further columns."
        )
    return losses


def write_d4rl(dataset: Dataset, out: Path, report: Reporter) -> None:
    """Write a dataset as a D4RL file with ``next_observations``."""
    steps, task = dataset.n_steps, dataset.task
    with (
        h5py.File(out, "w", rdcc_nbytes=_CACHE_BYTES) as file,
        report.phase("export", dataset.n_episodes, "episodes") as progress,
    ):

        def create(name: str, dtype: str, *shape: int) -> h5py.Dataset:
            row_bytes = np.dtype(dtype).itemsize * int(np.prod(shape))
            chunks = (min(steps, chunk_rows(row_bytes)), *shape)
            return file.create_dataset(
                name, (steps, *shape), dtype, chunks=chunks, compression="gzip", shuffle=True
            )

        arrays = {
            "observations": create("observations", "<f4", task.observation_dim),
            "next_observations": create("next_observations", "<f4", task.observation_dim),
            "actions": create("actions", "<f4", task.action_dim),
            "rewards": create("rewards", "<f4"),
            "terminals": create("terminals", "|b1"),
            "timeouts": create("timeouts", "|b1"),
            "infos/success": create("infos/success", "|b1"),
        }
        for name in dataset.below("steps/infos/"):
            spec = dataset.header.fields[name]
            arrays[name.removeprefix("steps/")] = create(name.removeprefix("steps/"), spec.dtype, *spec.shape)
        start = 0
        for index, episode in enumerate(dataset, 1):
            stop = start + len(episode)
            last = np.arange(len(episode)) == len(episode) - 1
            values = {
                "observations": episode.observations[:-1],
                "next_observations": episode.observations[1:],
                "actions": episode.actions,
                "rewards": episode.rewards,
                "terminals": last & episode.terminated,
                "timeouts": last & episode.truncated,
                "infos/success": episode.success,
                **{f"infos/{name}": column for name, column in episode.infos.items()},
            }
            for name, array in arrays.items():
                array[start:stop] = values[name]
            start = stop
            progress.update(index)


def _remarks(dataset: Dataset) -> tuple[str, ...]:
    reasons = dataset.episodes.end_reason
    odd = int(((reasons != EndReason.TERMINATED) & (reasons != EndReason.TIME_LIMIT)).sum())
    return (f"{odd} episodes that no clock ended are marked as timeouts, too.",) if odd else ()


EXPORT = Export(
    ending=".hdf5",
    keeps=frozenset({"final", "flags", "success", "infos"}),
    write=write_d4rl,
    remarks=_remarks,
)
