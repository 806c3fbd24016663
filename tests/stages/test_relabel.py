"""Rules of tasks: those of the hands, and those that an environment computes."""

from pathlib import Path

import numpy as np
import pytest

from awaccli.artifacts.manifest import Recipe
from awaccli.config.settings import CollectSettings
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.data.derive import derive
from awaccli.data.hindsight import goal_within, with_hindsight
from awaccli.data.relabel import Relabelling, relabelled
from awaccli.data.schema import Header, Source
from awaccli.envs.hands import find_hand
from awaccli.envs.registry import resolve_task
from awaccli.episode import EndReason, Episode
from awaccli.errors import DatasetError, InputError, UsageError
from awaccli.reports.verb_arguments import verb_arguments
from awaccli.stages.collect_demos import collect_demos
from awaccli.stages.relabel import environment_goals, hand_success

GOAL_KEYS = ("observation", "achieved_goal", "desired_goal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        patch.syspath_prepend(Path(__file__).parent / "toys")
        yield tmp_path_factory.mktemp("goals")


def recorded(folder, name, **kwargs):
    task = resolve_task(
        "goal_tasks:goal/Reach-v0", kwargs=kwargs, obs_keys=GOAL_KEYS, success_key="is_success"
    )
    return collect_demos(task, CollectSettings(policy="random", episodes=6), folder / f"{name}.zarr")


@pytest.fixture(scope="module")
def sparse(folder):
    return recorded(folder, "sparse")


@pytest.fixture(scope="module")
def dense(folder):
    return recorded(folder, "dense", dense=True)


def pieces(derivation):
    return [episode for episode in derivation.episodes() if episode.end_reason is EndReason.SEGMENT]


def test_the_environment_and_the_threshold_agree_where_they_should(sparse):
    by_environment = with_hindsight(sparse, environment_goals(sparse, trust_env=True), passes=2)
    by_threshold = with_hindsight(sparse, goal_within(0.4), passes=2)
    assert by_environment.warnings == by_threshold.warnings == ()
    for one, other in zip(pieces(by_environment), pieces(by_threshold), strict=True):
        np.testing.assert_array_equal(one.rewards, other.rewards)
        np.testing.assert_array_equal(one.success, other.success)
    assert by_environment.recipe.key != by_threshold.recipe.key
    assert verb_arguments(by_environment.recipe) == ["--hindsight", "future:2", "--goal-reward", "env"]


def test_a_dense_reward_needs_to_be_told_what_success_is(dense):
    with pytest.raises(UsageError, match="do not tell where its goal is met"):
        with_hindsight(dense, environment_goals(dense, trust_env=True))
    found = pieces(with_hindsight(dense, environment_goals(dense, trust_env=True, threshold=0.4), passes=1))
    for piece in found:
        place, goal = (piece.observations[1:, a:b].astype(np.float64) for a, b in ((2, 4), (4, 6)))
        distance = np.linalg.norm(place - goal, axis=1)
        np.testing.assert_allclose(piece.rewards, -distance, atol=1e-6)
        np.testing.assert_array_equal(piece.success, distance < 0.4)


def test_an_environment_with_another_reward_is_refused(sparse):
    other = resolve_task("goal_tasks:goal/Reach-v0", kwargs={"scale": 5.0}, obs_keys=GOAL_KEYS)
    with pytest.raises(DatasetError, match="recorded rewards are not those of the rule"):
        with_hindsight(sparse, environment_goals(sparse, task=other))


def test_what_a_dataset_names_is_not_imported_without_trust(sparse):
    with pytest.raises(InputError, match="goal_tasks") as error:
        environment_goals(sparse)
    assert "--trust-env" in error.value.hint


def test_an_environment_without_goals_is_named(sparse):
    with pytest.raises(UsageError, match="no `compute_reward`"):
        environment_goals(sparse, task=resolve_task("pendulum"))
    with pytest.raises(UsageError, match="no environment `Gone-v0`"):
        environment_goals(sparse, task=TaskSpec(name="gone", env_id="Gone-v0"))


def hand_data(folder, name, observation_dim):
    rng = np.random.default_rng(0)
    episode = Episode(
        observations=rng.uniform(-2, 2, (21, observation_dim)).astype(np.float32),
        actions=np.zeros((20, 1), np.float32),
        rewards=np.arange(20, dtype=np.float32),
        success=np.zeros(20, bool),
        terminated=False,
        truncated=True,
    )
    facts = TaskFacts(
        spec=TaskSpec(name=name),
        observation_dim=observation_dim,
        action_dim=1,
        observation_layout=(("observation", observation_dim),),
        action_low=(-1.0,),
        action_high=(1.0,),
        reward_kind="dense",
        reward_range=None,
        success_rule="unknown",
        held_steps=0,
    )
    header = Header(task=facts, sources=(Source(kind="human", name="somebody"),))
    return derive(
        folder / f"{name}.zarr", Recipe(stage="x", version=1, settings={}, seed=0), header, [episode]
    )


def test_a_hand_task_judges_recordings_without_its_simulator(folder):
    data, task = hand_data(folder, "door-like", 39), resolve_task("door")
    rule = hand_success(data, task)
    derivation = relabelled(data, Relabelling(success=rule, binary=True))
    (episode,), hand = derivation.episodes(), find_hand(task.env_id)
    expected = data.episode(0).observations[1:, 28] >= 1.35
    assert 0 < expected.sum() < 20
    np.testing.assert_array_equal(episode.success, expected)
    facts = derivation.header.task
    assert (facts.success_rule, facts.held_steps) == (hand.success_rule, hand.held_steps)
    assert (facts.reward_kind, derivation.recipe.settings["success"]) == ("binary", {"task": "door"})


def test_tasks_without_such_a_rule_and_too_short_observations_are_refused(folder):
    data = hand_data(folder, "short", 20)
    with pytest.raises(UsageError, match="no rule that observations alone decide"):
        hand_success(data, resolve_task("pendulum"))
    with pytest.raises(DatasetError, match="20 numbers, task `relocate` has 39"):
        hand_success(data, resolve_task("relocate"))
