"""A disk that is full, a folder that cannot be written, and an output that somebody else is writing."""

import os
import resource
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from fault_readers import episodes_in
from fault_stages import TOY
from fault_writers import episode, header

import awaccli
from awaccli.artifacts.commit import part_of
from awaccli.artifacts.manifest import read_manifest
from awaccli.data.writer import Writer
from awaccli.errors import RunError

NOBODY = 65534
WIDE = (TOY["demos"][0], "fault_toys:fault/Wide-v0", *TOY["demos"][2:])
WIDE_HDF5 = tuple("demos.h5" if word == "demos.zarr" else word for word in WIDE)


def mounted(folder, options):
    """Mount a file system in memory and return whether that is permitted."""
    command = ["mount", "-t", "tmpfs", "-o", options, "none", folder]
    return os.getuid() == 0 and shutil.which("mount") and not subprocess.run(command, check=False).returncode


@pytest.fixture
def disk(folder):
    """Return a folder that is a small file system of its own."""
    place = folder / "disk"
    place.mkdir()
    if not mounted(place, "size=8m"):
        pytest.skip("mounting a small file system is not permitted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def leave(disk, free):
    """Leave ``free`` bytes on a disk, or all that there are."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    if free is not None:
        ballast.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - int(free))))


@pytest.fixture
def fill(awac, disk, inputs, folder):
    """Return a function that runs a command with so little room, then with enough, and counts what was kept.

    The room is a share of what the results take.
    """

    def fill(words, output, shares):
        words = [disk / word if word == output else word for word in words]
        awac(*words).succeeded()
        size, expected = shutil.disk_usage(disk).used, read_manifest(disk / output).id
        kept = []
        for share in shares:
            for path in disk.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            leave(disk, share * size)
            run = awac(*words)
            if share > 1 and run.wait() == 0:
                continue
            run.failed(5, f"error: `{disk}", "No space left on device", "free some space")
            kept.append(episodes_in(disk / output))
            leave(disk, None)
            awac(*words, "--resume").succeeded()
            assert read_manifest(disk / output).id == expected
            assert not list(disk.glob("*.part"))
        return kept

    return fill


def test_a_full_disk_keeps_what_was_committed(fill):
    """First it is full while episodes are recorded, then while they are converted."""
    recording, converting = fill(WIDE_HDF5, "demos.h5", (1.6, 2.4))
    assert 0 < recording < converting == 6


def fail_while_the_disk_fills(disk):
    with Writer(disk / "x.zarr", header()) as writer:
        writer.append(episode(0))
        leave(disk, 0)
        raise RunError("motor 3 is on fire")


def test_a_full_disk_does_not_hide_what_went_wrong_before(disk):
    with pytest.raises(RunError, match="motor 3") as caught:
        fail_while_the_disk_fills(disk)
    assert "No space left on device" in caught.value.__notes__[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", [*TOY, "hdf5"])
def test_a_full_disk_in_every_stage(fill, inputs, stage, tally):
    shares = [0, 0.02, 0.1, *(0.25 * number for number in range(1, 12))]
    if stage == "hdf5":
        kept = fill(WIDE_HDF5, "demos.h5", shares)
    else:
        inputs(stage)
        kept = fill(TOY[stage], TOY[stage][TOY[stage].index("-o") + 1], shares)
    assert len(kept) >= 4
    for _ in kept:
        tally(f"full disk, {stage}", "stopped with exit 5, resumed to the same result")


@pytest.mark.slow
def test_a_limit_on_file_sizes(awac, folder):
    """Where no small file system can be mounted, this is what a full disk looks like."""
    awac(*WIDE).succeeded()
    expected = read_manifest(folder / "demos.zarr").id
    largest = max(path.stat().st_size for path in (folder / "demos.zarr").rglob("*"))
    for words, output, share in ((WIDE, "demos.zarr", 0.6), (WIDE_HDF5, "demos.h5", 1.0)):
        shutil.rmtree(folder / "demos.zarr", ignore_errors=True)
        limit = ((resource.RLIMIT_FSIZE, int(share * largest)),)
        awac(*words, limits=limit).failed(5, "error: `demos", "File too large", "ulimit -f")
        assert 0 < episodes_in(folder / output) <= 6
        awac(*words, "--resume").succeeded()
        assert read_manifest(folder / output).id == expected


def others_can_read_it():
    """Return whether other users may enter the folders that this installation is in."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in Path(awaccli.__file__).parents)


def test_a_folder_that_may_not_be_written(awac, folder):
    if os.getuid() == 0 and not others_can_read_it():
        pytest.skip("root may write everywhere, and this installation is private to root")
    if os.getuid() == 0:
        for parent in folder.parents:
            if Path(tempfile.gettempdir()) in parent.parents:
                parent.chmod(0o755)
    folder.chmod(0o555)
    uid = NOBODY if os.getuid() == 0 else None
    awac(*TOY["demos"], uid=uid).failed(2, f"the folder `{folder}` cannot be written", "another -o/--output")


@pytest.mark.slow
def test_a_file_system_that_became_read_only(awac, disk):
    words = [disk / word if word == "demos.zarr" else word for word in TOY["demos"]]
    run = awac(*words, FAULT_SLOW_S=0.05)
    while not episodes_in(disk / "demos.zarr"):
        time.sleep(0.01)
    run.kill()
    run.wait()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    awac(*words, "--resume").failed(2, f"the folder `{disk}` cannot be written")
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    awac(*words, "--resume").succeeded()


def test_a_second_writer_waits_for_the_death_of_the_first(awac, shelf, folder):
    words = TOY["demos"]
    first = awac(*words, FAULT_SLOW_S=0.2)
    while not part_of(folder / "demos.zarr").exists():
        time.sleep(0.01)
    awac(*words, "--resume").failed(4, "`demos.zarr` is being written by another process", "wait for it")
    first.kill()
    first.wait()
    awac(*words, "--resume").succeeded()
    assert read_manifest(folder / "demos.zarr").id == read_manifest(shelf / "demos.zarr").id


@pytest.mark.slow
def test_a_requeued_job_never_fails(awac, folder):
    for _ in range(2):
        run = awac(*TOY["demos"], "--resume")
        run.succeeded()
        assert run.out == "demos.zarr\n"
        assert [path.name for path in folder.iterdir()] == ["demos.zarr"]
