"""What is fuzzed: a sound artifact of each kind, the ways to change it, and every reader that commands use."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import specimens
from mutations import changed_bytes, changed_json
from numcodecs import zstd
from safetensors.numpy import load, save

from awaccli.artifacts.checkpoint import CheckpointContent, checkpoint_id, open_checkpoint
from awaccli.artifacts.identity import canonical_json
from awaccli.artifacts.manifest import MANIFEST, read_manifest
from awaccli.artifacts.metrics import read_metrics
from awaccli.artifacts.tensors import read_arrays, read_policy
from awaccli.config.task import TaskSpec
from awaccli.data.dataset import open_dataset
from awaccli.data.evaluation import open_evaluation
from awaccli.data.schema import Header, dataset_id
from awaccli.data.stores import open_store
from awaccli.data.stores.hdf5 import write_hdf5
from awaccli.data.transitions import ActionScale, Rollouts, TargetSettings, training_rows
from awaccli.envs.acting import ActorSpec, load_actor
from awaccli.envs.trust import require_trusted
from awaccli.errors import AwacError
from awaccli.reports.info import info, info_text
from awaccli.reports.lineage import dot_text, lineage, tree_text
from awaccli.reports.success import comparison
from awaccli.reports.verify import Verifier
from awaccli.seeding import stream

RAW, FILES, FULL = "raw", "files", "full"
"""How far a stranger goes: nothing is resealed; checksums of files are; content ids are too."""


class Target:
    """A sound artifact, its working copy that is corrupted, and what is to be restored afterwards."""

    name: str
    suffix: str

    def __init__(self, folder: Path) -> None:
        self.sound = self.make(folder / f"sound{self.suffix}")
        self.path = folder / f"specimen{self.suffix}"

    def make(self, path: Path) -> Path:
        """Make the sound artifact."""
        raise NotImplementedError

    def corrupt(self, rng: random.Random) -> str:
        """Change the working copy; return in words what was changed."""
        raise NotImplementedError

    def readers(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield every way in which commands read such an artifact."""
        yield "manifest", lambda: read_manifest(self.path)
        yield "info", lambda: info_text(info(self.path))
        yield "verify", lambda: Verifier(deep=True).verify(self.path)
        yield "lineage", lambda: (tree_text(found := lineage(self.path)), dot_text(found))

    def fresh(self) -> None:
        """Make the working copy sound again."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)
        (shutil.copytree if self.sound.is_dir() else shutil.copy)(self.sound, self.path)

    def _changed_file(self, rng: random.Random, file: Path) -> str:
        """Change a file as bytes, or as JSON where it is JSON."""
        data = file.read_bytes()
        if file.suffix == ".json" and rng.random() < 0.8:
            with contextlib.suppress(ValueError, RecursionError):
                file.write_text(changed_json(rng, json.loads(data)))
                return f"{file.name} as JSON"
        file.write_bytes(changed_bytes(rng, data))
        return f"{file.name} as bytes"

    def _changed_manifest(self, rng: random.Random, record: dict) -> bytes:
        """Return a manifest with changed values and the right checksum, or with changed bytes."""
        if rng.random() < 0.1:
            return changed_bytes(rng, specimens.sealed_manifest(record))
        return specimens.sealed_text(changed_json(rng, record).encode())


class Dataset(Target):
    """Readers of datasets, whatever their container."""

    def readers(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield the readers."""
        yield from super().readers()
        yield "columns", self._columns
        yield "unfinished", lambda: open_dataset(self.path, unfinished=True).n_episodes
        yield "rows", self._rows
        yield "compare", lambda: [row.cells() for row in comparison([self.path])]
        yield "trust", lambda: require_trusted(open_dataset(self.path).task.spec, self.path, trust_env=False)

    def _columns(self) -> None:
        dataset = open_dataset(self.path)
        for name in dataset.header.fields:
            dataset.column(name)
        for _ in dataset:
            pass

    def _rows(self) -> None:
        dataset = open_dataset(self.path)
        scale = ActionScale.of(dataset.task)
        for rollouts in Rollouts.of_dataset(dataset):
            training_rows(rollouts, TargetSettings(0.99, 3, -1.0), scale)
        dataset.statistics()

    def _identity(self) -> tuple[str, dict, dict] | None:
        """Return the id, counts and task that the corrupted header and hashes lead to."""
        with contextlib.suppress(AwacError):
            store = open_store(self.path)
            header = Header.from_json(store.attributes(), origin="")
            commit = header.commit
            hashes = store.read("episodes/sha256", 0, commit.n_episodes)
            counts = {"n_episodes": commit.n_episodes, "n_steps": commit.n_steps}
            task = header.task.spec.model_dump(mode="json")
            return dataset_id(header, (row.tobytes() for row in hashes)), counts, task
        return None


