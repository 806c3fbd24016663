"""Environments, policies and workers that fail in the middle: what is said, what is kept, how it goes on."""

import os
import signal
import time
from pathlib import Path

import pytest
from fault_readers import episodes_in, hashes_in
from fault_samples import some
from fault_stages import TOY

from awaccli.artifacts.manifest import read_manifest
from awaccli.seeding import integer

EPISODE, STEP = 3, 2
PHASES = {"toy": "rollout", "pretrained": "eval", "finetuned": "online-0", "measured": "eval"}
SAYS = {
    "raise": "the environment raised RuntimeError: motor 3 is on fire",
    "exit": "the environment raised SystemExit: 0",
    "nan": "the environment's observation is not finite in entries [0, 1, 2]",
    "inf": "the environment's observation is not finite in entries [0, 1, 2]",
    "huge": "the environment's observation is not finite in entries [0, 1, 2]",
    "short": "the environment's observation has 2 numbers, its space has 3",
    "nan-reward": "the environment's reward is nan",
    "inf-reward": "the environment's reward is -inf",
    "huge-reward": "the environment's reward is 1e+300",
}
TRACKS_STEPS_FROM = {"raise": 1, "exit": 1, "nan-reward": 1, "inf-reward": 1, "huge-reward": 1}
"""These fail before their step is there, so it is the step before that is named."""
HANGS = ("hang", "hang-in-c")
POLICIES = {
    "raising": "raised KeyError: 'gripper'",
    "not_a_number": "gave [nan, 0.0]",
    "wrong_shape": "gave float64 [3]",
}


def fault(kind, folder, *, phase="collect", episode=EPISODE, step=STEP):
    """Return the variables that let the environment fail at a step of an episode."""
    seed = integer(0, phase, episode, "env")
    return {"FAULT": kind, "FAULT_SEED": seed, "FAULT_STEP": step, "FAULT_HUNG": folder.parent / "hung"}


@pytest.fixture
def mended(awac, shelf, folder):
    """Return a function that resumes a stage without the fault and checks its result."""

    def mend(stage, words=()):
        awac(*(words or TOY[stage]), "--resume").succeeded()
        for path in shelf.glob(f"{stage}*"):
            assert read_manifest(folder / path.name).id == read_manifest(path).id

    return mend


@pytest.mark.parametrize("kind", some(SAYS, "exit"))
def test_an_environment_that_fails_is_named_and_earlier_episodes_are_kept(awac, folder, mended, kind):
    run = awac(*TOY["demos"], **fault(kind, folder))
    step = STEP - TRACKS_STEPS_FROM.get(kind, 0)
    run.failed(5, f"task `toy`, episode {EPISODE}, step {step}: {SAYS[kind]}", "kept for --resume")
    assert episodes_in(folder / "demos.zarr") == EPISODE
    mended("demos")


@pytest.mark.slow
@pytest.mark.parametrize("stage", PHASES)
def test_every_stage_goes_on_after_its_environment_failed(awac, folder, inputs, mended, stage):
    inputs(stage)
    episode = 1
    broken = fault("raise", folder, phase=PHASES[stage], episode=episode)
    awac(*TOY[stage], **broken).failed(5, f"task `toy`, episode {episode}, step 1")
    mended(stage)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_that_fails(awac, folder, policy):
    name = f"fault_toys:{policy}"
    words = [name if word == "random" else word for word in TOY["demos"]]
    awac(*words).failed(5, f"policy `{name}` {POLICIES[policy]} (task `toy`, episode")
    before = episodes_in(folder / "demos.zarr")
    awac(*words, "--resume", FAULT_MENDED="1").succeeded()
    assert 0 < before < episodes_in(folder / "demos.zarr") == 6


@pytest.mark.parametrize("kind", ["raise", "exit", "short", "nan-reward"])
@pytest.mark.slow
def test_the_same_from_a_worker(awac, folder, mended, kind):
    run = awac(*TOY["demos"], "--workers", 2, **fault(kind, folder))
    run.failed(5, f"task `toy`, episode {EPISODE}, step", SAYS[kind], "kept for --resume")
    assert run.orphans() == []
    assert episodes_in(folder / "demos.zarr") == EPISODE
    mended("demos")


