"""Every verb works on ten times the memory it is given, and says what it cannot do before it does it.

Memory is the peak of a process of its own, less that of the same command on a handful of short episodes.
"""

import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from awaccli.data.dataset import open_dataset
from awaccli.data.filter import filtered
from awaccli.data.hindsight import goal_within, with_hindsight
from awaccli.data.relabel import Relabelling, relabelled
from awaccli.data.repair import repair
from awaccli.data.statistics import Statistics
from awaccli.data.stats import dataset_stats
from awaccli.data.validate import validated
from awaccli.errors import InterruptedRunError, UsageError
from awaccli.reports.diff import difference
from awaccli.reports.verify import Verifier

TOYS = Path(__file__).parent / "toys"
MIB = 1 << 20
SLACK_MIB = 16
"""What threads and allocators keep, and what grows with the number of episodes: their table and hashes."""
KEPT_MIB = {
    "import minari": 48,
    "import robomimic": 80,
    "export lerobot": 48,
    "import lerobot": 48,
    "data replay": 32,
    "eval": 64,
}
"""Instead: lists that HDF5 and pyarrow keep of what they freed, verdicts on episodes, networks at work."""
MEASURED = """
import atexit, os, threading, time
from pathlib import Path

def status(entry):
    return int(Path("/proc/self/status").read_text().partition(entry + ":")[2].split()[0])

def watch():
    while True:
        seen[0] = max(seen[0], status("RssAnon"))
        time.sleep(0.01)

seen = [0]
if os.environ["PEAK_OF"] == "RssAnon":
    threading.Thread(target=watch, daemon=True).start()
os.fsync = lambda descriptor: None  # nobody cuts the power here
atexit.register(lambda: Path(os.environ["PEAK"]).write_text(str(seen[0] or status("VmHWM"))))
from awaccli.cli.app import main
main()
"""


class Ran(NamedTuple):
    """What became of a command."""

    code: int
    peak_mib: float
    cpu_s: float
    err: str


def run(folder, *words, cap=None, peak_of="VmHWM"):
    """Run `awac` in a process of its own; `RssAnon` leaves out pages of files, which the system can drop."""
    peak = folder / "peak.txt"
    peak.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PEAK": str(peak),
        "PEAK_OF": peak_of,
        "PYTHONPATH": str(TOYS),
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    limit = ["--max-memory", cap] if cap else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words, *limit],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(done.returncode, int(peak.read_text()) / 1024, cpu_s, done.stderr)


@pytest.fixture(scope="module")
def large_tasks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOYS)
        import large_tasks

        yield large_tasks


@pytest.fixture(scope="module")
def forty_mb(large_tasks, tmp_path_factory):
    """Two folders with a `big.zarr` each: 40 MB in one, eight short episodes in the other."""
    large, tiny = tmp_path_factory.mktemp("large"), tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        large_tasks.recorded(large / "big.zarr", list(large_tasks.lengths(40_000_000, longest=1000)))
        large_tasks.recorded(tiny / "big.zarr", [40] * 8)
    return large, tiny


