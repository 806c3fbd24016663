"""Rollouts: the same episodes for any number of workers; failures that say what and where; nothing leaks."""

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from awaccli import seeding
from awaccli.envs.acting import ActorSpec
from awaccli.envs.hands import HANDS
from awaccli.envs.registry import resolve_task
from awaccli.envs.rollout import Job, Rollouts
from awaccli.envs.simulation import Simulation
from awaccli.envs.workers import AHEAD_PER_WORKER
from awaccli.episode import EndReason
from awaccli.errors import CheckpointError, RunError, UsageError

RANDOM = ActorSpec("random")


def jobs(count, **options):
    return [Job(index, 0, "test", **options) for index in range(count)]


def contents(episode):
    """Return every field as something that compares bit for bit."""

    def plain(value):
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        return {key: plain(item) for key, item in value.items()} if hasattr(value, "items") else value

    return {field.name: plain(getattr(episode, field.name)) for field in fields(episode)}


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_workers_give_the_episodes_of_one(toy, tmp_path):
    log = tmp_path / "finished"
    given = jobs(16)
    actors = [ActorSpec("random", noise=0.3, noise_correlation=0.5)]
    with Rollouts(toy(), workers=1) as rollouts:
        alone = [contents(episode) for episode in rollouts.run(actors, given)]
    with Rollouts(toy(kwargs={"log": str(log), "slow_s": 0.05}), workers=2) as rollouts:
        together = list(rollouts.run(actors, given))
        pids = rollouts.worker_pids
    assert [contents(episode) for episode in together] == alone
    assert not any(episode.observations.flags.writeable for episode in together)
    finished = [line.split() for line in log.read_text().splitlines()]
    assert {int(pid) for pid, _ in finished} == set(pids)
    assert len(pids) == 2
    ended = {int(seed) for _, seed in finished}
    in_order = [episode.seed for episode in together if episode.seed in ended]
    assert [int(seed) for _, seed in finished] != in_order, "episodes must have finished out of order"
    assert not any(alive(pid) for pid in pids)


def test_a_hand_gives_the_same_episodes_in_another_process():
    episodes = {}
    for workers in (1, 2):
        with Rollouts(resolve_task("relocate"), workers=workers, sim_state="full") as rollouts:
            episodes[workers] = list(rollouts.run([RANDOM], jobs(3, max_steps=20)))
    assert [contents(episode) for episode in episodes[1]] == [contents(episode) for episode in episodes[2]]
    assert episodes[1][0].sim["qpos"].shape == (21, 36)
    assert episodes[1][0].end_reason == EndReason.STOPPED


def test_an_episode_depends_on_seed_phase_and_index_alone(toy):
    with Rollouts(toy(), workers=1) as rollouts:
        first = list(rollouts.run([RANDOM], jobs(3)))
        [again] = rollouts.run([RANDOM], [Job(2, 0, "test")])
        [other] = rollouts.run([RANDOM], [Job(2, 0, "eval")])
    assert contents(again) == contents(first[2])
    assert contents(other) != contents(again)
    assert again.seed == seeding.integer(0, "test", 2, "env")


def test_episodes_say_how_they_ended_and_who_acted(toy):
    with Rollouts(toy(), workers=1) as rollouts:
        given = [Job(i, 0, "test", actor=i % 2, max_steps=5) for i in range(12)]
        episodes = list(rollouts.run([RANDOM, ActorSpec("toy_tasks:forward")], given))
    for episode, job in zip(episodes, given, strict=True):
        length = 3 + episode.seed % 5
        assert len(episode) == min(length, 5)
        assert episode.end_reason == (EndReason.TERMINATED if length <= 5 else EndReason.STOPPED)
        assert (episode.terminated, episode.truncated) == (length <= 5, length > 5)
        assert episode.source == job.actor
        np.testing.assert_array_equal(episode.success, episode.rewards > 0)
        assert (episode.observations.dtype, episode.actions.dtype) == (np.float32, np.float32)
    with Rollouts(toy(), workers=1) as rollouts:
        ends = {episode.end_reason for episode in rollouts.run([RANDOM], jobs(12))}
    assert ends == {EndReason.TERMINATED, EndReason.TIME_LIMIT}, "the registered horizon of 6 counts"


def test_clipped_entries_are_counted_and_actions_stored_as_executed(toy):
    with Rollouts(toy(), workers=1) as rollouts:
        [episode] = rollouts.run([ActorSpec("random", noise=3.0)], jobs(1))
    assert np.abs(episode.actions).max() == 2
    assert episode.clipped == (np.abs(episode.actions) == 2).sum() > 0


def test_a_factory_is_called_for_every_episode(toy):
    with Rollouts(toy(), workers=1) as rollouts:
        episodes = list(rollouts.run([ActorSpec("toy_tasks:Counting")], jobs(2)))
    assert [episode.actions[0, 0] for episode in episodes] == [np.float32(0.01)] * 2


def test_dict_observations_are_flattened_in_the_order_of_the_keys(toy):
    task = toy("DictToy-v0", obs_keys=("goal", "pose"))
    with Rollouts(task, workers=1) as rollouts:
        [episode] = rollouts.run([RANDOM], jobs(1))
        assert rollouts.facts.observation_layout == (("goal", 2), ("pose", 3))
    assert episode.observations.shape[1] == 5
    assert episode.observations[:, :2].tolist() == [[0.5, -0.5]] * (len(episode) + 1)


def test_success_is_false_where_the_environment_knows_none():
    with Rollouts(resolve_task("pendulum"), workers=1, sim_state="full") as rollouts:
        [episode] = rollouts.run([RANDOM], jobs(1))
        assert "`success`" in rollouts.facts.success_rule
        assert rollouts.facts.mjcf_sha256 is None
    assert not episode.success.any()
    assert (episode.sim_init, episode.sim, episode.model, len(episode)) == (None, {}, {}, 200)