@pytest.mark.slow
def test_a_worker_that_is_killed(awac, folder, mended):
    run = awac(*TOY["demos"], "--workers", 2, **fault("die", folder))
    run.failed(5, f"task `toy` died (killed by SIGKILL) with episode {EPISODE}", "--resume")
    assert run.orphans() == []
    assert episodes_in(folder / "demos.zarr") <= EPISODE
    mended("demos")


@pytest.mark.parametrize("kind", some(HANGS, "hang-in-c"))
def test_a_worker_that_hangs_is_killed_in_time(awac, folder, mended, kind):
    run = awac(*TOY["demos"], "--workers", 2, "--episode-timeout", "2s", **fault(kind, folder))
    run.failed(5, f"task `toy`, episode {EPISODE}: no answer for 2 s", "--resume", "--episode-timeout")
    assert run.orphans() == []
    assert episodes_in(folder / "demos.zarr") == EPISODE
    mended("demos")


@pytest.mark.parametrize("stage", PHASES)
@pytest.mark.slow
def test_a_hang_in_every_stage(awac, folder, inputs, mended, stage):
    inputs(stage)
    hanging = fault("hang", folder, phase=PHASES[stage], episode=1)
    run = awac(*TOY[stage], "--workers", 2, "--episode-timeout", "2s", **hanging)
    run.failed(5, "task `toy`, episode 1: no answer for 2 s", "--resume")
    assert run.orphans() == []
    mended(stage)


def wait_for(path):
    while not path.exists():
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", HANGS)
def test_workers_end_with_a_killed_parent_even_where_they_hang(awac, folder, mended, kind):
    run = awac(*TOY["demos"], "--workers", 2, **fault(kind, folder))
    wait_for(folder.parent / "hung")
    run.kill()
    assert run.wait() == -signal.SIGKILL
    assert run.orphans() == []
    mended("demos")


@pytest.mark.slow
def test_a_hang_in_the_process_itself(awac, folder, mended):
    """Ctrl-C twice ends what hangs in Python; what hangs in compiled code needs SIGKILL. Both resume."""
    words = TOY["demos"]
    run = awac(*words, **fault("hang", folder))
    wait_for(folder.parent / "hung")
    for _ in range(2):
        run.kill(signal.SIGINT)
        time.sleep(0.1)
    assert (run.wait(), run.err.splitlines()[-1]) == (130, "error: interrupted")
    assert episodes_in(folder / "demos.zarr") == EPISODE
    (folder.parent / "hung").unlink()
    run = awac(*words, "--resume", **fault("hang-in-c", folder))
    wait_for(folder.parent / "hung")
    run.kill(signal.SIGINT)
    run.kill(signal.SIGTERM)
    time.sleep(0.1)
    assert Path(f"/proc/{run.pid}").exists(), "no handler runs while compiled code holds the interpreter"
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    mended("demos")


@pytest.mark.parametrize("kills", some((1, 5), 1))
def test_nothing_that_was_recorded_by_chance_is_lost_or_recorded_again(awac, inputs, folder, shelf, kills):
    """On a robot no episode comes twice: those that a kill leaves are the first of the result."""
    inputs("finetuned")
    words = TOY["finetuned"]
    path = folder / "finetuned-online.zarr"
    known = []
    for _ in range(kills):
        run = awac(*words, "--resume", FAULT_DICE=1, FAULT_SLOW_S=0.01)
        while len(found := hashes_in(path)) <= len(known):
            time.sleep(0.005)
        run.kill()
        run.wait()
        assert found[: len(known)] == known
        known = found
    awac(*words, "--resume", FAULT_DICE=1).succeeded()
    assert len(known) > 0
    assert hashes_in(path)[: len(known)] == known
    assert read_manifest(path).id != read_manifest(shelf / path.name).id, "the dice were never thrown"
