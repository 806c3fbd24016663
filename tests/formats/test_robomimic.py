"""robomimic's files: read as its own scripts wrote them; written in the layout that its loader opens.

robomimic is too large to install here. ``files/robomimic.hdf5`` was written by it, see make_robomimic.py
there; what `_loaded` checks is what its ``SequenceDataset`` and ``get_dataset_info`` ask of a file.
"""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from awaccli.data.dataset import open_dataset
from awaccli.data.formats.losses import export_losses
from awaccli.data.formats.registry import export_of, read_foreign
from awaccli.data.formats.robomimic import EXPORT, read_robomimic, write_robomimic
from awaccli.episode import EndReason
from awaccli.errors import InputError
from awaccli.protocols import SILENT
from awaccli.stages.import_data import ImportSettings, import_data

WRITTEN = Path(__file__).parent / "files" / "robomimic.hdf5"
DEMOS = [f"demo_{index}" for index in range(11)]


@pytest.fixture
def edited(tmp_path):
    """Return a function that lets an edit loose on a copy of robomimic's file."""

    def make(edit):
        path = Path(shutil.copy(WRITTEN, tmp_path / "edited.hdf5"))
        with h5py.File(path, "r+") as file:
            edit(file)
        return path

    return make


def test_what_robomimic_wrote_is_read_bit_by_bit_in_the_order_of_numbers():
    foreign = read_foreign(WRITTEN)
    assert (foreign.format, foreign.env_id, foreign.n_episodes) == ("robomimic", "InvertedPendulum-v5", 11)
    assert foreign.control_dt == 1 / 25
    found = list(foreign.episodes())
    with h5py.File(WRITTEN) as file:
        assert sorted(file["data"])[2] == "demo_10"  # what an order of texts would make of it
        subsets = {name: {demo.decode() for demo in file[f"mask/{name}"]} for name in ("train", "valid")}
        for demo, episode in zip(DEMOS, found, strict=True):
            group = file["data"][demo]
            steps = group.attrs["num_samples"]
            for key in ("pole", "cart"):
                part = episode.observations[key]
                assert part.dtype == np.float64
                assert np.array_equal(part[:-1], group[f"obs/{key}"])
                assert np.array_equal(part[1:], group[f"next_obs/{key}"])
            assert np.array_equal(episode.actions, group["actions"])
            assert np.array_equal(episode.rewards, group["rewards"])
            assert np.array_equal(episode.infos["dones"], group["dones"])
            assert np.array_equal(episode.infos["states"], group["states"])
            assert len(episode.actions) == steps
            assert (episode.success, episode.terminated, episode.truncated) == (None, None, None)
            assert episode.end_reason is EndReason.UNKNOWN
            assert episode.splits == tuple(name for name in subsets if demo in subsets[name])
    assert {episode.splits for episode in found} == {("train",), ("valid",)}
    losses = " ".join(foreign.losses)
    assert "`dones` is set at the end of 11 of 11 demonstrations, and before it in 0." in losses
    assert "models of 11 demonstrations (model_file) are left out" in losses
    assert "arguments of the environment are left out: control_freq" in losses


def test_what_robomimic_wrote_becomes_a_dataset(tmp_path):
    dataset = import_data(read_foreign(WRITTEN), ImportSettings(), tmp_path / "pendulum.zarr")
    assert dataset.n_episodes == 11
    assert dataset.task.observation_layout == (("cart", 2), ("pole", 2))
    assert {"steps/infos/dones", "steps/infos/states"} <= set(dataset.header.fields)
    assert sorted(dataset.header.splits) == ["train", "valid"]
    assert (dataset.episodes.end_reason == EndReason.UNKNOWN).all()
    assert not dataset.column("steps/terminations").any()


def test_parts_of_the_observation_can_be_chosen(tmp_path):
    settings = ImportSettings(obs_keys=("pole",))
    dataset = import_data(read_foreign(WRITTEN), settings, tmp_path / "pole.zarr")
    assert dataset.task.observation_layout == (("pole", 2),)


