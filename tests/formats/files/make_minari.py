"""How the two Minari folders beside this script were made: python make_minari.py

Needs `pip install 'minari[create,hdf5]==0.5.4' gymnasium-robotics`; the collector brings jax along.
"""

import os
from pathlib import Path

import gymnasium as gym
import gymnasium_robotics
import numpy as np

HERE = Path(__file__).parent
os.environ["MINARI_DATASETS_PATH"] = str(HERE)

import minari  # noqa: E402 - reads the variable above

gym.register_envs(gymnasium_robotics)


class SuccessAndState(minari.StepDataCallback):
    """What authors of robot datasets add: success, simulator state, and a text."""

    def __call__(self, env, **kwargs):
        data = super().__call__(env, **kwargs)
        simulator = env.unwrapped.point_env.data
        data["info"] = {
            "success": np.bool_(data["info"]["success"]),
            "qpos": simulator.qpos.copy(),
            "contact": {"count": np.int32(simulator.ncon)},
        }
        return data


def collect(env: gym.Env, name: str, seeds: list[int], **facts) -> None:
    env.action_space.seed(0)
    for seed in seeds:
        env.reset(seed=seed)
        ended = False
        while not ended:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            ended = terminated or truncated
    env.create_dataset(name, **facts)


pendulum = minari.DataCollector(gym.make("Pendulum-v1", max_episode_steps=6))
collect(pendulum, "pendulum-v0", [7, 2**63 + 11], algorithm_name="random", author="Ada")
maze = gym.make("PointMaze_UMaze-v3", max_episode_steps=4)
collector = minari.DataCollector(maze, step_data_callback=SuccessAndState, record_infos=True)
collect(collector, "maze-v0", [0, 1], author={"Ada", "Bo"}, code_permalink="https://example.org/code")
