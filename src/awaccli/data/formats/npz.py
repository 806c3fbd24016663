"""npz archives with flat arrays, under the names that people use; never unpickled.

What awac writes holds everything in arrays: basics under plain names, the rest under the names of awac's own
fields (``episodes/seed``, ``steps/sim/qpos`` ...), so that it reads back as it was.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from awaccli.artifacts.identity import sha256_file
from awaccli.data.dataset import Dataset
from awaccli.data.formats import Export, Foreign, ForeignEpisode
from awaccli.data.formats.arrays import Arrays
from awaccli.data.formats.flat import (
    Columns,
    Span,
    common_length,
    flags,
    flat_episodes,
    require_rows,
    spans_by_clock,
    spans_by_flags,
    spans_by_lengths,
)
from awaccli.data.formats.names import listed
from awaccli.data.formats.npz_arrays import opened_npz
from awaccli.data.stores import chunk_rows
from awaccli.episode import EndReason
from awaccli.errors import InputError, UsageError
from awaccli.protocols import SILENT, Reporter

NAMES = {
    "observations": ("observations", "obs", "observation", "states"),
    "actions": ("actions", "acts", "action"),
    "rewards": ("rewards", "reward", "rews"),
    "success": ("success", "successes"),
    "next_observations": ("next_observations", "next_obs", "next_states"),
    "final_observations": ("final_observations",),
    "terminations": ("terminations", "terminals", "terminated"),
    "truncations": ("truncations", "timeouts", "truncated"),
    "dones": ("dones", "done"),
    "episode_lengths": ("episode_lengths", "lengths", "traj_lengths"),
    "episode_starts": ("episode_starts", "starts"),
    "episode_ends": ("episode_ends", "ends"),
}
"""What an array is, and the names under which it is found."""
_PLAIN = {
    "steps/observations": "observations",
    "steps/actions": "actions",
    "steps/rewards": "rewards",
    "steps/success": "success",
    "steps/terminations": "terminations",
    "steps/truncations": "truncations",
    "final/observations": "final_observations",
    "episodes/length": "episode_lengths",
}
_NOT_WRITTEN = {
    *("episodes/start", "episodes/return", "episodes/success", "episodes/success_steps", "episodes/sha256"),
    *("episodes/source", "episodes/clipped"),
}
"""What follows from the rest, and what points to texts that arrays cannot hold."""
_EXTRA = ("infos/", "steps/sim/", "final/sim/", "episodes/")


def read_npz(path: Path, *, horizon: int | None = None) -> Foreign:
    """Open an npz archive.

    Args:
        path: the file.
        horizon: steps after which the clock ends an episode; needed where only terminations are flagged.

    Raises:
        InputError: observations or actions are missing, arrays do not fit each other, or it is damaged.
        UsageError: nothing in it says where an episode ends.
    """
    with opened_npz(path) as arrays:
        found = {
            what: next((name for name in names if name in arrays), None) for what, names in NAMES.items()
        }
        extra = [name for name in arrays.arrays() if name.startswith(_EXTRA)]
        left_out = set(arrays.arrays()) - {*found.values(), *extra}
        columns = _columns(arrays, found, extra)
        spans = _spans(arrays, found, require_rows(arrays, _of_steps(columns)), horizon)
        if columns.final_observations and arrays.shape(columns.final_observations)[0] != len(spans):
            raise InputError(
                f"`{path}`: `{columns.final_observations}` has {arrays.shape(columns.final_observations)[0]} "
                f"rows, there are {len(spans)} episodes",
                hint="expected the observation after the last action of each episode",
            )
    lost = f"Arrays that awac has no place for are left out: {', '.join(sorted(left_out))}."
    return Foreign(
        format="npz",
        path=path,
        sha256=sha256_file(path),
        episodes=lambda: _episodes(path, columns, spans, extra),
        n_episodes=len(spans),
        losses=(lost,) if left_out else (),
        settings={"horizon": horizon} if horizon else {},
    )


def _columns(arrays: Arrays, found: dict[str, str | None], extra: list[str]) -> Columns:
    observations, actions = found["observations"], found["actions"]
    if observations is None or actions is None:
        raise InputError(
            f"`{arrays.path}` has no observations or no actions: it has {listed(arrays.arrays())}",
            hint="--map robot.toml says which array is what",
        )
    return Columns(
        observations=observations,
        actions=actions,
        rewards=found["rewards"],
        success=found["success"],
        next_observations=found["next_observations"],
        final_observations=found["final_observations"],
        infos={name.removeprefix("infos/"): name for name in extra if name.startswith("infos/")},
    )


def _of_steps(columns: Columns) -> list[str]:
    names = (
        columns.observations,
        columns.actions,
        columns.rewards,
        columns.success,
        columns.next_observations,
    )
    return [name for name in (*names, *columns.infos.values()) if name]


def _spans(arrays: Arrays, found: dict[str, str | None], rows: int, horizon: int | None) -> list[Span]:
    def flag(what: str) -> np.ndarray | None:
        name = found[what]
        if name is None:
            return None
        require_rows(arrays, [str(found["actions"]), name])
        return flags(arrays, name)

    terminals, timeouts, dones = flag("terminations"), flag("truncations"), flag("dones")
    spans = _spans_by_index(arrays, found, rows)
    if spans is not None:
        return [_flagged(span, terminals, timeouts) for span in spans]
    if timeouts is not None:
        terminals = np.zeros(rows, bool) if terminals is None else terminals
        return spans_by_flags(terminals, timeouts, horizon or common_length(terminals, timeouts))
    if dones is not None:
        ended = spans_by_flags(np.zeros(rows, bool), dones, None)
        return [
            replace(span, terminated=None, truncated=None, end_reason=EndReason.UNKNOWN) for span in ended
        ]
    if terminals is not None:
        return spans_by_clock(terminals, horizon, f"`{arrays.path}`")
    raise UsageError(
        f"`{arrays.path}` does not say where its episodes end",
        hint="add an array episode_lengths, or terminations and truncations, or dones",
    )


def _spans_by_index(arrays: Arrays, found: dict[str, str | None], rows: int) -> list[Span] | None:
    for what in ("episode_lengths", "episode_starts", "episode_ends"):
        name = found[what]
        if name is None:
            continue
        index = arrays.rows(name)
        if what == "episode_starts":
            index = np.diff(index, append=rows)
        elif what == "episode_ends":
            index = np.diff(index, prepend=0)
        return spans_by_lengths(index, rows, f"`{arrays.path}`: `{name}`")
    return None


def _flagged(span: Span, terminals: np.ndarray | None, timeouts: np.ndarray | None) -> Span:
    terminated = None if terminals is None else bool(terminals[span.stop - 1])
    truncated = None if timeouts is None else bool(timeouts[span.stop - 1])
    reason = EndReason.TERMINATED if terminated else EndReason.UNKNOWN
    return replace(span, terminated=terminated, truncated=truncated, end_reason=reason)


def _episodes(path: Path, columns: Columns, spans: list[Span], extra: list[str]) -> Iterator[ForeignEpisode]:
    """Yield the episodes with what awac itself has written beside the basics."""
    with opened_npz(path) as arrays:
        table = {name: arrays.rows(name) for name in extra if arrays.shape(name) == (len(spans),)}
        for index, episode in enumerate(flat_episodes(path, columns, spans)):
            has_seed = table.get("episodes/has_seed", np.zeros(len(spans), bool))[index]
            reason = table.get("episodes/end_reason")
            yield replace(
                episode,
                seed=int(table["episodes/seed"][index]) if has_seed else None,
                end_reason=episode.end_reason if reason is None else EndReason(int(reason[index])),
                sim=_states(arrays, spans[index], index, extra),
                sim_init=_row(arrays, "episodes/sim_init", index),
                model={
                    name.removeprefix("episodes/model/"): arrays.rows(name, index, index + 1)[0]
                    for name in extra
                    if name.startswith("episodes/model/")
                },
            )


def _row(arrays: Arrays, name: str, index: int) -> np.ndarray | None:
    return arrays.rows(name, index, index + 1)[0] if name in arrays else None


def _states(arrays: Arrays, span: Span, index: int, extra: list[str]) -> dict[str, np.ndarray]:
    return {
        name.removeprefix("final/sim/"): np.concatenate(
            [
                arrays.rows(name.replace("final/", "steps/", 1), span.start, span.stop),
                arrays.rows(name, index, index + 1),
            ]
        )
        for name in extra
        if name.startswith("final/sim/")
    }


def write_npz(dataset: Dataset, out: Path, report: Reporter) -> None:
    """Write a dataset as an npz archive, a block of rows at a time; equal content gives equal bytes."""
    names = {
        name: _PLAIN.get(name, name.removeprefix("steps/") if name.startswith("steps/infos/") else name)
        for name in sorted(dataset.header.fields.keys() - _NOT_WRITTEN)
    }
    write_fields(dataset, names, out, report)


def write_fields(
    dataset: Dataset,
    names: Mapping[str, str],
    out: Path | IO[bytes],
    report: Reporter = SILENT,
    *,
    episodes: int | None = None,
) -> None:
    """Write fields of a dataset as an npz archive, a block of rows at a time.

    Args:
        dataset: what to write.
        names: of the arrays, by field.
        out: where to; a stream need not be one that can go back.
        report: whom to tell how far it is.
        episodes: so many, the first ones; None: all.
    """
    episodes = len(dataset) if episodes is None else min(episodes, len(dataset))
    steps = int(dataset.episodes.length[:episodes].sum())
    rows = {name: steps if name.startswith("steps/") else episodes for name in names}
    with (
        zipfile.ZipFile(out, "w") as archive,
        report.phase("export", sum(rows.values()), "rows") as progress,
    ):
        done = 0
        for name, plain in names.items():
            for written in _array(archive, plain, dataset, name, rows[name]):
                progress.update(done + written)
            done += rows[name]


def _array(archive: zipfile.ZipFile, plain: str, dataset: Dataset, name: str, rows: int) -> Iterator[int]:
    """Write the first rows of a field; yield how many are written."""
    spec = dataset.header.fields[name]
    entry = zipfile.ZipInfo(f"{plain}.npy")  # its date is 1980, on every day
    header = {"descr": spec.dtype, "fortran_order": False, "shape": (rows, *spec.shape)}
    stride = chunk_rows(spec.row_bytes)
    with archive.open(entry, "w", force_zip64=True) as stream:
        npy.write_array_header_1_0(stream, header)
        for start in range(0, rows, stride):
            stop = min(start + stride, rows)
            stream.write(dataset.rows(name, start, stop).tobytes())
            yield stop


EXPORT = Export(
    ending=".npz",
    keeps=frozenset({"final", "flags", "end_reason", "success", "seed", "infos", "sim", "sim_init", "model"}),
    write=write_npz,
)
