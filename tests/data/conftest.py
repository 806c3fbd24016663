"""Random episodes and headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from awaccli.artifacts.manifest import Clock, Recipe
from awaccli.config.settings import Execution
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.data.dataset import Dataset
from awaccli.data.derive import derive
from awaccli.data.schema import Header, Source
from awaccli.episode import EndReason, Episode

OBSERVATION_DIM, ACTION_DIM = 5, 2
SOURCES = (Source(kind="human", name="a"), Source(kind="policy", name="b", noise=0.1))


def _task(**changes) -> TaskFacts:
    facts = {
        "spec": TaskSpec(name="toy", horizon=200),
        "observation_dim": OBSERVATION_DIM,
        "action_dim": ACTION_DIM,
        "observation_layout": (("position", 3), ("goal", 2)),
        "action_low": (-2.0, -np.inf),
        "action_high": (4.0, np.inf),
        "reward_kind": "binary",
        "reward_range": (-1.0, 0.0),
        "success_rule": "near the goal",
        "held_steps": 25,
    }
    return TaskFacts(**(facts | changes))


def _episode(rng: np.random.Generator, *, steps: int | None = None, rich: bool = False, **changes) -> Episode:
    steps = int(rng.integers(1, 30)) if steps is None else steps
    success = rng.random(steps) < 0.3
    terminated = bool(rng.random() < 0.5)
    plain = Episode(
        observations=rng.normal(size=(steps + 1, OBSERVATION_DIM)).astype(np.float32),
        actions=rng.uniform(-2, 4, size=(steps, ACTION_DIM)).astype(np.float32),
        rewards=success.astype(np.float32) - 1,
        success=success,
        terminated=terminated,
        truncated=not terminated,
        end_reason=EndReason.TERMINATED if terminated else EndReason.TIME_LIMIT,
        seed=int(rng.integers(2**31)),
        source=int(rng.integers(2)),
        clipped=int(rng.integers(3)),
    )
    if rich:
        plain = replace(
            plain,
            infos={"distance": rng.random(steps), "contact": rng.random((steps, 3)) < 0.5},
            sim={"qpos": rng.normal(size=(steps + 1, 4))},
            sim_init=rng.normal(size=9),
            model={"goal_pos": rng.normal(size=3)},
        )
    return replace(plain, **changes)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    """Tests kill processes, not machines, and a sync costs milliseconds per file."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="session")
def make_task() -> Callable[..., TaskFacts]:
    """A task whose first action is bounded and whose second is not."""
    return _task


@pytest.fixture(scope="session")
def make_episode() -> Callable[..., Episode]:
    """``make_episode(rng, steps=..., rich=..., **fields)``."""
    return _episode


@pytest.fixture
def header() -> Header:
    return Header(task=_task(), sources=SOURCES)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Iterator[Callable[..., Dataset]]:
    """``recorded(name, episodes, **facts of the header)``: a dataset in a folder of its own."""

    def record(name, episodes, **facts):
        recipe = Recipe(stage="collect-demos", version=1, settings={"name": Path(name).stem}, seed=7)
        usual = {"task": _task(), "sources": SOURCES}
        return derive(tmp_path_factory.mktemp("recorded") / name, recipe, Header(**usual | facts), episodes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield record


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(stage="collect", version=1, settings={}, seed=0)


@pytest.fixture
def clock() -> Clock:
    return Clock(Execution())
