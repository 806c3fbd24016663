"""Small artifacts of every kind, made without training or a simulator."""

import json
import os
import shutil

import numpy as np
import pytest

from awaccli.artifacts import hdf5
from awaccli.artifacts.checkpoint import CheckpointContent, DataRef, write_checkpoint
from awaccli.artifacts.commit import claimed
from awaccli.artifacts.identity import sha256_json
from awaccli.artifacts.json_file import json_artifact, read_json_artifact
from awaccli.artifacts.manifest import (
    MANIFEST,
    Clock,
    InputRef,
    Manifest,
    Recipe,
    inventory,
    read_manifest,
)
from awaccli.config.settings import Execution
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.data.evaluation import Evaluation, outcome
from awaccli.data.schema import Header, Source
from awaccli.data.writer import Writer, commit_dataset
from awaccli.episode import EndReason, Episode
from awaccli.protocols import PolicyWeights

FACTS = TaskFacts(
    spec=TaskSpec(name="toy", horizon=200),
    observation_dim=3,
    action_dim=2,
    observation_layout=(("position", 3),),
    action_low=(-1.0, -1.0),
    action_high=(1.0, 1.0),
    reward_kind="binary",
    reward_range=(-1.0, 0.0),
    success_rule="near the goal",
    held_steps=2,
)
EXPERT = InputRef(role="expert", id="ee" * 32, key="ee" * 32)


class Workshop:
    """Makes artifacts in one folder, and changes them as a stranger would."""

    facts = FACTS

    def __init__(self, folder):
        self.folder = folder

    def episode(self, seed, *, steps=10, success=None, **changes):
        rng = np.random.default_rng(seed)
        success = rng.random(steps) < 0.3 if success is None else np.full(steps, success)
        fields = {
            "observations": rng.normal(size=(steps + 1, 3)).astype(np.float32),
            "actions": rng.uniform(-1, 1, size=(steps, 2)).astype(np.float32),
            "rewards": success.astype(np.float32) - 1,
            "success": success,
            "terminated": False,
            "truncated": True,
            "end_reason": EndReason.TIME_LIMIT,
            "seed": seed,
            "infos": {"distance": rng.random(steps)},
            "sim": {"qpos": rng.normal(size=(steps + 1, 2))},
            "sim_init": rng.normal(size=4),
            "model": {"goal": rng.normal(size=3)},
        }
        return Episode(**fields | changes)

    def dataset(self, name="data.zarr", *, episodes=(0, 1, 2), parents=(), recipe=None, facts=FACTS):
        """Record episodes, given as such or by their seeds."""
        recipe = recipe or self.recipe("collect-demos", "policy", parents, more=(EXPERT,))
        path = self.folder / name
        header = Header(task=facts, sources=(Source(kind="scripted", name="nobody"),))
        with claimed(path, recipe) as target:
            with Writer(target.payload, header) as writer:
                for episode in episodes:
                    writer.append(self.episode(episode) if isinstance(episode, int) else episode)
            found = [(parent, read_manifest(parent)) for parent in parents]
            commit_dataset(target, writer, recipe=recipe, parents=found, clock=Clock(Execution()))
        return path

    def checkpoint(self, name="policy.ckpt", *, data=(), seed=0, trainer=None, updates=5, metrics=()):
        """Write a policy that was trained on nothing."""
        path = self.folder / name
        recipe = self.recipe("pretrain", "data", data, seed=seed)
        parents = [(parent, read_manifest(parent)) for parent in data]
        if metrics:
            path.mkdir()
            (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics))
        write_checkpoint(
            path,
            policy=policy(seed),
            trainer=trainer
            or {"critic.weight": np.full((4, 3), seed, np.float32), "step": np.array(updates)},
            content=CheckpointContent(
                algo="awac",
                settings=recipe.settings,
                updates=updates,
                env_steps=0,
                observation_dim=3,
                action_dim=2,
                data=tuple(DataRef(id=manifest.id, role="offline") for _, manifest in parents),
            ),
            task=FACTS.spec,
            recipe=recipe,
            parents=parents,
            clock=Clock(Execution()),
            target=path,
        )
        return path

    def evaluation(self, name="result.json", *, checkpoint, successes=2, seed=0, deterministic=True):
        """Write a result of four episodes."""
        path, manifest = self.folder / name, read_manifest(checkpoint)
        result = Evaluation(
            checkpoint=manifest.id,
            task="toy",
            algo="awac",
            updates=5,
            env_steps=0,
            seed=seed,
            seeds=tuple(range(seed, seed + 4)),
            deterministic=deterministic,
            outcome=outcome([self.episode(index, success=index < successes) for index in range(4)], FACTS),
        )
        body = result.model_dump(mode="json")
        record = Manifest(
            kind="evaluation",
            id=sha256_json(body),
            task=FACTS.spec,
            content={"deterministic": deterministic, "episodes": 4},
            files=(),
            recipe=self.recipe("eval", "checkpoint", [checkpoint], seed=seed),
            ancestors=manifest.lineage(),
            run=Clock(Execution()).run(path, {manifest.id: checkpoint}),
        )
        path.write_bytes(json_artifact(body, record.to_bytes()))
        return path

    def recipe(self, stage, role, parents, *, seed=0, more=()):
        inputs = (*(read_manifest(path).reference(role) for path in parents), *more)
        return Recipe(stage=stage, version=1, settings={"awac": {"lam": 0.5}}, seed=seed, inputs=inputs)

    def copy(self, path, name=None):
        target = self.folder / (name or path.name)
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
        return target

    def reforge(self, path, **changes):
        """Change the manifest, and make every checksum right again: of files, manifest and seal."""
        if path.suffix == ".h5":
            hdf5.seal(path)
        elif path.suffix == ".json":
            body, text = read_json_artifact(path)
            path.write_bytes(json_artifact(body, _changed(text, changes)))
        else:
            file = path / MANIFEST
            file.write_bytes(_changed(file.read_bytes(), {"files": inventory(path)} | changes))


def _changed(manifest, changes):
    return Manifest.from_bytes(manifest, origin="x").model_copy(update=changes).to_bytes()


def policy(seed):
    rng = np.random.default_rng(seed)
    shapes = {
        "observation.mean": (3,),
        "observation.scale": (3,),
        "observation.clip": (),
        "layers.0.weight": (4, 3),
        "layers.0.bias": (4,),
        "mean.weight": (2, 4),
        "mean.bias": (2,),
        "log_std": (2,),
        "action.center": (2,),
        "action.half": (2,),
    }
    arrays = {name: np.asarray(rng.uniform(0.5, 1, shape), np.float32) for name, shape in shapes.items()}
    return PolicyWeights("gaussian", {"layers": 1, "activation": "relu", "mean": "tanh"}, arrays)


@pytest.fixture(scope="session", autouse=True)
def _no_power_cuts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """A chain of one artifact of each kind; never changed by tests."""
    shop = Workshop(tmp_path_factory.mktemp("shelf"))
    data = shop.dataset("data.zarr")
    shop.dataset("sealed.h5")
    checkpoint = shop.checkpoint("policy.ckpt", data=[data])
    shop.evaluation("result.json", checkpoint=checkpoint)
    return shop.folder


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


@pytest.fixture
def taken(workshop, shelf):
    """Return a function that puts a copy of an artifact of the shelf into this test's folder."""

    def take(name, as_name=None):
        return workshop.copy(shelf / name, as_name)

    return take
