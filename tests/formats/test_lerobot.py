"""LeRobot's folders: read as its own recorder wrote them; written in the layout of its version 3.

LeRobot is too large to install here. ``files/lerobot`` was written by it, see make_lerobot.py there; exports
are checked against what its ``LeRobotDataset`` and ``LeRobotDatasetMetadata`` read.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from awaccli.data.dataset import open_dataset
from awaccli.data.formats import lerobot_export
from awaccli.data.formats.lerobot import EXPORT, read_lerobot
from awaccli.data.formats.lerobot_export import write_lerobot
from awaccli.data.formats.losses import export_losses
from awaccli.data.formats.registry import read_foreign
from awaccli.episode import EndReason
from awaccli.errors import InputError, UsageError
from awaccli.protocols import SILENT
from awaccli.stages.import_data import ImportSettings, import_data

WRITTEN = Path(__file__).parent / "files" / "lerobot"
FIRST_FILE = Path("data", "chunk-000", "file-000.parquet")


@pytest.fixture
def copy(tmp_path):
    """Return a copy of what LeRobot wrote."""
    return shutil.copytree(WRITTEN, tmp_path / "copy")


def _edit_info(folder, **changes):
    path = folder / "meta" / "info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _edit_column(folder, name, column):
    """Put a column in the place of another one in the first file, or add it."""
    path = folder / FIRST_FILE
    table = pq.read_table(path)
    if name in table.column_names:
        table = table.set_column(table.column_names.index(name), name, column(table))
    else:
        table = table.append_column(name, column(table))
    pq.write_table(table, path)


def test_what_lerobot_wrote_is_read_bit_by_bit():
    foreign = read_foreign(WRITTEN)
    assert (foreign.format, foreign.n_episodes, foreign.control_dt) == ("lerobot", 3, 1 / 25)
    assert [source.name for source in foreign.sources] == ["so100"]
    assert foreign.losses == (
        "Videos, images and texts are left out: observation.images.top.",
        "LeRobot does not tell termination from truncation: no episode counts as terminated.",
    )
    files = sorted((WRITTEN / "data").glob("*/*.parquet"))
    assert len(files) == 2
    table = pa.concat_tables([pq.read_table(file) for file in files])
    found = list(foreign.episodes())
    for index, episode in enumerate(found):
        rows = table.filter(pa.compute.equal(table["episode_index"], index)).to_pydict()
        assert list(episode.observations) == ["state", "effort"]
        assert episode.observations["state"].dtype == np.float32
        assert episode.observations["effort"].dtype == np.float64
        assert episode.observations["state"].tolist() == rows["observation.state"]
        assert episode.observations["effort"].tolist() == rows["observation.effort"]
        assert episode.actions.tolist() == rows["action"]
        assert episode.rewards.tolist() == rows["next.reward"]
        assert episode.success.tolist() == rows["next.success"]
        assert episode.infos["phase"].tolist() == rows["phase"]
        assert (episode.terminated, episode.truncated, episode.end_reason) == (None, None, EndReason.UNKNOWN)
    assert [len(episode.actions) for episode in found] == [4, 1, 5]
    assert [episode.splits for episode in found] == [("reach left",), ("reach right",), ("reach left",)]


def test_what_lerobot_wrote_becomes_a_dataset_without_what_is_not_recorded(tmp_path):
    dataset = import_data(read_foreign(WRITTEN), ImportSettings(), tmp_path / "reach.zarr")
    assert dataset.episodes.length.tolist() == [
        3,
        4,
    ]  # a step without the observation after it is no transition
    assert dataset.task.observation_layout == (("state", 3), ("effort", 1))
    assert dataset.header.splits == {"reach left": (0, 1)}
    assert dataset.task.control_dt == 0.04


def _opened(folder):
    """Return frames and info of a dataset, checked for what LeRobot relies on."""
    info = json.loads((folder / "meta" / "info.json").read_text())
    files = sorted((folder / "data").glob("*/*.parquet"))
    table = pa.concat_tables([pq.read_table(file) for file in files])
    assert info["codebase_version"] == "v3.0"
    assert (len(table), info["total_frames"]) == (len(table["index"]), len(table))
    assert table.column_names == list(info["features"])
    for name, feature in info["features"].items():
        kind, size = table.schema.field(name).type, feature["shape"][0]
        assert kind == (
            pa.from_numpy_dtype(feature["dtype"])
            if feature["shape"] == [1]
            else pa.list_(pa.from_numpy_dtype(feature["dtype"]), size)
        )
    assert table["index"].to_pylist() == list(range(len(table)))
    episodes = pq.read_table(folder / "meta" / "episodes").to_pylist()
    assert len(episodes) == info["total_episodes"]
    for number, row in enumerate(episodes):
        path = info["data_path"].format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )
        inside = pq.read_table(folder / path, columns=["episode_index", "index", "frame_index"])
        own = inside.filter(pa.compute.equal(inside["episode_index"], number))
        assert row["episode_index"] == number
        assert own["index"].to_pylist() == list(range(row["dataset_from_index"], row["dataset_to_index"]))
        assert own["frame_index"].to_pylist() == list(range(row["length"]))
    tasks = pq.read_table(folder / "meta" / "tasks.parquet")
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]
    assert {tuple(row["tasks"]) for row in episodes} == {tuple(tasks["__index_level_0__"].to_pylist())}
    return table, info, episodes


def test_a_round_trip_keeps_every_bit_in_the_layout_of_lerobot(tmp_path, rich, same_episodes, monkeypatch):
    dataset = rich()
    monkeypatch.setattr(lerobot_export, "_FILE_MB", 0.001)
    monkeypatch.setattr(lerobot_export, "_FILES_PER_CHUNK", 2)
    monkeypatch.setattr(lerobot_export, "_EPISODES_AT_ONCE", 5)
    write_lerobot(dataset, tmp_path / "toy", SILENT)
    table, info, _ = _opened(tmp_path / "toy")
    assert len(list((tmp_path / "toy" / "data").glob("chunk-001/*.parquet"))) > 0
    assert (info["fps"], info["total_episodes"]) == (25, 12)
    assert np.array(table["observation.goal"].to_pylist(), np.float32).tobytes() == (
        np.ascontiguousarray(dataset.column("steps/observations")[:, 3:]).tobytes()
    )
    assert np.array_equal(
        table["next.done"], dataset.column("steps/terminations") | dataset.column("steps/truncations")
    )
    foreign = read_foreign(tmp_path / "toy")
    same_episodes(dataset, foreign.episodes(), lost={"sim", "infos"})
    for episode, recording in zip(dataset, foreign.episodes(), strict=True):
        assert np.array_equal(recording.infos["distance"], episode.infos["distance"])
        assert np.array_equal(recording.infos["contact.feet"], episode.infos["contact/feet"])
    assert (foreign.sources, foreign.credits) == (dataset.header.sources, dataset.header.credits)
    assert (foreign.name, foreign.horizon, foreign.success_rule) == ("toy", 9, "near the goal")
    assert foreign.losses == ()


def test_statistics_are_those_of_the_frames(tmp_path, rich):
    dataset = rich()
    write_lerobot(dataset, tmp_path / "toy", SILENT)
    statistics = json.loads((tmp_path / "toy" / "meta" / "stats.json").read_text())
    actions = dataset.column("steps/actions").astype(np.float64)
    found = statistics["action"]
    for name in ("min", "max", "mean", "std"):
        assert found[name] == pytest.approx(getattr(actions, name)(axis=0).tolist(), rel=1e-12)
    assert found["count"] == [dataset.n_steps]
    assert statistics["next.success"]["mean"] == [pytest.approx(dataset.column("steps/success").mean())]
    _, _, episodes = _opened(tmp_path / "toy")
    first = dataset.episode(8).actions.astype(np.float64)
    assert episodes[8]["stats/action/std"] == pytest.approx(first.std(axis=0).tolist(), rel=1e-12)


def test_one_array_is_called_the_state_and_a_clock_is_asked_for(tmp_path, rich):
    dataset = rich("no clock", observation_layout=(("observation", 5),), control_dt=None)
    losses = export_losses(dataset, EXPORT)
    assert "How long a step takes is not known, and LeRobot asks for it: fps is set to 1." in losses
    assert "Simulator states at every step are left out: qpos, qvel." in losses
    write_lerobot(dataset, tmp_path / "toy", SILENT)
    _, info, _ = _opened(tmp_path / "toy")
    assert (info["fps"], info["features"]["observation.state"]["shape"]) == (1, [5])
    found = next(read_lerobot(tmp_path / "toy").episodes())
    assert np.array_equal(found.observations, dataset.episode(0).observations)
    assert read_lerobot(tmp_path / "toy").control_dt is None


def test_through_the_command_line_and_back(awac, rich):
    dataset = rich()
    made = awac("data", "export", dataset.path, "--format", "lerobot", "-o", "toy")
    assert (made.code, made.out) == (0, "toy\n")
    assert awac("data", "import", "toy", "-o", "back.zarr", "--json").json["n_episodes"] == 12
    again = open_dataset(Path("back.zarr"))
    kept = {name for name in dataset.header.fields if "/sim/" not in name and "/infos/" not in name}
    for name in kept - {"episodes/sha256", "episodes/clipped"}:
        assert np.array_equal(again.column(name), dataset.column(name)), name


def test_notes_that_no_longer_fit_are_not_read(tmp_path, rich):
    write_lerobot(rich(), tmp_path / "toy", SILENT)
    notes = tmp_path / "toy" / "meta" / "awac.jsonl"
    notes.write_text("".join(notes.read_text().splitlines(keepends=True)[:-1]))
    foreign = read_lerobot(tmp_path / "toy")
    assert foreign.losses[1].startswith("meta/awac.jsonl does not fit the episodes")
    episode = next(foreign.episodes())
    assert (episode.seed, len(episode.observations["goal"])) == (None, len(episode.actions))


def test_gaps_in_frames_and_wrong_counts_are_reported(copy):
    _edit_column(copy, "frame_index", lambda table: pa.array([0, 1, 3, 4, 0]))
    _edit_info(copy, total_episodes=4, total_frames=11)
    assert read_lerobot(copy).losses[2:] == (
        "1 of 3 episodes have gaps in frame_index: some of their steps are missing.",
        "info.json counts 4 as total_episodes, there are 3: all of these are read.",
        "info.json counts 11 as total_frames, there are 10: all of these are read.",
    )


@pytest.mark.parametrize(
    "nonsense",
    [{"fps": 0}, {"fps": "fast"}, {"fps": 1e-320}, {"fps": True}, {"splits": ["train"], "fps": None}],
)
def test_info_that_makes_no_sense_is_not_taken(copy, nonsense):
    _edit_info(copy, **nonsense)
    foreign = read_lerobot(copy)
    assert (foreign.control_dt, foreign.n_episodes) == (None, 3)


def test_declared_splits_are_kept(copy):
    _edit_info(copy, splits={"train": "0:2", "test": "2:3", "odd": "every second"})
    found = [episode.splits for episode in read_lerobot(copy).episodes()]
    assert found == [("reach left", "train"), ("reach right", "train"), ("reach left", "test")]


def test_files_are_read_in_the_order_of_numbers(copy):
    (copy / FIRST_FILE).rename(copy / "data" / "chunk-000" / "file-9.parquet")
    (copy / "data" / "chunk-000" / "file-001.parquet").rename(copy / "data" / "chunk-000" / "file-10.parquet")
    assert [len(episode.actions) for episode in read_lerobot(copy).episodes()] == [4, 1, 5]


def test_without_pyarrow_the_package_is_named(monkeypatch, tmp_path, rich):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for use in (
        lambda: read_lerobot(WRITTEN),
        lambda: write_lerobot(rich(), tmp_path / "toy", SILENT),
    ):
        with pytest.raises(UsageError, match="pyarrow") as error:
            use()
        assert error.value.hint == 'pip install "awaccli[lerobot]"'
    assert not (tmp_path / "toy").exists()


def _features(**changes):
    def damage(folder):
        info = json.loads((folder / "meta" / "info.json").read_text())
        declared = info["features"] | changes
        _edit_info(folder, features={name: feature for name, feature in declared.items() if feature})

    return damage


def _column(name, column):
    return lambda folder: _edit_column(folder, name, column)


NUMBERS = {"dtype": "float32", "shape": [2], "names": None}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "meta" / "tasks.parquet").unlink(), "tasks.parquet` cannot be read"),
        (lambda folder: (folder / FIRST_FILE).write_bytes(b"PAR1"), "file-000.parquet` cannot be read"),
        (lambda folder: shutil.rmtree(folder / "data"), "has no frame in data"),
        (lambda folder: (folder / "videos").symlink_to("/etc"), "is a link"),
        (lambda folder: _edit_info(folder, codebase_version="v2.1"), "codebase_version v2.1"),
        (lambda folder: _edit_info(folder, features=3), "has no action that is a vector"),
        (_features(action=None), "has no action that is a vector"),
        (
            _features(**{"observation.state": None, "observation.effort": None}),
            "has no observation that is a vector",
        ),
        (_features(force=NUMBERS), "has no column `force`"),
        (_column("action", lambda table: pa.array(["a"] * 5)), "column `action` does not hold numbers"),
        (_column("action", lambda table: pa.array([[1.0], [1.0, 2.0]] + [[3.0]] * 3)), "different lengths"),
        (_column("action", lambda table: pa.array([[1.0], None] + [[3.0]] * 3)), "or missing ones"),
        (_column("episode_index", lambda table: pa.array([0, 0, 1, 1, 0])), "episode 0 lie in two places"),
        (_column("episode_index", lambda table: pa.array([0, None, 1, 1, 1])), "episode_index is float64"),
        (_column("task_index", lambda table: pa.array([0.5] * 5)), "task_index is float64"),
        (lambda folder: (folder / "meta" / "awac.jsonl").write_text("{}\n" * 4), "the note of awac in"),
    ],
)
def test_damaged_folders_are_refused_with_their_place(copy, damage, message):
    damage(copy)
    with pytest.raises(InputError) as error:
        list(read_lerobot(copy).episodes())
    assert message in str(error.value)
    assert error.value.hint


def test_a_row_that_unpacks_to_more_than_memory_is_refused(copy):
    width = 1 << 28
    schema = pa.schema([("action", pa.list_(pa.float32(), width))])
    other = pq.read_table(copy / FIRST_FILE).drop(["action"])
    empty = pa.table({"action": pa.FixedSizeListArray.from_arrays(pa.array([], pa.float32()), width)}, schema)
    joined = other.slice(0, 0).append_column(schema.field(0), empty["action"])
    pq.write_table(joined, copy / FIRST_FILE)
    with pytest.raises(InputError, match="unpacks to 21474"):
        list(read_lerobot(copy).episodes())
