"""What a commit asks of the file system: locks, syncs, exchanges and removals."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from awaccli.errors import OutputExistsError, UsageError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_LOOKS_S = 0.1
"""A lock that is held for longer is held by a writer, not by somebody who looks whether it is."""


def unwritable(folder: Path) -> UsageError:
    """Return what to say of a folder that cannot be written."""
    return UsageError(f"the folder `{folder}` cannot be written", hint="choose another -o/--output")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock beside ``path`` that the kernel frees when this process dies.

    Raises:
        OutputExistsError: another process holds it.
        UsageError: the folder cannot be written, or has no locks.
    """
    lock = _lock_of(path)
    patience_s = time.monotonic() + _LOOKS_S
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except (FileNotFoundError, PermissionError) as error:
            raise unwritable(path.absolute().parent) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            if time.monotonic() < patience_s:  # perhaps somebody only looks whether it is locked
                time.sleep(_LOOKS_S / 10)
                continue
            raise OutputExistsError(
                f"`{path}` is being written by another process",
                hint="wait for it, or choose another -o/--output",
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise UsageError(
                f"the folder `{path.absolute().parent}` has no file locks: {error.strerror}",
                hint="choose another -o/--output, on a local disk",
            ) from error
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == lock.stat().st_ino:
                break
        os.close(descriptor)  # the last owner removed the file between our open and our lock
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock beside ``path``."""
    try:
        descriptor = os.open(_lock_of(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # nobody made it, or it is not ours to ask
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


@contextmanager
def named_in_errors(place: Path) -> Iterator[None]:
    """Say where the disk was full: a write that fails does not name its file, as opening one does."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM and error.filename is None:
            error.filename = str(place)
        raise


def sync_tree(root: Path) -> None:
    """Bring a file, or a folder and all that is in it, to the disk."""
    for path in [*root.rglob("*"), root] if root.is_dir() else [root]:
        sync(path)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def swap_in(source: Path, target: Path, *, aside: Path) -> None:
    """Put ``source`` at ``target``, in one step where the system can.

    What was there is then at ``source``, or at ``aside`` where the system cannot.
    """
    if target.exists() and _exchange(source, target):
        return
    if target.exists():
        target.rename(aside)
    source.rename(target)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two paths atomically; False where the system or its file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(code, os.strerror(code), str(b))


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
