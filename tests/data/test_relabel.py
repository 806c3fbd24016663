"""Other rewards, another success rule, a shorter horizon."""

from dataclasses import replace

import numpy as np
import pytest

from awaccli.data.relabel import BEFORE, Relabelling, SuccessRule, relabelled, step_columns, success_where
from awaccli.episode import EndReason
from awaccli.errors import UsageError

LENGTHS = (10, 30, 50)


@pytest.fixture(scope="module")
def data(recorded, make_episode):
    made = [make_episode(np.random.default_rng(n), steps=n, rich=True, clipped=90) for n in LENGTHS]
    clipped = np.where(np.arange(50)[:, None] % 4 == [3, 9], [4.0, 0.0], made[2].actions).astype(np.float32)
    return recorded("x.zarr", [*made[:2], replace(made[2], actions=clipped)])


def changed(data, **change):
    derivation = relabelled(data, Relabelling(**change))
    return derivation.header.task, list(derivation.episodes())


def test_scale_and_shift(data):
    task, episodes = changed(data, scale=0.1, shift=-0.5)
    for old, new in zip(data, episodes, strict=True):
        np.testing.assert_allclose(new.rewards, 0.1 * old.rewards - 0.5, rtol=1e-6)
        np.testing.assert_array_equal(new.infos[BEFORE], old.rewards)
        np.testing.assert_array_equal(new.observations, old.observations)
        assert (new.seed, new.source, new.rewards.dtype) == (old.seed, old.source, np.float32)
    assert (task.reward_kind, task.reward_range) == ("dense", (float(np.float32(-0.6)), -0.5))
    values = np.concatenate([episode.rewards for episode in episodes])
    assert task.reward_range[0] <= values.min() <= values.max() <= task.reward_range[1]
    assert changed(data, scale=-1.0)[0].reward_range == (0.0, 1.0)


def test_binary_follows_from_success(data, recorded, make_task, tmp_path):
    dense = relabelled(data, Relabelling(scale=3.0, shift=7.0)).write(tmp_path / "dense.zarr")
    task, episodes = changed(dense, binary=True)
    for old, original, new in zip(dense, data, episodes, strict=True):
        np.testing.assert_array_equal(new.rewards, np.where(old.success, 0, -1))
        np.testing.assert_array_equal(new.infos[BEFORE], original.rewards)  # of the first time
    assert (task.reward_kind, task.reward_range) == ("binary", (-1.0, 0.0))
    back = relabelled(dense, Relabelling(binary=True)).write(tmp_path / "back.h5")
    assert back.header.fields.keys() == data.header.fields.keys() | {f"steps/infos/{BEFORE}"}
    assert back.header.fields[f"steps/infos/{BEFORE}"].doc
    np.testing.assert_array_equal(back.column("steps/rewards"), data.column("steps/rewards"))
    assert changed(data, binary=True, scale=10.0)[0].reward_range == (-10.0, 0.0)


def test_rewards_before_can_be_dropped(data):
    derivation = relabelled(data, Relabelling(scale=2.0, keep_before=False))
    assert derivation.header.fields == data.header.fields
    assert {BEFORE}.isdisjoint(next(derivation.episodes()).infos)
    assert derivation.recipe.key != relabelled(data, Relabelling(scale=2.0)).recipe.key


def test_longer_episodes_are_cut(data):
    task, episodes = changed(data, horizon=30)
    assert task.spec.horizon == 30
    assert [len(episode) for episode in episodes] == [10, 30, 30]
    for old, new in zip(list(data)[:2], episodes[:2], strict=True):
        assert (new.terminated, new.truncated, new.end_reason) == (
            old.terminated,
            old.truncated,
            old.end_reason,
        )
    old, cut = data.episode(2), episodes[2]
    assert (cut.terminated, cut.truncated, cut.end_reason) == (False, True, EndReason.TIME_LIMIT)
    np.testing.assert_array_equal(cut.observations, old.observations[:31])
    np.testing.assert_array_equal(cut.success, old.success[:30])
    np.testing.assert_array_equal(cut.sim["qpos"], old.sim["qpos"][:31])
    np.testing.assert_array_equal(cut.sim_init, old.sim_init)
    assert BEFORE not in cut.infos
    assert cut.clipped == 7  # no more entries are at a bound
    assert relabelled(data, Relabelling(horizon=30)).notes == ("1 of 3 episodes are longer, and cut",)


def test_success_by_a_condition_on_the_state_after_the_action(data):
    rule = success_where("norm(position - 0.5) < 2 and goal[1] > 0", data.task)
    task, episodes = changed(data, success=rule, binary=True)
    for old, new in zip(data, episodes, strict=True):
        after = old.observations[1:].astype(np.float64)
        expected = (np.linalg.norm(after[:, :3] - 0.5, axis=1) < 2) & (after[:, 4] > 0)
        assert 0 < expected.sum() < len(expected)
        np.testing.assert_array_equal(new.success, expected)
        np.testing.assert_array_equal(new.rewards, expected.astype(np.float32) - 1)
    assert task.success_rule == "norm(position - 0.5) < 2 and goal[1] > 0"
    assert (task.held_steps, task.reward_kind) == (25, "binary")


def test_a_condition_may_speak_of_rewards_infos_and_time(data):
    episode = data.episode(0)
    columns = step_columns(episode, data.task)
    assert columns.keys() == {
        *("step", "action", "reward", "success", "observation", "position", "goal", "distance", "contact")
    }
    for where, expected in {
        "distance < 0.5 and step >= 3": (episode.infos["distance"] < 0.5) & (np.arange(10) >= 3),
        "contact[1] == 1 or max(abs(action)) > 2": episode.infos["contact"][:, 1]
        | (np.abs(episode.actions).max(axis=1) > 2),
        "reward == 0 and success": episode.success,
        "observation[3] < goal[1]": episode.observations[1:, 3] < episode.observations[1:, 4],
    }.items():
        np.testing.assert_array_equal(success_where(where, data.task).of(episode), expected)
    with pytest.raises(UsageError, match="`posytion` is not known here"):
        success_where("posytion[0] > 1", data.task).of(episode)


def test_rewards_of_another_rule_are_no_longer_binary(data):
    rule = SuccessRule(lambda episode: episode.rewards > -2, "always", held_steps=3)
    task, _ = changed(data, success=rule)
    assert (task.reward_kind, task.reward_range, task.held_steps) == ("dense", (-1.0, 0.0), 3)
    assert "--binary" in relabelled(data, Relabelling(success=rule)).warnings[0]
    same = SuccessRule(lambda episode: episode.success, data.task.success_rule)
    assert changed(data, success=same)[0] == data.task
    assert relabelled(data, Relabelling(success=same, binary=True)).warnings == ()


def test_what_makes_no_sense_is_refused(data):
    for change in ({}, {"scale": np.inf}, {"shift": np.nan}, {"horizon": 0}, {"horizon": 201}):
        with pytest.raises(UsageError):
            relabelled(data, Relabelling(**change))