def _loaded(path):
    """Return demonstrations in order and the subsets, read as robomimic's loader does; check its demands."""
    with h5py.File(path, "r", swmr=True, libver="latest") as file:
        demos = sorted(file["data"], key=lambda name: int(name[5:]))
        environment = json.loads(file["data"].attrs["env_args"])
        assert {"env_name", "type", "env_kwargs"} <= environment.keys()
        assert file["data"].attrs["total"] == sum(file[f"data/{demo}"].attrs["num_samples"] for demo in demos)
        for demo in demos:
            group = file["data"][demo]
            steps = group.attrs["num_samples"]
            assert {len(group[name]) for name in ("actions", "rewards", "dones")} == {steps}
            assert group["actions"].ndim == 2
            assert list(group["obs"]) == list(group["next_obs"])
            for key in group["obs"]:
                assert len(group[f"obs/{key}"]) == len(group[f"next_obs/{key}"]) == steps
                assert np.array_equal(group[f"obs/{key}"][1:], group[f"next_obs/{key}"][:-1])
        masks = {name: [demo.decode("utf-8") for demo in file["mask"][name][:]] for name in file["mask"]}
    return demos, environment, masks


def test_a_round_trip_keeps_every_bit_in_the_layout_of_robomimic(tmp_path, rich, same_episodes):
    dataset = rich()
    path = tmp_path / "toy.hdf5"
    write_robomimic(dataset, path, SILENT)
    demos, environment, masks = _loaded(path)
    assert demos == [f"demo_{index}" for index in range(12)]
    assert environment == {"env_name": "toy", "type": 2, "env_kwargs": {}}
    assert masks == {"train": demos[::2], "val": [demos[1]]}
    with h5py.File(path) as file:
        for demo, episode in zip(demos, dataset, strict=True):
            assert np.array_equal(file[f"data/{demo}/obs/goal"], episode.observations[:-1, 3:])
            assert np.array_equal(file[f"data/{demo}/dones"][:].sum(), episode.terminated)
            assert bool(file[f"data/{demo}/dones"][-1]) is episode.terminated
    foreign = read_foreign(path)
    same_episodes(dataset, foreign.episodes(), lost={"sim"})
    assert list(next(foreign.episodes()).observations) == ["position", "goal"]  # not in order of the alphabet
    assert (foreign.sources, foreign.credits) == (dataset.header.sources, dataset.header.credits)
    assert (foreign.name, foreign.horizon, foreign.success_rule) == ("toy", 9, "near the goal")
    assert foreign.losses == ()


def test_an_export_says_what_is_lost(rich):
    losses = export_losses(rich(), EXPORT)
    assert "Simulator states at every step are left out: qpos, qvel." in losses
    assert "robomimic expects actions from -1 to 1, these may go from -2 to inf." in losses
    assert any("`dones` marks terminations alone" in sentence for sentence in losses)


def test_through_the_command_line_and_back(awac, tmp_path, rich):
    dataset = rich()
    made = awac("data", "export", dataset.path, "--format", "robomimic", "-o", "toy.hdf5")
    assert (made.code, made.out) == (0, "toy.hdf5\n")
    assert export_of("robomimic").ending == ".hdf5"
    back = awac("data", "import", "toy.hdf5", "-o", "back.h5", "--json").json
    assert (back["format"], back["n_episodes"]) == ("robomimic", 12)
    again = open_dataset(Path("back.h5"))
    kept = {name for name in dataset.header.fields if "/sim/" not in name}
    for name in kept - {"episodes/sha256", "episodes/clipped"}:
        assert np.array_equal(again.column(name), dataset.column(name)), name


def test_without_next_observations_the_last_is_not_made_up(edited):
    def edit(file):
        del file["data/demo_3/next_obs"]

    episode = next(read_robomimic(edited(edit)).episodes())
    assert len(episode.observations["pole"]) == len(episode.actions)