class Zarr(Dataset):
    """A Zarr directory."""

    name, suffix = "zarr", ".zarr"

    def make(self, path: Path) -> Path:
        """Make it."""
        return specimens.make_dataset(path)

    def corrupt(self, rng: random.Random) -> str:
        """Change a file or two, and reseal."""
        what = [self._one(rng) for _ in range(rng.choice((1, 1, 1, 2)))]
        how = rng.choice((RAW, FILES, FULL, FULL))
        if how != RAW and (self.path / MANIFEST).is_file():
            with contextlib.suppress(ValueError, AttributeError, KeyError, TypeError, RecursionError):
                specimens.reseal_folder(self.path)
                identity = self._identity() if how == FULL else None
                if identity:
                    facts = dict(zip(("id", "content", "task"), identity, strict=True))
                    specimens.reseal_folder(self.path, lambda record: record.update(facts))
        return f"{', '.join(what)}; resealed: {how}"

    def _one(self, rng: random.Random) -> str:
        arrays = sorted(file.parent for file in self.path.rglob("zarr.json") if (file.parent / "c").is_dir())
        array = rng.choice(arrays) if arrays else self.path
        chunks = sorted(file for file in array.rglob("*") if file.is_file() and file.name.isdigit())
        match rng.randrange(10):
            case 0 | 1 | 2 if (self.path / "zarr.json").is_file():
                return self._changed_file(rng, self.path / "zarr.json")
            case 3 | 4 if (array / "zarr.json").is_file():
                return f"{array.name}/{self._changed_file(rng, array / 'zarr.json')}"
            case 5 if chunks:
                chunks[0].write_bytes(changed_bytes(rng, chunks[0].read_bytes()))
                return f"{array.name}: chunk as bytes"
            case 6 | 7 if chunks:
                return self._changed_values(rng, array, chunks[0])
            case 8 if (self.path / MANIFEST).is_file():
                record = specimens.manifest_record((self.path / MANIFEST).read_bytes())
                (self.path / MANIFEST).write_bytes(self._changed_manifest(rng, record))
                return "manifest"
            case _:
                return self._moved(rng)

    def _changed_values(self, rng: random.Random, array: Path, chunk: Path) -> str:
        """Store other numbers: what is well packed may still make no sense."""
        try:
            dtype = {"bool": "u1"}.get(
                found := json.loads((array / "zarr.json").read_bytes())["data_type"], found
            )
            values = np.frombuffer(bytes(zstd.decompress(chunk.read_bytes())), dtype).copy()
        except (ValueError, RuntimeError, TypeError, KeyError):
            return "nothing"
        chunk.write_bytes(bytes(zstd.compress(_odd_values(rng, values), 1, True)))
        return f"{array.name}: values"

    def _moved(self, rng: random.Random) -> str:
        """Remove, copy, link or add files."""
        files = sorted(path for path in self.path.rglob("*") if path.is_file())
        one, other = rng.choice(files), rng.choice(files)
        match rng.randrange(5):
            case 0:
                one.unlink()
                return f"without {one.name}"
            case 1:
                if one != other:
                    shutil.copyfile(one, other)
                return f"{one.name} over {other.name}"
            case 2:
                target = rng.choice((self.sound / "zarr.json", Path("/etc/passwd"), Path("/dev/zero"), other))
                one.unlink()
                one.symlink_to(target)
                return f"{one.name} linked to {target}"
            case 3:
                one.write_bytes(b"")
                return f"{one.name} empty"
            case _:
                (self.path / rng.choice(("steps", "extra", "c"))).mkdir(exist_ok=True)
                (one.parent / "extra").write_bytes(rng.randbytes(10))
                return "an extra file"


