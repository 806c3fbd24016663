"""Saving and restoring the state of a MuJoCo environment, and telling models apart."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from awaccli.envs.hands import find_hand
from awaccli.errors import DatasetError

_LOG = logging.getLogger(__name__)


def hear_mujoco() -> None:
    """If MuJoCo is in use, log what it warns of, each text once.

    By itself it prints every warning and appends it to a file MUJOCO_LOG.TXT in the current folder.
    Deprecations are for authors of models, not for those who use them: they are shown with ``-v`` only.
    """
    if mujoco := sys.modules.get("mujoco"):
        mujoco.set_mju_user_warning(_heard)


@cache
def _heard(text: str) -> None:
    _LOG.log(logging.INFO if "deprecated" in text else logging.WARNING, "MuJoCo: %s", text)


class MujocoState:
    """The simulator behind an environment: ``model`` and ``data`` as Gymnasium's MujocoEnv has them."""

    def __init__(self, env: Any, env_id: str | None) -> None:
        import mujoco

        self._mujoco = mujoco
        self._model, self._data = env.model, env.data
        self._kind = mujoco.mjtState.mjSTATE_INTEGRATION
        self._size = mujoco.mj_stateSize(self._model, self._kind)
        hand = find_hand(env_id)
        self._changed = {
            f"{array}.{name}": (array, getattr(self._model, kind)(name).id)
            for array, kind, name in (hand.model_fields if hand else ())
        }

    def read(self) -> np.ndarray:
        """Return the integration state, float64 [S]: all that the next step depends on."""
        state = np.empty(self._size)
        self._mujoco.mj_getState(self._model, self._data, state, self._kind)
        return state

    def read_model(self) -> dict[str, np.ndarray]:
        """Return what a reset changed in the model, float64 [k] each, by ``array.element``."""
        return {
            name: np.array(getattr(self._model, array)[index], np.float64)
            for name, (array, index) in self._changed.items()
        }

    def restore(self, state: np.ndarray, model: Mapping[str, np.ndarray]) -> None:
        """Put the simulator into a recorded state. The environment must have been reset before.

        Raises:
            DatasetError: it was recorded in another model.
        """
        own = {name: value.shape for name, value in self.read_model().items()}
        given = {name: value.shape for name, value in model.items()}
        if (state.shape, given) != ((self._size,), own):
            raise DatasetError(
                f"the recorded start state has {len(state)} numbers and changes {given or 'nothing'} in the "
                f"model; the simulator here has {self._size} and needs {own or 'nothing'}",
                hint="it was recorded in another version of the environment: try --mode seed",
            )
        for name, (array, index) in self._changed.items():
            getattr(self._model, array)[index] = model[name]
        self._mujoco.mj_setState(self._model, self._data, state, self._kind)
        self._mujoco.mj_forward(self._model, self._data)
        # mj_forward moves the solver's warm start, on which the next step depends in the last bits.
        self._mujoco.mj_setState(self._model, self._data, state, self._kind)

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return copies of qpos, float64 [nq], and qvel, float64 [nv]."""
        return self._data.qpos.copy(), self._data.qvel.copy()


def model_sha256(model: Any) -> str:
    """Return a hash of a compiled model: every array and solver option, no file path.

    Take it before the first reset: resets change the model.
    """
    digest = hashlib.sha256(model.names)
    for owner in (model, model.opt):
        for name in sorted(dir(owner)):
            if name.startswith("_") or "path" in name:
                continue
            value = getattr(owner, name)
            if isinstance(value, int | float):
                value = np.array(value)
            # Sizes of memory and of the enclosing structure differ between versions, not between models.
            if isinstance(value, np.ndarray) and name not in {"signature", "narena", "nbuffer"}:
                digest.update(f"|{name}|{value.dtype.str}|{value.shape}|".encode())
                digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
