"""Goal-conditioned environments that cost nothing."""

import gymnasium as gym
import numpy as np


class Reach(gym.Env):
    """A point in the plane; sparse reward as in the Fetch tasks, or minus the distance."""

    action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    observation_space = gym.spaces.Dict(
        {
            "observation": gym.spaces.Box(-np.inf, np.inf, (2,), np.float64),
            "achieved_goal": gym.spaces.Box(-np.inf, np.inf, (2,), np.float64),
            "desired_goal": gym.spaces.Box(-np.inf, np.inf, (2,), np.float64),
        }
    )

    def __init__(self, *, dense=False, scale=1.0):
        self.dense, self.scale = dense, scale

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.goal = np.zeros(2), self.np_random.uniform(-2, 2, 2)
        return self._seen(), {}

    def step(self, action):
        self.place = self.place + 0.3 * action
        reward = self.compute_reward(self.place, self.goal, {})
        near = np.linalg.norm(self.place - self.goal) < 0.4
        return self._seen(), float(reward), False, False, {"is_success": bool(near)}

    def compute_reward(self, achieved, desired, info):
        distance = np.linalg.norm(np.asarray(achieved) - desired, axis=-1)
        return self.scale * (-distance if self.dense else -(distance >= 0.4).astype(np.float32))

    def _seen(self):
        return {
            "observation": self.place.copy(),
            "achieved_goal": self.place.copy(),
            "desired_goal": self.goal,
        }


gym.register("goal/Reach-v0", entry_point=Reach, max_episode_steps=20)