class Hdf5(Dataset):
    """A sealed HDF5 file."""

    name, suffix = "hdf5", ".h5"

    def make(self, path: Path) -> Path:
        """Make it."""
        made = specimens.make_dataset(path)
        dataset = open_dataset(made)
        self._header, self._layout = dataset.header.to_json(), dataset.layout()
        self._columns_by_name = {name: dataset.column(name) for name in self._layout}
        self._manifest = specimens.manifest_record(dataset.sealed().to_bytes())
        data = made.read_bytes()
        marks = (b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"FAHD", b"FADB", b"\x89HDF")
        self._marks = sorted(at for mark in marks for at in _places(data, mark))
        return made

    def corrupt(self, rng: random.Random) -> str:
        """Change bytes, or write another file of the same form, or one that uses what HDF5 offers."""
        data = self.path.read_bytes()
        match rng.randrange(10):
            case 0:
                self.path.write_bytes(changed_bytes(rng, data))
                return "bytes; not resealed"
            case 1 | 2 | 3:
                at = rng.choice(self._marks)
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
                columns[name] = _odd_values(rng, columns[name].copy())
                what = f"values of {name}"
            case _:
                manifest, what = self._changed_manifest(rng, record), "manifest"
        self._write(header, layout, columns, manifest)
        identity = self._identity() if what != "manifest" and rng.random() < 0.7 else None
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
    "hard link": lambda file, name, old: file.__setitem__(name, file["steps"]),
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


