"""The commands of docs/guides/own-environment.md for locomotion, on each of its tasks, with few updates."""

from pathlib import Path

import pytest

ONE = ("--workers", 1, "--threads", 1, "-q")
PAPER = ("--preset", "paper-gym", "--batch-size", 64, *ONE)


@pytest.mark.parametrize("task", ["half-cheetah", "walker2d", "ant"])
def test_the_five_commands_run_on_locomotion(awac, task):
    short = ("--horizon", 60, "--workers", 1, "-q")
    awac("collect-demos", task, "--policy", "random", "-n", 2, *short, "-o", "demos.zarr").made("demos.zarr")
    cloned = ("--demos", "demos.zarr", "-n", 2, "--updates", 4, "-o", "data.zarr")
    awac("bc-rollout", *cloned, *PAPER).made("data.zarr")
    awac("pretrain", "--data", "data.zarr", "--updates", 4, *PAPER, "-o", "p.ckpt").made("p.ckpt")
    steps = ("--env-steps", 100, "--utd", 0.05)
    awac("finetune", "p.ckpt", *steps, *PAPER, "-o", "f.ckpt").made("f.ckpt")
    measured = awac("eval", "f.ckpt", "-n", 2, "--workers", 1, "-q", "--json").json
    assert measured["return"]["mean"] != 0
    settings = awac("info", "p.ckpt", "--json").json["recipe"]["config"]
    assert settings["awac"]["lam"] == 2
    assert awac("info", "data.zarr", "--json").json["n_episodes"] == 4
    assert not Path("MUJOCO_LOG.TXT").exists()


def test_soft_actor_critic_makes_a_demonstrator_from_random_episodes(awac):
    short = ("--horizon", 60, "--workers", 1, "-q")
    awac("collect-demos", "half-cheetah", "--policy", "random", "-n", 1, *short, "-o", "random.zarr")
    start = ("--algo", "sac", "--data", "random.zarr", "--updates", 0)
    awac("pretrain", *start, *ONE, "-o", "start.ckpt").made("start.ckpt")
    few = ("--env-steps", 60, "--utd", 0.1, "--warmup-steps", 20, "--batch-size", 32)
    awac("finetune", "start.ckpt", *few, *ONE, "-o", "sac.ckpt").made("sac.ckpt")
    acting = ("--policy", "sac.ckpt", "-n", 1, *short)
    awac("collect-demos", "half-cheetah", *acting, "-o", "demos.zarr").made("demos.zarr")


def test_a_warning_of_mujoco_is_told_once_and_makes_no_file(awac, caplog):
    Path("wild.py").write_text(
        "import gymnasium as gym\n"
        "from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv\n"
        "class Wild(HalfCheetahEnv):\n"
        "    def step(self, action):\n"
        "        self.data.qvel[:] = 1e9\n"
        "        return super().step(action)\n"
        "gym.register('Wild-v0', entry_point=Wild, max_episode_steps=20)\n"
    )
    awac("collect-demos", "wild:Wild-v0", "--policy", "random", "-n", 2, "--workers", 1, "-o", "wild.zarr")
    told = [record.getMessage() for record in caplog.records if "MuJoCo" in record.getMessage()]
    assert len([text for text in told if "unstable" in text]) == 1
    assert not Path("MUJOCO_LOG.TXT").exists()
