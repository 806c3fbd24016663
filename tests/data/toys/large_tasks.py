"""A task whose steps are wide, nearly incompressible numbers, and datasets of it as large as one likes."""

from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np

from awaccli.artifacts.manifest import Recipe
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.data.dataset import Dataset
from awaccli.data.derive import derive
from awaccli.data.schema import Header, Source
from awaccli.episode import EndReason, Episode

GOAL_DIM, ACTION_DIM, STATE_DIM, HORIZON = 3, 8, 58, 4000
PARTS = (("observation", STATE_DIM), ("achieved_goal", GOAL_DIM), ("desired_goal", GOAL_DIM))
WITHIN = 0.5
"""Distance below which the goal, the origin, is met."""
_GAINS = np.random.default_rng(0).uniform(0.5, 2, STATE_DIM).astype(np.float32)
STEP_BYTES = 4 * (STATE_DIM + 2 * GOAL_DIM + ACTION_DIM + 1) + 3


def observed(actions: np.ndarray) -> np.ndarray:
    """Return what is seen after actions, float32 [T, 64]: nothing but the action matters."""
    repeated = actions[:, np.arange(STATE_DIM) % ACTION_DIM] * _GAINS
    return np.concatenate([repeated, actions[:, :GOAL_DIM], 0 * actions[:, :GOAL_DIM]], axis=1)


class Echo(gym.Env):
    """Shows the last action, and calls it a success where its first numbers are small."""

    observation_space = gym.spaces.Dict(
        {name: gym.spaces.Box(-np.inf, np.inf, (size,), np.float32) for name, size in PARTS}
    )
    action_space = gym.spaces.Box(-1, 1, (ACTION_DIM,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._seen(np.zeros(ACTION_DIM, np.float32)), {"success": False}

    def step(self, action):
        success = bool(np.linalg.norm(action[:GOAL_DIM].astype(np.float64)) < WITHIN)
        return self._seen(action), success - 1.0, False, False, {"success": success}

    def _seen(self, action):
        ends = np.cumsum([size for _, size in PARTS])[:-1]
        return dict(zip((name for name, _ in PARTS), np.split(observed(action[None])[0], ends), strict=True))


gym.register("large/Echo-v0", entry_point=Echo, max_episode_steps=HORIZON)

FACTS = TaskFacts(
    spec=TaskSpec(
        name="large_tasks:large/Echo-v0",
        env_id="large_tasks:large/Echo-v0",
        horizon=HORIZON,
        obs_keys=tuple(name for name, _ in PARTS),
    ),
    observation_dim=STATE_DIM + 2 * GOAL_DIM,
    action_dim=ACTION_DIM,
    observation_layout=PARTS,
    action_low=(-1.0,) * ACTION_DIM,
    action_high=(1.0,) * ACTION_DIM,
    reward_kind="binary",
    reward_range=(-1.0, 0.0),
    success_rule="near the origin",
    held_steps=25,
)


def episode(seed: int, steps: int) -> Episode:
    """Return what the environment does with random actions."""
    actions = np.random.default_rng(seed).uniform(-1, 1, (steps, ACTION_DIM)).astype(np.float32)
    observations = observed(np.concatenate([np.zeros((1, ACTION_DIM), np.float32), actions]))
    success = np.linalg.norm(actions[:, :GOAL_DIM].astype(np.float64), axis=1) < WITHIN
    return Episode(
        observations=observations,
        actions=actions,
        rewards=success.astype(np.float32) - 1,
        success=success,
        terminated=False,
        truncated=True,
        end_reason=EndReason.TIME_LIMIT if steps == HORIZON else EndReason.STOPPED,
        seed=seed,
        source=seed % 2,
    )


def lengths(size_bytes: int, longest: int = HORIZON) -> Iterator[int]:
    """Yield steps of episodes that take so much together: a long one, as much in short ones, and so on."""
    while size_bytes > 0:
        for steps in (longest, *[40] * (longest // 40)):
            yield steps
            size_bytes -= steps * STEP_BYTES
            if size_bytes <= 0:
                return


def recorded(path: Path, steps: list[int]) -> Dataset:
    """Make a dataset of random episodes."""
    sources = (Source(kind="scripted", name="a"), Source(kind="human", name="b"))
    recipe = Recipe(stage="large", version=1, settings={"episodes": len(steps)}, seed=0)
    header = Header(task=FACTS, sources=sources)
    return derive(path, recipe, header, (episode(seed, count) for seed, count in enumerate(steps)))
