"""Corrupted artifacts are refused or read correctly: never another error, a hang, a crash, or much memory.

``make fuzz`` tries thousands. An input that fails is tried again with the command that the failure shows.
"""

import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "toys" / "fuzzing.py"
STUCK_S = 30
"""Without a word from the program: it hangs where no signal of its own helps."""
CAP_MB = 512
LONG = {"zarr": 3_500, "hdf5": 6_000, "checkpoint": 3_500, "evaluation": 3_000}
SHORT = {"zarr": 30, "hdf5": 80, "checkpoint": 40, "evaluation": 50}


class Batch:
    """Inputs of one target, tried by a process that is started again if an input kills it."""

    def __init__(self, target, first, count):
        self.target, self.count = target, count
        self.outcomes, self.defects, self.peak_mb = Counter(), [], 0
        self._last = first + count
        self._start(first)

    def _start(self, first):
        self._running, self._text = None, b""
        command = [sys.executable, PROGRAM, self.target, str(first), str(self._last - first)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        self.spoke = time.monotonic()

    @property
    def done(self):
        return self.process.stdout.closed

    def listen(self):
        """Take in what the program said; go on behind an input that killed it."""
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        self.spoke = time.monotonic()
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            self._note(line.decode())
        if not data:
            self._ended(self.process.wait())

    def _note(self, line):
        match line.split(" ", 2):
            case [">", number]:
                self._running = int(number)
            case ["<", number, found]:
                self._count(found, number)
                self._running = None
            case ["=", peak]:
                self.peak_mb = max(self.peak_mb, int(peak))

    def _count(self, found, number):
        self.outcomes[found.split(" ")[0]] += 1
        if found.startswith("defect"):
            self.defects.append(f"{found}\n    python {PROGRAM.name} {self.target} {number} 1")

    def _ended(self, code):
        self.process.stdout.close()
        if self._running is not None:
            self._count(f"defect the process ended with {code}", self._running)
            if self._running + 1 < self._last:
                self._start(self._running + 1)
        elif code:
            pytest.fail(f"{PROGRAM.name} {self.target} ended with {code}")

    def kill_if_stuck(self):
        if time.monotonic() - self.spoke > STUCK_S:
            self.process.kill()


def run(counts, first=0):
    """Try the inputs of all targets, side by side."""
    batches = [Batch(target, first, count) for target, count in counts.items()]
    while not all(batch.done for batch in batches):
        with selectors.DefaultSelector() as ready:
            for batch in batches:
                if not batch.process.stdout.closed:
                    ready.register(batch.process.stdout, selectors.EVENT_READ, batch)
            for key, _ in ready.select(timeout=1):
                key.data.listen()
        for batch in batches:
            batch.kill_if_stuck()
    return batches


def check(batches):
    defects = [defect for batch in batches for defect in batch.defects]
    assert not defects, "\n".join(defects)
    outcomes = sum((batch.outcomes for batch in batches), Counter())
    assert outcomes["refused"] > outcomes.total() / 2, "the changes hardly do any harm"
    assert outcomes["ok"] > outcomes.total() / 20, "nothing gets past the first checks"
    assert max(batch.peak_mb for batch in batches) < CAP_MB


def test_two_hundred_corrupted_artifacts():
    check(run(SHORT))


PRETENDER = """\
import os, sys, time
for k in range(int(sys.argv[2]), int(sys.argv[2]) + int(sys.argv[3])):
    print(">", k, flush=True)
    if k == 2:
        os.kill(os.getpid(), 11)
    if k == 4:
        time.sleep(60)
    print("<", k, "defect KeyError [x]" if k == 5 else "refused [x]", flush=True)
print("= 7", flush=True)
"""


def test_what_kills_or_stops_the_reader_is_noticed(tmp_path, monkeypatch):
    """The harness itself: a crash, a hang and an odd error each count as one defect, the rest goes on."""
    program = tmp_path / "fuzzing.py"
    program.write_text(PRETENDER)
    monkeypatch.setattr(sys.modules[__name__], "PROGRAM", program)
    monkeypatch.setattr(sys.modules[__name__], "STUCK_S", 0.5)
    (batch,) = run({"x": 7})
    assert batch.outcomes == {"refused": 4, "defect": 3}
    assert [defect.splitlines()[0] for defect in batch.defects] == [
        "defect the process ended with -11",
        "defect the process ended with -9",
        "defect KeyError [x]",
    ]
    assert batch.peak_mb == 7


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
def test_ten_thousand_and_more(capsys):
    started = time.monotonic()
    batches = run(LONG, first=1_000_000)
    with capsys.disabled():
        print()
        for batch in batches:
            print(
                f"{batch.target:<12} {batch.count:>6} inputs: {dict(batch.outcomes)}, peak {batch.peak_mb} MB"
            )
        print(f"{time.monotonic() - started:.0f} s")
    check(batches)
