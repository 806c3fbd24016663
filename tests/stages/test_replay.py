"""Replays: what awac records is done again bit for bit; what was changed since is found where it was."""

import json
from dataclasses import replace

import numpy as np
import pytest

from awaccli.artifacts.commit import Existing, claimed
from awaccli.artifacts.manifest import Clock, Recipe, damaged_files
from awaccli.config.settings import CollectSettings, Execution
from awaccli.data.certificate import certificate_path, open_certificate
from awaccli.data.dataset import open_dataset
from awaccli.data.validate import validated
from awaccli.data.writer import Writer, commit_dataset
from awaccli.envs.registry import resolve_task
from awaccli.errors import (
    DatasetError,
    InputError,
    InterruptedRunError,
    OutputExistsError,
    RunError,
    UsageError,
)
from awaccli.reports.replay import replay_text
from awaccli.stages.bc_rollout import bc_rollout
from awaccli.stages.collect_demos import collect_demos
from awaccli.stages.replay import ReplaySettings, replay

TRUSTED = Execution(trust_env=True)
WITHOUT_EXPERT = ("hammer", "half-cheetah", "walker2d", "hopper", "ant")


def recorded(folder, name, *, episodes=2, horizon=None, **settings):
    """Record an expert with noise, or random actions where there is no expert."""
    policy = "random" if name in WITHOUT_EXPERT else "expert"
    chosen = CollectSettings(policy=policy, episodes=episodes, noise=0.3, noise_correlation=0.5, **settings)
    return collect_demos(resolve_task(name, horizon=horizon), chosen, folder / f"{name}.zarr")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Return a function that gives a short dataset of a task, recorded when first asked for."""
    folder, made = tmp_path_factory.mktemp("recorded"), {}

    def take(name):
        if name not in made:
            made[name] = recorded(folder, name, horizon=25)
        return made[name]

    return take


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    task = resolve_task("toy_tasks:Toy-v0", success_key="reached")
    folder = tmp_path_factory.mktemp("toy")
    return collect_demos(task, CollectSettings(policy="random", episodes=6), folder / "toy.zarr")


def rewritten(folder, dataset, episodes=None, *, name="changed.zarr", **header):
    """Write a dataset again, with other episodes or another header."""
    path, recipe = folder / name, Recipe(stage="test", version=1, settings={}, seed=0)
    bare = dataset.header.model_copy(update={"fields": {}} | header)
    with claimed(path, recipe, Existing.OVERWRITE) as target:
        with Writer(target.payload, bare) as writer:
            for episode in dataset if episodes is None else episodes:
                writer.append(episode)
        commit_dataset(target, writer, recipe=recipe, parents=(), clock=Clock(Execution()))
    return open_dataset(path)


def but(dataset, number, **changes):
    """Return the episodes of a dataset, fields of one changed by functions of the episode."""
    episodes = list(dataset)
    new = {name: make(episodes[number]) for name, make in changes.items()}
    episodes[number] = replace(episodes[number], **new)
    return episodes


def put(name, where, amount):
    """Add something to an array of an episode."""

    def make(episode):
        array = getattr(episode, name).copy()
        array[where] += amount
        return array

    return make


def verdicts(certificate):
    return [(v.verdict, v.step, v.field) for v in certificate.episodes]


EXACT = ("bit-exact", None, None)


@pytest.mark.parametrize("mode", ["start", "seed"])
@pytest.mark.parametrize("name", ["pen", "relocate", "hopper"])
def test_what_was_recorded_happens_again_bit_for_bit(shelf, tmp_path, name, mode):
    certificate = replay(shelf(name), ReplaySettings(mode=mode), tmp_path / "x.json")
    assert verdicts(certificate) == [EXACT, EXACT]
    assert {verdict.mode for verdict in certificate.episodes} == {mode}
    assert {verdict.largest_error for verdict in certificate.episodes} == {0.0}
    assert certificate.recorded == certificate.installed


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["pen", "door", "relocate", "hammer", "half-cheetah", "walker2d", "hopper", "ant"]
)
def test_whole_episodes_of_every_task_happen_again_bit_for_bit(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)  # MuJoCo leaves a log where it runs
    dataset = recorded(tmp_path, name, episodes=4)
    for mode in ("start", "seed"):
        certificate = replay(dataset, ReplaySettings(mode=mode), tmp_path / f"{mode}.json")
        assert verdicts(certificate) == [EXACT] * 4
    assert odd_codes(dataset) == set()


def odd_codes(dataset):
    """Return what the doctor finds beyond what noise, random actions and failures bring along."""
    ours = {"action-clipped", "action-saturated", "constant-observation", "success-rare", "credits-missing"}
    return validated(dataset.path).codes.keys() - ours


@pytest.mark.parametrize("name", ["pen", "relocate", "hopper"])
def test_the_doctor_finds_nothing_wrong_with_our_own_recordings(shelf, name):
    assert odd_codes(shelf(name)) == set()


@pytest.mark.slow
def test_the_doctor_finds_nothing_wrong_with_rollouts_that_fail(tmp_path, reference):
    demos = recorded(tmp_path, "relocate")
    assert odd_codes(bc_rollout(demos, reference.settings, tmp_path / "rollouts.zarr")) == set()


CHANGES = {
    "nothing": ({}, EXACT, EXACT),
    "an action": (
        {"actions": put("actions", (7, 3), 0.2)},
        ("diverged", 8, "observations"),
        ("diverged", 8, "observations"),
    ),
    "the start state": ({"sim_init": put("sim_init", 31, 0.01)}, ("diverged", 1, "observations"), EXACT),
    "the target": (
        {"model": lambda e: e.model | {"site_pos.target": e.model["site_pos.target"] + 0.01}},
        ("diverged", 1, "observations"),
        EXACT,
    ),
    "the seed": ({"seed": lambda e: e.seed + 1}, EXACT, ("diverged", 0, "observations")),
    "an observation": (
        {"observations": put("observations", (9, 2), 0.001)},
        ("diverged", 9, "observations"),
        ("diverged", 9, "observations"),
    ),
    "the first observation": (
        {"observations": put("observations", (0, 2), 0.001)},
        EXACT,
        ("diverged", 0, "observations"),
    ),
    "the last reward": (
        {"rewards": put("rewards", 24, 0.5)},
        ("diverged", 25, "rewards"),
        ("diverged", 25, "rewards"),
    ),
}
"""By what is changed: how, and the verdicts from the start state and from the seed."""


def test_a_change_is_found_at_its_step(shelf, tmp_path):
    base = shelf("relocate").episode(1)
    episodes = [
        replace(base, **{name: make(base) for name, make in changes.items()})
        for changes, *_ in CHANGES.values()
    ]
    dataset = rewritten(tmp_path, shelf("relocate"), episodes)
    start, seed = (replay(dataset, ReplaySettings(mode=mode), overwrite=True) for mode in ("auto", "seed"))
    assert dict(zip(CHANGES, zip(verdicts(start), verdicts(seed), strict=True), strict=True)) == {
        what: tuple(expected) for what, (_, *expected) in CHANGES.items()
    }
    assert certificate_path(dataset.path).is_file()
    assert not start.ok


def test_every_field_is_compared_up_to_the_tolerance(toy, tmp_path):
    def changed(**changes):
        return replace(toy.episode(1), **{name: make(toy.episode(1)) for name, make in changes.items()})

    episodes = [
        changed(rewards=put("rewards", 2, 0.5)),
        changed(success=lambda e: ~e.success),
        changed(terminated=lambda e: not e.terminated, truncated=lambda e: True),
        changed(observations=put("observations", (2, 2), 1e-6)),
        toy.episode(1),
    ]
    dataset = rewritten(tmp_path, toy, episodes)
    found = {
        tolerance: replay(dataset, ReplaySettings(tolerance=tolerance), overwrite=True, execution=TRUSTED)
        for tolerance in (1e-5, 0.0)
    }
    large = [
        ("diverged", 3, "rewards"),
        ("diverged", 1, "success"),
        ("diverged", len(toy.episode(1)), "terminations"),
    ]
    assert verdicts(found[1e-5]) == [*large, ("within-tolerance", 2, "observations"), EXACT]
    assert verdicts(found[0.0]) == [*large, ("diverged", 2, "observations"), EXACT]
    one = replay(dataset, ReplaySettings(episodes=(3,)), overwrite=True, execution=TRUSTED)
    assert one.ok, "within the tolerance is good enough"


def test_a_difference_is_measured(shelf, tmp_path):
    dataset = rewritten(
        tmp_path,
        shelf("hopper"),
        but(shelf("hopper"), 0, observations=put("observations", (9, 7), 0.25)),
    )
    [verdict] = replay(dataset, ReplaySettings(episodes=(0,))).episodes
    recorded_value = abs(float(dataset.episode(0).observations[9, 7]))
    assert verdict.dimension == 7
    assert verdict.error == verdict.largest_error == pytest.approx(0.25 / max(1, recorded_value), rel=1e-5)


def test_workers_and_choice_make_no_difference(toy, tmp_path):
    changed = rewritten(tmp_path, toy, but(toy, 4, actions=put("actions", (1, 0), 0.2)))
    alone = replay(changed, out=tmp_path / "1.json", execution=TRUSTED)
    many = replay(changed, out=tmp_path / "2.json", execution=Execution(workers=2, trust_env=True))
    assert many.episodes == alone.episodes
    assert [verdict.verdict for verdict in alone.episodes] == ["bit-exact"] * 4 + ["diverged", "bit-exact"]
    assert {verdict.mode for verdict in alone.episodes} == {"seed"}, "it stores no state of a simulator"
    some = replay(changed, ReplaySettings(episodes=(5, 0, 4)), tmp_path / "3.json", execution=TRUSTED)
    assert some.episodes == tuple(alone.episodes[index] for index in (0, 4, 5))


def test_an_episode_without_a_seed_is_left_out_and_none_at_all_is_an_error(toy, tmp_path):
    some = rewritten(tmp_path, toy, but(toy, 2, seed=lambda e: None))
    certificate = replay(some, execution=TRUSTED)
    assert [verdict.verdict == "not-replayed" for verdict in certificate.episodes] == [
        n == 2 for n in range(6)
    ]
    assert (certificate.ok, certificate.summary.bit_exact, certificate.summary.not_replayed) == (True, 5, 1)
    assert "episode 2: not-replayed: it has no seed" in replay_text(certificate, tmp_path / "x.json")
    none = rewritten(tmp_path, toy, [replace(episode, seed=None) for episode in toy], name="none.zarr")
    with pytest.raises(DatasetError, match="neither start states nor seeds"):
        replay(none, execution=TRUSTED)
    with pytest.raises(DatasetError, match="no start states"):
        replay(toy, ReplaySettings(mode="start"), execution=TRUSTED)
    assert not certificate_path(none.path).exists()


def test_what_cannot_be_executed_is_refused(toy, shelf, tmp_path):
    with pytest.raises(UsageError, match="no episode 6"):
        replay(toy, ReplaySettings(episodes=(0, 6)), tmp_path / "x.json", execution=TRUSTED)
    with pytest.raises(InputError, match="could run that author's code"):
        replay(toy, out=tmp_path / "x.json")
    spec = toy.task.spec.model_copy(update={"env_id": None, "module": None})
    real = rewritten(tmp_path, toy, task=toy.task.model_copy(update={"spec": spec}))
    with pytest.raises(DatasetError, match="without a simulator"):
        replay(real)
    spec = toy.task.spec.model_copy(update={"kwargs": {"raise_at": 2}})
    burning = rewritten(tmp_path, toy, task=toy.task.model_copy(update={"spec": spec}))
    with pytest.raises(RunError, match="episode 0: the environment raised RuntimeError: motor 3"):
        replay(burning, execution=TRUSTED)
    other = rewritten(
        tmp_path, shelf("hopper"), [replace(e, sim_init=e.sim_init[:-1]) for e in shelf("hopper")]
    )
    with pytest.raises(DatasetError, match=r"start state has .* numbers"):
        replay(other)
    spec = resolve_task("walker2d")
    walker = rewritten(tmp_path, shelf("hopper"), task=shelf("hopper").task.model_copy(update={"spec": spec}))
    with pytest.raises(DatasetError, match="has observations of"):
        replay(walker)
    assert list(tmp_path.glob("*.json*")) == []


class Heard:
    def __init__(self):
        self.warnings = []

    def __getattr__(self, name):
        from awaccli.protocols import SILENT

        return getattr(SILENT, name)

    def warn(self, message):
        self.warnings.append(message)


def test_other_versions_are_said_first(toy, tmp_path):
    task = toy.task.model_copy(update={"versions": {"gymnasium": "0.1"}, "mjcf_sha256": "0" * 64})
    heard = Heard()
    found = replay(rewritten(tmp_path, toy, task=task), execution=TRUSTED, report=heard)
    said = heard.warnings
    assert said[-1] == "the compiled MuJoCo model is not the recorded one"
    assert any(line.startswith("recorded with gymnasium 0.1, replayed with ") for line in said)
    assert replay_text(found, tmp_path / "x.json").splitlines()[: len(said)] == said


def test_a_certificate_is_sealed_and_the_dataset_untouched(toy, tmp_path):
    before = {file: file.stat().st_mtime_ns for file in [toy.path, *toy.path.rglob("*")]}
    path = tmp_path / "x.json"
    made = replay(toy, out=path, execution=TRUSTED)
    assert open_certificate(path) == made
    assert (made.dataset, made.path, made.ok) == (toy.id, "toy.zarr", True)
    assert made.run.paths == {toy.id: f"../{toy.path.parent.name}/toy.zarr"}
    assert {file: file.stat().st_mtime_ns for file in [toy.path, *toy.path.rglob("*")]} == before
    assert damaged_files(toy.path, toy.manifest) == []
    text = path.read_bytes()
    for position in range(0, len(text), 97):
        changed = bytearray(text)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(InputError, match=r"x\.json"):
            open_certificate(path)
    path.write_text(json.dumps({"manifest": "x"}))
    with pytest.raises(InputError, match="no replay certificate"):
        open_certificate(path)
    with pytest.raises(OutputExistsError, match="already exists"):
        replay(toy, out=path, execution=TRUSTED)
    assert (
        replay(toy, out=path, overwrite=True, execution=TRUSTED).episodes == open_certificate(path).episodes
    )


def test_a_signal_leaves_nothing(toy, tmp_path):
    class Interrupted(Heard):
        def interrupted(self):
            return 2

    with pytest.raises(InterruptedRunError, match="stopped after 0 of 6"):
        replay(toy, out=tmp_path / "x.json", execution=TRUSTED, report=Interrupted())
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_not_finite_have_diverged(toy, tmp_path):
    spec = toy.task.spec.model_copy(update={"kwargs": {"nan_at": 2}})
    dataset = rewritten(tmp_path, toy, task=toy.task.model_copy(update={"spec": spec}))
    certificate = replay(dataset, execution=TRUSTED)
    assert {(v.verdict, v.step, v.error, v.largest_error) for v in certificate.episodes} == {
        ("diverged", 2, None, None)
    }
    assert "off by an infinite amount" in replay_text(certificate, tmp_path / "x.json")


def test_steps_after_the_last_recorded_one_do_not_matter(toy, tmp_path):
    """An episode that was cut still replays; one that goes on where the task ends does not."""
    cut = rewritten(tmp_path, toy, [episode.cut(2) for episode in toy])
    assert verdicts(replay(cut, execution=TRUSTED)) == [EXACT] * 6

    going_on = next(index for index, episode in enumerate(toy) if episode.terminated)
    fields = ("rewards", "success")
    longer = but(
        toy,
        going_on,
        observations=lambda e: np.concatenate([e.observations, e.observations[-1:]]),
        actions=lambda e: np.concatenate([e.actions, np.zeros((1, 2), np.float32)]),
        **{name: lambda e, name=name: np.append(getattr(e, name), getattr(e, name)[-1:]) for name in fields},
    )
    certificate = replay(rewritten(tmp_path, toy, longer, name="longer.zarr"), execution=TRUSTED)
    expected = [EXACT] * len(toy)
    expected[going_on] = ("diverged", len(toy.episode(going_on)), "terminations")
    assert verdicts(certificate) == expected
