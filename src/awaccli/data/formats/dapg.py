"""The demonstrations of DAPG: a pickled list of dicts, read by an unpickler that runs nobody's code.

Each dict has ``observations`` [T, O], ``actions`` [T, A], ``rewards`` [T] and ``init_state_dict``; there is
no observation after the last action, no flag of an end, and no seed.

Source: github.com/aravindr93/hand_dapg and the environments of github.com/vikashplus/mj_envs.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from awaccli.artifacts.identity import sha256_file
from awaccli.data.dataset import Dataset
from awaccli.data.formats import Export, Foreign, ForeignEpisode
from awaccli.data.formats.arrays_in_pickles import MAX_PICKLE_BYTES, unpickled
from awaccli.data.memory import require_memory
from awaccli.errors import InputError
from awaccli.protocols import Reporter

KEYS = ("observations", "actions", "rewards")
_STATE = "init_state_dict"
_ENVIRONMENTS = {
    "door_body_pos": ("door-v0", slice(1, -2)),
    "board_pos": ("hammer-v0", slice(0, -6)),
    "desired_orien": ("pen-v0", slice(0, -6)),
    "hand_qpos": ("relocate-v0", slice(0, -6)),
}
"""By an entry of the start state: whose it is, and which positions its observations begin with."""
_OURS = b"cnumpy._core.multiarray\n_reconstruct\n"
_EVERYONES = b"cnumpy.core.multiarray\n_reconstruct\n"


def read_dapg(path: Path, *, max_memory: int | None = None) -> Foreign:
    """Open a pickle of demonstrations; all of it is read.

    Raises:
        UsageError: it needs more memory than is allowed.
        InputError: it asks for anything but NumPy arrays, is larger than 1 GiB, damaged, or no list of
            demonstrations.
    """
    require_memory(f"the pickle `{path}`", 3 * path.stat().st_size, max_memory)
    demos = unpickled(path)
    if not isinstance(demos, list) or not demos or not all(isinstance(demo, dict) for demo in demos):
        raise InputError(
            f"`{path}` is no list of demonstrations", hint=f"expected a list of dicts with {', '.join(KEYS)}"
        )
    for index, demo in enumerate(demos):
        _require_demo(path, index, demo)
    env_id, joints = _environment(demos)
    return Foreign(
        format="dapg",
        path=path,
        sha256=sha256_file(path),
        episodes=lambda: _episodes(demos),
        n_episodes=len(demos),
        env_id=env_id,
        losses=tuple(_losses(demos, joints)),
    )


def _require_demo(path: Path, index: int, demo: Mapping[Any, Any]) -> None:
    rows = {}
    for key, axes in zip(KEYS, (2, 2, 1), strict=True):
        array = demo.get(key)
        if not isinstance(array, np.ndarray) or array.ndim != axes:
            raise InputError(
                f"`{path}`: demonstration {index} has no array `{key}` with {axes} axes",
                hint="expected the layout of DAPG's demonstrations; other data: --format npz or --map",
            )
        rows[key] = len(array)
    if len(set(rows.values())) > 1 or not rows["actions"]:
        counts = ", ".join(f"{count} {key}" for key, count in rows.items())
        raise InputError(
            f"`{path}`: demonstration {index} has {counts}", hint="expected as many of each, at least one"
        )


def _environment(demos: list[dict[str, Any]]) -> tuple[str | None, slice | None]:
    state = _start(demos[0])
    known = next((found for key, found in _ENVIRONMENTS.items() if key in state and "qpos" in state), None)
    return known or (None, None)


def _start(demo: Mapping[str, Any]) -> dict[str, np.ndarray]:
    state = demo.get(_STATE)
    if not isinstance(state, dict):
        return {}
    arrays = {str(name): value for name, value in state.items() if isinstance(value, np.ndarray)}
    return {name: value.reshape(-1) for name, value in arrays.items() if value.size}


def _episodes(demos: list[dict[str, Any]]) -> Iterator[ForeignEpisode]:
    for demo in demos:
        yield ForeignEpisode(
            observations=demo["observations"],
            actions=demo["actions"],
            rewards=demo["rewards"],
            model={f"{_STATE}.{name}": value for name, value in _start(demo).items()},
        )


def _losses(demos: list[dict[str, Any]], joints: slice | None) -> Iterator[str]:
    others = {str(key) for demo in demos for key in demo} - {*KEYS, _STATE}
    if others:
        yield f"Entries that awac has no place for are left out: {', '.join(sorted(others))}."
    if joints is None:
        return
    gaps = [
        _gap(demo["observations"][0], _start(demo)["qpos"][joints])
        for demo in demos
        if "qpos" in _start(demo)
    ]
    apart = [gap for gap in gaps if gap > 1e-6]
    if apart:
        yield (
            f"The first observation disagrees with {_STATE} in {len(apart)} of {len(demos)} demonstrations, "
            f"by {min(apart):.2f} to {max(apart):.2f} rad in the worst joint: {_STATE} is kept "
            "(episodes/model), but is not where they started."
        )


def _gap(observation: np.ndarray, positions: np.ndarray) -> float:
    shared = min(len(observation), len(positions))
    return float(np.abs(observation[:shared] - positions[:shared]).max(initial=0.0))


def write_dapg(dataset: Dataset, out: Path, report: Reporter) -> None:
    """Write a dataset as DAPG's pickle; all of it is in memory.

    Raises:
        InputError: it is larger than what is read in one piece.
        UsageError: it needs more memory than is allowed.
    """
    row_bytes = 4 * (dataset.task.observation_dim + dataset.task.action_dim + 1)
    if dataset.n_steps * row_bytes > MAX_PICKLE_BYTES:
        raise InputError(
            f"`{dataset.path}` has {dataset.n_steps * row_bytes} bytes: pickles are read in one piece",
            hint=f"expected at most {MAX_PICKLE_BYTES} bytes; use --format d4rl or npz",
        )
    require_memory(f"a pickle of `{dataset.path}`", 3 * dataset.n_steps * row_bytes, dataset.max_memory)
    demos = []
    with report.phase("export", dataset.n_episodes, "episodes") as progress:
        for index, episode in enumerate(dataset, 1):
            state = {
                name.removeprefix(f"{_STATE}."): np.array(values)
                for name, values in episode.model.items()
                if name.startswith(f"{_STATE}.")
            }
            if not state:
                state = {name: np.array(states[0]) for name, states in episode.sim.items()}
            demos.append(
                {
                    "observations": np.array(episode.observations[:-1]),
                    "actions": np.array(episode.actions),
                    "rewards": np.array(episode.rewards),
                    _STATE: state,
                }
            )
            progress.update(index)
    text = io.BytesIO()
    pickle.dump(demos, text, protocol=3)
    # NumPy 2 names its constructor by a path that NumPy 1, which DAPG's own code needs, does not have; the
    # first mention is the opcode, others refer to it.
    out.write_bytes(text.getvalue().replace(_OURS, _EVERYONES, 1))


def _remarks(dataset: Dataset) -> tuple[str, ...]:
    remarks = [f"Read back, each of the {dataset.n_episodes} episodes is one transition shorter."]
    known = [name.removeprefix("episodes/model/") for name in dataset.below("episodes/model/")]
    if others := [name for name in known if not name.startswith(f"{_STATE}.")]:
        remarks.append(f"What is known of the start of each episode is left out: {', '.join(others)}.")
    if len(others) == len(known) and not dataset.below("steps/sim/"):
        remarks.append(f"{_STATE} is empty: qpos and qvel at the start are not stored.")
    return tuple(remarks)


EXPORT = Export(ending=".pickle", keeps=frozenset({"model"}), write=write_dapg, remarks=_remarks)
