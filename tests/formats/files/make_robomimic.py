"""How robomimic.hdf5 beside this script was made: python make_robomimic.py

Needs `pip install robomimic==0.3.0 gymnasium[mujoco]`. Episodes are written by robomimic's own
`run_trained_agent` and masks by its `split_train_val`. A random policy stands in for the trained agent, and
Gymnasium's inverted pendulum, behind robomimic's interface, for the environments that it knows.
"""

from argparse import Namespace
from pathlib import Path

import gymnasium as gym
import numpy as np
import robomimic.utils.file_utils
from robomimic.algo import RolloutPolicy
from robomimic.envs.env_base import EnvBase, EnvType
from robomimic.scripts.run_trained_agent import run_trained_agent
from robomimic.scripts.split_train_val import split_train_val_from_hdf5
from robomimic.utils.obs_utils import initialize_obs_utils_with_obs_specs

OUT = Path(__file__).with_name("robomimic.hdf5")
EPISODES, HORIZON = 11, 4


class Pendulum(EnvBase):
    """Two observation keys; the task counts as done when the pole stands."""

    rollout_exceptions = ()
    action_dimension, name, type = 1, "InvertedPendulum-v5", EnvType.GYM_TYPE

    def __init__(self):
        self.env, self.seed = gym.make(self.name, max_episode_steps=HORIZON), 0

    def step(self, action):
        obs, self.reward, terminated, truncated, _ = self.env.step(action * 3)
        self.obs, self.done = obs, terminated or truncated
        return self.get_observation(), self.reward, self.done, {}

    def reset(self):
        self.obs, _ = self.env.reset(seed=self.seed)
        self.seed += 1
        return self.get_observation()

    def reset_to(self, state):
        return self.get_observation()

    def get_observation(self):
        return {"pole": self.obs[[1, 3]].copy(), "cart": self.obs[[0, 2]].copy()}

    def get_state(self):
        data = self.env.unwrapped.data
        return {"states": np.concatenate([[data.time], data.qpos, data.qvel]), "model": "<mujoco/>"}

    def is_success(self):
        return {"task": False}

    def is_done(self):
        return self.done

    def get_reward(self):
        return self.reward

    def serialize(self):
        return {"env_name": self.name, "type": self.type, "env_kwargs": {"control_freq": 25}}

    def render(self, **_): ...
    def get_goal(self): ...
    def set_goal(self, **_): ...
    @classmethod
    def create_for_data_processing(cls, **_): ...


class RandomPolicy(RolloutPolicy):
    def __init__(self):
        self.generator = np.random.default_rng(0)

    def start_episode(self): ...

    def __call__(self, ob, goal=None):
        return self.generator.uniform(-1, 1, 1)


if __name__ == "__main__":
    files = robomimic.utils.file_utils
    files.policy_from_checkpoint = lambda **_: (RandomPolicy(), None)
    files.env_from_checkpoint = lambda **_: (Pendulum(), None)
    initialize_obs_utils_with_obs_specs({"obs": {"low_dim": ["pole", "cart"]}})
    options = {"agent": "", "n_rollouts": EPISODES, "horizon": HORIZON, "env": None, "render": False}
    options |= {"video_path": None, "video_skip": 1, "camera_names": [], "dataset_path": OUT}
    run_trained_agent(Namespace(**options, dataset_obs=True, seed=0))
    split_train_val_from_hdf5(OUT, val_ratio=0.3)
