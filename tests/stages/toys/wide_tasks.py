"""The toy task with one more number in its observation."""

import gymnasium as gym
import numpy as np
from toy_tasks import Toy


class Wide(Toy):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (4,), np.float64)

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        return np.append(observation, 0.0), info

    def step(self, action):
        observation, *rest = super().step(action)
        return np.append(observation, 0.0), *rest


gym.register("Wide-v0", entry_point=Wide, max_episode_steps=6)
