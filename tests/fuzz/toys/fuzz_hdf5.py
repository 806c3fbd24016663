"""HDF5 datasets to corrupt: bytes of the file, and files that the library makes of odd wishes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import specimens
from fuzz_target import odd_values
from fuzz_zarr import Dataset
from mutations import changed_bytes, changed_json

from awaccli.artifacts.identity import canonical_json
from awaccli.data.dataset import open_dataset
from awaccli.data.stores import FieldInfo
from awaccli.data.stores.hdf5 import write_hdf5


class Hdf5(Dataset):
    """A sealed HDF5 file."""

    name, suffix = "hdf5", ".h5"

    def make(self, path: Path) -> Path:
        """Make it."""
        made = specimens.make_dataset(path)
        dataset = open_dataset(made)
        self._header = dataset.header.to_json()
        self._layout = {name: _in_pieces(name, info) for name, info in dataset.layout().items()}
        self._columns_by_name = {name: dataset.column(name) for name in self._layout}
        self._manifest = specimens.manifest_record(dataset.sealed().to_bytes())
        self.path = made
        self._write(
            canonical_json(self._header), self._layout, self._columns_by_name, dataset.sealed().to_bytes()
        )
        data = made.read_bytes()
        marks = (b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"FAHD", b"FADB", b"\x89HDF")
        self._places = sorted(at for mark in marks for at in _places(data, mark))
        return made

    def corrupt(self, rng: random.Random) -> str:
        """Change bytes, or write another file of the same form, or one that uses what HDF5 offers."""
        data = self.path.read_bytes()
        match rng.randrange(10):
            case 0:
                self.path.write_bytes(changed_bytes(rng, data))
                return "bytes; not resealed"
            case 1 | 2 | 3:
                at = rng.choice(self._places)
                self.path.write_bytes(changed_bytes(rng, data, at, at + 300))
            case 4:
                self.path.write_bytes(changed_bytes(rng, data, 512))
            case 5 | 6 | 7 | 8:
                return self._rewritten(rng)
            case _:
                return self._foreign(rng)
        if self.path.stat().st_size > 512:
            specimens.reseal_hdf5(self.path)
        return "bytes; resealed"

    def _rewritten(self, rng: random.Random) -> str:
        header, record = canonical_json(self._header), self._manifest
        columns, layout = dict(self._columns_by_name), dict(self._layout)
        manifest, what = specimens.sealed_manifest(record), "header"
        match rng.randrange(4):
            case 0 | 1:
                header = changed_json(rng, self._header).encode()
            case 2:
                name = rng.choice(sorted(layout))
                columns[name] = odd_values(rng, columns[name].copy())
                what = f"values of {name}"
            case _:
                manifest, what = self._changed_manifest(rng, record), "manifest"
        self._write(header, layout, columns, manifest)
        identity = self.identity() if what != "manifest" and rng.random() < 0.7 else None
        if identity:
            record = dict(record) | dict(zip(("id", "content", "task"), identity, strict=True))
            self._write(header, layout, columns, specimens.sealed_manifest(record))
        return f"{what}; rewritten{', with its id' if identity else ''}"

    def _write(self, header: bytes, layout: dict, columns: dict, manifest: bytes) -> None:
        self.path.unlink()
        write_hdf5(self.path, {}, layout, lambda name, start, stop: columns[name][start:stop], manifest)
        with h5py.File(self.path, "r+", libver=("v110", "v110")) as file:
            del file["awac"]
            file["awac"] = np.frombuffer(header or b" ", np.uint8)
        specimens.reseal_hdf5(self.path)

    def _foreign(self, rng: random.Random) -> str:
        name = rng.choice((*self._layout, "awac", "manifest", "steps"))
        libver = rng.choice((("v110", "v110"), ("earliest", "latest"), ("latest", "latest")))
        with h5py.File(self.path, "r+", libver=libver) as file:
            old = file[name][()] if isinstance(file[name], h5py.Dataset) else np.zeros(3)
            del file[name]
            what = rng.choice(sorted(_FOREIGN))
            _FOREIGN[what](file, name, old)
        specimens.reseal_hdf5(self.path)
        return f"{name}: {what}; resealed"


def _in_pieces(name: str, info: FieldInfo) -> FieldInfo:
    """Have some fields stored in more than one chunk, which takes a list of them."""
    small = (4, *info.shape[1:])
    return FieldInfo(info.dtype, info.shape, small) if name.startswith("steps/") else info


def _places(data: bytes, mark: bytes) -> Iterator[int]:
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


def _virtual(file: h5py.File, name: str, old: np.ndarray) -> None:
    layout = h5py.VirtualLayout(shape=old.shape, dtype=old.dtype)
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=old.shape)
    file.create_virtual_dataset(name, layout)


_OURS = {"compression": "gzip", "shuffle": True}
_FOREIGN = {
    "gone": lambda file, name, old: None,
    "soft link": lambda file, name, old: file.__setitem__(name, h5py.SoftLink("/steps/actions")),
    "external link": lambda file, name, old: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/x")),
    "hard link": lambda file, name, old: file.__setitem__(name, file["final"]),
    "itself": lambda file, name, old: file.__setitem__(name, file["/"]),
    "virtual": _virtual,
    "external": lambda file, name, old: file.create_dataset(
        name, old.shape, "u1", external=[("/etc/passwd", 0, 1 << 20)]
    ),
    "lzf": lambda file, name, old: file.create_dataset(name, data=old, compression="lzf"),
    "growing": lambda file, name, old: file.create_dataset(
        name, data=old, maxshape=(None, *old.shape[1:]), **_OURS
    ),
    "plain": lambda file, name, old: file.create_dataset(name, data=old),
    "small chunks": lambda file, name, old: file.create_dataset(
        name, data=old, chunks=(1, *old.shape[1:]), **_OURS
    ),
    "text": lambda file, name, old: file.create_dataset(name, data="text"),
    "objects": lambda file, name, old: file.create_dataset(
        name, data=np.array([("a", 1)], np.dtype([("a", h5py.string_dtype()), ("b", "i4")]))
    ),
    "scalar": lambda file, name, old: file.create_dataset(name, data=1.0),
    "huge": lambda file, name, old: file.create_dataset(
        name, (1 << 40, *old.shape[1:]), old.dtype, chunks=(1 << 10, *old.shape[1:]), **_OURS
    ),
    "empty": lambda file, name, old: file.create_dataset(name, (0, *old.shape[1:]), old.dtype),
    "group": lambda file, name, old: file.create_group(name),
}
