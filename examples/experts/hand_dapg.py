"""The published expert policies of hand_dapg as `module:attribute` policies: awac ... --policy hand_dapg:pen.

Source: github.com/aravindr93/hand_dapg (Apache-2.0). Its weights as plain arrays, {pen,door,relocate}-v0.npz,
belong into a folder `policies` beside this file.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "policies"
Act = Callable[[np.ndarray], np.ndarray]


def _load(task: str) -> Act:
    """Return the mean action of a two-layer tanh network with shifted and scaled inputs and outputs."""
    with np.load(FOLDER / f"{task}-v0.npz", allow_pickle=False) as file:  # noqa: TID251 - plain arrays of an example
        w = dict(file)

    def act(observation: np.ndarray) -> np.ndarray:
        hidden = (observation - w["in_shift"]) / (w["in_scale"] + 1e-8)
        for layer in ("0", "1"):
            hidden = np.tanh(w[f"weight{layer}"] @ hidden + w[f"bias{layer}"])
        action = w["out_scale"] * (w["weight2"] @ hidden + w["bias2"]) + w["out_shift"]
        return np.clip(action, -1, 1).astype(np.float32)

    return act


def pen() -> Act:
    """Return the pen expert."""
    return _load("pen")


def door() -> Act:
    """Return the door expert."""
    return _load("door")


def relocate() -> Act:
    """Return the relocate expert."""
    return _load("relocate")
