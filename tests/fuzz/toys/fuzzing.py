"""Corrupts artifacts and reads them, one input after the other, in this process.

``python fuzzing.py TARGET FIRST COUNT`` tries inputs FIRST, FIRST + 1 ...; what input K is follows from
TARGET and K alone. Each begins with a line ``> K`` and ends with ``< K OUTCOME [CHANGE]``, so that whoever
reads along knows which input killed the process. The last line is ``= MB``, the most memory that was used.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

LIMIT_S = 5.0
"""For one input, all readers together."""
LIMIT_BYTES = 1 << 30
"""That reading may take on top of what the program itself needs."""


class TooSlowError(BaseException):
    """An input took longer than the limit."""


def outcome(target, number: int) -> tuple[str, str]:
    """Return what came of an input (``ok``, ``refused``, or ``defect`` with what it is), and what it was."""
    rng = random.Random(f"{target.name} {number}")
    target.fresh()
    change = target.corrupt(rng)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        found = [what for name, read in target.readers() if (what := _tried(name, read, target.path)) != "ok"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return max(found, key=lambda what: what != "refused", default="ok"), change


def _tried(name: str, read, path: Path) -> str:
    from awaccli.errors import InputError

    try:
        read()
    except InputError as error:
        named = path.name in str(error)
        return "refused" if named else f"defect {name}: the message names no file: {str(error)[:200]}"
    except BaseException as error:  # noqa: BLE001 - this is what is looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return f"defect {name}: {type(error).__name__} at {place}: {str(error)[:200]}"
    return "ok"


def _too_slow(number, frame):
    raise TooSlowError(f"longer than {LIMIT_S:g} s")


def targets() -> dict:
    """Return what can be fuzzed, by name."""
    from fuzz_hdf5 import Hdf5
    from fuzz_others import Checkpoint, Evaluation
    from fuzz_zarr import Zarr

    return {cls.name: cls for cls in (Zarr, Hdf5, Checkpoint, Evaluation)}


def _peak_mb() -> int:
    """Return the most memory that this program had; `ru_maxrss` would count what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main(name: str, first: int, count: int) -> None:
    """Try inputs and report."""
    warnings.simplefilter("ignore")
    os.fsync = lambda descriptor: None
    signal.signal(signal.SIGALRM, _too_slow)
    with tempfile.TemporaryDirectory() as folder:
        target = targets()[name](Path(folder))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES,) * 2)
        for number in range(first, first + count):
            print(f"> {number}", flush=True)
            found, change = outcome(target, number)
            print(f"< {number} {found} [{change}]".replace("\n", " "), flush=True)
    print(f"= {_peak_mb()}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
