"""Minari's folders: read as Minari reads them, nothing they name is run; written so that it opens them."""

import json
import shutil
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari import MinariDataset
from minari.data_collector import EpisodeBuffer

from awaccli.config.task import TaskSpec
from awaccli.data.dataset import open_dataset
from awaccli.data.formats.losses import export_losses
from awaccli.data.formats.minari import EXPORT, read_minari
from awaccli.data.formats.minari_export import dataset_id, env_spec, write_minari
from awaccli.data.formats.registry import read_foreign
from awaccli.episode import EndReason
from awaccli.errors import InputError
from awaccli.protocols import SILENT
from awaccli.stages.import_data import ImportSettings, import_data

FILES = Path(__file__).parent / "files"
"""Written by Minari's own collector; see make_minari.py there."""
SPACE = spaces.Dict(
    {
        "z": spaces.Box(-np.inf, np.inf, (2,), np.float64),
        "camera": spaces.Box(0, 255, (32, 32, 3), np.uint8),
        "a": spaces.Dict({"b": spaces.Box(-1, 1, (1,), np.float32)}),
        "pair": spaces.Tuple((spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(3))),
    }
)


@pytest.fixture
def buffers(monkeypatch, tmp_path, rng):
    """Return a function that lets Minari itself make a dataset, and what it was given."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))

    def make(name="made-v0", form="hdf5", episodes=12, **changes):
        made = [_buffer(rng, index) for index in range(episodes)]
        facts = {"observation_space": SPACE, "action_space": spaces.Box(-2, 2, (2,), np.float32)}
        with warnings.catch_warnings(action="ignore"):  # it misses an author, a permalink ...
            minari.create_dataset_from_buffers(name, made, data_format=form, **(facts | changes))
        return tmp_path / "minari" / name, made

    return make


def _buffer(rng, index):
    steps = 2 + index % 3
    frames = rng.integers(255, size=(steps + 1, 32, 32, 3), dtype=np.uint8)
    return EpisodeBuffer(
        seed=index or None,
        options={"goal": [1.0]} if index == 1 else None,
        observations={
            "z": rng.normal(size=(steps + 1, 2)),
            "camera": frames,
            "a": {"b": rng.normal(size=(steps + 1, 1)).astype(np.float32)},
            "pair": (
                rng.normal(size=(steps + 1, 2)).astype(np.float32),
                rng.integers(3, size=steps + 1),
            ),
        },
        actions=rng.uniform(-2, 2, (steps, 2)).astype(np.float32),
        rewards=list(rng.normal(size=steps)),
        terminations=[False] * (steps - 1) + [index % 3 == 0],
        truncations=[False] * (steps - 1) + [index % 3 == 1],
        infos={"distance": rng.random(steps + 1), "is_success": rng.random(steps + 1) < 0.5},
    )


def test_what_the_collector_wrote_is_what_minari_reads():
    foreign = read_foreign(FILES / "pendulum-v0")
    own = MinariDataset(FILES / "pendulum-v0" / "data")
    assert (foreign.format, foreign.env_id, foreign.horizon) == ("minari", "Pendulum-v1", 6)
    assert (foreign.action_low, foreign.action_high) == (np.array([-2.0]), np.array([2.0]))
    assert [source.name for source in foreign.sources] == ["random"]
    assert [credits_.authors for credits_ in foreign.credits] == ["Ada"]
    assert foreign.losses == ()
    found = list(foreign.episodes())
    assert [episode.seed for episode in found] == [7, 2**63 + 11]
    for episode, expected in zip(found, own, strict=True):
        for name in ("observations", "actions", "rewards"):
            array = getattr(episode, name)
            assert array.dtype == getattr(expected, name).dtype
            assert np.array_equal(array, getattr(expected, name))
        assert len(episode.observations) == len(episode.actions) + 1
        assert (episode.terminated, episode.truncated) == (False, True)
        assert episode.end_reason is EndReason.TIME_LIMIT


def test_dict_observations_infos_and_states_of_the_collector():
    foreign = read_minari(FILES / "maze-v0" / "data" / "main_data.hdf5")
    own = MinariDataset(FILES / "maze-v0" / "data")
    assert foreign.losses == ("What infos say of the reset, before the first action, is left out.",)
    assert foreign.credits[0].citation == "https://example.org/code"
    for episode, expected in zip(list(foreign.episodes()), own, strict=True):
        assert list(episode.observations) == ["achieved_goal", "desired_goal", "observation"]
        for key, part in episode.observations.items():
            assert np.array_equal(part, expected.observations[key])
        assert np.array_equal(episode.success, expected.infos["success"][1:])
        assert np.array_equal(episode.sim["qpos"], expected.infos["qpos"])
        assert list(episode.infos) == ["contact/count"]
        assert np.array_equal(episode.infos["contact/count"], expected.infos["contact"]["count"][1:])


@pytest.mark.parametrize("form", ["hdf5", "arrow", "parquet"])
def test_every_storage_of_minari_reads_back_as_what_was_stored(buffers, form):
    path, made = buffers(form=form)
    foreign = read_foreign(path)
    found = list(foreign.episodes())
    assert len(found) == foreign.n_episodes == len(made)
    for episode, buffer in zip(found, made, strict=True):  # the order that people count in: 9, 10, 11
        parts = {
            "z": buffer.observations["z"],
            "a/b": buffer.observations["a"]["b"],
            "pair/0": buffer.observations["pair"][0],
        }
        assert episode.observations.keys() == parts.keys()
        for key, part in parts.items():
            assert np.array_equal(episode.observations[key], part)
        assert np.array_equal(episode.actions, buffer.actions)
        assert np.array_equal(episode.rewards, buffer.rewards)
        assert np.array_equal(episode.success, buffer.infos["is_success"][1:])
        assert np.array_equal(episode.infos["distance"], buffer.infos["distance"][1:])
        assert (episode.terminated, episode.truncated) == (buffer.terminations[-1], buffer.truncations[-1])
        assert episode.seed == buffer.seed
    reasons = {episode.end_reason for episode in found}
    assert reasons == {EndReason.TERMINATED, EndReason.UNKNOWN}
    losses = " ".join(foreign.losses)
    assert "camera (Box), pair/1 (Discrete)" in losses
    assert "4 of 12 episodes end neither terminated nor truncated" in losses
    assert "Why 4 of 12 episodes were truncated is unknown" in losses
    assert "options of 1 resets" in losses


def test_infos_that_change_their_form_are_left_out_in_words(buffers):
    path, made = buffers(episodes=3)
    with h5py.File(path / "data" / "main_data.hdf5", "r+") as file:
        for index, buffer in enumerate(made):
            infos = file[f"episode_{index}/infos"]
            infos["width"] = np.zeros((len(buffer.rewards), 1 + index % 2))
            infos["late"] = np.zeros(len(buffer.rewards), np.float32 if index == 2 else np.float64)
            infos["picture"] = np.zeros((len(buffer.rewards), 4, 4))
            infos["qpos"] = np.zeros((len(buffer.rewards), 3))
        del file["episode_1/infos/distance"]
    foreign = read_minari(path)
    assert "are left out: distance, late, picture, width." in foreign.losses[1]
    assert [list(episode.infos) for episode in foreign.episodes()] == [["qpos"]] * 3
    assert not any(episode.sim for episode in foreign.episodes())  # the last state is missing


def test_flags_before_the_end_are_reported_and_the_last_ones_count(tmp_path):
    path = shutil.copytree(FILES / "pendulum-v0", tmp_path / "x")
    with h5py.File(path / "data" / "main_data.hdf5", "r+") as file:
        file["episode_0/terminations"][0] = True
    assert "1 of 2 episodes go on after they ended: their last flags count." in read_minari(path).losses


def test_the_environment_in_a_folder_is_never_made(tmp_path):
    path = shutil.copytree(FILES / "pendulum-v0", tmp_path / "x")
    spec = {
        "id": "Evil-v0",
        "entry_point": "antigravity:fly",
        "max_episode_steps": 4,
        "additional_wrappers": [],
    }
    _with(env_spec=json.dumps(spec))(path)
    foreign = read_minari(path)
    assert (foreign.env_id, foreign.horizon, len(list(foreign.episodes()))) == ("Evil-v0", 4, 2)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "spec",
    [
        "[]",
        "nonsense",
        '{"id": 3, "max_episode_steps": "many"}',
        '{"max_episode_steps": true}',
        '{"max_episode_steps": -3}',
    ],
)
def test_an_unreadable_environment_is_none(tmp_path, spec):
    path = shutil.copytree(FILES / "pendulum-v0", tmp_path / "x")
    _with(env_spec=spec)(path)
    assert (read_minari(path).env_id, read_minari(path).horizon) == (None, None)


def test_a_round_trip_keeps_every_bit_and_minari_reads_it(tmp_path, rich, same_episodes):
    dataset = rich()
    write_minari(dataset, tmp_path / "toy-v3", SILENT)
    own = MinariDataset(tmp_path / "toy-v3" / "data")
    assert (own.id, own.total_episodes, own.total_steps) == ("toy-v3", 12, dataset.n_steps)
    assert own.action_space == spaces.Box(np.float32([-1, -2]), np.float32([1, np.inf]))
    assert list(own.observation_space) == ["goal", "position"]
    facts = own.storage.get_episode_metadata(range(12))
    for episode, expected, fact in zip(own, dataset, facts, strict=True):
        assert np.array_equal(episode.observations["goal"], expected.observations[:, 3:])
        assert np.array_equal(episode.actions, expected.actions)
        assert np.array_equal(episode.rewards, expected.rewards)
        assert np.array_equal(episode.terminations[-1], expected.terminated)
        assert np.array_equal(episode.truncations[-1], expected.truncated)
        assert not np.any([episode.terminations[:-1], episode.truncations[:-1]])
        assert np.array_equal(episode.infos["success"][1:], expected.success)
        assert np.array_equal(episode.infos["qpos"], expected.sim["qpos"])
        assert np.array_equal(episode.infos["contact"]["feet"][1:], expected.infos["contact/feet"])
        assert fact.get("seed") == expected.seed
        assert fact["rewards_sum"] == pytest.approx(expected.return_)
    foreign = read_foreign(tmp_path / "toy-v3")
    same_episodes(dataset, foreign.episodes())
    assert (foreign.sources, foreign.credits) == (dataset.header.sources, dataset.header.credits)
    assert (foreign.name, foreign.horizon, foreign.control_dt) == ("toy", 9, 0.04)
    assert (foreign.success_rule, foreign.held_steps, foreign.reward_range) == ("near the goal", 3, (-9, 9))
    assert foreign.action_high.tolist() == [1, np.inf]
    assert foreign.losses == ()


def test_an_environment_that_is_installed_can_be_recovered_by_minari(tmp_path, rich):
    spec = TaskSpec(name="pendulum", env_id="Pendulum-v1", kwargs={"g": 9.0}, horizon=7)
    dataset = rich(
        "pendulum",
        spec=spec,
        observation_layout=(("observation", 5),),
        versions={"gymnasium": gym.__version__},
    )
    assert not any("cannot make" in sentence for sentence in export_losses(dataset, EXPORT))
    write_minari(dataset, tmp_path / "pendulum", SILENT)
    own = MinariDataset(tmp_path / "pendulum" / "data")
    assert own.id == "pendulum-v0"
    assert own.observation_space == spaces.Box(-np.inf, np.inf, (5,), np.float32)
    env = own.recover_environment()
    assert (env.spec.id, env.spec.max_episode_steps, env.unwrapped.g) == ("Pendulum-v1", 7, 9.0)
    env.close()


@pytest.mark.parametrize("env_id", ["AdroitHandRelocate-v1", "awac/AdroitRelocateBinary-v0"])
def test_installed_packages_are_asked_without_a_word(rich, capfd, env_id):
    task = rich().task.model_copy(update={"spec": TaskSpec(name="relocate", env_id=env_id, horizon=200)})
    spec = json.loads(env_spec(task))
    assert (spec["id"], spec["max_episode_steps"]) == (env_id, 200)
    assert spec["entry_point"].partition(".")[0] in ("awaccli", "gymnasium_robotics")
    assert capfd.readouterr() == ("", "")


def test_modules_that_a_dataset_names_are_not_imported(rich):
    named = TaskSpec(name="x", env_id="antigravity:Fly-v0", module="antigravity")
    assert env_spec(rich().task.model_copy(update={"spec": named})) is None
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("seed", ["none", -1, 2.5, [1, 2], "9" * 21, 1 << 63])
def test_what_is_no_seed_is_none(tmp_path, seed):
    path = shutil.copytree(FILES / "pendulum-v0", tmp_path / "x")
    with h5py.File(path / "data" / "main_data.hdf5", "r+") as file:
        file["episode_0"].attrs["seed"] = seed
    assert next(read_minari(path).episodes()).seed == (seed if seed == 1 << 63 else None)


def test_infos_that_look_like_a_state_come_back_as_infos(tmp_path, rich):
    dataset = rich()
    write_minari(dataset, tmp_path / "toy", SILENT)
    with h5py.File(tmp_path / "toy" / "data" / "main_data.hdf5", "r+") as file:
        for index in range(12):  # what a dataset with `qpos` among its infos is written as
            states = file[f"episode_{index}/infos/qpos"][1:]
            del file[f"episode_{index}/infos/qpos"]
            file[f"episode_{index}/infos/qpos"] = states
    foreign = read_minari(tmp_path / "toy")
    for episode in foreign.episodes():
        assert (list(episode.sim), len(episode.infos["qpos"])) == (["qvel"], len(episode.actions))


def test_episodes_that_minari_adds_later_are_nobodys(tmp_path, rich, rng):
    dataset = rich("one array", observation_layout=(("observation", 5),))
    write_minari(dataset, tmp_path / "toy", SILENT)
    own = MinariDataset(tmp_path / "toy" / "data")
    more = EpisodeBuffer(
        observations=rng.normal(size=(3, 5)).astype(np.float32),
        actions=rng.uniform(-1, 1, (2, 2)).astype(np.float32),
        rewards=[0.0, 1.0],
        terminations=[False, True],
        truncations=[False, False],
    )
    own.update_dataset_from_buffer([more])
    foreign = read_minari(tmp_path / "toy")
    *first, last = foreign.episodes()
    assert [episode.source for episode in first] == [index % 2 for index in range(12)]
    assert foreign.sources[last.source].kind == "imported"
    assert (last.end_reason, last.infos, last.sim) == (EndReason.TERMINATED, {}, {})


@pytest.mark.parametrize(
    ("name", "identity"),
    [("relocate", "relocate-v0"), ("a b.c-v12", "a-b-c-v12"), ("v1", "v1-v0"), ("...", "dataset-v0")],
)
def test_ids_are_such_as_minari_allows(name, identity):
    assert dataset_id(name) == identity
    assert minari.dataset.minari_dataset.parse_dataset_id(identity)


def test_through_the_command_line_and_back(awac, tmp_path, rich, monkeypatch):
    dataset = rich()
    made = awac("data", "export", dataset.path, "--format", "minari", "-o", tmp_path / "toy-v7")
    assert (made.code, made.out) == (0, f"{tmp_path / 'toy-v7'}\n")
    assert "- Who acted, why episodes ended, splits and start states are in notes" in made.err
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert list(minari.list_local_datasets()) == ["toy-v7"]
    assert minari.load_dataset("toy-v7").total_steps == dataset.n_steps
    back = awac("data", "import", tmp_path / "toy-v7", "-o", "back.zarr", "--json").json
    assert (back["format"], back["n_episodes"], back["clipped_share"]) == ("minari", 12, 0)
    again = open_dataset(Path("back.zarr"))
    for name in set(dataset.header.fields) - {"episodes/sha256", "episodes/clipped"}:
        assert np.array_equal(again.column(name), dataset.column(name)), name
    assert again.header.sources == dataset.header.sources
    assert again.header.splits == dataset.header.splits


def test_what_the_collector_wrote_becomes_a_dataset(tmp_path):
    dataset = import_data(read_foreign(FILES / "maze-v0"), ImportSettings(), tmp_path / "maze.zarr")
    assert dataset.task.observation_layout == (("achieved_goal", 2), ("desired_goal", 2), ("observation", 4))
    assert (dataset.n_episodes, dataset.n_steps, dataset.task.spec.horizon) == (2, 8, 4)
    assert dataset.below("steps/") >= ["steps/observations"]
    assert {"steps/infos/contact/count", "steps/sim/qpos"} <= set(dataset.header.fields)


def _with(**changes):
    def damage(folder):
        metadata = folder / "data" / "metadata.json"
        metadata.write_text(json.dumps(json.loads(metadata.read_text()) | changes))

    return damage


def _shorter(folder):
    with h5py.File(folder / "data" / "main_data.hdf5", "r+") as file:
        file["episode_0/rewards"].resize((1,))


def _without(*names):
    def damage(folder):
        with h5py.File(folder / "data" / "main_data.hdf5", "r+") as file:
            for name in names:
                del file[name]

    return damage


def _linked_out(folder):
    with h5py.File(folder / "data" / "main_data.hdf5", "r+") as file:
        del file["episode_0/actions"]
        file["episode_0/actions"] = h5py.ExternalLink("/etc/passwd", "/data")


def _noted(folder):
    with h5py.File(folder / "data" / "main_data.hdf5", "r+") as file:
        file["episode_0"].attrs["awac"] = '{"terminated": "perhaps"}'


DISCRETE = json.dumps({"type": "Discrete", "dtype": "int64", "start": 0, "n": 3})
TEXT = json.dumps({"type": "Text", "max_length": 3, "min_length": 0, "charset": "ab"})
TOO_SHORT = json.dumps({"type": "Box", "dtype": "float32", "shape": [2], "low": [0], "high": [1, 1]})
DEEP = "[" * 500 + "]" * 500


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "data" / "metadata.json").unlink(), "metadata.json` does not exist"),
        (lambda folder: (folder / "data" / "metadata.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "data" / "metadata.json").write_text("[]"), "holds no JSON object"),
        (lambda folder: (folder / "data" / "main_data.hdf5").unlink(), "does not exist"),
        (lambda folder: (folder / "data" / "main_data.hdf5").write_text("text"), "cannot be read as HDF5"),
        (lambda folder: (folder / "data" / "link").symlink_to("/etc/passwd"), "is a link"),
        (_with(data_format="csv"), "data_format 'csv'"),
        (_with(action_space=DISCRETE), "has actions of Discrete"),
        (_with(observation_space=TEXT), "no observation that is a vector of numbers"),
        (_with(observation_space=TOO_SHORT), "`low` has 1 numbers for a shape of [2]"),
        (_with(observation_space=DEEP), "observation_space in"),
        (_with(action_space=7), "is not a space as Minari writes it"),
        (_with(awac="{}"), "the note of awac in"),
        (_noted, "the note of awac in"),
        (_shorter, "episode 0 has 6 rows of actions and 1 rewards"),
        (_without("episode_0/rewards"), "episode 0 has no rewards"),
        (_without("episode_1/observations"), "episode 1 has no observations"),
        (_without("episode_0", "episode_1"), "holds no episode"),
        (_linked_out, "is a link to elsewhere"),
    ],
)
def test_damaged_folders_are_refused_with_their_place(tmp_path, damage, message):
    path = shutil.copytree(FILES / "pendulum-v0", tmp_path / "x")
    damage(path)
    with pytest.raises(InputError) as error:
        list(read_minari(path).episodes())
    assert message in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda file: file.write_bytes(file.read_bytes().replace(b"rewards", b"\xffewards")),
            "cannot be read",
        ),
        (lambda file: file.write_bytes(file.read_bytes()[:200]), "cannot be read"),
        (lambda file: file.rename(file.with_suffix(".gone")), "has 0 files .arrow"),
        (lambda file: (file.parent / "metadata.json").unlink(), "metadata.json` does not exist"),
    ],
)
def test_damaged_arrow_files_are_refused_with_their_place(buffers, damage, message):
    path, _ = buffers(form="arrow", episodes=1)
    damage(path / "data" / "0" / "part-0.arrow")
    with pytest.raises(InputError) as error:
        read_minari(path)
    assert message in str(error.value)
    assert error.value.hint


def test_the_bounds_of_large_images_are_no_obstacle(tmp_path):
    path = shutil.copytree(FILES / "pendulum-v0", tmp_path / "x")
    camera = {"type": "Box", "dtype": "uint8", "shape": [400, 300, 3]}
    camera |= {"low": [0] * 360_000, "high": [255] * 360_000}
    state = json.loads(json.loads((path / "data" / "metadata.json").read_text())["observation_space"])
    _with(observation_space=json.dumps({"type": "Dict", "subspaces": {"": state, "camera": camera}}))(path)
    foreign = read_minari(path)
    assert foreign.losses == ("Observations that are no vectors of numbers are left out: camera (Box).",)
    assert next(foreign.episodes()).observations.shape == (7, 3)


def test_metadata_that_count_wrongly_are_reported(tmp_path):
    shutil.copytree(FILES / "pendulum-v0", tmp_path / "x")
    _with(total_episodes=3)(tmp_path / "x")
    assert read_minari(tmp_path / "x").losses[0].startswith("The metadata count 3 episodes, there are 2")
