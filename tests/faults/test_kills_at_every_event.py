"""A kill before every single change of the file system: the old artifact is there, the new one, or none.

Real runs of `awac` count what they are about to do to the file system (open for writing, mkdir, rename,
remove, utime ...) and send themselves SIGKILL before the k-th. Each k is one run, which is then resumed.
"""

import itertools
import shutil

import pytest
from fault_readers import id_of
from fault_samples import some
from fault_stages import TOY

from awaccli.artifacts.manifest import read_manifest


@pytest.fixture
def old(awac, shelf, inputs, folder):
    """Return a function that makes what a stage makes, with another seed."""

    def make(stage):
        return made(awac, inputs, stage, (*TOY[stage], "--seed", 1), shelf, folder / "old")

    return make


def made(awac, inputs, stage, words, shelf, folder):
    """Return what a stage makes, undisturbed."""
    here = folder / "here"
    here.mkdir(parents=True)
    inputs(stage, shelf, here)
    awac(*words, where=here).succeeded()
    return [path for path in here.glob(f"{stage}*") if not path.is_symlink()]


@pytest.fixture
def kill_before(awac, shelf, inputs, folder, tally):
    """Return a function that kills a stage before each of some events; it stops where a run ends before."""

    def kill(stage, events, *, few=(), replacing=(), hdf5=False, **options):
        words = ["demos.h5" if hdf5 and word == "demos.zarr" else word for word in (*TOY[stage], *few)]
        whole = made(awac, inputs, stage, words, shelf, folder / "new")
        new = {path.name: read_manifest(path).id for path in whole}
        allowed = {name: {None, identity} for name, identity in new.items()}
        for path in replacing:
            allowed[path.name] = {read_manifest(path).id, new[path.name]}
            if options.get("FAULT_SYSTEM") == "two-renames":
                allowed[path.name].add(None)
        for event in events:
            here = folder / str(event) / "here"
            here.mkdir(parents=True)
            inputs(stage, shelf, here)
            for path in replacing:
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, here / path.name)
            names = {path.name for path in here.iterdir()} | new.keys()
            flags = ["--overwrite"] if replacing else []
            code = awac(*words, *flags, where=here, kill_at=event, **options).wait()
            for name, identities in allowed.items():
                assert id_of(here / name) in identities, (event, name)
            if code == 0:
                return
            assert code == -9
            tally(f"{TOY[stage][0]} before event", "killed, resumed to the same result")
            resume(awac, words, here, **options)
            assert {name: id_of(here / name) for name in new} == new
            assert {path.name for path in here.iterdir()} == names

    return kill


def resume(awac, words, here, **options):
    """Finish a run; where it was killed before it had left a trace, it is begun again as it was."""
    begun = any(path.stat().st_size for path in here.glob("*.part/begun.json"))
    run = awac(*words, "--resume", where=here, **options)
    if run.wait() == 4 and not begun:
        run = awac(*words, "--overwrite", where=here, **options)
    run.succeeded()


def test_a_snapshot_and_a_commit(kill_before):
    kill_before("pretrained", (12, 32))


@pytest.mark.parametrize("system", some(("exchange", "two-renames"), "two-renames"))
def test_the_exchange_for_an_old_artifact(kill_before, old, system):
    """Where the system cannot exchange two names there is a moment with neither, but never a torn one."""
    kill_before("measured", (7, 10), replacing=old("measured"), FAULT_SYSTEM=system)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("stage", "stride", "few", "hdf5"),
    [
        ("demos", 1, ("-n", 2), False),
        ("demos", 2, ("-n", 2), True),
        ("toy", 5, ("-n", 2), False),
        ("pretrained", 1, (), False),
        ("finetuned", 3, ("--env-steps", 10), False),
        ("measured", 1, (), False),
    ],
)
def test_every_event(kill_before, stage, stride, few, hdf5):
    """Or, where the same happens many times, every few; with so few episodes that it happens at all."""
    kill_before(stage, itertools.count(0, stride), few=few, hdf5=hdf5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("system", ["exchange", "two-renames"])
@pytest.mark.parametrize(("stage", "stride"), [("demos", 10), ("pretrained", 1), ("measured", 1)])
def test_every_event_of_replacing(kill_before, old, stage, stride, system):
    kill_before(stage, itertools.count(0, stride), replacing=old(stage), FAULT_SYSTEM=system)
