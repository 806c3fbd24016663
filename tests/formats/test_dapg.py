"""DAPG's pickles: read without running what they ask for; the real ones with their true defects."""

import builtins
import io
import os
import pickle
import pickletools

import numpy as np
import pytest

from awaccli.config.settings import BcSettings
from awaccli.config.tree import Settings
from awaccli.data.dataset import open_dataset
from awaccli.data.formats import arrays_in_pickles
from awaccli.data.formats.dapg import read_dapg
from awaccli.data.formats.registry import read_foreign
from awaccli.envs.registry import resolve_task
from awaccli.episode import EndReason
from awaccli.errors import InputError
from awaccli.stages.import_data import ImportSettings, import_data
from awaccli.stages.pretrain import pretrain


def as_python_2(text):
    """Return a pickle of protocol 3 as Python 2 writes it: bytes are strings there."""
    names = {"BINBYTES": b"T", "SHORT_BINBYTES": b"U"}
    found = bytearray(text)
    for opcode, _, place in pickletools.genops(text):
        if opcode.name in names:
            found[place : place + 1] = names[opcode.name]
    found[1] = 2
    return bytes(found)


@pytest.mark.parametrize("written", ["protocol 3", "protocol 4", "python 2", "numpy 1"])
def test_demonstrations_are_read_bit_by_bit(tmp_path, demos, written):
    made = demos()
    text = pickle.dumps(made, protocol=4 if written == "protocol 4" else 3)
    if written == "python 2":
        text = as_python_2(text)
    if written == "numpy 1":
        text = text.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    (tmp_path / "demos.pickle").write_bytes(text)
    foreign = read_dapg(tmp_path / "demos.pickle")
    assert (foreign.env_id, foreign.n_episodes) == ("door-v0", 2)
    for episode, demo in zip(foreign.episodes(), made, strict=True):
        for name in ("observations", "actions", "rewards"):
            found = getattr(episode, name)
            assert found.dtype == np.float64
            assert np.array_equal(found, demo[name])
        assert episode.terminated is None
        assert episode.truncated is None
        assert np.array_equal(episode.model["init_state_dict.qpos"], demo["init_state_dict"]["qpos"])


def test_arrays_of_all_shapes_and_kinds_are_read(tmp_path):
    made = {
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(4, dtype=">f4"),
        "flags": np.array([True, False]),
        "small": np.arange(3, dtype=np.uint8),
        "empty": np.zeros((0, 4)),
        "text": "héllo",
        "number": 3,
        "list": [1.5, None],
    }
    (tmp_path / "x.pickle").write_bytes(pickle.dumps(made, protocol=4))
    found = arrays_in_pickles.unpickled(tmp_path / "x.pickle")
    assert found.keys() == made.keys()
    for name, value in made.items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(found[name], value), name
            assert found[name].dtype == value.dtype, name
        else:
            assert found[name] == value


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "evil",
    [
        lambda marker: Evil(os.mkdir, str(marker)),
        lambda marker: Evil(builtins.exec, f"import os; os.mkdir({str(marker)!r})"),
        lambda marker: {"observations": [Evil(os.mkdir, str(marker))]},
    ],
)
def test_no_code_of_a_pickle_runs(tmp_path, protocol, evil):
    marker = tmp_path / "ran"
    path = tmp_path / "evil.pickle"
    path.write_bytes(pickle.dumps([evil(marker)], protocol=protocol))
    with pytest.raises(InputError, match="was not unpickled: it asks for"):
        read_dapg(path)
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists(), "the pickle was harmless, and the test with it"


def test_a_constructor_by_name_from_the_stack_is_refused_too(tmp_path):
    stacked = b"\x80\x04\x8c\x02os\x8c\x06getcwd\x93)R."
    assert pickle.loads(stacked) == os.getcwd()  # noqa: PTH109
    (tmp_path / "x.pickle").write_bytes(stacked)
    with pytest.raises(InputError, match=r"it asks for os\.getcwd"):
        read_dapg(tmp_path / "x.pickle")


def test_published_policies_are_refused(policy_pickles):
    assert len(policy_pickles) == 3
    for path in policy_pickles:
        with pytest.raises(InputError, match=r"it asks for mjrl\.policies"):
            read_dapg(path)


