"""Anyone's own HDF5 or npz, explained by a description."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from awaccli.artifacts.identity import sha256_file
from awaccli.data.expression import Condition
from awaccli.data.formats import Foreign, ForeignEpisode
from awaccli.data.formats.arrays import Arrays, opened_arrays
from awaccli.data.formats.folders import folder_sha256
from awaccli.data.formats.mapped_settings import FieldSignal, RobotMap, Signal, load_map
from awaccli.data.formats.pieces import Piece, pieces
from awaccli.data.schema import Source
from awaccli.episode import EndReason
from awaccli.errors import InputError


def read_mapped(path: Path, description: Path) -> Foreign:
    """Open a file, or a folder of files, that a description explains.

    Raises:
        InputError: an array is missing, arrays do not fit each other, or a file is damaged.
        UsageError: see `load_map`.
    """
    robot = load_map(description)
    found = pieces(path, robot)
    return Foreign(
        format="map",
        path=path,
        sha256=folder_sha256(path, {piece.file for piece in found}) if path.is_dir() else sha256_file(path),
        episodes=lambda: _episodes(robot, found),
        n_episodes=len(found),
        name=robot.name,
        horizon=robot.horizon,
        control_dt=robot.control_dt,
        action_low=None if robot.action_low is None else np.array(robot.action_low),
        action_high=None if robot.action_high is None else np.array(robot.action_high),
        reward_range=robot.reward_range,
        success_rule=robot.success_rule or robot.success,
        held_steps=robot.held_steps,
        sources=(Source(kind=robot.source.kind, name=robot.source.name),),
        credits=(robot.credits,) if robot.credits else (),
        losses=tuple(_losses(robot)),
        settings={
            "map": robot.model_dump(mode="json", exclude_defaults=True),
            "observations": list(robot.observations),  # a recipe keeps no order of keys
        },
    )


def _losses(robot: RobotMap) -> Iterator[str]:
    named = {**robot.observations, **{signal.path: signal for signal in robot.actions}}
    for name, signal in named.items():
        if signal.scale != 1.0:
            unit = f": it is in {signal.unit} now" if signal.unit else ""
            yield f"`{name}` is multiplied by {signal.scale:g}{unit}."


def _episodes(robot: RobotMap, found: list[Piece]) -> Iterator[ForeignEpisode]:
    for file, group in groupby(found, key=lambda piece: piece.file):
        with opened_arrays(file) as arrays:
            for piece in group:
                yield _Recording(arrays, piece, robot).episode()


class _Recording:
    """One episode of a described file."""

    def __init__(self, arrays: Arrays, piece: Piece, robot: RobotMap) -> None:
        self._arrays, self._piece, self._robot = arrays, piece, robot
        columns = [self._scaled(signal) for signal in robot.actions]
        self._steps = len(columns[0])
        for signal, column in zip(robot.actions, columns, strict=True):
            self._require(signal.path, column, self._steps)
        self._actions = np.concatenate(columns, axis=1)
        first = next(iter(robot.observations.values()))
        self._n_states = self._steps + (len(self._rows(first.path)) == self._steps + 1)

    def episode(self) -> ForeignEpisode:
        robot, span = self._robot, self._piece.span
        observations = {name: self._states(signal) for name, signal in robot.observations.items()}
        fields = {name: self._field(signal) for name, signal in robot.fields.items()}
        success = None
        if robot.success:
            columns = {name: self._after(states) for name, states in observations.items()} | fields
            success = Condition(robot.success).holds({name: _column(rows) for name, rows in columns.items()})
        terminated = self._last(robot.terminations) if robot.terminations else None
        return ForeignEpisode(
            observations=observations["observation"] if [*observations] == ["observation"] else observations,
            actions=self._actions,
            rewards=self._of_steps(robot.rewards).reshape(-1) if robot.rewards else None,
            success=success,
            terminated=terminated,
            truncated=self._last(robot.truncations) if robot.truncations else None,
            end_reason=self._end_reason(terminated) if span is None else span.end_reason,
            infos=fields,
        )

    def _end_reason(self, terminated: bool | None) -> EndReason:
        return EndReason.TERMINATED if terminated else EndReason.UNKNOWN

    def _rows(self, path: str) -> np.ndarray:
        name, span = f"{self._piece.group}{path}", self._piece.span
        return self._arrays.rows(name, span.start, span.stop) if span else self._arrays.rows(name)

    def _scaled(self, signal: Signal) -> np.ndarray:
        rows = self._rows(signal.path)
        rows = rows if signal.scale == 1.0 else rows * signal.scale
        return rows.reshape(len(rows), -1)

    def _states(self, signal: Signal) -> np.ndarray:
        """Return what was recorded before each action, and maybe after the last: [T, n] or [T+1, n]."""
        rows = self._scaled(signal)
        self._require(signal.path, rows, self._n_states)
        return rows

    def _field(self, signal: FieldSignal) -> np.ndarray:
        rows = self._rows(signal.path)
        if signal.at == "after":
            self._require(signal.path, rows, self._steps)
            return rows
        self._require(signal.path, rows, self._n_states)
        return self._after(rows)

    def _after(self, states: np.ndarray) -> np.ndarray:
        """Return states after each action; without that after the last, whose step is dropped, a stand-in."""
        return states[1:] if len(states) > self._steps else np.concatenate([states[1:], states[-1:]])

    def _of_steps(self, path: str) -> np.ndarray:
        rows = self._rows(path)
        self._require(path, rows, self._steps)
        return rows

    def _last(self, path: str) -> bool:
        return bool(np.any(self._of_steps(path)[-1]))

    def _require(self, path: str, rows: np.ndarray, expected: int) -> None:
        if len(rows) != expected:
            where = f"`{self._piece.file}`: {self._piece.group}{path}"
            raise InputError(
                f"{where} has {len(rows)} rows, expected {expected}: there are {self._steps} actions",
                hint="observations have a row per action, or all of them one more: that after the last",
            )


def _column(rows: np.ndarray) -> np.ndarray:
    """Return one number per row [T], or a vector per row [T, k], for a condition."""
    flat = rows.reshape(len(rows), -1)
    return flat[:, 0] if flat.shape[1] == 1 else flat
