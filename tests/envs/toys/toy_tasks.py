"""Environments and policies as a user would write them, for the tests of rollouts."""

import os
import time
from pathlib import Path

import gymnasium as gym
import numpy as np


class Toy(gym.Env):
    """Drifts with the action; misbehaves on demand. Terminates after as many steps as its seed says."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    action_space = gym.spaces.Box(-2.0, 2.0, (2,), np.float32)

    def __init__(self, *, raise_at=None, nan_at=None, log=None, slow_s=0.0, hang_s=0.0):
        self.raise_at, self.nan_at, self.log = raise_at, nan_at, log
        self.slow_s, self.hang_s = slow_s, hang_s

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed, self.t = seed, 0
        self.length = 3 + seed % 5
        self.x = self.np_random.normal(size=3)
        time.sleep(self.hang_s + self.slow_s * (seed % 2))
        return self.x.copy(), {}

    def step(self, action):
        self.t += 1
        if self.t == self.raise_at:
            raise RuntimeError("motor 3 is on fire")
        self.x[:2] += action
        observation = self.x * (np.nan if self.t == self.nan_at else 1)
        terminated = self.t >= self.length
        if terminated and self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{os.getpid()} {self.seed}\n")
        return observation, float(self.x[0]), terminated, False, {"reached": bool(self.x[0] > 0)}


class DictToy(Toy):
    """The same with parts."""

    observation_space = gym.spaces.Dict(
        {
            "pose": gym.spaces.Box(-np.inf, np.inf, (3,), np.float64),
            "goal": gym.spaces.Box(-1, 1, (2,), np.float32),
            "mode": gym.spaces.Discrete(3),
        }
    )

    def _parts(self, pose):
        return {"pose": pose, "goal": np.array([0.5, -0.5], np.float32), "mode": 1}

    def reset(self, *, seed=None, options=None):
        pose, info = super().reset(seed=seed)
        return self._parts(pose), info

    def step(self, action):
        pose, *rest = super().step(action)
        return self._parts(pose), *rest


class DiscreteToy(Toy):
    """The same with actions that are not numbers."""

    action_space = gym.spaces.Discrete(2)


for _class in (Toy, DictToy, DiscreteToy):
    gym.register(f"{_class.__name__}-v0", entry_point=_class, max_episode_steps=6)


def forward(observation):
    return np.array([0.1, observation[0]])


def wrong_shape(observation):
    return np.zeros(3)


def words(observation):
    return np.array(["left", "right"])


def not_a_number(observation):
    return np.array([np.nan, 0])


def failing(observation):
    raise KeyError("gripper")


class Counting:
    """A policy with memory: made anew for every episode."""

    def __init__(self):
        self.count = 0

    def act(self, observation, rng):
        self.count += 1
        return np.full(2, self.count / 100, np.float32)


def needs_two(first, second):
    return first


not_callable = 3
