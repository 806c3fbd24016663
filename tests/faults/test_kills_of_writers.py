"""Dataset writers, killed after random microseconds: every acknowledged episode is there, nothing is torn."""

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from fault_readers import committed, id_of
from fault_samples import some
from fault_writers import EPISODES_AT_MOST, begin, expected_id

from awaccli.artifacts.commit import part_of, payload_of

SEED = 0
KILLS_OF_A_COMMIT = 4


@pytest.fixture
def kill_randomly(server):
    """Return a function that starts one of `fault_writers` and kills it after a time; True if that hit."""

    def kill(function, *arguments, within_s):
        pid = server.start(f"fault_writers:{function}", *map(str, arguments))
        time.sleep(within_s)
        os.kill(pid, signal.SIGKILL)  # it may have ended, but nobody has asked for its exit code yet
        return server.end_of(pid) == -signal.SIGKILL

    return kill


@pytest.mark.parametrize("kills", [4, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_appending(kill_randomly, folder, kills, tally):
    rng = np.random.default_rng(SEED)
    log = folder / "acknowledged"
    for number in range(kills):
        path = folder / f"{number // 20}.zarr"
        part_of(path).mkdir(exist_ok=True)
        before = committed(path)
        log.unlink(missing_ok=True)
        assert kill_randomly("append", payload_of(part_of(path)), log, within_s=rng.uniform(0, 0.15))
        acknowledged = [int(line) for line in log.read_bytes().split()] if log.exists() else []
        after = committed(path)
        assert (len(after) if after else 0) >= max(acknowledged, default=len(before) if before else 0)
        assert after is None or after.id == expected_id(after)
        tally("Zarr writer, appending", "killed, every acknowledged episode is there")
        assert after is None or len(after) < 20 * EPISODES_AT_MOST


@pytest.mark.parametrize("suffix", some(("zarr", "h5"), "zarr"))
@pytest.mark.parametrize("kills", [2, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_committing(server, kill_randomly, folder, kills, suffix, tally):
    rng = np.random.default_rng(SEED)
    undisturbed_s, hits = 0.0, 0
    while hits < kills:
        path = folder / f"{hits}.{suffix}"
        begin(path)
        for _ in range(KILLS_OF_A_COMMIT if undisturbed_s else 0):
            if kill_randomly("finish", path, within_s=rng.uniform(0, undisturbed_s)):
                tally(f"commit of a .{suffix}", "killed, all or nothing")
                hits += 1
            dataset = committed(path)
            assert (len(dataset), dataset.id) == (20, expected_id(dataset))
        started = time.monotonic()
        assert server.end_of(server.start("fault_writers:finish", str(path))) == 0
        undisturbed_s = undisturbed_s or time.monotonic() - started
        assert id_of(path) == expected_id(committed(path))
        assert not part_of(path).exists()
        (shutil.rmtree if path.is_dir() else Path.unlink)(path)
