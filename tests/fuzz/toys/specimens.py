"""Small sound artifacts of every kind, and how a stranger who changed one makes its seals right again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from awaccli.artifacts import hdf5
from awaccli.artifacts.checkpoint import CheckpointContent, DataRef, write_checkpoint
from awaccli.artifacts.commit import claimed
from awaccli.artifacts.identity import canonical_json, sha256_json
from awaccli.artifacts.json_file import json_artifact
from awaccli.artifacts.manifest import MANIFEST, Clock, Manifest, Recipe, inventory
from awaccli.artifacts.metrics import MetricsLog
from awaccli.config.settings import Execution
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.config.tree import Settings
from awaccli.data.dataset import open_dataset
from awaccli.data.evaluation import Evaluation, outcome
from awaccli.data.schema import Header, Source
from awaccli.data.writer import Writer, commit_dataset
from awaccli.episode import EndReason, Episode
from awaccli.protocols import PolicyWeights

TASK = TaskSpec(name="pendulum", env_id="Pendulum-v1", horizon=200)
FACTS = TaskFacts(
    spec=TASK,
    observation_dim=3,
    action_dim=1,
    observation_layout=(("observation", 3),),
    action_low=(-2.0,),
    action_high=(2.0,),
    reward_kind="dense",
    reward_range=None,
    success_rule="never",
    held_steps=25,
    control_dt=0.05,
    versions={"gymnasium": "1.0"},
)
CLOCK = Clock(Execution())


def episode(seed: int, steps: int = 10) -> Episode:
    """An episode with every kind of column."""
    rng = np.random.default_rng(seed)
    return Episode(
        observations=rng.normal(size=(steps + 1, 3)).astype(np.float32),
        actions=rng.uniform(-2, 2, size=(steps, 1)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        success=rng.random(steps) < 0.3,
        terminated=False,
        truncated=True,
        end_reason=EndReason.TIME_LIMIT,
        seed=seed,
        source=seed % 2,
        infos={"distance": rng.random(steps), "contact": rng.random((steps, 3)) < 0.5},
        sim={"qpos": rng.normal(size=(steps + 1, 4))},
        sim_init=rng.normal(size=9),
        model={"goal": rng.normal(size=3)},
    )


def make_dataset(path: Path) -> Path:
    """Write a dataset of three episodes, as Zarr or HDF5."""
    recipe = Recipe(stage="collect-demos", version=1, settings={"collect": {"noise": 0.5}}, seed=0)
    sources = (Source(kind="human", name="a"), Source(kind="policy", name="b", noise=0.1))
    with claimed(path, recipe) as target:
        with Writer(target.payload, Header(task=FACTS, sources=sources)) as writer:
            for seed in range(3):
                writer.append(episode(seed))
        commit_dataset(target, writer, recipe=recipe, parents=(), clock=CLOCK)
    return path


def policy(hidden: int = 8) -> PolicyWeights:
    """A policy for the pendulum."""
    rng = np.random.default_rng(0)
    shapes = {
        "observation.mean": (3,),
        "layers.0.weight": (hidden, 3),
        "layers.0.bias": (hidden,),
        "mean.weight": (1, hidden),
        "mean.bias": (1,),
        "log_std": (1,),
        "action.center": (1,),
    }
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    arrays["observation.scale"] = np.ones(3, np.float32)
    arrays["observation.clip"] = np.array(5, np.float32)
    arrays["action.half"] = np.full(1, 2, np.float32)
    return PolicyWeights("gaussian", {"activation": "relu", "mean": "tanh", "layers": 1}, arrays)


def make_checkpoint(path: Path, data: Path) -> Path:
    """Write a checkpoint that was trained on ``data``."""
    parent = open_dataset(data)
    settings = {"algo": "awac", "awac": Settings().awac.model_dump(mode="json")}
    recipe = Recipe(
        stage="pretrain", version=1, settings=settings, seed=0, inputs=(parent.sealed().reference("data"),)
    )
    content = CheckpointContent(
        algo="awac",
        settings=settings,
        updates=3,
        env_steps=0,
        observation_dim=3,
        action_dim=1,
        data=(DataRef(id=parent.id, role="offline"),),
    )
    trainer = {"policy.w": np.ones((4, 3), np.float32), "updates": np.array(3, np.int64)}
    with claimed(path, recipe) as target:
        log = MetricsLog(target.payload / "metrics.jsonl")
        for updates in (1, 2, 3):
            log.write({"phase": "offline", "updates": updates, "env_steps": 0, "loss/policy": 0.5})
        write_checkpoint(
            target.payload,
            policy=policy(),
            trainer=trainer,
            content=content,
            task=TASK,
            recipe=recipe,
            parents=[(data, parent.sealed())],
            clock=CLOCK,
            target=path,
        )
        target.commit()
    return path


def make_evaluation(path: Path, checkpoint: Path) -> Path:
    """Write an evaluation of ``checkpoint``."""
    measured = Manifest.from_bytes((checkpoint / MANIFEST).read_bytes(), origin="x")
    result = Evaluation(
        checkpoint=measured.id,
        task="pendulum",
        algo="awac",
        updates=3,
        env_steps=0,
        seed=0,
        seeds=(1, 2),
        deterministic=True,
        outcome=outcome([episode(0), episode(1)], FACTS),
    )
    body = result.model_dump(mode="json")
    manifest = Manifest(
        kind="evaluation",
        id=sha256_json(body),
        task=TASK,
        content={"deterministic": True, "episodes": 2},
        files=(),
        recipe=Recipe(
            stage="eval", version=1, settings={}, seed=0, inputs=(measured.reference("checkpoint"),)
        ),
        ancestors=measured.lineage(),
        run=CLOCK.run(path, {measured.id: checkpoint}),
    )
    path.write_bytes(json_artifact(body, manifest.to_bytes()))
    return path


def manifest_record(text: bytes) -> dict:
    """Return the values of a manifest without its checksum."""
    record = json.loads(text)
    record.pop("sha256", None)
    return record


def sealed_manifest(record: dict) -> bytes:
    """Return a manifest with these values and the checksum that they need, whatever they are."""
    return sealed_text(json.dumps(record, sort_keys=True, separators=(",", ":")).encode())


def sealed_text(body: bytes) -> bytes:
    """Return a manifest of this text, with its checksum."""
    return body[:-1] + f',"sha256":"{hashlib.sha256(body).hexdigest()}"}}'.encode() + b"\n"


def reseal_folder(path: Path, change=lambda record: None) -> Path:
    """Make the manifest of a Zarr dataset or a checkpoint agree with its files, then change its values."""
    record = manifest_record((path / MANIFEST).read_bytes())
    record["files"] = [entry.model_dump() for entry in inventory(path)]
    change(record)
    (path / MANIFEST).write_bytes(sealed_manifest(record))
    return path


def reseal_hdf5(path: Path) -> Path:
    """Make the checksum of an HDF5 file right."""
    hdf5.seal(path)
    return path


def reseal_json(path: Path, body: dict, change=lambda record: None) -> Path:
    """Write an evaluation with these values and a manifest with their id, then change the manifest's."""
    record = manifest_record(json.loads(path.read_bytes())["manifest"].encode())
    record["id"] = hashlib.sha256(canonical_json(body)).hexdigest()
    change(record)
    path.write_bytes(json_artifact(body, sealed_manifest(record)))
    return path


def relay_json(path: Path, body: dict) -> Path:
    """Write an evaluation with these values and the manifest that it has, in the layout of awac."""
    path.write_bytes(json_artifact(body, json.loads(path.read_bytes())["manifest"].encode()))
    return path


def edit_json(file: Path, change) -> None:
    """Change the values of a JSON file in place."""
    value = json.loads(file.read_bytes())
    change(value)
    file.write_text(json.dumps(value))
