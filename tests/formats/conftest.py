"""The command line in this process, small recordings, and the real human demonstrations where they are."""

import json
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from awaccli.artifacts.manifest import Recipe
from awaccli.cli import app
from awaccli.cli.console import LOG
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.data.derive import derive
from awaccli.data.schema import Credits, Header, Source
from awaccli.episode import EndReason, Episode

SHARED = Path(__file__).parents[3] / "shared" / "data"
TOYS = Path(__file__).parents[1] / "envs" / "toys"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM)


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        found = json.loads(self.out)
        assert found["schema_version"] == 1
        return found

    def failed(self, code, message, hint=""):
        """Check an error of awac: its exit code, its words, and that nothing is on stdout."""
        assert (self.code, self.out) == (code, ""), self.err
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if line.startswith(("error: ", "hint: "))]
        assert message in lines[0], lines
        assert len(lines) == 2, lines
        assert hint in lines[1], lines
        return self


@pytest.fixture
def awac(monkeypatch, capsys, tmp_path):
    """Return a function that runs `awac ARGUMENTS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(TOYS)
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["awac", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            app.main()
        return Result(end.value.code, *capsys.readouterr())

    yield run
    LOG.handlers.clear()
    LOG.setLevel(logging.NOTSET)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _no_power_cuts():
    """Leave out fsync: it protects from power cuts, which no test makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def human_door():
    """Return the real human demonstrations of door opening."""
    path = SHARED / "door-v0_demos.pickle"
    if not path.is_file():
        pytest.skip("needs ../shared/data/door-v0_demos.pickle")
    return path


@pytest.fixture(scope="session")
def policy_pickles():
    """Return the published policies, which no importer may unpickle."""
    paths = sorted((SHARED / "policies").glob("*.pickle"))
    if not paths:
        pytest.skip("needs ../shared/data/policies")
    return paths


@pytest.fixture
def demos(rng):
    """Return demonstrations in DAPG's layout, of the door task's sizes, as its authors pickle them."""

    def make(lengths=(6, 4), *, actions=1.2):
        return [
            {
                "observations": rng.normal(size=(steps, 39)),
                "actions": rng.uniform(-actions, actions, (steps, 28)),
                "rewards": rng.normal(size=steps),
                "init_state_dict": {
                    "qpos": rng.normal(size=30),
                    "qvel": np.zeros(30),
                    "door_body_pos": rng.normal(size=3),
                },
            }
            for steps in lengths
        ]

    return make


@pytest.fixture(scope="session")
def rich(tmp_path_factory):
    """Return a function that makes a dataset of 12 episodes, with everything that a dataset can hold."""
    folder, made = tmp_path_factory.mktemp("rich"), {}

    def make(name="rich", **changes):
        if name not in made:
            made[name] = build(folder / f"{name}.zarr", changes)
        return made[name]

    def build(path, changes, episodes=12):
        facts = {
            "spec": TaskSpec(name="toy", horizon=9),
            "observation_dim": 5,
            "action_dim": 2,
            "observation_layout": (("position", 3), ("goal", 2)),
            "action_low": (-1.0, -2.0),
            "action_high": (1.0, np.inf),
            "reward_kind": "dense",
            "reward_range": (-9.0, 9.0),
            "success_rule": "near the goal",
            "held_steps": 3,
            "control_dt": 0.04,
        }
        header = Header(
            task=TaskFacts(**(facts | changes)),
            sources=(Source(kind="human", name="Bo"), Source(kind="policy", name="b", id="ab", noise=0.1)),
            credits=(Credits(authors="Ada", licence="MIT", citation="a paper"),),
            splits={"train": tuple(range(0, episodes, 2)), "val": (1,)},
        )
        rng = np.random.default_rng(1)
        recipe = Recipe(stage="toy", version=1, settings={}, seed=0)
        return derive(path, recipe, header, [_rich_episode(rng, i) for i in range(episodes)])

    return make


def _rich_episode(rng, index):
    steps = 1 + index % 9
    terminated = index % 3 == 0
    return Episode(
        observations=rng.normal(size=(steps + 1, 5)).astype(np.float32),
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        success=rng.random(steps) < 0.3,
        terminated=terminated,
        truncated=not terminated,
        end_reason=EndReason.TERMINATED if terminated else EndReason(1 + index % 4),
        seed=None if index == 4 else 2**64 - 1 - index,
        source=index % 2,
        infos={"distance": rng.random(steps), "contact/feet": rng.random((steps, 3)) < 0.5},
        sim={"qpos": rng.normal(size=(steps + 1, 4)), "qvel": rng.normal(size=(steps + 1, 3))},
        sim_init=rng.normal(size=9),
        model={"body_pos.frame": rng.normal(size=3)},
        clipped=index % 2,
    )


@pytest.fixture
def same_episodes():
    """Return a check that recordings hold the very bits of a dataset, but for what is named as lost."""

    def check(dataset, recordings, *, lost=()):
        splits = dict(dataset.header.splits)
        found = list(recordings)
        assert len(found) == dataset.n_episodes
        for index, (episode, recording) in enumerate(zip(dataset, found, strict=True)):
            parts = recording.observations
            flat = np.concatenate(list(parts.values()), axis=1) if isinstance(parts, dict) else parts
            arrays = {"observations": flat}
            for name in ("actions", "rewards", "success", "sim_init"):
                arrays[name] = getattr(recording, name)
            for name, array in arrays.items():
                _same_bits(getattr(episode, name), array, f"{name} of episode {index}")
            for group in {"infos", "sim", "model"} - set(lost):
                assert getattr(recording, group).keys() == getattr(episode, group).keys()
                for name, array in getattr(recording, group).items():
                    _same_bits(getattr(episode, group)[name], array, f"{group} {name} of episode {index}")
            for name in ("terminated", "truncated", "end_reason", "seed", "source"):
                assert getattr(recording, name) == getattr(episode, name), f"{name} of episode {index}"
            assert set(recording.splits) == {name for name, members in splits.items() if index in members}

    return check


def _same_bits(expected, found, what):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    assert np.array_equal(found, expected), what
