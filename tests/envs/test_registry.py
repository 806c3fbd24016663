"""From names to tasks, and what is refused."""

import gymnasium as gym
import pytest

from awaccli.envs.experts import expert_id, expert_policy
from awaccli.envs.registry import list_tasks, resolve_task
from awaccli.envs.simulation import Simulation
from awaccli.errors import UsageError


def test_short_names_exist_in_the_installed_packages():
    import gymnasium_robotics  # noqa: F401 - registers its environments

    for task in list_tasks():
        spec = resolve_task(task.name)
        assert spec.name == task.name
        assert spec.env_id in gym.registry
        assert task.horizon in {gym.spec(spec.env_id).max_episode_steps, 100}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("awaccli.envs:awac/AdroitDoorBinary-v0", "door"),
        ("awac/AdroitDoorBinary-v0", "door"),
        ("HalfCheetah-v5", "half-cheetah"),
        ("MountainCarContinuous-v0", "mountain-car-continuous"),
    ],
)
def test_ids_get_names_fit_for_files(text, name):
    assert resolve_task(text).name == name


def test_an_id_of_ours_is_the_task_of_the_short_name():
    assert resolve_task("awaccli.envs:awac/AdroitPenBinary-v0") == resolve_task("pen")


def test_options_replace_what_the_task_says():
    task = resolve_task("pen", horizon=50, success_key="ok", obs_keys=("a", "b"), kwargs={"width": 64})
    assert (task.horizon, task.success_key, task.obs_keys, task.kwargs) == (
        50,
        "ok",
        ("a", "b"),
        {"width": 64},
    )
    assert resolve_task("pendulum", kwargs={"max_episode_steps": 7}).horizon == 7


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("relocat", "`relocate`"),
        ("HalfCheeta-v5", "`HalfCheetah-v5`"),
        ("zzzzzz", "awac tasks"),
        ("no_such_package:Foo-v0", "no_such_package.py"),
        ("toy_tasks:Toyy-v0", "`toy_tasks:Toy-v0`"),
    ],
)
def test_unknown_tasks_come_with_a_suggestion(text, hint, toy):
    toy()
    with pytest.raises(UsageError) as caught:
        resolve_task(text)
    assert hint in caught.value.hint


def test_horizon_must_be_positive():
    with pytest.raises(UsageError, match="horizon"):
        resolve_task("pen", kwargs={"max_episode_steps": 0})


@pytest.mark.parametrize(
    ("env_id", "options", "message"),
    [
        ("DictToy-v0", {}, "Dict observations: goal, mode, pose|Dict observations: pose, goal, mode"),
        ("DictToy-v0", {"obs_keys": ("pse",)}, "no observation `pse`"),
        ("DictToy-v0", {"obs_keys": ("mode",)}, "observation `mode` is Discrete"),
        ("Toy-v0", {"obs_keys": ("pose",)}, "one array"),
        ("DiscreteToy-v0", {}, "actions are Discrete"),
        ("Toy-v0", {"kwargs": {"colour": "red"}}, "colour"),
    ],
)
def test_environments_that_do_not_fit_are_refused(env_id, options, message, toy):
    with pytest.raises(UsageError, match=message):
        Simulation(toy(env_id, **options))


def test_a_task_without_simulator_cannot_be_simulated():
    with pytest.raises(UsageError, match="without a simulator"):
        Simulation(resolve_task("pen").model_copy(update={"env_id": None}))


def test_tasks_without_expert_say_what_else_there_is():
    with pytest.raises(UsageError, match="hammer") as caught:
        expert_policy(resolve_task("hammer"))
    assert "--policy" in caught.value.hint


def test_the_identity_of_an_expert_is_its_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert expert_id(tmp_path / "a").startswith("ba7816bf")
