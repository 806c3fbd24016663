"""Real processes that are really killed, on tasks that cost milliseconds, and a count of what came of it."""

import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]
sys.path.insert(0, str(HERE / "toys"))

import fault_processes  # noqa: E402 - the folder must be on the path first
from fault_stages import HAND, TOY  # noqa: E402

TALLY = pytest.StashKey[dict]()


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("faults")


def pytest_configure(config):
    config.stash[TALLY] = {}


def pytest_terminal_summary(terminalreporter, config):
    """Say what was done to how many processes, where there were many."""
    tally = config.stash[TALLY]
    if sum(count.total() for count in tally.values()) < 200:
        return
    terminalreporter.section("faults")
    for name, count in sorted(tally.items()):
        words = ", ".join(f"{number} {outcome}" for outcome, number in sorted(count.items()))
        terminalreporter.write_line(f"{name}: {words}")


@pytest.fixture
def tally(request):
    """Return a function that counts an outcome under a name, for the summary at the end."""
    return lambda name, outcome: request.config.stash[TALLY].setdefault(name, Counter()).update([outcome])


@pytest.fixture(scope="session")
def server():
    server = fault_processes.Server()
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def awac(server, folder):
    """Return a function that starts `awac WORDS` in this test's folder; see `fault_processes.awac`."""
    started = []

    def start(*words, where=folder, **options):
        started.append(fault_processes.awac(server, words, where, **options))
        return started[-1]

    yield start
    for run in started:
        run.kill(signal.SIGKILL)


@pytest.fixture(scope="session")
def shelf(server, tmp_path_factory):
    """Return a folder with what each stage makes of the toy task, undisturbed."""
    return _made(TOY, server, tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def hand_shelf(server, tmp_path_factory):
    """Return the same for the real hand."""
    return _made(HAND, server, tmp_path_factory.mktemp("hand"))


def _made(stages, server, folder):
    folder = folder / "here"
    folder.mkdir()
    for words in stages.values():
        fault_processes.awac(server, words, folder).succeeded()
    return folder


@pytest.fixture
def inputs(shelf, folder):
    """Return a function that links what a stage needs into this test's folder."""

    def link(stage, source=shelf, target=folder):
        for name in list(TOY)[: list(TOY).index(stage)]:
            for made in source.glob(f"{name}*"):
                if not (target / made.name).exists():
                    (target / made.name).symlink_to(made)

    return link


@pytest.fixture
def copied(shelf, folder):
    """Return a function that copies an artifact of the shelf into this test's folder, to be damaged."""

    def copy(name):
        target = folder / name
        (shutil.copytree if (shelf / name).is_dir() else shutil.copy2)(shelf / name, target)
        return target

    return copy
