"""The binary hand tasks: reward, horizon, and success computed from observations alone."""

import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from awaccli.envs.hands import BOARD_XY, HANDS, NAIL_AXIS, NAIL_GOAL, find_hand
from awaccli.envs.registry import resolve_task
from awaccli.envs.simulation import Simulation

EXPERTS = Path(__file__).parents[3] / "shared/data/policies"
NAMES = [hand.name for hand in HANDS]


def output_of(script):
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def judged(name, observations):
    return find_hand(resolve_task(name).env_id).success(np.array(observations, np.float32))


@pytest.fixture(scope="module")
def simulations():
    made = {name: Simulation(resolve_task(name)) for name in NAMES}
    yield made
    for simulation in made.values():
        simulation.close()


def near_threshold(name, env, rng):
    """Return joint positions for which the goal is just met or just missed."""
    qpos = env.init_qpos.copy()
    if name == "door":
        qpos[env.door_hinge_addrs] = rng.uniform(1.33, 1.37)
    elif name == "hammer":
        qpos[26] = rng.uniform(0.075, 0.088)
    elif name == "relocate":
        away = rng.normal(size=3)
        away *= rng.uniform(0.095, 0.105) / np.linalg.norm(away)
        qpos[-6:-3] = env.data.site_xpos[env.target_obj_site_id] + away - env.model.body_pos[env.obj_body_id]
    else:
        target = env.data.site_xpos[env.eps_ball_site_id] + rng.normal(size=3) * 0.04
        qpos[-6:-3] = target - env.model.body_pos[env.obj_body_id]
        env.model.body_quat[env.target_obj_body_id] = env.model.body_quat[env.obj_body_id]
        qpos[-3:] = rng.normal(size=3) * 0.3
    return qpos


@pytest.mark.parametrize("name", NAMES)
def test_success_near_the_threshold_equals_the_simulators(name, simulations):
    simulation, rng = simulations[name], np.random.default_rng(0)
    env = simulation._env.unwrapped
    observations, reported = [], []
    for seed in range(10):
        simulation.reset(seed)
        for _ in range(30):
            env.set_state(near_threshold(name, env, rng), np.zeros(env.model.nv))
            step = simulation.step(np.zeros(len(simulation.low), np.float32))
            observations.append(step.observation)
            reported.append(step.success)
    assert 15 < sum(reported) < 285, "both outcomes must be tested"
    np.testing.assert_array_equal(judged(name, observations), reported)


@pytest.mark.parametrize("name", ["pen", "door", "relocate"])
def test_success_of_expert_rollouts_equals_the_simulators(name, simulations):
    path = EXPERTS / f"{name}-v0.npz"
    if not path.is_file():
        pytest.skip("needs ../shared/data")
    with np.load(path, allow_pickle=False) as file:  # noqa: TID251 - plain arrays of our own test data
        w = dict(file)
    observations, reported = [], []
    for seed in range(3):
        o = simulations[name].reset(seed)
        for _ in range(200):
            h = np.tanh(w["weight0"] @ ((o - w["in_shift"]) / (w["in_scale"] + 1e-8)) + w["bias0"])
            a = w["weight2"] @ np.tanh(w["weight1"] @ h + w["bias1"]) + w["bias2"]
            step = simulations[name].step(a * w["out_scale"] + w["out_shift"])
            o = step.observation
            observations.append(o)
            reported.append(step.success)
    assert any(reported)
    np.testing.assert_array_equal(judged(name, observations), reported)


def test_constants_of_the_hammer_task_are_the_models(simulations):
    env = simulations["hammer"]._env.unwrapped
    for seed in range(3):
        simulations["hammer"].reset(seed)
        board = env.data.xpos[env.target_body_id]
        np.testing.assert_array_equal(board[:2], BOARD_XY)
        np.testing.assert_allclose(
            env.data.xmat[env.target_body_id].reshape(3, 3)[:, 2], NAIL_AXIS, atol=1e-8
        )
        assert env.model.site_pos[env.goal_site_id].tolist() == [0, 0, NAIL_GOAL]
        assert env.model.jnt_axis[26].tolist() == [0, 0, -1]


@pytest.mark.parametrize(("name", "horizon"), [*((name, 200) for name in NAMES), ("pen-100", 100)])
def test_reward_is_binary_and_only_the_clock_ends_an_episode(name, horizon):
    simulation, rng = Simulation(resolve_task(name)), np.random.default_rng(1)
    simulation.reset(0)
    steps = [
        simulation.step(rng.uniform(-1, 1, len(simulation.low)).astype(np.float32)) for _ in range(horizon)
    ]
    assert {step.reward for step in steps} <= {-1.0, 0.0}
    assert [step.reward + 1 for step in steps] == [step.success for step in steps]
    assert not any(step.terminated for step in steps)
    assert [step.truncated for step in steps] == [False] * (horizon - 1) + [True]


@pytest.mark.parametrize("hand", HANDS, ids=NAMES)
def test_gymnasium_makes_the_hands(hand):
    env = gym.make(f"awaccli.envs:{hand.env_id}", disable_env_checker=True)
    env.reset(seed=3)
    *_, info = env.step(env.action_space.sample())
    assert env.spec.max_episode_steps == 200
    assert type(info["success"]) is bool
    env.close()


def test_a_fresh_interpreter_makes_a_hand_and_says_nothing():
    script = "import gymnasium; gymnasium.make('awaccli.envs:awac/AdroitDoorBinary-v0').reset(seed=0)"
    assert output_of(script) == ("", "")


def test_importing_the_room_loads_no_simulator():
    script = (
        "import sys, awaccli.envs.registry as r; r.list_tasks(); r.resolve_task('door')\n"
        "print([m for m in ('mujoco', 'torch', 'gymnasium_robotics') if m in sys.modules])"
    )
    assert output_of(script) == ("[]\n", "")


def test_facts_are_the_same_in_another_process_and_after_a_reset(simulations):
    simulations["relocate"].reset(5)
    ours = simulations["relocate"].facts()
    script = (
        "from awaccli.envs.registry import resolve_task; from awaccli.envs.simulation import Simulation\n"
        "s = Simulation(resolve_task('relocate')); s.reset(1); print(s.facts().model_dump_json())"
    )
    assert output_of(script)[0].strip() == ours.model_dump_json()
    assert ours.reward_range == (-1, 0)
    assert (ours.control_dt, ours.spec.horizon, ours.held_steps) == (0.01, 200, 25)
    assert simulations["pen"].facts().held_steps == 20
    assert {"gymnasium", "gymnasium-robotics", "mujoco"} == set(ours.versions)
    hashes = {simulation.facts().mjcf_sha256 for simulation in simulations.values()}
    assert len(hashes) == 4