ARRAY = pickle.dumps(np.arange(3.0), protocol=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (pickle.dumps([np.array([{}], object)], protocol=3), "something else than numbers"),
        (pickle.dumps(np.array(["a"]), protocol=3), "something else than numbers"),
        (pickle.dumps(np.zeros(2, [("a", "f8")]), protocol=3), "something else than numbers"),
        (pickle.dumps(np.float64(1), protocol=3), "it asks for numpy._core.multiarray.scalar"),
        (pickle.dumps(np.arange(3.0), protocol=5), "it uses the instruction BYTEARRAY8"),
        (pickle.dumps({1: 2}, protocol=3), "something else than lists, dicts and arrays"),
        (pickle.dumps([[[[1]]]], protocol=3), "something else than lists, dicts and arrays"),
        (ARRAY.replace(b"K\x03\x85q", b"K\x04\x85q"), r"an array of shape \(4,\) with 24 bytes"),
        (b"\x80\x03]r\xff\xff\xff\xff.", "it announces 4294967295 objects"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.", "no valid pickle"),
        (ARRAY[:-9], "no valid pickle"),
        (b"\x80", "no valid pickle"),
        (b"\x80\x03N.", "no list of demonstrations"),
        (b"\x80\x03].", "no list of demonstrations"),
        (b"\x80\x03]N}bN.", "no valid pickle"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path, text, message):
    (tmp_path / "x.pickle").write_bytes(text)
    with pytest.raises(InputError, match=message):
        read_dapg(tmp_path / "x.pickle")


def test_a_pickle_that_is_too_large_is_not_even_read(tmp_path, monkeypatch):
    (tmp_path / "x.pickle").write_bytes(ARRAY)
    monkeypatch.setattr(arrays_in_pickles, "MAX_PICKLE_BYTES", len(ARRAY) - 1)
    with pytest.raises(InputError, match="read in one piece"):
        arrays_in_pickles.unpickled(tmp_path / "x.pickle")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda demo: demo.pop("actions"), "demonstration 1 has no array `actions` with 2 axes"),
        (lambda demo: demo.update(rewards=demo["actions"]), "no array `rewards` with 1 axes"),
        (lambda demo: demo.update(rewards=demo["rewards"][1:]), "has 4 observations, 4 actions, 3 rewards"),
        (lambda demo: demo.update(observations=[1, 2]), "no array `observations`"),
    ],
)
def test_demonstrations_that_do_not_fit_are_named(tmp_path, demos, spoil, message):
    made = demos()
    spoil(made[1])
    (tmp_path / "x.pickle").write_bytes(pickle.dumps(made, protocol=3))
    with pytest.raises(InputError, match=message):
        read_dapg(tmp_path / "x.pickle")


@pytest.mark.parametrize(
    ("entry", "env_id", "joints"),
    [
        ("door_body_pos", "door-v0", slice(1, -2)),
        ("board_pos", "hammer-v0", slice(0, -6)),
        ("desired_orien", "pen-v0", slice(0, -6)),
        ("hand_qpos", "relocate-v0", slice(0, -6)),
        ("something", None, None),
    ],
)
def test_start_states_tell_whose_they_are(tmp_path, demos, entry, env_id, joints):
    made = demos()
    for demo in made:
        state = demo["init_state_dict"]
        state[entry] = state.pop("door_body_pos")
        if joints:
            positions = state["qpos"][joints]
            demo["observations"][0, : len(positions)] = positions
    made[1]["observations"][0, 2] += 0.25
    (tmp_path / "x.pickle").write_bytes(pickle.dumps(made, protocol=3))
    foreign = read_dapg(tmp_path / "x.pickle")
    assert foreign.env_id == env_id
    said = [loss for loss in foreign.losses if "in 1 of 2 demonstrations, by 0.25 to 0.25 rad" in loss]
    assert len(said) == (env_id is not None)


