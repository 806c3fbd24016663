"""``awac pretrain --held-out``: what data alone tells of a policy, where there is no simulator."""

import numpy as np
import pytest

from awaccli.artifacts.metrics import read_metrics

SMALL = ("--updates", 4, "--batch-size", 8, "--threads", 1)


@pytest.fixture
def parts(awac, tmp_path):
    """Make two datasets of a robot without a simulator."""
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "robot.npz",
        observations=rng.normal(size=(24, 3)),
        actions=rng.uniform(-1, 1, (24, 2)),
        rewards=-rng.random(24),
        lengths=[6, 6, 6, 6],
    )
    for command in ("import robot.npz --name arm", "split robot.zarr --ratio 0.5 -o part"):
        assert awac("data", *command.split()).code == 0


@pytest.mark.usefixtures("parts")
def test_numbers_are_told_and_logged(awac, tmp_path):
    made = awac(
        "pretrain", "--data", "part-train.zarr", "--held-out", "part-val.zarr", "--eval-every", 2, *SMALL
    ).made("arm-pretrained.ckpt")
    lines = [line for line in made.err.splitlines() if "held-out log likelihood" in line]
    assert len(lines) == 2
    assert lines[1].startswith("4 updates: held-out log likelihood -")
    assert ", td error " in lines[1]
    assert lines[1].endswith(" (2 episodes)")
    assert "no rollout" not in made.err
    rows = read_metrics(tmp_path / "arm-pretrained.ckpt" / "metrics.jsonl")
    held = [row for row in rows if "held_out/episodes" in row]
    assert [row["updates"] for row in held] == [2, 4]
    assert (
        f"{held[1]['held_out/log_likelihood']:.4g}, td error {held[1]['held_out/td_error']:.4g}" in lines[1]
    )


@pytest.mark.usefixtures("parts")
def test_without_a_simulator_and_held_out_data_the_way_to_numbers_is_told(awac):
    made = awac("pretrain", "--data", "part-train.zarr", *SMALL, "-o", "x.ckpt").made("x.ckpt")
    assert "no simulator for this task" in made.err
    assert "keep episodes back with `awac data split`, and give them with --held-out" in made.err


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_a_leak_is_refused_before_anything_is_made(awac, tmp_path, flags):
    awac("pretrain", "--data", "robot.zarr", "--held-out", "part-val.zarr", *SMALL, *flags).failed(
        3, "2 of 2 episodes of `part-val.zarr` are also in the training data", "awac data split"
    )
    assert not (tmp_path / "arm-pretrained.ckpt").exists()
