"""Datasets to corrupt: what their readers share, and Zarr directories."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import specimens
from fuzz_target import FILES, FULL, RAW, Target, odd_values
from mutations import changed_bytes
from numcodecs import zstd

from awaccli.artifacts.manifest import MANIFEST
from awaccli.data.dataset import open_dataset
from awaccli.data.schema import Header, dataset_id
from awaccli.data.stores import open_store
from awaccli.data.transitions import ActionScale, Rollouts, TargetSettings, training_rows
from awaccli.envs.trust import require_trusted
from awaccli.errors import AwacError
from awaccli.reports.success import comparison


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

    def identity(self) -> tuple[str, dict, dict] | None:
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
                identity = self.identity() if how == FULL else None
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
        chunk.write_bytes(bytes(zstd.compress(odd_values(rng, values), 1, True)))
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
                (one.parent / "extra.bin").write_bytes(rng.randbytes(10))
                return "an extra file"
