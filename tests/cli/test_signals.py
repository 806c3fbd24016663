"""Real processes: signals, pipes, limits. Slower than the rest, so few, and started side by side."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from awaccli.artifacts.manifest import read_manifest
from awaccli.cli.console import ImmediateStop, Signals

TOY = "cli_toys:cli/Toy-v0 --success-key reached --policy random"
TINY = "--preset smoke --workers 1 --threads 1 --trust-env"
STAGES = {
    # stage: (command, at which reset the toy sends the signal, output, its copy on the shelf)
    "collect-demos": (f"awac collect-demos {TOY} -n 4 -o out.zarr --workers 1", 3, "out.zarr", "demos.zarr"),
    "bc-rollout": (f"awac bc-rollout --demos demos.zarr -n 5 -o out.zarr {TINY}", 3, "out.zarr", "toy.zarr"),
    "pretrain": (
        f"awac pretrain --data toy.zarr --updates 6 -o out.ckpt {TINY} --eval-every 2 --eval-episodes 2",
        3,
        "out.ckpt",
        "pretrained.ckpt",
    ),
    "finetune": (
        f"awac finetune pretrained.ckpt --env-steps 25 -o out.ckpt {TINY}",
        3,
        "out.ckpt",
        "finetuned.ckpt",
    ),
    "eval": (
        "awac eval finetuned.ckpt -n 3 -o out.json --workers 1 --trust-env",
        2,
        "out.json",
        "result.json",
    ),
}
KEEPS_NOTHING = {"eval"}


NUMBERS = dict(zip(STAGES, ("SIGINT", "SIGTERM", "SIGINT", "SIGTERM", "SIGUSR1"), strict=True))
PIPE = (
    f"awac collect-demos {TOY} -n 2 --workers 1 | awac bc-rollout --demos - -n 2 --updates 3 {TINY} | "
    f"awac pretrain --data - --updates 3 {TINY} | awac finetune - --env-steps 6 {TINY} | "
    "awac eval - -n 2 --workers 1 --trust-env"
)


@pytest.fixture(scope="module")
def running(script, shelf, tmp_path_factory):
    """Return (process, folder) of the pipe and of each stage with a signal to come: all started at once."""
    started = {}
    for name in ("pipe", *STAGES):
        folder = tmp_path_factory.mktemp(name)
        if name == "pipe":
            started[name] = script(PIPE, folder), folder
            continue
        for made in ("demos.zarr", "toy.zarr", "pretrained.ckpt", "finetuned.ckpt", "finetuned-online.zarr"):
            (folder / made).symlink_to(shelf / made)
        command, at, _, _ = STAGES[name]
        started[name] = script(command, folder, STOP_AT=str(at), STOP_WITH=NUMBERS[name]), folder
    return started


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_saves_at_a_signal_and_resumes_to_the_same_artifact(awac, running, shelf, monkeypatch, stage):
    process, folder = running[stage]
    out, err = process.communicate(timeout=110)
    assert (process.returncode, out) == (130 if NUMBERS[stage] == "SIGINT" else 143, ""), err
    first, error, hint = err.splitlines()[-3:]
    assert first == "stopping after saving; once more to stop at once"
    assert error.startswith("error: stopped after ")
    assert ("with --resume" in hint) == (stage not in KEEPS_NOTHING)
    command, _, output, twin = STAGES[stage]
    assert ((folder / f"{output}.part").exists()) == (stage not in KEEPS_NOTHING)
    assert not (folder / output).exists()
    monkeypatch.chdir(folder)
    assert awac(*command.split()[1:], "--resume").code == 0
    assert read_manifest(folder / output).id == read_manifest(shelf / twin).id
    assert not list(folder.glob("*.part"))


def test_five_commands_in_a_pipe(running):
    process, folder = running["pipe"]
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    assert out.startswith("toy: 2 episodes, mean actions, seed 0\n")
    assert not list(folder.glob("*.part"))


def test_a_second_signal_stops_at_once_even_where_the_environment_hangs(script, tmp_path):
    hanging = """--env-kwargs '{"hang_s": 600}' --workers 1"""
    process = script(f"exec awac collect-demos {TOY} {hanging}", tmp_path, STOP_AT="1", STOP_WITH="SIGINT")
    assert process.stderr.readline() == "stopping after saving; once more to stop at once\n"
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "error: interrupted\n")


def test_a_second_signal_is_not_lost_where_a_sleep_begins_just_after_it(own_handlers):
    """Noted by a thread that does not handle it, it is as late as one that comes between check and sleep."""
    signals = Signals()

    def send():
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    with signals.noted():
        os.kill(os.getpid(), signal.SIGINT)
        sender = threading.Thread(target=send)
        sender.start()
        began = time.monotonic()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with pytest.raises(ImmediateStop):
                time.sleep(30)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    sender.join()
    assert time.monotonic() - began < 20


def test_ctrl_c_reaches_the_whole_group_and_only_awac_answers(script, tmp_path):
    log = tmp_path / "log"
    os.mkfifo(log)
    slow = f"""--workers 2 -n 500 --env-kwargs '{{"log": "{log}", "slow_s": 0.02}}'"""
    process = script(f"exec awac collect-demos {TOY} {slow}", tmp_path)
    with log.open() as finished:
        finished.readline()
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    first, error, hint = err.splitlines()[-3:]
    assert first == "stopping after saving; once more to stop at once"
    assert error.startswith("error: stopped after ")
    assert hint == "hint: repeat the command with --resume to go on"


def test_a_time_limit_saves_and_stops(awac, tmp_path):
    slow = ("-n", 500, "--workers", 1, "--env-kwargs", '{"hang_s": 0.05}')
    result = awac("collect-demos", "TOY", "--policy", "random", *slow, "--time-limit", "1s")
    assert (result.code, result.out) == (143, "")
    assert "of 500 episodes" in result.err
    assert (tmp_path / "toy-demos.zarr.part").is_dir()


def test_what_a_kill_left_becomes_a_sealed_dataset(awac, script, tmp_path):
    slow = """--env-kwargs '{"hang_s": 0.01}'"""
    with script(f"exec awac collect-demos {TOY} -n 5000 --workers 1 {slow}", tmp_path) as process:
        begun = tmp_path / "toy-demos.zarr.part" / "payload" / "zarr.json"
        deadline = time.monotonic() + 60
        while not (begun.is_file() and b"n_episodes" in begun.read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    left = awac("info", "toy-demos.zarr.part", "--json").json
    result = awac("data", "repair", "toy-demos.zarr.part")
    assert (result.code, result.out) == (0, "toy-demos.zarr\n")
    assert f"sealed {left['n_episodes']} episodes, {left['n_steps']} steps" in result.err
    again = awac("data", "repair", "toy-demos.zarr.part", "--json").json
    assert (again["already"], again["n_episodes"]) == (True, left["n_episodes"])
    assert awac("info", "toy-demos.zarr", "--json").json["id"] == left["id"]


def test_the_first_failure_in_a_pipe_ends_it_without_a_hang(script, tmp_path):
    process = script(
        "awac collect-demos no-such-task | awac pretrain --data -; echo ${PIPESTATUS[@]}", tmp_path
    )
    out, err = process.communicate(timeout=60)
    assert out == "2 2\n"
    assert "error: unknown task `no-such-task`" in err
    assert "error: no dataset on stdin" in err


@pytest.mark.parametrize("arguments", [["config", "show"], ["--help"]])
def test_a_reader_that_left_is_141_and_no_word(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, "-m", "awaccli", *arguments]
    ended = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_full_disk_behind_stdout_is_exit_5():
    with Path("/dev/full").open("w") as full:
        program = [sys.executable, "-m", "awaccli", "config", "show"]
        ended = subprocess.run(
            program, stdout=full, stderr=subprocess.PIPE, check=False, text=True, timeout=60
        )
    assert ended.returncode == 5
    assert ended.stderr.splitlines()[0] == "error: No space left on device"
    assert len(ended.stderr.splitlines()) == 2


def test_a_limit_on_file_sizes_does_not_kill_silently(script, tmp_path):
    process = script(f"ulimit -f 1; awac collect-demos {TOY} -n 2 --workers 1", tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (5, "")
    assert "File too large" in err
    assert "hint: what was committed is safe; raise the limit on file sizes" in err
    assert not (tmp_path / "toy-demos.zarr").exists()
