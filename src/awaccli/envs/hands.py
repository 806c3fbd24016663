"""What is special about the four Adroit hand tasks, in NumPy alone: judging success needs no simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

HORIZON = 200
"""Steps of an episode in the AWAC paper, 2 s of the robot's time."""


@dataclass(frozen=True)
class Hand:
    """One hand task with the paper's reward: 0 on success, -1 otherwise."""

    name: str
    """Short name of the task, and of its built-in expert."""
    env_id: str
    """Gymnasium id."""
    entry_point: str
    """Where the environment's class is."""
    about: str
    """What the hand has to do."""
    observation_dim: int
    """Numbers in an observation."""
    success: Callable[[np.ndarray], np.ndarray]
    """``next_observations [..., O] -> bool [...]``: the goal is met in the state that is observed."""
    success_rule: str
    """The same in words."""
    model_fields: tuple[tuple[str, str, str], ...]
    """What a reset changes in the simulator's model: (array, kind of element, its name)."""
    held_steps: int = 25
    """Success is held when it lasts more than this many steps (rule of the DAPG authors)."""


def pen_success(next_observations: np.ndarray) -> np.ndarray:
    """Say where the pen is near its target place and points the target's way, bool [...] of [..., 45]."""
    o = np.asarray(next_observations, np.float64)
    similarity = np.sum(o[..., 33:36] * o[..., 36:39], axis=-1)
    return np.asarray((_length(o[..., 39:42]) < 0.075) & (similarity > 0.95))


def door_success(next_observations: np.ndarray) -> np.ndarray:
    """Say where the door is open, bool [...] of [..., 39]."""
    o = np.asarray(next_observations, np.float64)
    return np.asarray(o[..., 28] >= 1.35)


def relocate_success(next_observations: np.ndarray) -> np.ndarray:
    """Say where the ball is at its target, bool [...] of [..., 39]."""
    o = np.asarray(next_observations, np.float64)
    return np.asarray(_length(o[..., 36:39]) < 0.1)


BOARD_XY = np.array([0.05, 0.0])
"""Where the hammer task's board stands, in metres; only its height varies between episodes."""
NAIL_AXIS = np.array([-0.932039015, -0.362357821, 0.000289616])
"""Unit vector out of that board, along which the nail slides."""
NAIL_GOAL = 0.01
"""Where on that axis the nail's head should be, in metres from the board's centre."""


def hammer_success(next_observations: np.ndarray) -> np.ndarray:
    """Say where the nail is in the board, bool [...] of [..., 46].

    The board's unknown height is not needed: the nail slides almost horizontally, so how far it sticks out
    follows from the position of its head in the plane.
    """
    o = np.asarray(next_observations, np.float64)
    plane = NAIL_AXIS[:2]
    sticking_out = (o[..., 42:44] - BOARD_XY) @ plane / (plane @ plane)
    return np.asarray(np.abs(sticking_out - NAIL_GOAL) < 0.01)


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.sum(vectors * vectors, axis=-1)))


HANDS = (
    Hand(
        name="pen",
        env_id="awac/AdroitPenBinary-v0",
        entry_point="awaccli.envs.adroit:AdroitPenBinary",
        about="turn a pen in the hand to a target orientation",
        observation_dim=45,
        success=pen_success,
        success_rule="pen within 7.5 cm of its target and cosine of the angle between them above 0.95",
        model_fields=(("body_quat", "body", "target"),),
        held_steps=20,
    ),
    Hand(
        name="door",
        env_id="awac/AdroitDoorBinary-v0",
        entry_point="awaccli.envs.adroit:AdroitDoorBinary",
        about="undo the latch and swing the door open",
        observation_dim=39,
        success=door_success,
        success_rule="door hinge at 1.35 rad or more",
        model_fields=(("body_pos", "body", "frame"),),
    ),
    Hand(
        name="relocate",
        env_id="awac/AdroitRelocateBinary-v0",
        entry_point="awaccli.envs.adroit:AdroitRelocateBinary",
        about="pick up the ball and carry it to the target",
        observation_dim=39,
        success=relocate_success,
        success_rule="ball within 10 cm of its target",
        model_fields=(("body_pos", "body", "Object"), ("site_pos", "site", "target")),
    ),
    Hand(
        name="hammer",
        env_id="awac/AdroitHammerBinary-v0",
        entry_point="awaccli.envs.adroit:AdroitHammerBinary",
        about="pick up the hammer and drive the nail into the board",
        observation_dim=46,
        success=hammer_success,
        success_rule="nail's head within 1 cm of its place on the board",
        model_fields=(("body_pos", "body", "nail_board"),),
    ),
)


def find_hand(env_id: str | None) -> Hand | None:
    """Return what is known about a hand task, or None for any other environment."""
    return next((hand for hand in HANDS if hand.env_id == env_id), None)
