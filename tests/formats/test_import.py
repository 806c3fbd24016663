"""What every import does, whatever the format: boxes, rewards, success, ends, and the report of losses."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from awaccli.artifacts.commit import Existing
from awaccli.data.dataset import open_dataset
from awaccli.data.formats import Foreign, ForeignEpisode
from awaccli.data.schema import Credits, Source
from awaccli.envs.registry import resolve_task
from awaccli.episode import EndReason
from awaccli.errors import DatasetError, InputError, InterruptedRunError, UsageError
from awaccli.protocols import SILENT
from awaccli.stages.import_data import ImportSettings, import_data, prepare_import


def recording(rng, steps=6, *, complete=True, **changes):
    made = {
        "observations": rng.normal(size=(steps + complete, 3)),
        "actions": rng.uniform(-1, 1, (steps, 2)),
        "rewards": rng.normal(size=steps),
    }
    return ForeignEpisode(**(made | changes))


def foreign(*episodes, **facts):
    made = {"format": "toy", "path": Path("toy.bin"), "sha256": "0" * 64, "n_episodes": len(episodes)}
    return Foreign(**(made | facts), episodes=lambda: iter(episodes))


class Imported:
    """What an import would write."""

    def __init__(self, *recordings, settings=None, **facts):
        prepared = prepare_import(foreign(*recordings, **facts), settings or ImportSettings())
        self.header, self.task = prepared.header, prepared.header.task
        self.episodes = list(prepared.episodes())
        self.losses = " ".join(self.header.imports[0].losses)

    def column(self, name):
        return np.concatenate([getattr(episode, name) for episode in self.episodes]).tolist()


def test_actions_are_clipped_to_the_declared_box_and_counted(rng):
    actions = np.array([[0.5, 3.0], [-2.0, 0.0], [1.0000000001, -3.5], [0.0, 0.0]])
    box = {"action_low": np.array([-1.0, -3.0]), "action_high": np.array([1.0, 2.0])}
    dataset = Imported(recording(rng, 4, actions=actions), recording(rng), **box)
    assert dataset.episodes[0].actions.tolist() == [[0.5, 2.0], [-1.0, 0.0], [1.0, -3.0], [0.0, 0.0]]
    assert [episode.clipped for episode in dataset.episodes] == [3, 0]
    assert "3 of 20 action entries (15.0%) lay outside the box and were clipped, in 1 of 2" in dataset.losses
    assert "the largest was 3.50" in dataset.losses


@pytest.mark.parametrize(
    ("actions", "box", "sentence"),
    [
        ([[-0.5, 0.0], [1.0, 0.3]], ((-1, -1), (1, 1)), "[-1, 1] is taken, all actions lie inside"),
        (
            [[-0.5, 0.0], [1.5, 0.25]],
            ((-0.5, 0.0), (1.5, 0.25)),
            "smallest and largest action of each dimension",
        ),
    ],
)
def test_a_box_that_nobody_declares_is_guessed_and_said(rng, actions, box, sentence):
    dataset = Imported(recording(rng, 2, actions=np.array(actions)))
    assert (dataset.task.action_low, dataset.task.action_high) == box
    assert sentence in dataset.losses
    assert not any(episode.clipped for episode in dataset.episodes)


def test_infinite_bounds_count_as_none(rng):
    box = {"action_low": np.array([-np.inf]), "action_high": np.array([1.0])}
    assert Imported(recording(rng), **box).task.action_low == (-1, -1)


@pytest.mark.parametrize("low", [np.zeros(3), np.full(2, 5.0)])
def test_bounds_that_make_no_box_are_refused(rng, low):
    with pytest.raises(InputError, match="bound"):
        Imported(recording(rng), action_low=low, action_high=np.ones(2))


@pytest.mark.parametrize(
    ("flags", "complete", "expected"),
    [
        ({"terminated": True}, True, (True, False, EndReason.TERMINATED)),
        ({"terminated": True, "truncated": True}, True, (True, True, EndReason.TERMINATED)),
        ({"terminated": True}, False, (False, True, EndReason.SEGMENT)),
        (
            {"terminated": False, "truncated": True, "end_reason": EndReason.TIME_LIMIT},
            True,
            (False, True, EndReason.TIME_LIMIT),
        ),
        ({"terminated": False, "end_reason": EndReason.SEGMENT}, False, (False, True, EndReason.SEGMENT)),
        ({"terminated": False, "truncated": False}, True, (False, True, EndReason.UNKNOWN)),
        ({}, True, (False, True, EndReason.UNKNOWN)),
        ({"end_reason": EndReason.TERMINATED}, True, (False, True, EndReason.UNKNOWN)),
    ],
)
def test_ends_are_never_made_up(rng, flags, complete, expected):
    episode = Imported(recording(rng, complete=complete, **flags)).episodes[0]
    assert (episode.terminated, episode.truncated, episode.end_reason) == expected
    assert len(episode) == 6 if complete else 5


def test_recordings_without_a_transition_are_left_out(rng):
    single = recording(rng, 1, complete=False)
    dataset = Imported(single, recording(rng, 2, complete=False, splits=("a",)))
    assert [len(episode) for episode in dataset.episodes] == [1]
    assert dataset.header.splits == {"a": (0,)}
    assert "1 recordings without a complete transition are left out" in dataset.losses
    with pytest.raises(InputError, match="no complete transition"):
        Imported(single)


@pytest.mark.parametrize(
    ("facts", "kind", "rule", "success"),
    [
        ({"rewards": np.array([0.5, 0, 0])}, "dense", "unknown: no step counts as success", [0, 0, 0]),
        ({"rewards": np.array([-1.0, -1, 0])}, "binary", "a reward of 0", [0, 0, 1]),
        (
            {"rewards": np.array([-1.0, 0, 0]), "success": np.array([0, 1, 0])},
            "binary",
            "as recorded",
            [0, 1, 0],
        ),
        (
            {"rewards": np.array([9.0, 0, 0]), "success": np.array([0, 1, 0])},
            "dense",
            "as recorded",
            [0, 1, 0],
        ),
        ({"rewards": None, "success": np.array([0, 1, 1])}, "binary", "as recorded", [0, 1, 1]),
    ],
)
def test_rewards_and_success_without_a_task(rng, facts, kind, rule, success):
    dataset = Imported(recording(rng, 3, **facts))
    assert (dataset.task.reward_kind, dataset.task.success_rule) == (kind, rule)
    assert dataset.task.spec.env_id is None
    assert dataset.task.spec.binary_reward == (kind == "binary")
    assert dataset.column("success") == [bool(flag) for flag in success]
    expected = np.array(success) - 1 if facts["rewards"] is None else facts["rewards"]
    assert dataset.column("rewards") == expected.tolist()
    assert ("Success is not recorded" in dataset.losses) == ("success" not in facts)


def test_one_reward_that_is_not_binary_makes_all_of_them_dense(rng):
    binary = recording(rng, 2, rewards=np.array([-1.0, 0.0]))
    dataset = Imported(binary, recording(rng, 2, rewards=np.array([-1.0, 0.5])))
    assert dataset.task.reward_kind == "dense"
    assert not any(dataset.column("success"))


def test_success_at_the_end_is_assumed_only_where_asked(rng):
    with pytest.raises(UsageError, match="neither rewards nor success") as caught:
        Imported(recording(rng, rewards=None))
    assert "--success-at-end" in caught.value.hint
    settings = ImportSettings(success_at_end=True)
    dataset = Imported(recording(rng, 3, rewards=None), settings=settings)
    assert dataset.column("rewards") == [-1, -1, 0]
    assert "taken to succeed at their last step" in dataset.losses


def test_rewards_of_only_some_recordings_are_refused(rng):
    good = recording(rng, success=np.zeros(6))
    with pytest.raises(InputError, match="only 1 of 2 recordings have rewards"):
        Imported(good, recording(rng, rewards=None, success=np.zeros(6)))


def door(rng, steps=6, **changes):
    observations = rng.normal(size=(steps + 1, 39))
    observations[:, 28] = np.linspace(1.0, 1.5, steps + 1)
    return recording(
        rng, steps, observations=observations, actions=rng.uniform(-1, 1, (steps, 28)), **changes
    )


def test_a_hand_task_judges_by_its_own_rule(rng):
    settings = ImportSettings(task=resolve_task("door", horizon=4))
    episode = door(rng, success=np.ones(6))
    dataset = Imported(episode, env_id="door-v0", settings=settings)
    found = dataset.episodes[0]
    assert found.success.tolist() == [False, False, False, False, True, True]
    assert np.array_equal(found.rewards, found.success - np.float32(1))
    assert np.array_equal(found.infos["reward_recorded"], episode.rewards)
    assert (dataset.task.reward_kind, dataset.task.reward_range) == ("binary", (-1, 0))
    report = dataset.losses
    assert "not as 1 of 1 recordings say" in report
    assert "1 of 1 episodes are longer than the horizon of 4 steps (6 to 6): they are kept whole" in report
    assert "Of 1 episodes, 0 reach the goal within 4 steps" in report
    assert "at full length 1 and 0" in report


def test_rewards_that_are_the_tasks_own_need_no_second_column(rng):
    settings = ImportSettings(task=resolve_task("door"))
    rewards = np.array([-1.0, -1, -1, -1, 0, 0])
    assert not Imported(door(rng, rewards=rewards), settings=settings).episodes[0].infos


def test_a_kept_reward_names_no_environment_that_gives_another(rng):
    settings = ImportSettings(task=resolve_task("door"), keep_reward=True)
    episode = door(rng)
    dataset = Imported(episode, settings=settings)
    assert dataset.column("rewards") == episode.rewards.astype(np.float32).tolist()
    assert dataset.column("success") == [False, False, False, False, True, True]
    task = dataset.task
    assert (task.spec.name, task.spec.env_id, task.reward_kind, task.reward_range) == (
        "door",
        None,
        "dense",
        None,
    )
    assert task.versions == {}
    assert "The recorded reward is kept, which no environment of this task gives" in dataset.losses


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": np.zeros((7, 40))}, "observations have 40 numbers, expected 39"),
        ({"actions": np.zeros((6, 27))}, "actions have 27 numbers, expected 28"),
        ({"observations": np.zeros((5, 39))}, "5 observations do not fit 6 actions"),
        ({"observations": np.zeros((8, 39))}, "8 observations do not fit 6 actions"),
        ({"rewards": np.zeros((6, 2))}, "rewards are float64 of shape"),
        ({"success": np.zeros(5)}, "flags of success are"),
        ({"observations": np.zeros((7, 3, 13, 1))}, r"observations are float64 of shape \[7, 3, 13, 1\]"),
        ({"observations": np.array([["a"] * 39] * 7)}, "observations are <U1 of shape"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_what_does_not_fit_is_named_with_its_episode(rng, changes, message):
    recordings = [door(rng), door(rng)]
    made = {"observations": recordings[1].observations, "actions": recordings[1].actions}
    spoilt = ForeignEpisode(**({"rewards": np.zeros(6)} | made | changes))
    settings = ImportSettings(task=resolve_task("door"))
    if "success" in changes:
        settings = ImportSettings()
    with pytest.raises(InputError, match=message) as caught:
        Imported(recordings[0], spoilt, settings=settings)
    assert "`toy.bin`, episode 1" in str(caught.value)


def test_an_environment_whose_rewards_nobody_recorded(rng):
    settings = ImportSettings(task=resolve_task("pendulum"))
    episode = recording(rng, actions=rng.uniform(-2, 2, (6, 1)), rewards=None, success=np.zeros(6))
    with pytest.raises(UsageError, match="only the simulator of `pendulum` could tell"):
        Imported(episode, settings=settings)


def test_values_that_are_not_finite_are_refused_with_their_place(tmp_path, rng):
    broken = recording(rng)
    broken.observations[2, 1] = 1e300
    with pytest.raises(DatasetError, match="steps/observations is not finite in episode 1, step 2"):
        import_data(foreign(recording(rng), broken), ImportSettings(), tmp_path / "x.zarr")


def test_parts_of_observations_are_chosen_and_images_left_out(rng):
    parts = {"pose": np.ones((7, 2)), "image": np.zeros((7, 8, 8, 3), np.uint8), "goal": np.full(7, 5.0)}
    dataset = Imported(recording(rng, observations=parts))
    assert dataset.task.observation_layout == (("pose", 2), ("goal", 1))
    assert dataset.episodes[0].observations[0].tolist() == [1, 1, 5]
    assert "observation image" in dataset.losses
    chosen = ImportSettings(obs_keys=("goal",))
    other = Imported(recording(rng, observations=parts), settings=chosen)
    assert other.task.observation_layout == (("goal", 1),)
    with pytest.raises(InputError, match="has no observation `gaol`"):
        Imported(recording(rng, observations=parts), settings=ImportSettings(obs_keys=("gaol",)))


def test_columns_are_kept_where_all_have_them(rng):
    infos = {
        "force": np.ones((6, 3)),
        "name": np.array(["a"] * 6),
        "not a name!": np.ones(6),
        "short": np.ones(5),
    }
    sim = {"qpos": np.ones((7, 4), np.float32), "last": np.ones((5, 4))}
    first = recording(rng, infos=infos, sim=sim, model={"start": np.ones(3, np.float32)}, seed=7)
    second = recording(
        rng, infos={"force": np.ones((6, 3)), "extra": np.ones(6)}, sim=sim, model={"start": np.ones(3)}
    )
    dataset = Imported(first, second)
    episode = dataset.episodes[0]
    assert [*episode.infos] == ["force"]
    assert episode.sim["qpos"].dtype == np.float64
    assert episode.model["start"].tolist() == [1, 1, 1]
    assert [episode.seed for episode in dataset.episodes] == [7, None]
    report = dataset.losses
    assert "as no numbers of one row per step: name, not a name!, short, simulator state last" in report
    assert "as only some episodes have them: extra" in report
    assert "no seed" not in report, "a robot has none"


def test_repeated_episodes_are_counted(rng):
    episode = recording(rng)
    dataset = Imported(episode, recording(rng), episode, episode)
    assert "2 of 4 episodes repeat an earlier one" in dataset.losses


def test_who_acted_and_whom_to_thank(rng):
    own = (Source(kind="policy", name="a"), Source(kind="policy", name="b"))
    episodes = recording(rng, source=1), recording(rng)
    dataset = Imported(*episodes, sources=own)
    assert dataset.header.sources == own
    assert [episode.source for episode in dataset.episodes] == [1, 0]
    told = ImportSettings(
        source=Source(kind="human", name="me"), credits=Credits(authors="we", licence="MIT"), name="robot"
    )
    dataset = Imported(*episodes, sources=own, settings=told)
    assert [episode.source for episode in dataset.episodes] == [0, 0]
    assert dataset.header.sources[0].name == "me"
    assert dataset.header.credits[0].authors == "we"
    assert dataset.task.spec.name == "robot"


@pytest.fixture
def file(tmp_path, rng):
    """Return a small npz: two episodes of 3 and 4 steps."""
    arrays = {
        "observations": rng.normal(size=(7, 3)),
        "actions": rng.uniform(-1, 1, (7, 2)),
        "rewards": np.ones(7),
    }
    np.savez(tmp_path / "a.npz", **arrays, lengths=[3, 4])
    return tmp_path / "a.npz"


def test_the_same_file_gives_the_same_dataset_anywhere(awac, tmp_path, file):
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "renamed.npz"
    other.write_bytes(file.read_bytes())
    for path, out in ((file, "a.zarr"), (other, "b.h5")):
        result = awac("data", "import", path, "-o", out)
        assert (result.code, result.out) == (0, f"{out}\n")
    a, b = open_dataset(tmp_path / "a.zarr"), open_dataset(tmp_path / "b.h5")
    assert a.id == b.id
    assert a.sealed().recipe.key == b.sealed().recipe.key
    assert a.sealed().recipe.stage == "import"
    assert a.sealed().recipe.inputs == ()
    named = awac("data", "import", file, "-o", "c.zarr", "--name", "x").out.strip()
    assert open_dataset(tmp_path / named).id != a.id


def test_make_finds_nothing_to_do(awac, tmp_path, file):
    assert awac("data", "import", file, "-o", "a.zarr").code == 0
    before = (tmp_path / "a.zarr").stat().st_ino
    assert awac("data", "import", file, "-o", "a.zarr", "--if-changed").code == 0
    assert (tmp_path / "a.zarr").stat().st_ino == before
    awac("data", "import", file, "-o", "a.zarr").failed(4, "already exists", "--overwrite")
    assert awac("data", "import", file, "-o", "a.zarr", "--if-changed", "--horizon", 9).code == 0
    assert (tmp_path / "a.zarr").stat().st_ino != before
    assert open_dataset(tmp_path / "a.zarr").task.spec.horizon == 9


def test_a_dry_run_reports_the_losses_and_writes_nothing(awac, tmp_path, file):
    before = sorted(os.listdir(tmp_path))  # noqa: PTH208
    told = awac("data", "import", file, "--dry-run")
    assert told.code == 0
    assert "would make a.zarr by import" in told.out
    assert "- Success is not recorded" in told.err
    found = awac("data", "import", file, "--dry-run", "--json").json
    assert found["output"] == "a.zarr"
    assert any("Success is not recorded" in loss for loss in found["cost"]["losses"])
    assert sorted(os.listdir(tmp_path)) == before  # noqa: PTH208
    made = awac("data", "import", file, "--json").json
    assert made["recipe_key"] == found["recipe_key"]
    assert made["losses"] == found["cost"]["losses"]
    assert made["path"] == "a.zarr"
    assert json.loads(awac("info", "a.zarr", "--json").out)["id"] == made["id"]


def test_quiet_says_nothing_and_stores_it_all_the_same(awac, tmp_path, file):
    result = awac("data", "import", file, "-q")
    assert (result.code, result.out, result.err) == (0, "a.zarr\n", "")
    assert open_dataset(tmp_path / "a.zarr").header.imports[0].losses


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "npy"), "unknown format `npy`"),
        (("--source-kind", "robot"), "--source-kind robot is unknown"),
        (("--authors", "me"), "credits need --authors and --licence"),
        (("--name", "x", "--task", "door"), "--name names what has no --task"),
        (("-o", "x.npz"), "`x.npz` cannot be the output"),
        (("--task", "dor"), "unknown task `dor`"),
    ],
)
def test_flags_that_make_no_sense(awac, file, arguments, message):
    awac("data", "import", file, *arguments).failed(2, message)


class StopAfter:
    """A reporter that asks to stop at the n-th time somebody looks."""

    def __init__(self, looks):
        self.looks = looks
        self.phase, self.update, self.note, self.warn = SILENT.phase, SILENT.update, SILENT.note, SILENT.warn

    def interrupted(self):
        self.looks -= 1
        return signal.SIGINT if self.looks < 0 else 0


def test_a_signal_stops_it_and_resuming_ends_in_the_same_dataset(tmp_path, rng):
    source = foreign(*(recording(rng, 3) for _ in range(4)))
    with pytest.raises(InterruptedRunError):
        import_data(source, ImportSettings(), tmp_path / "a.zarr", report=StopAfter(2))
    assert not list(tmp_path.iterdir()), "nothing is written while it is looked through"
    with pytest.raises(InterruptedRunError):
        import_data(source, ImportSettings(), tmp_path / "a.zarr", report=StopAfter(5))
    resumed = import_data(source, ImportSettings(), tmp_path / "a.zarr", existing=Existing.RESUME)
    whole = import_data(source, ImportSettings(), tmp_path / "b.zarr")
    assert resumed.id == whole.id


def test_preparing_reads_the_file_once(rng):
    alive = []

    def episodes():
        for _ in range(50):
            episode = recording(rng, 4)
            alive.append(1)
            yield episode

    source = Foreign(format="toy", path=Path("x"), sha256="0" * 64, episodes=episodes)
    prepared = prepare_import(source, ImportSettings())
    assert prepared.survey.n_episodes == 50
    assert len(alive) == 51, "once for the first look, once through"
