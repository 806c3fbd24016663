"""`awac data export`: what is lost is said, and nothing half-written appears."""

import numpy as np
import pytest

from awaccli.data.dataset import open_dataset
from awaccli.data.formats.losses import export_losses
from awaccli.data.formats.registry import export_of
from awaccli.errors import OutputExistsError
from awaccli.stages import export_data as stage


@pytest.fixture
def dataset(awac, tmp_path, rng):
    """Return the path of a dataset with everything that may be lost."""
    steps = 7
    np.savez(
        tmp_path / "a.npz",
        observations=rng.normal(size=(steps, 3)),
        final_observations=rng.normal(size=(2, 3)),
        actions=rng.uniform(-2, 2, (steps, 2)),
        rewards=rng.normal(size=steps),
        terminations=np.arange(steps) == 2,
        truncations=np.arange(steps) == 6,
        episode_lengths=[3, 4],
        **{
            "infos/force": np.ones(steps),
            "steps/sim/qpos": np.ones((steps, 2)),
            "final/sim/qpos": np.ones((2, 2)),
        },
        **{"episodes/seed": [1, 2], "episodes/has_seed": [True, True], "episodes/sim_init": np.ones((2, 5))},
        **{"episodes/model/goal": np.ones((2, 3))},
    )
    told = ("--authors", "we", "--licence", "MIT", "--source-kind", "human", "--source-name", "me")
    assert awac("data", "import", "a.npz", "-o", "a.zarr", *told).code == 0
    return tmp_path / "a.zarr"


def test_all_that_a_format_cannot_hold_is_said(dataset):
    opened = open_dataset(dataset)
    lost = {form: " ".join(export_losses(opened, export_of(form))) for form in ("dapg", "d4rl", "npz")}
    everywhere = (
        "Who acted is left out: me (human).",
        "Credits are left out: we (MIT).",
        "The task is left out",
    )
    for form, report in lost.items():
        assert all(sentence in report for sentence in everywhere), form
    sentences = {
        "The observation after the last action of each of 2 episodes": {"dapg"},
        "Which episodes the task ended (1 of 2)": {"dapg"},
        "Why each episode ended is left out (terminated 1, unknown 1)": {"dapg", "d4rl"},
        "Success is left out (0 successful steps)": {"dapg"},
        "2 seeds of resets are left out": {"dapg", "d4rl"},
        "Further columns are left out: force": {"dapg"},
        "Simulator states at every step are left out: qpos": {"dapg", "d4rl"},
        "simulator's state at the start of the episodes is left out": {"dapg", "d4rl"},
        "What is known of the start of each episode is left out: goal": {"dapg", "d4rl"},
        "is one transition shorter": {"dapg"},
        "init_state_dict is empty": set(),
    }
    for sentence, forms in sentences.items():
        assert {form for form, report in lost.items() if sentence in report} == forms, sentence


def test_a_dry_run_says_it_and_writes_nothing(awac, dataset, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    told = awac("data", "export", dataset, "--format", "d4rl", "--dry-run")
    assert (told.code, told.out) == (0, "would write a.hdf5 as d4rl\n")
    assert "- 2 seeds of resets are left out." in told.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_what_is_there_stays_unless_told_otherwise(awac, dataset, tmp_path):
    (tmp_path / "a.hdf5").write_text("mine")
    for more in ((), ("--dry-run",)):
        awac("data", "export", dataset, "--format", "d4rl", *more).failed(4, "already exists", "--overwrite")
    assert (tmp_path / "a.hdf5").read_text() == "mine"
    assert awac("data", "export", dataset, "--format", "d4rl", "--overwrite").out == "a.hdf5\n"
    assert (tmp_path / "a.hdf5").stat().st_size > 1000
    awac("data", "export", dataset, "--format", "d4rl", "-o", "a.npz").failed(2, "must end in .hdf5")
    awac("data", "export", dataset, "--format", "d4rl", "-o", "no/a.hdf5").failed(
        2, "does not exist", "mkdir"
    )
    awac("data", "export", "b.zarr", "--format", "npz").failed(3, "does not exist")


def test_a_write_that_fails_leaves_nothing_under_its_name(dataset, tmp_path, monkeypatch):
    def broken(opened, out, report):
        out.write_text("half")
        raise OSError(28, "No space left on device")

    full = export_of("npz").__class__(ending=".npz", keeps=frozenset(), write=broken)
    monkeypatch.setattr(stage, "export_of", lambda form: full)
    with pytest.raises(OSError, match="No space"):
        stage.export_data(open_dataset(dataset), "npz", tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()
    monkeypatch.undo()
    stage.export_data(open_dataset(dataset), "npz", tmp_path / "b.npz")
    assert not (tmp_path / "b.npz.part").exists()
    with pytest.raises(OutputExistsError):
        stage.export_data(open_dataset(dataset), "npz", tmp_path / "b.npz")


def test_an_export_reads_from_a_pipe_and_prints_one_object(awac, dataset, monkeypatch):
    found = awac("data", "export", dataset, "-o", "b.npz", "--json").json
    assert (found["path"], found["format"], found["n_episodes"]) == ("b.npz", "npz", 2)
    assert found["dataset"] == open_dataset(dataset).id
