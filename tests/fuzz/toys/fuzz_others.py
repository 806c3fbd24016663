"""Checkpoints and evaluations to corrupt."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import specimens
from fuzz_target import FILES, FULL, RAW, Target, odd_values
from mutations import changed_json
from safetensors.numpy import load, save

from awaccli.artifacts.checkpoint import CheckpointContent, checkpoint_id, open_checkpoint
from awaccli.artifacts.manifest import MANIFEST
from awaccli.artifacts.metrics import read_metrics
from awaccli.artifacts.tensors import read_arrays, read_policy
from awaccli.config.task import TaskSpec
from awaccli.data.evaluation import open_evaluation
from awaccli.envs.acting import ActorSpec, load_actor
from awaccli.errors import AwacError
from awaccli.reports.success import comparison
from awaccli.seeding import stream


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
                arrays[name] = odd_values(rng, arrays[name].copy())
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
