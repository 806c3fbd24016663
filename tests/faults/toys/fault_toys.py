"""An environment that fails in a chosen way at a chosen step, and policies that fail.

It is told by environment variables, so that the task, and with it every id, stays the same:
FAULT what to do, FAULT_SEED in the episode with which reset seed, FAULT_STEP at which step (0: in the reset).
"""

import itertools
import os
import signal
import sys
import time
from collections import deque
from pathlib import Path

import gymnasium as gym
import numpy as np


def _exit(_):
    sys.exit(0)


def _hang(_):
    Path(os.environ["FAULT_HUNG"]).touch()
    time.sleep(3600)


def _hang_in_c(_):
    Path(os.environ["FAULT_HUNG"]).touch()
    deque(itertools.repeat(0), maxlen=0)  # compiled code that never lets any Python code run, in no thread


def _raise(_):
    raise RuntimeError("motor 3 is on fire")


def _die(_):
    os.kill(os.getpid(), signal.SIGKILL)


DEEDS = {"raise": _raise, "exit": _exit, "hang": _hang, "hang-in-c": _hang_in_c, "die": _die}
ODD_OBSERVATIONS = {
    "nan": lambda x: x * np.nan,
    "inf": lambda x: x + np.inf,
    "short": lambda x: x[:2],
    "huge": lambda x: x * 0 + 1e300,
}
ODD_REWARDS = {"nan-reward": float("nan"), "inf-reward": float("-inf"), "huge-reward": 1e300}


class Toy(gym.Env):
    """Drifts with the action; 3 to 7 steps, as its seed says. FAULT_DICE: never the same twice."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    action_space = gym.spaces.Box(-2.0, 2.0, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed, self.t = seed, 0
        self.length = 3 + seed % 5
        self.x = self.np_random.normal(size=3)
        if os.environ.get("FAULT_DICE"):
            self.x += int.from_bytes(os.urandom(4), "little") / 2**32
        return self._observation(), {}

    def step(self, action):
        self.t += 1
        self.x[:2] += action
        time.sleep(float(os.environ.get("FAULT_SLOW_S", "0")))
        terminated = self.t >= self.length
        observation = self._observation()
        if terminated and (log := os.environ.get("FAULT_LOG")):
            with Path(log).open("a") as file:
                file.write(f"{self.seed}\n")
        reward = ODD_REWARDS.get(self._due(), float(self.x[0]))
        return observation, reward, terminated, False, {"reached": bool(self.x[0] > 0)}

    def _observation(self):
        fault = self._due()
        DEEDS.get(fault, id)(fault)
        return ODD_OBSERVATIONS.get(fault, np.copy)(self.x)

    def _due(self):
        here = (str(self.seed), str(self.t))
        due = here == (os.environ.get("FAULT_SEED"), os.environ.get("FAULT_STEP"))
        return os.environ["FAULT"] if due else None


class Wide(Toy):
    """Observes so many numbers, none like the other, that an episode takes 24 to 36 kB."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2000,), np.float64)

    def _observation(self):
        return np.append(super()._observation(), self.np_random.normal(size=1997))


gym.register("fault/Toy-v0", entry_point=Toy, max_episode_steps=6)
gym.register("fault/Wide-v0", entry_point=Wide, max_episode_steps=6)


_CALLS = itertools.count()


def _acts_at_first(deed):
    """Return a policy that fails at its 20th action, unless it was mended."""
    mended = "FAULT_MENDED" in os.environ
    return lambda observation: deed() if next(_CALLS) == 20 and not mended else np.zeros(2, np.float32)


def raising():
    return _acts_at_first(lambda: {}["gripper"])


def not_a_number():
    return _acts_at_first(lambda: np.array([np.nan, 0]))


def wrong_shape():
    return _acts_at_first(lambda: np.zeros(3))
