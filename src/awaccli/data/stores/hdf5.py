"""Writing datasets as one sealed HDF5 file, once and never appended to."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from awaccli.artifacts.hdf5 import seal
from awaccli.artifacts.hdf5_reader import USER_BLOCK_BYTES
from awaccli.artifacts.identity import canonical_json
from awaccli.data.stores import ATTRIBUTE, FieldInfo
from awaccli.errors import InterruptedRunError
from awaccli.protocols import SILENT, Reporter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_MANIFEST = "manifest"
_AT_ONCE_BYTES = 4 << 20


Read = Callable[[str, int, int], np.ndarray]
"""Returns rows of a field: name, first row, row after the last."""


def write_hdf5(
    path: Path,
    header: Mapping[str, Any],
    fields: Mapping[str, FieldInfo],
    read: Read,
    manifest: bytes,
    *,
    report: Reporter = SILENT,
) -> None:
    """Write a sealed dataset, some chunks at a time; equal content gives equal bytes.

    Args:
        path: the file to make.
        header: the ``awac`` object.
        fields: dtype, shape and chunks of each field.
        read: where the rows come from.
        manifest: its text.
        report: whom to tell how far it is.

    Raises:
        OSError: the disk is full, or what else the system has against it.
        InterruptedRunError: a signal came; the file is useless.
    """
    with (
        _failing_late(path) as raw,
        h5py.File(raw, "w", libver=("v110", "v110"), userblock_size=USER_BLOCK_BYTES) as file,
        report.phase("pack as HDF5", sum(info.shape[0] for info in fields.values()), "rows") as progress,
    ):
        done = 0
        for name in sorted(fields):
            info = fields[name]
            target = file.create_dataset(
                name, info.shape, info.dtype, chunks=info.chunks, compression="gzip", shuffle=True
            )
            row_bytes = max(1, info.size_bytes // max(1, info.shape[0]))
            stride = info.chunks[0] * max(1, _AT_ONCE_BYTES // (info.chunks[0] * row_bytes))
            for start in range(0, info.shape[0], stride):
                stop = min(start + stride, info.shape[0])
                target[start:stop] = read(name, start, stop)
                progress.update(done + stop)
                if signal := report.interrupted():
                    raise InterruptedRunError(
                        signal,
                        "stopped while packing; every episode is kept",
                        hint="repeat the command with --resume to go on",
                    )
            done += info.shape[0]
        file.create_dataset(ATTRIBUTE, data=np.frombuffer(canonical_json(header), np.uint8))
        file.create_dataset(_MANIFEST, data=np.frombuffer(manifest, np.uint8))
    seal(path)


class _Deferred(io.FileIO):
    """A file that keeps its first failure to itself: HDF5 and h5py cannot clean up after a failed write."""

    failure: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of ``data``, or drop it once a write has failed."""
        rest = memoryview(data).cast("B")
        try:
            while rest and not self.failure:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None, /) -> int:
        """Set the file's size, unless a write has failed."""
        try:
            return super().truncate(size) if not self.failure else size or 0
        except OSError as error:
            self.failure = error
            return size or 0


@contextmanager
def _failing_late(path: Path) -> Iterator[_Deferred]:
    """Open a new file for HDF5; what the system had against writing it is raised at the end.

    Raises:
        OSError: the disk is full, for instance.
    """
    with _Deferred(path, "w+") as file:
        try:
            yield file
        finally:
            if file.failure:
                file.failure.filename = str(path)
                raise file.failure
