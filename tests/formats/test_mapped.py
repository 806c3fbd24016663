"""Anyone's own files, by a description: groups, files or rows, states before actions or after."""

import h5py
import numpy as np
import pytest

from awaccli.data.dataset import open_dataset
from awaccli.data.formats.mapped import read_mapped
from awaccli.data.formats.mapped_settings import load_map
from awaccli.episode import EndReason
from awaccli.errors import InputError, UsageError

GROUPS = """
name = "peg in hole"
control_dt = 0.05
horizon = 8
action_low = -1
action_high = [1, 1, 2]
actions = ["arm/command", "gripper"]
success = "norm(peg) < 0.5 and closed"
success_rule = "the peg is in, and held"
held_steps = 2

[observations]
joints = { path = "arm/q", scale = 0.017453292519943295, unit = "rad" }
peg = "peg_error"

[fields]
closed = { path = "closed", at = "before" }
force = "force"

[episodes]
groups = "trials/run_*"

[source]
kind = "human"
name = "operator 7"

[credits]
authors = "our lab"
licence = "CC-BY-4.0"
"""


def recordings(rng, lengths, *, complete=True):
    """Return trials of a robot; the state after the last action is recorded where they are complete."""
    for steps in lengths:
        states = steps + complete
        yield {
            "arm/q": rng.uniform(-90, 90, (states, 2)),
            "arm/command": rng.uniform(-1, 1, (steps, 2)),
            "gripper": rng.uniform(-1, 2, steps),
            "peg_error": rng.normal(size=(states, 3)) * 0.4,
            "closed": rng.random(states) < 0.7,
            "force": rng.normal(size=(steps, 2)).astype(np.float32),
        }


def write_groups(path, trials):
    with h5py.File(path, "w") as file:
        for number, trial in enumerate(trials, 1):
            for name, array in trial.items():
                file[f"trials/run_{number}/{name}"] = array
        file["trials/notes/arm/command"] = np.zeros((4, 2))
    return path


def described(tmp_path, text):
    (tmp_path / "robot.toml").write_text(text)
    return tmp_path / "robot.toml"


@pytest.mark.parametrize("complete", [True, False])
def test_groups_of_a_robot_become_a_dataset(awac, tmp_path, rng, complete):
    trials = list(recordings(rng, [5] * 11 + [3], complete=complete))  # run_10 comes after run_9
    write_groups(tmp_path / "log.h5", trials)
    described(tmp_path, GROUPS)
    found = awac("data", "import", "log.h5", "--map", "robot.toml", "-o", "robot.zarr", "--json").json
    assert (found["format"], found["task"], found["reward_kind"]) == ("map", "peg in hole", "binary")
    assert "`joints` is multiplied by 0.0174533: it is in rad now." in found["losses"]
    dataset = open_dataset(tmp_path / "robot.zarr")
    task = dataset.task
    assert task.spec.env_id is None
    assert task.observation_layout == (("joints", 2), ("peg", 3))
    assert (task.action_low, task.action_high) == ((-1, -1, -1), (1, 1, 2))
    assert (task.spec.horizon, task.control_dt, task.held_steps) == (8, 0.05, 2)
    assert (task.success_rule, task.reward_range) == ("the peg is in, and held", (-1, 0))
    assert (dataset.header.sources[0].kind, dataset.header.sources[0].name) == ("human", "operator 7")
    assert dataset.header.credits[0].authors == "our lab"
    for episode, trial in zip(dataset, trials, strict=True):
        steps = len(trial["gripper"]) - (not complete)
        joints = np.deg2rad(trial["arm/q"])
        states = np.concatenate([joints, trial["peg_error"]], axis=1).astype(np.float32)
        assert np.array_equal(episode.observations, states)
        command = np.concatenate([trial["arm/command"], trial["gripper"][:, None]], axis=1)
        assert np.array_equal(episode.actions, command[:steps].astype(np.float32))
        met = (np.linalg.norm(trial["peg_error"], axis=1) < 0.5) & trial["closed"]
        assert np.array_equal(episode.success, met[1:])
        assert np.array_equal(episode.rewards, met[1:].astype(np.float32) - 1)
        assert np.array_equal(episode.infos["force"], trial["force"][:steps])
        assert np.array_equal(episode.infos["closed"], trial["closed"][1:])
        assert episode.end_reason is EndReason.UNKNOWN


