"""A file from a stranger names an environment: it is made only if that runs no code of the stranger's."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import gymnasium as gym
import pytest
import specimens

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.manifest import MANIFEST
from awaccli.config.settings import EvaluateSettings, Execution
from awaccli.config.task import TaskSpec
from awaccli.data.dataset import open_dataset
from awaccli.data.schema import dataset_id
from awaccli.envs.registry import list_tasks, resolve_task
from awaccli.envs.trust import require_trusted
from awaccli.errors import InputError
from awaccli.stages.evaluate import evaluate

EVIL = "from pathlib import Path\nPath('ran').write_text('')\n"


@pytest.fixture
def evil(tmp_path):
    """Put a module into the current folder that leaves a trace when it is imported."""
    (tmp_path / "evil.py").write_text(EVIL)
    return {"name": "evil", "env_id": "Evil-v0", "module": "evil", "horizon": 5}


def with_task(path, task):
    """Change the task that an artifact names, and make every id and checksum right."""
    if path.suffix == ".ckpt":
        return specimens.reseal_folder(path, lambda record: record["task"].update(task))
    root = path / "zarr.json"
    specimens.edit_json(root, lambda found: found["attributes"]["awac"]["task"]["spec"].update(task))
    record = specimens.manifest_record((path / MANIFEST).read_bytes())
    (path / MANIFEST).unlink()
    header = open_dataset(path, unfinished=True)
    identity = dataset_id(header.header, (row.tobytes() for row in header.column("episodes/sha256")))
    (path / MANIFEST).write_bytes(specimens.sealed_manifest(record | {"id": identity}))
    return specimens.reseal_folder(path, lambda record: record["task"].update(task))


TINY = ("--preset", "smoke", "--threads", 1, "--workers", 1)
READERS = {
    "bc-rollout": ("bc-rollout", "--demos", "x.zarr", "-n", 1, "-o", "new.zarr", *TINY),
    "pretrain": ("pretrain", "--data", "x.zarr", "--eval-every", 1, "-o", "new.ckpt", *TINY),
    "finetune": ("finetune", "x.ckpt", "--data", "x.zarr", "--env-steps", 5, "-o", "new.ckpt", *TINY),
    "finetune without steps": (
        *("finetune", "x.ckpt", "--data", "x.zarr", "--env-steps", 0, "--updates", 1, "--eval-every", 1),
        *("-o", "new.ckpt", *TINY),
    ),
    "eval": ("eval", "x.ckpt", "-n", 1, "--workers", 1),
}


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize("command", READERS)
def test_no_module_of_a_stranger_is_imported(awac, take, evil, tmp_path, watched, command, dry):
    with_task(take("x.zarr"), evil)
    with_task(take("x.ckpt"), evil)
    before = sorted(tmp_path.rglob("*"))
    with watched(tmp_path):
        result = awac(*READERS[command], *dry)
    named = "x.ckpt" if command == "eval" else "x.zarr"
    result.refused(f"error: `{named}` describes", "module `evil`", "--trust-env")
    assert sorted(tmp_path.rglob("*")) == before


def test_who_is_trusted_may_bring_code(awac, take, evil, tmp_path):
    with_task(take("x.ckpt"), evil)
    result = awac(*READERS["eval"], "--trust-env")
    assert (result.code, (tmp_path / "ran").exists()) == (2, True), result.err
    del sys.modules["evil"]


def test_workers_get_only_what_their_parent_let_through(take, evil, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = open_checkpoint(with_task(take("x.ckpt"), evil))
    with pytest.raises(InputError, match="module `evil`"):
        evaluate(checkpoint, EvaluateSettings(episodes=2), execution=Execution(workers=2))
    assert not (tmp_path / "ran").exists()


def test_pretraining_makes_no_environment_and_needs_no_trust(awac, take, evil):
    with_task(take("x.zarr"), evil)
    assert awac("pretrain", "--data", "x.zarr", "--updates", 1, "-o", "new.ckpt", *TINY).code == 0


def test_a_task_that_the_user_names_is_the_users_business(awac, take, evil, tmp_path):
    with_task(take("x.ckpt"), evil)
    assert awac("eval", "x.ckpt", "--task", "pendulum", "--horizon", 3, "-n", 1, "--workers", 1).code == 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", [task.name for task in list_tasks()])
def test_tasks_of_awac_need_no_flag(name):
    require_trusted(resolve_task(name), Path("x.zarr"), trust_env=False)


def test_other_environments_of_known_packages_need_no_flag():
    spec = TaskSpec(name="x", env_id="FetchReach-v4", module="gymnasium_robotics")
    for kwargs in ({}, {"reward_type": "dense"}, {"maze_map": [[1, "r"], [0, "g"]]}, {"distance": 0.1}):
        require_trusted(spec.model_copy(update={"kwargs": kwargs}), Path("x"), trust_env=False)
    require_trusted(TaskSpec(name="robot", env_id=None, module="evil"), Path("x"), trust_env=False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"module": "os"}, "module `os`"),
        ({"module": "gymnasium_robotics.evil"}, "module `gymnasium_robotics.evil`"),
        ({"module": ""}, "module ``"),
        ({"env_id": "evil:Evil-v0"}, "names a module"),
        ({"env_id": "NoSuch-v0"}, "has registered"),
        ({"env_id": ""}, "has registered"),
        ({"kwargs": {"xml_file": "/elsewhere/evil.xml"}}, "xml_file='/elsewhere/evil.xml'"),
        ({"kwargs": {"xml_file": "evil.xml"}}, "xml_file"),
        ({"kwargs": {"entry_point": "evil:Evil"}}, "entry_point"),
        ({"kwargs": {"options": [{"path": "../evil"}]}}, "options"),
        ({"kwargs": {"options": {"a.b": 1}}}, "options"),
        ({"kwargs": {"text": "évil"}}, "text"),
    ],
)
def test_what_leaves_doubt_is_refused(changes, words, watched, tmp_path):
    spec = TaskSpec(name="x", env_id="Ant-v5").model_copy(update=changes)
    with watched(tmp_path), pytest.raises(InputError) as caught:
        require_trusted(spec, Path("x.ckpt"), trust_env=False)
    assert "x.ckpt" in str(caught.value)
    assert words in str(caught.value)
    assert "--trust-env" in caught.value.hint
    require_trusted(spec, Path("x.ckpt"), trust_env=True)


@pytest.mark.parametrize(
    "entry_point", ["shimmy.openai_gym_compatibility:GymV21CompatibilityV0", lambda: None]
)
def test_an_environment_of_another_package_leaves_doubt_whatever_its_id(monkeypatch, entry_point):
    """As shimmy does with `GymV21Environment-v0`, whose arguments name any environment."""
    spec = gym.envs.registration.EnvSpec("GymV21Environment-v0", entry_point=entry_point)
    monkeypatch.setitem(gym.registry, "GymV21Environment-v0", spec)
    task = TaskSpec(name="x", env_id="GymV21Environment-v0", kwargs={"env_id": "CartPole-v1"})
    with pytest.raises(InputError, match=r"is made by `(shimmy|test_trust|tests)"):
        require_trusted(task, Path("x.ckpt"), trust_env=False)


def test_a_folder_from_a_stranger_hides_no_installed_package(take, tmp_path):
    """The checkpoint names a task of awac; the modules beside it have the names of what awac needs."""
    checkpoint = take("x.ckpt")
    for name in ("gymnasium_robotics", "mujoco", "jax", "torch", "numpy", "gymnasium", "cv2", "imageio"):
        (tmp_path / f"{name}.py").write_text(EVIL)
    task = resolve_task("relocate").model_dump(mode="json") | {"horizon": 2}
    specimens.reseal_folder(checkpoint, lambda record: record.update(task=task))
    command = [Path(sysconfig.get_path("scripts")) / "awac", "eval", "x.ckpt", "-n", "1", "--workers", "1"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 3, (
        ended.stderr
    )  # its policy is one for the pendulum, as the made environment told
    assert "observations of size 3, task `relocate` has observations of size 39" in ended.stderr
    assert not (tmp_path / "ran").exists()


def test_trust_is_recorded_and_changes_no_identity(take, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = open_checkpoint(take("x.ckpt"))
    ids = set()
    for trust in (False, True):
        out = tmp_path / f"{trust}.json"
        execution = Execution(trust_env=trust)
        evaluate(checkpoint, EvaluateSettings(episodes=1), out, execution=execution)
        record = json.loads(json.loads(out.read_text())["manifest"])
        assert record["run"]["execution"]["trust_env"] is trust
        ids.add((record["id"], json.dumps(record["recipe"])))
    assert len(ids) == 1