class Checkpoint(Target):
    """A checkpoint directory."""

    name, suffix = "checkpoint", ".ckpt"

    def make(self, path: Path) -> Path:
        """Make it, and the dataset it is trained on."""
        data = specimens.make_dataset(path.with_name("data.zarr"))
        return specimens.make_checkpoint(path, data)

    def corrupt(self, rng: random.Random) -> str:
        """Change one of its files, and reseal."""
        what = self._one(rng)
        how = rng.choice((RAW, FILES, FULL, FULL))
        if how != RAW:
            with contextlib.suppress(ValueError, AttributeError, KeyError, TypeError, RecursionError):
                specimens.reseal_folder(self.path)
                identity = self._identity() if how == FULL else None
                if identity:
                    specimens.reseal_folder(self.path, lambda record: record.update(id=identity))
        return f"{what}; resealed: {how}"

    def _one(self, rng: random.Random) -> str:
        tensors = self.path / rng.choice(("policy.safetensors", "policy.safetensors", "trainer.safetensors"))
        match rng.randrange(10):
            case 0 | 1:
                return self._changed_file(rng, tensors)
            case 2 | 3:
                return self._changed_header(rng, tensors)
            case 4 | 5:
                return self._changed_facts(rng, tensors)
            case 6:
                return self._changed_arrays(rng, tensors)
            case 7:
                return self._changed_file(rng, self.path / "metrics.jsonl")
            case 8:
                record = specimens.manifest_record((self.path / MANIFEST).read_bytes())
                (self.path / MANIFEST).write_bytes(self._changed_manifest(rng, record))
                return "manifest"
            case _:
                files = sorted(self.path.iterdir())
                one, other = rng.sample(files, 2)
                one.write_bytes(other.read_bytes() if rng.random() < 0.5 else b"")
                return f"{one.name} replaced"

    def _changed_header(self, rng: random.Random, file: Path) -> str:
        data = file.read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = changed_json(rng, json.loads(data[8 : 8 + size])).encode()
        file.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
        return f"{file.name}: its header"

    def _changed_facts(self, rng: random.Random, file: Path) -> str:
        data = file.read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        facts = json.loads(header["__metadata__"]["awac"])
        header["__metadata__"]["awac"] = changed_json(rng, facts)
        text = json.dumps(header).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
        return f"{file.name}: its facts"

    def _changed_arrays(self, rng: random.Random, file: Path) -> str:
        data = file.read_bytes()
        size = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        arrays = load(data)
        name = rng.choice(sorted(arrays))
        match rng.randrange(4):
            case 0:
                arrays[name] = _odd_values(rng, arrays[name].copy())
            case 1:
                shape = rng.choice(((), (0,), (1,), (2, 2), (3, 0, 2), (1, 8), (8, 1), (10,)))
                arrays[name] = np.ones(shape, np.float32)
            case 2:
                arrays[name] = arrays[name].astype(rng.choice(("f8", "f2", "i8", "u1", "bool", "i2", "u4")))
            case _:
                del arrays[name]
        file.write_bytes(save(arrays, metadata=metadata))
        return f"{file.name}: {name}"

    def _identity(self) -> str | None:
        with contextlib.suppress(AwacError, ValueError, RecursionError):
            record = specimens.manifest_record((self.path / MANIFEST).read_bytes())
            content = CheckpointContent.model_validate(record["content"])
            task = TaskSpec.model_validate(record["task"]) if record["task"] else None
            policy = read_policy(self.path / "policy.safetensors")
            trainer, _ = read_arrays(self.path / "trainer.safetensors")
            return checkpoint_id(policy, trainer, content, task)
        return None

    def readers(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield the readers."""
        yield from super().readers()
        yield "policy", lambda: open_checkpoint(self.path).policy()
        yield "trainer", lambda: open_checkpoint(self.path).trainer()
        yield "metrics", lambda: read_metrics(open_checkpoint(self.path).path / "metrics.jsonl")
        yield "acting", self._act
        yield "unchecked", lambda: read_policy(self.path / "policy.safetensors")

    def _act(self) -> None:
        spec = ActorSpec(policy=f"file:{open_checkpoint(self.path).policy_path}", actions="sample")
        act = load_actor(spec, specimens.FACTS).start(stream(0, "fuzz"))
        act(np.ones(3, np.float32))


class Evaluation(Target):
    """An evaluation: one JSON file."""

    name, suffix = "evaluation", ".json"

    def make(self, path: Path) -> Path:
        """Make it, and the checkpoint that it measured."""
        data = specimens.make_dataset(path.with_name("measured.zarr"))
        return specimens.make_evaluation(
            path, specimens.make_checkpoint(path.with_name("measured.ckpt"), data)
        )

    def corrupt(self, rng: random.Random) -> str:
        """Change bytes, values or the manifest, and reseal."""
        record = json.loads(self.path.read_bytes())
        body = {name: value for name, value in record.items() if name != "manifest"}
        how = rng.choice((RAW, FILES, FULL))
        match rng.randrange(6):
            case 0:
                return self._changed_file(rng, self.path)
            case 1 | 2:
                manifest = self._changed_manifest(rng, specimens.manifest_record(record["manifest"].encode()))
                text = manifest.decode(errors="surrogateescape")
                self.path.write_text(json.dumps({**body, "manifest": text}, indent=1) + "\n")
                return "manifest"
            case _:
                text = changed_json(rng, body)
                with contextlib.suppress(ValueError, RecursionError, TypeError, AttributeError):
                    if how == FULL:
                        specimens.reseal_json(self.path, json.loads(text))
                        return "values; with their id"
                    if how == FILES:
                        specimens.relay_json(self.path, json.loads(text))
                        return "values; laid out as awac does"
                self.path.write_text(text)
                return "values; as text"

    def readers(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield the readers."""
        yield from super().readers()
        yield "evaluation", lambda: open_evaluation(self.path).for_readers()
        yield "compare", lambda: [row.cells() for row in comparison([self.path])]


def _odd_values(rng: random.Random, values: np.ndarray) -> np.ndarray:
    """Put some values in that may make no sense."""
    flat = values.reshape(-1)
    pool = (0, 1, -1, 2, 3, 255, 2**31 - 1, -(2**31), 1e30, -1e30, float("nan"), float("inf"), 10**18)
    for _ in range(rng.choice((1, 1, 3))):
        with np.errstate(all="ignore"):
            odd = np.array([rng.choice(pool)], np.float64).astype(values.dtype)
        flat[rng.randrange(min(len(flat), 40)) if len(flat) else slice(0)] = odd[0]
    return values


TARGETS: dict[str, type[Target]] = {cls.name: cls for cls in (Zarr, Hdf5, Checkpoint, Evaluation)}
