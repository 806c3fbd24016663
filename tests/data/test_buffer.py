"""The replay buffer against loops and lists anyone can check by eye."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from awaccli.data import buffer as buffer_module
from awaccli.data.buffer import Memory, ReplayBuffer
from awaccli.data.statistics import Statistics
from awaccli.data.writer import Writer
from awaccli.errors import DatasetError
from awaccli.stages.draws import NumpyDraws, draws

TARGETS = {"discount": 0.9, "n_step": 3, "reward_floor": -1.0, "device": "cpu"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, make_task, make_episode):
    return write(tmp_path_factory.mktemp("offline"), make_task(), offline_episodes(make_episode))


def write(path, task, episodes):
    from awaccli.data.schema import Header, Source

    source = Source(kind="scripted", name="x")
    with Writer(path, Header(task=task, sources=(source, source))) as writer:
        for episode in episodes:
            writer.append(episode)
    return writer.dataset()


def offline_episodes(make_episode):
    return [make_episode(np.random.default_rng(i)) for i in range(12)]


def reference_rows(episode, *, discount, n_step, reward_floor):
    """One dict per step, by the definition."""
    steps, rewards = len(episode), episode.rewards.astype(np.float64)
    tail = 0.0
    if not episode.terminated and not episode.success[-1] and reward_floor is not None:
        tail = reward_floor / (1 - discount)
    rows = []
    for t in range(steps):
        m = min(n_step, steps - t)
        ended = episode.terminated and t + m == steps
        rows.append(
            {
                "observations": episode.observations[t],
                "actions": (episode.actions[t] - [1, 0]) / [3, 1],
                "rewards": sum(discount**k * rewards[t + k] for k in range(m)),
                "bootstraps": 0.0 if ended else discount**m,
                "next_observations": episode.observations[t + m],
                "returns": sum(discount ** (k - t) * rewards[k] for k in range(t, steps))
                + discount ** (steps - t) * tail,
            }
        )
    return rows


def assert_rows(batch, rows):
    for name in rows[0]:
        expected = torch.from_numpy(np.array([row[name] for row in rows])).float()
        torch.testing.assert_close(getattr(batch, name), expected, rtol=1e-6, atol=1e-6)


def everything(buffer):
    return buffer.gather(torch.arange(buffer.n_offline + buffer.n_online))


@pytest.mark.parametrize("n_step", [1, 3, 100])
@pytest.mark.parametrize("reward_floor", [None, -1.0])
def test_rows_by_definition(dataset, make_episode, n_step, reward_floor):
    targets = {"discount": 0.9, "n_step": n_step, "reward_floor": reward_floor}
    buffer = ReplayBuffer([dataset], **targets, capacity=1000, device="cpu")
    online = [make_episode(np.random.default_rng(100 + i)) for i in range(5)]
    buffer.extend(online)
    rows = [
        row
        for episode in offline_episodes(make_episode) + online
        for row in reference_rows(episode, **targets)
    ]
    assert buffer.n_offline == dataset.n_steps
    assert buffer.n_online == sum(map(len, online))
    assert_rows(everything(buffer), rows)
    assert everything(buffer).offline.tolist() == [True] * buffer.n_offline + [False] * buffer.n_online


def test_actions_lead_within_their_episode(make_task, make_episode):
    episodes = [make_episode(np.random.default_rng(seed), steps=steps) for seed, steps in ((0, 4), (1, 2))]
    plain, led = (
        ReplayBuffer([], **TARGETS, capacity=9, action_lead=lead, task=make_task()) for lead in (0, 3)
    )
    plain.extend(episodes)
    led.extend(episodes)
    before, after = everything(plain), everything(led)
    assert torch.equal(after.actions, before.actions[[3, 3, 3, 3, 5, 5]])
    assert torch.equal(after.observations, before.observations)
    assert torch.equal(after.rewards, before.rewards)


def test_hand_computed(make_task, make_episode):
    ends = {
        "truncated": {"terminated": False, "truncated": True},
        "terminated": {"terminated": True, "truncated": False},
    }
    found = {}
    for name, flags in ends.items():
        episode = make_episode(
            np.random.default_rng(0),
            steps=3,
            rewards=np.array([1, 2, 4], np.float32),
            success=np.zeros(3, bool),
            **flags,
        )
        buffer = ReplayBuffer(
            [], discount=0.5, n_step=2, reward_floor=-1, capacity=9, device="cpu", task=make_task()
        )
        buffer.extend([episode])
        found[name] = everything(buffer)
    assert found["terminated"].rewards.tolist() == [2, 4, 4]
    assert found["terminated"].bootstraps.tolist() == [0.25, 0, 0]
    assert found["truncated"].bootstraps.tolist() == [0.25, 0.25, 0.5]
    assert found["terminated"].returns.tolist() == [3, 4, 4]
    assert found["truncated"].returns.tolist() == [3 - 0.25, 4 - 0.5, 4 - 1]


def test_grouping_changes_no_bit(make_task, make_episode):
    episodes = offline_episodes(make_episode)
    together = ReplayBuffer([], **TARGETS, capacity=1000, task=make_task())
    together.extend(episodes)
    apart = ReplayBuffer([], **TARGETS, capacity=1000, task=make_task())
    apart.extend([])
    for episode in episodes:
        apart.extend([episode])
    for field in fields(everything(apart)):
        assert torch.equal(getattr(everything(apart), field.name), getattr(everything(together), field.name))


@settings(deadline=None, max_examples=40)
@given(
    capacity=st.integers(1, 9),
    rounds=st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=3), max_size=5),
)
def test_ring_is_a_list(dataset, make_episode, capacity, rounds):
    buffer = ReplayBuffer([dataset], **TARGETS, capacity=capacity)
    before = everything(buffer).observations.clone()
    ring: list[np.ndarray] = [None] * capacity
    written = 0
    for number, lengths in enumerate(rounds):
        episodes = [make_episode(np.random.default_rng([number, i]), steps=n) for i, n in enumerate(lengths)]
        buffer.extend(episodes)
        for episode in episodes:
            for observation in episode.observations[:-1]:
                ring[written % capacity] = observation
                written += 1
        assert buffer.n_online == min(written, capacity)
        online = everything(buffer).observations[buffer.n_offline :]
        np.testing.assert_array_equal(online, np.array(ring[: buffer.n_online]))
        assert buffer.sample(draws("cpu", 0), 64).observations.shape == (64, 5)
    assert torch.equal(everything(buffer).observations[: buffer.n_offline], before)


@pytest.mark.parametrize("total", [4, 5, 6, 10, 11, 53])
def test_ring_exactly_full_and_beyond(dataset, make_episode, total):
    buffer = ReplayBuffer([dataset], **TARGETS, capacity=5)
    episode = make_episode(np.random.default_rng(0), steps=total)
    buffer.extend([episode])
    assert buffer.n_online == min(5, total)
    kept = {row.tobytes() for row in everything(buffer).observations[buffer.n_offline :].numpy()}
    assert kept == {row.tobytes() for row in episode.observations[:-1][-5:]}


def test_storage_grows_with_need(dataset, make_episode):
    buffer = ReplayBuffer([dataset], **TARGETS, capacity=10**12)
    buffer.extend([make_episode(np.random.default_rng(0), steps=50)])
    assert len(buffer._online) <= 100


def test_shares_of_a_batch(dataset, make_episode):
    rng = np.random.default_rng(0)
    source = NumpyDraws(rng)
    buffer = ReplayBuffer([dataset], **TARGETS, capacity=100)
    assert buffer.sample(source, 8, 0.25).offline.all()
    buffer.extend([make_episode(rng, steps=20)])
    assert buffer.sample(source, 8, 0.25).offline.sum() == 2
    assert buffer.sample(source, 8, 0.0).offline.sum() == 0
    assert buffer.sample(source, 8, 1.0).offline.sum() == 8
    share = buffer.sample(source, 20_000).offline.float().mean().item()
    assert share == pytest.approx(buffer.n_offline / (buffer.n_offline + 20), abs=0.02)


def test_same_stream_same_batch(dataset):
    buffer = ReplayBuffer([dataset], **TARGETS, capacity=1)
    one, two = (buffer.sample(draws("cpu", 3), 16) for _ in range(2))
    assert torch.equal(one.observations, two.observations)


def test_online_only(make_task, make_episode):
    buffer = ReplayBuffer([], **TARGETS, capacity=100, task=make_task())
    with pytest.raises(DatasetError, match="no transitions"):
        buffer.sample(draws("cpu", 0), 4)
    buffer.extend([make_episode(np.random.default_rng(0), steps=7)])
    assert not buffer.sample(draws("cpu", 0), 4, 0.5).offline.any()
    with pytest.raises(DatasetError, match="no task"):
        ReplayBuffer([], **TARGETS, capacity=1)


@pytest.mark.parametrize("change", [{"reward_kind": "dense"}, {"action_high": (1.0, 1.0)}])
def test_data_of_two_tasks(tmp_path, dataset, make_task, make_episode, change):
    other = write(tmp_path, make_task(**change), [make_episode(np.random.default_rng(0))])
    with pytest.raises(DatasetError, match=next(iter(change))):
        ReplayBuffer([dataset, other], **TARGETS, capacity=1)


def test_share_of_successes_follows_the_ring(dataset, make_episode):
    """Rows of successes come first in a batch, and only while their episode is still stored."""
    buffer = ReplayBuffer([dataset], capacity=40, **TARGETS)
    model = [(t.observations, t.success[-1]) for t in offline_episodes(make_episode)]
    online = []
    for seed in range(30):
        episode = make_episode(np.random.default_rng(1000 + seed))
        buffer.extend([episode])
        online.extend((row, episode.success[-1]) for row in episode.observations[:-1])
        online = online[-40:]
        allowed = {row.tobytes() for trajectory, good in model if good for row in trajectory[:-1]}
        allowed |= {row.tobytes() for row, good in online if good}
        batch = buffer.sample(draws("cpu", seed), 20, 0.5, 0.4)
        assert {row.numpy().tobytes() for row in batch.observations[:8]} <= allowed
        assert int(batch.offline[8:].sum()) == 6


def test_importance_takes_the_preference_for_successes_back(dataset, make_episode):
    """How often a row is drawn, times its importance: that is how often it would be drawn without."""
    buffer = ReplayBuffer([dataset], capacity=60, **TARGETS)
    episodes = [make_episode(np.random.default_rng(2000 + seed)) for seed in range(20)]
    buffer.extend(episodes)
    total = buffer.n_offline + buffer.n_online
    everything = buffer.gather(torch.arange(total))
    assert torch.equal(everything.importance, torch.ones(total))
    for offline_ratio in (None, 0.25):
        batch = buffer.sample(draws("cpu", 5), 200_000, offline_ratio, 0.8)
        plain = buffer.sample(draws("cpu", 6), 200_000, offline_ratio, 0.0)
        assert torch.equal(plain.importance, torch.ones(200_000))
        assert float(batch.importance.mean()) == pytest.approx(1, abs=0.03)
        assert float(batch.importance.max()) == pytest.approx(5)
        for of in (lambda rows: rows.rewards, lambda rows: rows.offline.float(), lambda rows: rows.returns):
            spread = float(of(everything).std())
            mean, corrected = float(of(plain).mean()), float((batch.importance * of(batch)).mean())
            assert corrected == pytest.approx(mean, abs=0.06 * spread)
            assert spread > 0


def test_share_of_successes_without_any(make_task, make_episode, tmp_path):
    failures = [make_episode(np.random.default_rng(i), success=np.zeros(6, bool), steps=6) for i in range(2)]
    buffer = ReplayBuffer([write(tmp_path, make_task(), failures)], capacity=4, **TARGETS)
    assert len(buffer.sample(draws("cpu", 0), 10, None, 0.5).rewards) == 10


def test_rows_that_do_not_fit_are_mapped_from_a_file_that_serves_again(
    dataset, make_episode, tmp_path, monkeypatch
):
    online = [make_episode(np.random.default_rng(i)) for i in range(3)]

    def drawn(memory):
        buffer = ReplayBuffer([dataset], **TARGETS, capacity=40, memory=memory)
        buffer.extend(online)
        batch = buffer.sample(draws("cpu", 1), 64, 0.5)
        return [getattr(batch, field.name).tolist() for field in fields(batch)]

    loaded = drawn(Memory(max_bytes=1 << 30, cache=tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert drawn(Memory(max_bytes=0, cache=tmp_path)) == loaded == drawn(None)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(buffer_module, "training_rows", None)  # not computed again
    reused = ReplayBuffer([dataset], **TARGETS, capacity=1, memory=Memory(max_bytes=0, cache=tmp_path))
    rows = np.fromfile(file, np.float32).reshape(dataset.n_steps, -1)
    assert reused.gather(torch.tensor([2])).returns.item() == rows[2, -1]


def test_statistics_do_not_depend_on_how_rows_come(dataset):
    whole = dataset.column("steps/observations").astype(np.float64)
    for size in (1, 7, 1000):
        found = Statistics.of(whole[start : start + size] for start in range(0, len(whole), size))
        np.testing.assert_allclose(found.mean, whole.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found.std, whole.std(axis=0), rtol=1e-12)
        np.testing.assert_array_equal(found.max, whole.max(axis=0))
    far = Statistics.of([np.full((5, 1), 1e9), np.full((5, 1), 1e9 + 1)])
    assert far.std[0] == pytest.approx(0.5)
