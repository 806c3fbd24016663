"""Tasks, experts, acting and rollouts.

Importing this package registers the binary-reward hand tasks with Gymnasium, so that
``gym.make("awaccli.envs:awac/AdroitDoorBinary-v0")`` works anywhere. It loads no simulator.
"""

from __future__ import annotations

from gymnasium.envs.registration import register, registry

from awaccli.envs.hands import HANDS, HORIZON


def _register_hands() -> None:
    for hand in HANDS:
        if hand.env_id not in registry:
            register(id=hand.env_id, entry_point=hand.entry_point, max_episode_steps=HORIZON)


_register_hands()
