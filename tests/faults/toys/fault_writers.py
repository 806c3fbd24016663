"""Writers without anything around them, for many kills in little time."""

import itertools
import os
from pathlib import Path

import numpy as np

from awaccli.artifacts.commit import Existing, claimed
from awaccli.artifacts.manifest import Clock, Recipe
from awaccli.config.settings import Execution
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.data.schema import Header, Source, dataset_id, episode_sha256
from awaccli.data.writer import Writer, commit_dataset
from awaccli.episode import EndReason, Episode

OBSERVATION_DIM, ACTION_DIM = 300, 2
EPISODES_AT_MOST = 60
RECIPE = Recipe(stage="collect-demos", version=1, settings={}, seed=0)


def header():
    task = TaskFacts(
        spec=TaskSpec(name="toy", horizon=30),
        observation_dim=OBSERVATION_DIM,
        action_dim=ACTION_DIM,
        observation_layout=(("observation", OBSERVATION_DIM),),
        action_low=(-1.0,) * ACTION_DIM,
        action_high=(1.0,) * ACTION_DIM,
        reward_kind="dense",
        reward_range=None,
        success_rule="never",
        held_steps=25,
    )
    return Header(task=task, sources=(Source(kind="scripted", name="a"),))


def episode(index):
    """Return the episode that has this index in every dataset made here."""
    rng = np.random.default_rng(index)
    steps = int(rng.integers(1, 30))
    return Episode(
        observations=rng.normal(size=(steps + 1, OBSERVATION_DIM)).astype(np.float32),
        actions=rng.uniform(-1, 1, size=(steps, ACTION_DIM)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        success=np.zeros(steps, np.bool_),
        terminated=True,
        truncated=False,
        end_reason=EndReason.TERMINATED,
        seed=index,
        source=0,
        sim_init=rng.normal(size=9),
    )


def expected_id(dataset):
    """Return the id that the first episodes have, as many as a dataset claims."""
    return dataset_id(dataset.header, (episode_sha256(episode(index)) for index in range(len(dataset))))


def append(path, log):
    """Append episodes, each a commit of its own; write down how many are committed."""
    os.fsync = lambda descriptor: None
    with (
        Path(log).open("ab", buffering=0) as acknowledged,
        Writer(Path(path), header(), resume=True) as writer,
    ):
        for index in itertools.count(writer.n_episodes):
            writer.append(episode(index))
            writer.flush()
            acknowledged.write(b"%d\n" % (index + 1))


def begin(path):
    """Leave an unfinished dataset with some episodes."""
    with claimed(path, RECIPE) as target, Writer(target.payload, header()) as writer:
        for index in range(20):
            writer.append(episode(index))


def finish(path):
    """Make an artifact of what is there."""
    os.fsync = lambda descriptor: None
    with claimed(Path(path), RECIPE, Existing.RESUME) as target:
        if not target.finished:
            writer = Writer(target.payload, header(), resume=target.resuming)
            commit_dataset(target, writer, recipe=RECIPE, parents=(), clock=Clock(Execution()))
