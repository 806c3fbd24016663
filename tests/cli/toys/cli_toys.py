"""The toy task, which can send its own process a signal, and one with a wider observation."""

import os
import signal

import gymnasium as gym
import numpy as np
import toy_tasks


class Toy(toy_tasks.Toy):
    """Sends its process the signal STOP_WITH at its STOP_AT-th reset: a Ctrl-C at a known moment."""

    def __init__(self, **options):
        super().__init__(**options)
        self.resets = 0

    def reset(self, *, seed=None, options=None):
        self.resets += 1
        if self.resets == int(os.environ.get("STOP_AT", "0")):
            os.kill(os.getpid(), signal.Signals[os.environ["STOP_WITH"]])
        return super().reset(seed=seed, options=options)


class Wide(toy_tasks.Toy):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (4,), np.float64)

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        return np.append(observation, 0.0), info

    def step(self, action):
        observation, *rest = super().step(action)
        return np.append(observation, 0.0), *rest


gym.register("cli/Toy-v0", entry_point=Toy, max_episode_steps=6)
gym.register("cli/Wide-v0", entry_point=Wide, max_episode_steps=6)