@pytest.mark.parametrize(
    ("index", "arrays"),
    [
        ('lengths = "n"', {"n": [4, 6]}),
        ('starts = "n"', {"n": [0, 4]}),
        ('ends = "n"', {"n": [4, 10]}),
        ('dones = "n"', {"n": [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]}),
    ],
)
@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_rows_are_told_apart_by_index_or_flags(tmp_path, rng, index, arrays, ending):
    robot = described(
        tmp_path,
        f'name = "x"\nobservations = "state/obs"\nactions = "a"\nrewards = "r"\n[episodes]\n{index}\n',
    )
    arrays = {name: np.array(values) for name, values in arrays.items()}
    arrays |= {"state/obs": rng.normal(size=(10, 3)), "a": rng.normal(size=10), "r": np.arange(10.0)}
    path = tmp_path / f"log.{ending}"
    if ending == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    episodes = list(read_mapped(path, robot).episodes())
    assert [e.actions.shape for e in episodes] == [(4, 1), (6, 1)]
    assert episodes[1].rewards.tolist() == [4, 5, 6, 7, 8, 9]
    assert np.array_equal(episodes[1].observations, arrays["state/obs"][4:])
    assert {e.end_reason for e in episodes} == {EndReason.UNKNOWN}


def test_rows_that_terminations_and_truncations_end(tmp_path, rng):
    text = 'name = "x"\nobservations = ["o"]\nactions = "a"\nrewards = "r"\nterminations = "t"\n'
    arrays = {"o": rng.normal(size=(9, 3)), "a": rng.normal(size=(9, 1)), "r": np.arange(9.0)}
    terminal = np.isin(np.arange(9), 2)
    np.savez(tmp_path / "a.npz", **arrays, t=terminal, c=np.isin(np.arange(9), [5, 8]))
    path = tmp_path / "a.npz"
    both = read_mapped(path, described(tmp_path, text + 'truncations = "c"\n'))
    assert [e.end_reason.name for e in both.episodes()] == ["TERMINATED", "TIME_LIMIT", "TIME_LIMIT"]
    with pytest.raises(UsageError, match="does not say how they are told apart"):
        read_mapped(path, described(tmp_path, text.replace('terminations = "t"\n', "")))
    by_clock = read_mapped(path, described(tmp_path, text + "horizon = 6\n"))
    assert [(len(e.actions), e.terminated) for e in by_clock.episodes()] == [(3, True), (6, False)]


def test_a_folder_with_a_file_for_each_episode(awac, tmp_path, rng):
    folder = tmp_path / "day1"
    folder.mkdir()
    for number in (1, 2, 10):
        np.savez(
            folder / f"ep_{number}.npz", o=rng.normal(size=(number + 2, 3)), a=np.full((number + 1, 1), 0.1)
        )
    (folder / "notes.txt").write_text("sunny")
    text = 'name = "x"\nobservations = "o"\nactions = "a"\nsuccess = "observation[0] > 0"\n'
    described(tmp_path, text + '[episodes]\nfiles = "ep_*.npz"\n')
    found = awac("data", "import", "day1", "--map", "robot.toml", "-o", "x.zarr", "--json").json
    assert open_dataset(tmp_path / "x.zarr").episodes.length.tolist() == [2, 3, 11]
    (folder / "notes.txt").write_text("rain")
    again = awac("data", "import", "day1", "--map", "robot.toml", "-o", "y.zarr", "--json").json
    assert again["sha256"] == found["sha256"]
    np.savez(folder / "ep_2.npz", o=rng.normal(size=(4, 3)), a=np.full((3, 1), 0.1))
    changed = awac("data", "import", "day1", "--map", "robot.toml", "-o", "z.zarr", "--json").json
    assert changed["sha256"] != found["sha256"]


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (("control_dt", "contol_dt"), "contol_dt: Extra inputs", "did you mean `control_dt`"),
        (('groups = "', 'group = "'), "episodes.group: Extra inputs", "did you mean `groups`"),
        (("scale =", "scal ="), "scal: Extra inputs", "did you mean `scale`"),
        (('at = "before"', 'at = "early"'), "fields.closed.at: Input should be", "row t was recorded before"),
        (('closed"\nsuccess_rule', 'closed("\nsuccess_rule'), "is no condition", "when the goal is met"),
        (("norm(peg)", "open(peg)"), "this cannot be called", "when the goal is met"),
        (('success = "norm(peg) < 0.5 and closed"\n', ""), "name the array of rewards, or the rule", ""),
        (("action_low = -1\n", ""), "give both action_low and action_high", ""),
        (('[episodes]\ngroups = "trials/run_*"', "[episodes]"), "does not say how they are told apart", ""),
        (
            ("groups =", 'lengths = "n"\ngroups ='),
            "episodes: Value error, episodes are told apart in one way",
            "",
        ),
        (('name = "peg in hole"', ""), "name: Field required", "of the task, used in file names"),
        (("horizon = 8", "horizon = 0"), "horizon: Input should be greater than or equal to 1", ""),
        (("control_dt = 0.05", "control_dt = inf"), "control_dt: Input should be a finite number", ""),
    ],
)
def test_a_wrong_description_is_explained(tmp_path, change, message, hint):
    assert change[0] in GROUPS
    path = described(tmp_path, GROUPS.replace(*change))
    with pytest.raises(UsageError) as caught:
        load_map(path)
    assert message in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("norm(pegs) < 0.5", "`pegs` is not known here"),
        ("peg < 0.5", "this has 3 values per row"),
        ("force[2] > 0", "there is no such entry"),
        ("norm(peg)", "this is neither true nor false"),
    ],
)
def test_a_rule_that_does_not_fit_the_recordings_is_explained(awac, tmp_path, rng, rule, message):
    write_groups(tmp_path / "log.h5", recordings(rng, [4]))
    described(tmp_path, GROUPS.replace("norm(peg) < 0.5 and closed", rule))
    awac("data", "import", "log.h5", "--map", "robot.toml", "-o", "x.zarr").failed(2, message)