def test_round_trip_keeps_what_the_format_holds(awac, tmp_path, demos):
    (tmp_path / "a.pickle").write_bytes(pickle.dumps(demos(actions=0.9), protocol=3))
    assert awac("data", "import", "a.pickle", "-o", "a.zarr", "--name", "x").code == 0
    exported = awac("data", "export", "a.zarr", "--format", "dapg", "-o", "b.pickle")
    assert (exported.code, exported.out) == (0, "b.pickle\n")
    assert "each of the 2 episodes is one transition shorter" in exported.err
    with io.BytesIO((tmp_path / "b.pickle").read_bytes()) as text:
        assert {name for op, name, _ in pickletools.genops(text) if op.name == "GLOBAL"} == {
            "numpy.core.multiarray _reconstruct",
            "numpy ndarray",
            "numpy dtype",
        }
    assert awac("data", "import", "b.pickle", "-o", "b.zarr", "--name", "x").code == 0
    before, after = open_dataset(tmp_path / "a.zarr"), open_dataset(tmp_path / "b.zarr")
    for a, b in zip(before, after, strict=True):
        assert len(b) == len(a) - 1
        assert np.array_equal(a.observations[:-1], b.observations)
        assert np.array_equal(a.actions[:-1], b.actions)
        assert np.array_equal(a.rewards[:-1], b.rewards)
        assert a.model.keys() == b.model.keys()
        assert all(np.array_equal(a.model[name], b.model[name]) for name in a.model)


def test_the_human_demonstrations_of_door_and_their_true_defects(human_door, tmp_path, awac):
    found = awac("data", "import", human_door, "--task", "door", "-o", "door.zarr", "--json").json
    assert found["format"] == "dapg"
    assert found["public_set"] == "dapg-door"
    assert (found["n_episodes"], found["n_steps"]) == (25, 6729 - 25)
    assert round(found["clipped_share"], 3) == 0.056
    within, full = found["success"]["within_horizon"], found["success"]["full_length"]
    assert found["success"]["horizon"] == 200
    assert [round(25 * within[rule]["rate"]) for rule in ("any", "final", "held")] == [6, 5, 2]
    assert [round(25 * full[rule]["rate"]) for rule in ("any", "final", "held")] == [7, 6, 6]
    report = " ".join(found["losses"])
    for fact in (
        "not recorded in 25 of 25 episodes: the last transition of each is left out",
        "10562 of 187712 action entries (5.6%) lay outside the box and were clipped, in 25 of 25",
        "the largest was 1.37",
        "disagrees with init_state_dict in 25 of 25 demonstrations, by 0.18 to 0.51 rad",
        "Recorded rewards, from -0.304632 to 19.9924, moved to infos/reward_recorded",
        "25 of 25 episodes are longer than the horizon of 200 steps (222 to 299): they are kept whole",
        "6 reach the goal within 200 steps and 2 hold it for more than 25 steps; at full length 7 and 6",
        "Why 25 of 25 episodes ended is not recorded",
        "Recorded in `door-v0`, imported as `awac/AdroitDoorBinary-v0`",
        "25 of 25 episodes have no seed",
    ):
        assert fact in report
    dataset = open_dataset(tmp_path / "door.zarr")
    assert dataset.header.imports[0].losses == tuple(found["losses"])
    assert dataset.header.imports[0].file == "door-v0_demos.pickle"
    assert dataset.header.sources[0].kind == "human"
    assert dataset.header.credits[0].licence == "Apache-2.0"
    assert set(dataset.episodes.end_reason) == {EndReason.UNKNOWN}
    assert not dataset.column("steps/terminations").any()
    with human_door.open("rb") as file:
        demos = pickle.load(file, encoding="latin1")
    for episode, demo in zip(dataset, demos, strict=True):
        recorded = demo["observations"].astype(np.float32)
        assert np.array_equal(episode.observations, recorded)
        assert np.array_equal(episode.success, recorded[1:, 28] >= 1.35)
        assert np.array_equal(episode.rewards, episode.success - np.float32(1))
        assert np.array_equal(episode.infos["reward_recorded"], demo["rewards"][:-1])
        assert np.array_equal(episode.actions, demo["actions"][:-1].astype(np.float32).clip(-1, 1))


def test_a_policy_trains_on_the_human_demonstrations(human_door, tmp_path):
    settings = ImportSettings(task=resolve_task("door"))
    dataset = import_data(read_foreign(human_door), settings, tmp_path / "door.h5")
    small = BcSettings.model_validate(
        {"updates": 3, "batch_size": 64, "network": {"policy_hidden": (8,), "critic_hidden": (8,)}}
    )
    clone = pretrain([dataset], Settings(bc=small), tmp_path / "bc.ckpt", algo="bc")
    assert clone.content.updates == 3
    assert clone.content.data[0].id == dataset.id
