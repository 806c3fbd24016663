"""Later achieved goals as goals: what is made of an episode, and how goals are drawn."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from awaccli.config.task import TaskSpec
from awaccli.data.buffer import ReplayBuffer
from awaccli.data.hindsight import _segments, goal_within, with_hindsight
from awaccli.episode import EndReason, Episode
from awaccli.errors import DatasetError, UsageError
from awaccli.reports.verb_arguments import verb_arguments

NEAR = 0.5
LAYOUT = (("observation", 1), ("achieved_goal", 2), ("desired_goal", 2))
SPLITS = {"train": (0, 2), "val": (1,)}


def reach(seed, steps):
    """Walk at random in the plane, towards a goal that stays far away: never met."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1, 1, (steps, 2)).astype(np.float32)
    place = np.concatenate([np.zeros((1, 2)), np.cumsum(actions, axis=0)])
    goal = np.tile([100.0 + seed, 0.0], (steps + 1, 1))
    clock = np.arange(steps + 1)[:, None]
    return Episode(
        observations=np.concatenate([clock, place, goal], axis=1).astype(np.float32),
        actions=actions,
        rewards=np.full(steps, -1, np.float32),
        success=np.zeros(steps, bool),
        terminated=False,
        truncated=True,
        end_reason=EndReason.TIME_LIMIT,
        seed=seed,
        infos={"step": np.arange(steps)},
        sim_init=np.ones(3),
        clipped=2,
    )


@pytest.fixture(scope="module")
def task(make_task):
    return make_task(
        spec=TaskSpec(name="reach", horizon=50),
        observation_layout=LAYOUT,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
        reward_kind="dense",
        reward_range=None,
    )


@pytest.fixture(scope="module")
def data(recorded, task):
    made = [reach(seed, steps) for seed, steps in enumerate((50, 20, 1))]
    return recorded("reach.zarr", made, task=task, splits=SPLITS)


def test_recorded_episodes_come_first_and_unchanged(data):
    derivation = with_hindsight(data, goal_within(NEAR), passes=3)
    episodes = list(derivation.episodes())
    assert len(episodes) == derivation.total
    for old, new in zip(data, episodes[:3], strict=True):
        np.testing.assert_array_equal(old.observations, new.observations)
    assert all(episode.end_reason is EndReason.SEGMENT for episode in episodes[3:])


def test_every_step_is_relabelled_once_a_pass_with_what_its_segment_reached(data):
    passes = 3
    derivation = with_hindsight(data, goal_within(NEAR), passes=passes)
    pieces = list(derivation.episodes())[3:]
    assert Counter(step for piece in pieces for step in piece.infos["step"].tolist()) == {
        step: passes * sum(len(episode) > step for episode in data) for step in range(50)
    }
    for piece in pieces:
        clock, place, goal = np.split(piece.observations.astype(np.float64), [1, 3], axis=1)
        np.testing.assert_array_equal(clock[:, 0], np.arange(clock[0, 0], clock[0, 0] + len(piece) + 1))
        np.testing.assert_array_equal(goal, np.tile(place[-1], (len(piece) + 1, 1)))
        expected = np.linalg.norm(place[1:] - place[-1], axis=1) < NEAR
        np.testing.assert_array_equal(piece.success, expected)
        np.testing.assert_array_equal(piece.rewards, expected.astype(np.float32) - 1)
        assert piece.success[-1]
        assert (piece.terminated, piece.truncated, piece.seed) == (False, True, None)
        assert np.isnan(piece.sim_init).all()  # nobody can start there
    assert not any(episode.success.any() for episode in data)


def test_goals_are_uniform_over_what_is_achieved_later(data):
    """The distribution of hindsight experience replay, for every step of an episode of 50."""
    passes, steps = 3000, 50
    for step in (0, 20, 44, 49):
        ends = np.array([stop for start, stop in _segments(data, 0, passes, seed=1) if start <= step < stop])
        assert len(ends) == passes
        later = steps - step
        counts = np.bincount(ends - step - 1, minlength=later)
        chi_squared = ((counts - passes / later) ** 2 / (passes / later)).sum()
        assert chi_squared < later - 1 + 5 * np.sqrt(2 * later)


def test_segments_have_their_own_source_and_the_splits_of_their_episodes(data, tmp_path):
    made = with_hindsight(data, goal_within(NEAR), passes=2).write(tmp_path / "y.h5")
    names = [source.name for source in made.header.sources]
    assert names == ["a", "b", "hindsight of a", "hindsight of b"]
    assert set(made.episodes.source[3:]) == {2}
    for name, members in made.header.splits.items():
        seeds = {int(made.episode(i).infos["step"][0]) for i in members}
        assert seeds
        assert {i for i in members if i < 3} == set(SPLITS[name])
    assert sorted(i for members in made.header.splits.values() for i in members) == list(range(len(made)))
    inside = made.header.splits["val"]
    assert {len(made.episode(i)) <= 20 for i in inside} == {True}


def test_the_buffer_trains_on_it(data, tmp_path):
    made = with_hindsight(data, goal_within(NEAR), passes=2).write(tmp_path / "y.zarr")
    buffer = ReplayBuffer([made], discount=0.9, n_step=1, reward_floor=-1.0, capacity=10, device="cpu")
    assert buffer.n_offline == 3 * data.n_steps
    batch = buffer.gather(torch.arange(buffer.n_offline))
    goals, later = batch.observations[:, 3:], batch.next_observations[:, 3:]
    assert (goals == later).all()
    assert (batch.rewards == 0).any()


def test_the_same_seed_makes_the_same(data):
    one, again, other = (with_hindsight(data, goal_within(NEAR), seed=seed) for seed in (0, 0, 1))
    assert one.id == again.id != other.id
    assert one.recipe.settings["hindsight"] == 4
    assert verb_arguments(other.recipe) == [
        "--hindsight",
        "future:4",
        "--goal-threshold",
        "0.5",
        "--seed",
        "1",
    ]


def test_a_rule_that_contradicts_the_recording_is_refused(data, recorded, task):
    with pytest.raises(DatasetError, match="71 of 71 recorded rewards"):
        with_hindsight(data, goal_within(1e6))
    slip = np.where(np.arange(200) == 7, 0, -1).astype(np.float32)
    few = recorded("few.zarr", [replace(reach(0, 200), rewards=slip, success=slip == 0)], task=task)
    assert with_hindsight(few, goal_within(NEAR)).warnings == (
        "1 of 200 recorded rewards are not those of the rule",
        "1 of 200 recorded success flags are not those of the rule",
    )


def test_what_makes_no_sense_is_refused(data):
    rule = goal_within(NEAR)
    with pytest.raises(UsageError, match="no part `achieved`") as error:
        with_hindsight(data, rule, achieved=["achieved"])
    assert "achieved_goal" in error.value.hint
    with pytest.raises(UsageError, match="observation has 1 numbers, desired_goal has 2"):
        with_hindsight(data, rule, achieved=["observation"])
    with pytest.raises(UsageError, match="future:0"):
        with_hindsight(data, rule, passes=0)
    for threshold in (0.0, -1.0, np.nan):
        with pytest.raises(UsageError, match="--goal-threshold"):
            goal_within(threshold)
