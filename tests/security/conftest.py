"""Sound artifacts to corrupt, the command line to open them with, a watch over what is opened and run."""

import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "fuzz" / "toys"))

import specimens

import awaccli
from awaccli.cli import app
from awaccli.errors import InputError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM)
_RUNS = ("subprocess.Popen", "os.system", "os.exec", "pickle.find_class")
_CODE = [sys.prefix, sys.base_prefix, Path(awaccli.__file__).parent, Path(__file__).parents[1]]
_OWN = (*map(str, _CODE), "/proc", "/sys", "/dev/null")
_watches = []


def _hook(event, arguments):
    for watch in _watches:
        watch.see(event, arguments)


sys.addaudithook(_hook)  # it stays, so it looks for somebody who listens


class Watch:
    """What the interpreter was asked to open and to run."""

    def __init__(self, *allowed):
        self._allowed = [str(path.resolve()) for path in allowed]
        self.outside, self.run = [], []

    def see(self, event, arguments):
        if event == "open" and isinstance(arguments[0], str | bytes | Path):
            path = str(
                Path(arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]).resolve()
            )
            inside = any(path == root or path.startswith(f"{root}/") for root in self._allowed)
            if not inside and not path.startswith(_OWN):
                self.outside.append(path)
        elif event == "exec":
            file = getattr(arguments[0], "co_filename", "")
            if file.startswith("/") and not file.startswith(_OWN):
                self.run.append(file)
        elif event in _RUNS:
            self.run.append(f"{event} {arguments[0]}")


@pytest.fixture
def watched():
    """``with watched(path)``: nothing but what is below ``path`` is opened, no foreign code is run."""

    @contextmanager
    def watch(*allowed):
        found = Watch(*allowed)
        _watches.append(found)
        try:
            yield found
        finally:
            _watches.remove(found)
        assert found.outside == []
        assert found.run == []

    return watch


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """One sound artifact of each kind."""
    folder = tmp_path_factory.mktemp("shelf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        specimens.make_dataset(folder / "x.zarr")
        specimens.make_dataset(folder / "x.h5")
        specimens.make_checkpoint(folder / "x.ckpt", folder / "x.zarr")
        specimens.make_evaluation(folder / "x.json", folder / "x.ckpt")
    return folder


@pytest.fixture
def take(shelf, tmp_path):
    """``take("x.zarr")``: a copy to corrupt."""

    def copy(name, as_name=None):
        target = tmp_path / (as_name or name)
        (shutil.copytree if (shelf / name).is_dir() else shutil.copy)(shelf / name, target)
        return target

    return copy


class Result:
    """How a command ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def refused(self, *words):
        """Check that the input was refused: exit 3, two lines, no traceback."""
        assert (self.code, self.out) == (3, ""), self.err
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err
        return self


@pytest.fixture
def awac(monkeypatch, capsys, tmp_path):
    """Run `awac ARGUMENTS` in this process and in the test's folder."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["awac", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            app.main()
        return Result(end.value.code, *capsys.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def refusal(read, path):
    """Return what ``read(path)`` says when it refuses; it names the file."""
    with pytest.raises(InputError) as caught:
        read(path)
    assert path.name in str(caught.value)
    return str(caught.value)


def tried(read, path):
    """Return what ``read(path)`` returns, or None where it refuses and names the file."""
    try:
        return read(path)
    except InputError as error:
        if path.name not in str(error):
            pytest.fail(f"the file is not named: {error}")
        return None


@pytest.fixture
def refuses():
    return refusal


@pytest.fixture
def tries():
    return tried