def test_a_description_that_is_missing_or_no_toml(awac, tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(1))
    awac("data", "import", "a.npz", "--map", "robot.toml", "-o", "x.zarr").failed(3, "does not exist")
    described(tmp_path, "name = ")
    awac("data", "import", "a.npz", "--map", "robot.toml", "-o", "x.zarr").failed(3, "cannot be read as TOML")
    awac("data", "import", "a.npz", "--format", "map", "-o", "x.zarr").failed(2, "needs a description")
    awac("data", "import", "a.npz", "--format", "npz", "--map", "robot.toml", "-o", "x.zarr").failed(
        2, "--map"
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.pop("peg_error"), "has no array `trials/run_2/peg_error`"),
        (lambda t: t.update(gripper=t["gripper"][1:]), "trials/run_2/gripper has 4 rows, expected 5"),
        (lambda t: t.update(peg_error=t["peg_error"][:-1]), "peg_error has 5 rows, expected 6"),
        (lambda t: t.update(closed=t["closed"][:-1]), "closed has 5 rows, expected 6"),
        (lambda t: t.update(force=t["force"][:-1]), "force has 4 rows, expected 5"),
    ],
)
def test_arrays_that_are_missing_or_do_not_fit_are_named(tmp_path, rng, spoil, message):
    trials = list(recordings(rng, [4, 5]))
    spoil(trials[1])
    path = write_groups(tmp_path / "log.h5", trials)
    with pytest.raises(InputError, match=message):
        list(read_mapped(path, described(tmp_path, GROUPS)).episodes())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("trials/run_*", "trial/run_*"), "has no group `trial/run_*` with an array `arm/command`"),
        (('groups = "trials/run_*"', 'files = "*.npz"'), "has no file `*.npz`"),
        (('groups = "trials/run_*"', 'lengths = "n"'), "has no array `arm/command`"),
    ],
)
def test_no_episode_is_where_the_description_says(tmp_path, rng, change, message):
    path = write_groups(tmp_path / "log.h5", recordings(rng, [4]))
    with pytest.raises(InputError) as caught:
        read_mapped(path, described(tmp_path, GROUPS.replace(*change)))
    assert message in str(caught.value)


def test_rewards_outside_their_declared_range(awac, tmp_path):
    np.savez(tmp_path / "a.npz", o=np.zeros((4, 1)), a=np.zeros((4, 1)), r=np.array([0, 1, 2, 3.0]), n=[4])
    text = 'name = "x"\nobservations = "o"\nactions = "a"\nrewards = "r"\nepisodes.lengths = "n"\n'
    described(tmp_path, text + "reward_range = [0, 2]\n")
    awac("data", "import", "a.npz", "--map", "robot.toml", "-o", "x.zarr").failed(3, "declared are 0 to 2")
    described(tmp_path, text + "reward_range = [0, 3]\n")
    assert awac("data", "import", "a.npz", "--map", "robot.toml", "-o", "x.zarr").code == 0
    assert open_dataset(tmp_path / "x.zarr").task.reward_range == (0, 3)
