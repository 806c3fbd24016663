"""Corrupts artifacts and reads them, one input after the other, in this process.

``python fuzzing.py TARGET FIRST COUNT`` tries inputs FIRST, FIRST + 1 ...; what input K is follows from
TARGET and K alone. Each begins with a line ``> K`` and ends with ``< K OUTCOME``, so that whoever reads along
knows which input killed the process.
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
    """Return what came of one input: ``ok``, ``refused``, or ``defect`` and what it is; and what was changed."""
    from awaccli.errors import InputError

    rng = random.Random(f"{target.name} {number}")
    target.fresh()
    change = target.corrupt(rng)
    found = "ok"
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        for name, read in target.readers():
            try:
                read()
            except InputError as error:
                found = "refused"
                if target.path.name not in str(error):
                    return f"defect {name}: the message does not name the file: {error}", change
            except TooSlowError:
                return f"defect {name}: took longer than {LIMIT_S:g} s", change
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(where.filename).name}:{where.lineno}"
                return f"defect {name}: {type(error).__name__} at {place}: {str(error)[:200]}", change
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return found, change


def _too_slow(number, frame):
    raise TooSlowError


def main(name: str, first: int, count: int) -> None:
    """Try inputs and report."""
    from fuzz_targets import TARGETS

    warnings.simplefilter("ignore")
    os.fsync = lambda descriptor: None
    signal.signal(signal.SIGALRM, _too_slow)
    with tempfile.TemporaryDirectory() as folder:
        target = TARGETS[name](Path(folder))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES,) * 2)
        for number in range(first, first + count):
            print(f"> {number}", flush=True)
            found, change = outcome(target, number)
            print(f"< {number} {found} [{change}]".replace("\n", " "), flush=True)
    print(f"= {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
