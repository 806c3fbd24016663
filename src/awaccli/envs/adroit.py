"""The hand tasks with the AWAC paper's reward: 0 on success, -1 otherwise; only the clock ends them."""

from __future__ import annotations

from typing import Any

import numpy as np

from awaccli.envs.imports import silence_robotics_notice

silence_robotics_notice()

from gymnasium_robotics.envs.adroit_hand.adroit_door import AdroitHandDoorEnv  # noqa: E402
from gymnasium_robotics.envs.adroit_hand.adroit_hammer import AdroitHandHammerEnv  # noqa: E402
from gymnasium_robotics.envs.adroit_hand.adroit_pen import AdroitHandPenEnv  # noqa: E402
from gymnasium_robotics.envs.adroit_hand.adroit_relocate import AdroitHandRelocateEnv  # noqa: E402


class _Binary:
    """Placed before a gymnasium-robotics environment, replaces its reward."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, _, _, truncated, info = super().step(action)  # type: ignore[misc]
        success = bool(info["success"])
        return observation, float(success) - 1.0, False, truncated, {**info, "success": success}


class AdroitPenBinary(_Binary, AdroitHandPenEnv):  # type: ignore[misc]
    """Turn a pen in the hand to a target orientation."""


class AdroitDoorBinary(_Binary, AdroitHandDoorEnv):  # type: ignore[misc]
    """Undo the latch and swing the door open."""


class AdroitRelocateBinary(_Binary, AdroitHandRelocateEnv):  # type: ignore[misc]
    """Pick up the ball and carry it to the target."""


class AdroitHammerBinary(_Binary, AdroitHandHammerEnv):  # type: ignore[misc]
    """Pick up the hammer and drive the nail into the board."""