@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: hand.name)
def test_a_restored_start_replays_bit_for_bit(hand):
    task = resolve_task(hand.name)
    with Rollouts(task, workers=1, sim_state="init") as rollouts:
        *_, episode = rollouts.run([RANDOM], jobs(2, max_steps=60))
    simulation = Simulation(task)
    simulation.reset(98765)
    simulation.state.restore(episode.sim_init, episode.model)
    replayed = [simulation.step(action).observation for action in episode.actions]
    np.testing.assert_array_equal(episode.observations[1:], replayed)
    assert list(episode.model) == [f"{array}.{name}" for array, _, name in hand.model_fields]


@pytest.mark.parametrize(
    ("kwargs", "policy", "message"),
    [
        ({"raise_at": 2}, "random", "task `toy`, episode 0, step 1: .*RuntimeError: motor 3 is on fire"),
        ({"nan_at": 3}, "random", "task `toy`, episode 0, step 3: .*observation is not finite"),
        ({}, "toy_tasks:wrong_shape", r"`toy_tasks:wrong_shape` gave float64 \[3\] .*episode 0, step 0"),
        ({}, "toy_tasks:words", "`toy_tasks:words` gave <U5"),
        ({}, "toy_tasks:not_a_number", r"`toy_tasks:not_a_number` gave \[nan, 0.0\]"),
        ({}, "toy_tasks:failing", "`toy_tasks:failing` raised KeyError: 'gripper'"),
    ],
)
def test_failures_name_who_and_where(kwargs, policy, message, toy):
    with Rollouts(toy(kwargs=kwargs), workers=1) as rollouts:
        episodes = rollouts.run([ActorSpec(policy)], jobs(3))
        with pytest.raises(RunError, match=message) as caught:
            list(episodes)
    assert policy == "random" or "float32 [2]" in caught.value.hint


def test_failures_come_back_from_workers_as_they_are(toy, tmp_path):
    with Rollouts(toy(), workers=2) as rollouts:
        with pytest.raises(RunError, match=r"`toy_tasks:failing` raised KeyError.*episode 0, step 0"):
            list(rollouts.run([ActorSpec("toy_tasks:failing")], jobs(2)))
        with pytest.raises(UsageError, match="forwrd"):
            list(rollouts.run([ActorSpec("toy_tasks:forwrd")], jobs(2)))
        with pytest.raises(CheckpointError, match="does not exist"):
            list(rollouts.run([ActorSpec(f"file:{tmp_path / 'gone'}")], jobs(2)))
        pids = rollouts.worker_pids
        assert len(list(rollouts.run([RANDOM], jobs(2)))) == 2, "the same workers go on"
        assert rollouts.worker_pids == pids


def test_a_killed_worker_is_an_error_and_the_next_run_starts_afresh(toy):
    with Rollouts(toy(kwargs={"slow_s": 0.01}), workers=2) as rollouts:
        episodes = rollouts.run([RANDOM], (Job(i, 0, "test") for i in itertools.count()))
        next(episodes)
        pids = rollouts.worker_pids
        os.kill(pids[0], signal.SIGKILL)
        with pytest.raises(RunError, match=r"killed by SIGKILL.* episode \d+") as caught:
            for _ in episodes:
                pass
        assert "--resume" in caught.value.hint
        assert not any(alive(pid) for pid in pids)
        assert len(list(rollouts.run([RANDOM], jobs(2)))) == 2


def test_endless_jobs_are_dropped_when_the_consumer_has_enough(toy):
    drawn = []

    def endless():
        for index in itertools.count():
            drawn.append(index)
            yield Job(index, 0, "test")

    with Rollouts(toy(kwargs={"hang_s": 0.02}), workers=2) as rollouts:
        episodes = rollouts.run([RANDOM], endless())
        for _ in range(3):
            next(episodes)
        episodes.close()
        assert len(drawn) <= 3 + 2 * AHEAD_PER_WORKER
        [again] = rollouts.run([RANDOM], [Job(0, 0, "test")])
    assert again.seed == seeding.integer(0, "test", 0, "env")


SCRIPT = """
import sys, types
sys.modules["torch"] = types.ModuleType("torch")
sys.path.insert(0, sys.argv[1])
from awaccli import seeding
from awaccli.envs.acting import ActorSpec
from awaccli.envs.registry import resolve_task
from awaccli.envs.rollout import Job, Rollouts

slow = [seeding.integer(0, "test", i, "env") % 2 for i in range(40)]
order = [i for i in range(40) if not slow[i]][:4] + [i for i in range(40) if slow[i]][:2]
rollouts = Rollouts(resolve_task("toy_tasks:Toy-v0", kwargs={"slow_s": 60.0}), workers=2)
episodes = rollouts.run([ActorSpec("snoop:act")], [Job(i, 0, "test") for i in order])
next(episodes)
print(*rollouts.worker_pids, flush=True)
list(episodes)
"""
SNOOP = """
import os, sys

def act(observation):
    assert "torch" not in sys.modules and os.environ["OPENBLAS_NUM_THREADS"] == "1"
    return observation[:2]
"""


def test_workers_are_bare_and_die_with_their_parent(tmp_path):
    """A script without main guard, which loads torch, is killed in the middle of long episodes."""
    (tmp_path / "snoop.py").write_text(SNOOP)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", str(Path(__file__).parent / "toys")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        os.kill(pids[0], signal.SIGINT)
        assert alive(pids[0]), "Ctrl-C is the parent's business"
        parent.kill()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(alive(pid) for pid in pids)