def test_images_and_unknown_arrays_are_left_out_in_words(edited):
    def edit(file):
        for demo in DEMOS:
            steps = file[f"data/{demo}"].attrs["num_samples"]
            file[f"data/{demo}/obs/camera"] = np.zeros((steps, 4, 4, 3), np.uint8)
            file[f"data/{demo}/obs/touch"] = np.arange(steps)
            file[f"data/{demo}/next_obs/touch"] = np.arange(steps) + 1
            file[f"data/{demo}/actions_abs"] = np.zeros((steps, 7))

    foreign = read_robomimic(edited(edit))
    assert "Observations that are no vectors of numbers are left out: camera." in foreign.losses
    assert "Arrays that awac has no place for are left out: actions_abs." in foreign.losses
    assert list(next(foreign.episodes()).observations) == ["cart", "pole", "touch"]


def test_dones_before_the_end_are_counted(edited):
    def edit(file):
        file["data/demo_0/dones"][:2] = True
        file["data/demo_1/dones"][-1] = False

    losses = read_robomimic(edited(edit)).losses
    assert "set at the end of 10 of 11 demonstrations, and before it in 1." in losses[0]


@pytest.mark.parametrize("dtype", ["S", h5py.string_dtype()])
def test_masks_may_name_what_is_gone_and_overlap(edited, dtype):
    def edit(file):
        file["mask/all"] = np.array([*DEMOS, "demo_77"], dtype)

    foreign = read_robomimic(edited(edit))
    assert "Masks name 1 demonstrations that are not in the file." in foreign.losses
    assert {episode.splits for episode in foreign.episodes()} == {("all", "train"), ("all", "valid")}


def _without(*names):
    def edit(file):
        for name in names:
            del file[name]

    return edit


def _with(name, value):
    def edit(file):
        if name in file:
            del file[name]
        file[name] = value

    return edit


def _attribute(group, name, value):
    def edit(file):
        file[group].attrs[name] = value

    return edit


def _half_stored(file):
    del file["data/demo_5/rewards"]
    file.create_dataset("data/demo_5/rewards", (1 << 20,), "f8", chunks=(1 << 10,))[0] = 1


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_without("data"), "has no demonstration"),
        (_without(*(f"data/{demo}/obs" for demo in DEMOS)), "data/demo_0/obs has no vector of numbers"),
        (_without("data/demo_5/obs/pole"), "has no array `data/demo_5/obs/pole`"),
        (_without("data/demo_5/actions"), "data/demo_5 has no actions"),
        (_with("data/demo_5/actions", np.zeros((0, 1))), "data/demo_5 has no step"),
        (_with("data/demo_5/actions", h5py.SoftLink("/data/demo_4/actions")), "is a link to elsewhere"),
        (_with("data/demo_5", h5py.ExternalLink("/etc/passwd", "/")), "is a link to elsewhere"),
        (_half_stored, "only a part of them is stored"),
        (_with("mask/bad", np.arange(3)), "expected a list of texts"),
        (_attribute("data", "env_args", "{"), "env_args is no JSON"),
        (_attribute("data", "awac", "{}"), "the note of awac in"),
        (_attribute("data/demo_5", "awac", "[]"), "data/demo_5 is damaged"),
    ],
)
def test_damaged_files_are_refused_with_their_place(edited, edit, message):
    with pytest.raises(InputError) as error:
        list(read_robomimic(edited(edit)).episodes())
    assert message in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize(
    "args", ["[]", '{"env_name": 3, "env_kwargs": []}', '{"env_kwargs": {"control_freq": -1}}']
)
def test_an_environment_that_makes_no_sense_is_none(edited, args):
    foreign = read_robomimic(edited(_attribute("data", "env_args", args)))
    assert (foreign.env_id, foreign.control_dt) == (None, None)