@pytest.mark.parametrize(
    "words",
    [
        ("data", "stats", "big.zarr"),
        ("data", "filter", "big.zarr", "index < 500", "-o", "filtered.zarr"),
        ("data", "head", "big.zarr", "-n", "100000", "--npz", "head.npz"),
        ("verify", "--deep", "big.zarr"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_tenth_of_the_data_is_enough_memory(forty_mb, words):
    large, tiny = (run(folder, *words, cap="4MiB") for folder in forty_mb)
    assert (large.code, tiny.code) == (0, 0), large.err
    assert large.peak_mib - tiny.peak_mib < 4 + SLACK_MIB


def test_the_limit_enters_no_recipe_and_changes_no_content(forty_mb, tmp_path):
    path = forty_mb[0] / "big.zarr"
    made = [
        filtered(open_dataset(path, max_memory=limit), "index < 300").write(tmp_path / f"{limit}.zarr")
        for limit in (None, 4 * MIB)
    ]
    assert made[0].id == made[1].id
    assert made[0].manifest.recipe == made[1].manifest.recipe


def test_hindsight_in_windows_is_hindsight_at_once(forty_mb):
    path = forty_mb[1] / "big.zarr"
    ids = {
        with_hindsight(open_dataset(path, max_memory=limit), goal_within(0.5)).id for limit in (None, 4 * MIB)
    }
    assert len(ids) == 1


@pytest.fixture(scope="module")
def long(large_tasks, tmp_path_factory):
    """A dataset whose second episode takes 1180 kB."""
    path = tmp_path_factory.mktemp("long") / "long.zarr"
    large_tasks.recorded(path, [40, large_tasks.HORIZON])
    return path


def test_an_episode_that_is_too_large_is_named_before_anything_is_written(long):
    done = run(long.parent, "data", "dedupe", "long.zarr", "-o", "never.zarr", cap="8MiB")
    assert done.code == 2
    assert "episode 1 of `long.zarr` (1153 KiB in one piece) needs about 10 MiB" in done.err
    assert "--max-memory says 8 MiB" in done.err
    assert "hint: --max-memory 10MiB" in done.err
    assert [entry.name for entry in long.parent.iterdir() if entry.name != "peak.txt"] == ["long.zarr"]


def test_the_memory_that_an_error_asks_for_is_enough(long):
    assert [len(episode) for episode in open_dataset(long, max_memory=10 * MIB)] == [40, 4000]
    with pytest.raises(UsageError, match="episode 1"):
        next(iter(open_dataset(long, max_memory=9 * MIB)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data", "export", "big.zarr", "--format", "dapg"), "a pickle of `big.zarr` needs about"),
        (("data", "convert", "big.zarr", "--chunk-bytes", "4000000"), "a piece of --chunk-bytes"),
        (("data", "stats", "big.zarr", "--max-memory", "much"), "--max-memory much is no amount of memory"),
    ],
)
def test_what_cannot_be_done_in_so_little_is_said_first(forty_mb, words, message):
    done = run(forty_mb[0], *words, cap=None if "much" in words else "8MiB")
    assert done.code == 2
    assert message in done.err


@pytest.mark.parametrize("width", [1, 2, 7, 100])
def test_statistics_have_the_bits_of_all_rows_at_once(width):
    rng = np.random.default_rng(width)
    rows = rng.normal(rng.uniform(-1e4, 1e4, width), rng.uniform(0.01, 1e3, width), (20_000, width))
    found = Statistics.of([rows])
    np.testing.assert_array_equal(found.mean, rows.mean(axis=0))
    np.testing.assert_array_equal(
        found.std, np.sqrt(np.square(rows - rows.mean(axis=0)).sum(axis=0) / len(rows))
    )
    np.testing.assert_array_equal([found.min, found.max], [rows.min(axis=0), rows.max(axis=0)])


class Listener:
    """A reporter that keeps the titles of phases, and whether each came to its end; or asks to stop."""

    def __init__(self, signal=0):
        self.signal, self.done, self.total = signal, {}, {}

    @contextmanager
    def phase(self, title, total, unit):
        assert self.done.keys() == self.total.keys(), "a live display cannot be inside another"
        self.total[title] = total
        yield SimpleNamespace(update=partial(self.done.__setitem__, title))

    def interrupted(self):
        return self.signal

    def note(self, message):
        pass

    warn = note


def test_long_work_says_how_far_it_is(forty_mb, tmp_path):
    path, heard = forty_mb[1] / "big.zarr", Listener()
    data = open_dataset(path)
    relabelled(data, Relabelling(scale=0.5)).write(tmp_path / "halved.h5", report=heard)
    with_hindsight(data, goal_within(0.5), report=heard)
    dataset_stats(data, report=heard)
    validated(path, report=heard)
    assert Verifier(report=heard).verify(path).ok
    difference(path, tmp_path / "halved.h5", report=heard)
    tear(forty_mb[1])
    repair(forty_mb[1] / "torn.zarr.part", report=heard)
    expected = {
        *("find the id", "data-relabel", "pack as HDF5", "try the rule", "measure", "validate"),
        *("read every chunk", "hash episodes", "check hashes"),
        *(
            f"measure {name} of {of}"
            for name in ("observations", "actions")
            for of in ("big.zarr", "halved.h5")
        ),
    }
    assert expected <= heard.done.keys()
    assert heard.done == heard.total


def test_long_work_stops_when_asked_to(forty_mb):
    path = forty_mb[1] / "big.zarr"
    for work in (
        lambda: Verifier(report=Listener(15)).verify(path),
        lambda: open_dataset(path).altered_episodes(Listener(15)),
        lambda: with_hindsight(open_dataset(path), goal_within(0.5), report=Listener(15)),
    ):
        with pytest.raises(InterruptedRunError) as stopped:
            work()
        assert stopped.value.signal == 15


SMALL = ("--set", "awac.network.policy_hidden=[32,32]", "--set", "awac.network.critic_hidden=[32,32]")
TRAINING = ("--threads", "1")
COMMANDS = (
    ("info", "big.zarr"),
    ("verify", "--deep", "big.zarr"),
    ("data", "convert", "big.zarr", "-o", "big.h5"),
    ("verify", "big.h5"),
    ("data", "head", "big.zarr", "-n", "100000", "--npz", "head.npz"),
    ("data", "stats", "big.zarr"),
    ("data", "stats", "big.h5"),
    ("data", "card", "big.zarr", "-o", "CARD.md"),
    ("data", "validate", "big.zarr"),
    ("data", "filter", "big.zarr", "index != 1", "-o", "filtered.zarr"),
    ("data", "filter", "big.h5", "index != 2", "-o", "filtered.h5"),
    ("diff", "big.zarr", "filtered.zarr"),
    ("data", "split", "big.zarr", "--ratio", "0.8", "-o", "part"),
    ("data", "merge", "part-train.zarr", "part-val.zarr", "-o", "merged.zarr"),
    ("data", "subsample", "big.zarr", "--fraction", "0.9", "-o", "fewer.zarr"),
    ("data", "relabel", "big.zarr", "--reward-scale", "0.5", "-o", "halved.zarr"),
    ("data", "relabel", "big.zarr", "--hindsight", "future:1", "--goal-threshold", "0.5", "-o", "her.zarr"),
    ("data", "dedupe", "big.zarr", "-o", "distinct.zarr"),
    ("data", "convert", "big.h5", "-o", "again.zarr"),
    ("data", "repair", "torn.zarr.part"),
    ("data", "replay", "big.zarr", "--workers", "1", "--trust-env", "--mode", "seed"),
    *(
        command
        for form, ending in (
            ("npz", ".npz"),
            ("d4rl", ".hdf5"),
            ("minari", ""),
            ("robomimic", ".hdf5"),
            ("lerobot", ""),
        )
        for command in (
            ("data", "export", "big.zarr", "--format", form, "-o", f"{form}-out{ending}"),
            ("data", "import", f"{form}-out{ending}", "--format", form, "-o", f"{form}-in.zarr"),
        )
    ),
    (
        "pretrain",
        "--data",
        "big.zarr",
        "--updates",
        "20",
        "-o",
        "p.ckpt",
        "--preset",
        "smoke",
        *SMALL,
        *TRAINING,
    ),
    ("eval", "p.ckpt", "--offline", "--data", "big.zarr", "--fqe-updates", "20", *TRAINING),
)


def name_of(words):
    """Return what a command is called in the table."""
    if words[:2] in (("data", "export"), ("data", "import")):
        return f"{words[1]} {words[4]}"
    return " ".join(words[:2]) if words[0] == "data" else words[0]


def tear(folder):
    """Make an unfinished copy of `big.zarr`, with a damaged chunk where it has more than one."""
    payload = folder / "torn.zarr.part" / "payload"
    payload.parent.mkdir()
    shutil.copytree(folder / "big.zarr", payload)
    (payload / "manifest.json").unlink()
    chunk = payload / "steps" / "observations" / "c" / "3" / "0"
    if chunk.exists():
        chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_verb_on_ten_times_its_memory(large_tasks, tmp_path):
    pytest.importorskip("pyarrow")
    large, tiny = tmp_path / "large", tmp_path / "tiny"
    size_bytes, too_much = 10 * 32 * MIB, []
    for folder, steps in ((large, list(large_tasks.lengths(size_bytes))), (tiny, [40] * 8)):
        folder.mkdir()
        large_tasks.recorded(folder / "big.zarr", steps)
        tear(folder)
    for words in COMMANDS:
        peak_of = "RssAnon" if words[0] in ("pretrain", "eval") else "VmHWM"
        found, base = (run(folder, *words, cap="32MiB", peak_of=peak_of) for folder in (large, tiny))
        assert found.code == base.code == 0, (words, found.err, base.err)
        extra, work_s = found.peak_mib - base.peak_mib, max(found.cpu_s - base.cpu_s, 0.01)
        what = f"| `{' '.join(words[:2])}` {name_of(words)} | {extra:.0f} | {size_bytes / 1e6 / work_s:.0f} |"
        print(what, flush=True)
        if extra > 32 + KEPT_MIB.get(name_of(words), SLACK_MIB):
            too_much.append(what)
    assert not too_much
