"""``awac rebuild``: from an artifact to the commands that make it, and from these to the artifact."""

import os
import shlex
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from awaccli.artifacts.commit import claimed
from awaccli.artifacts.json_file import json_artifact, read_json_artifact
from awaccli.artifacts.manifest import Clock, Recipe, read_manifest
from awaccli.config.algorithms import default_preset
from awaccli.config.resolve import resolve
from awaccli.config.settings import Execution
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.data.dataset import open_dataset
from awaccli.data.schema import Header, Source
from awaccli.data.writer import Writer, commit_dataset
from awaccli.envs.registry import list_tasks, resolve_task, task_text
from awaccli.episode import EndReason, Episode
from awaccli.reports.rebuild import plan
from awaccli.reports.rebuilt import confirm
from awaccli.stages import pretrain
from awaccli.stages.rebuild import measure

TOYS = (Path(__file__).parents[1] / "envs" / "toys", Path(__file__).parent / "toys")
DEMOS = Path(__file__).parents[2] / "datasets" / "relocate-demos.h5"
COMMANDS = r"""
collect-demos cli_toys:cli/Toy-v0 --horizon 6 --success-key reached --env-kwargs '{"slow_s":0,"log":null}' \
    -n 4 --policy random --noise 0.1 --noise-correlation 0.5 --sim-state none --max-attempts 7 --seed 3 \
    -o demos.h5
bc-rollout --demos demos.h5 -n 3 --actions mix --bc-seeds 2 --preset smoke --updates 7 --seed 1 --threads 1 \
    --set bc.average=0.5 --set bc.network.mean=linear -o toy.h5
collect-demos cli_toys:cli/Toy-v0 --horizon 6 --success-key reached --env-kwargs '{"slow_s":0,"log":null}' \
    -n 2 --policy toy-bc-1.ckpt --actions sample -o more.zarr
pretrain --data toy.h5 --data demos.h5 --updates 5 --batch-size 16 --lam inf --discount 0.9 --threads 2 \
    --set awac.advantage_cap=0.25 --set awac.bc_updates=2 --set awac.optimiser.policy_lr=1e-5 \
    --set awac.network.policy_hidden=[8,4] --set awac.network.critic_hidden=[8] -o pretrained.ckpt
finetune pretrained.ckpt --data toy.h5 --data more.zarr --env-steps 14 --batch-size 8 --lam 0.7 --seed 2 \
    --offline-ratio 0.5 --threads 1 --save-online first.h5 -o first.ckpt
finetune first.ckpt --env-steps 0 --updates 3 --add-data demos.h5 --set awac.advantage_cap=none --threads 1 \
    --batch-size 8 -o second.ckpt
finetune second.ckpt --env-steps 9 --batch-size 8 --utd 0.5 --threads 1 -o third.ckpt
eval third.ckpt --task cli_toys:cli/Toy-v0 --horizon 4 --success-key reached -n 2 --actions sample --seed 5 \
    -o third.json
""".replace("\\\n", "").strip()
"""A chain in which no stage has the settings that it would have by itself."""
ARTIFACTS = ("demos.h5", "toy.h5", "toy-bc.ckpt", "toy-bc-1.ckpt", "more.zarr", "pretrained.ckpt", "first.h5")
ARTIFACTS += ("first.ckpt", "second.ckpt", "third.ckpt", "third-online.zarr", "third.json")
SHELF = """\
mkdir -p again
awac collect-demos cli_toys:cli/Toy-v0 --horizon 6 --success-key reached -n 4 --policy random -o again/demos.zarr
awac bc-rollout --demos again/demos.zarr --preset smoke -n 5 --threads 1 -o again/rollouts.zarr
awac pretrain --data again/rollouts.zarr --preset smoke --updates 6 --threads 1 -o again/pretrained.ckpt
awac finetune again/pretrained.ckpt --data again/rollouts.zarr --preset smoke --env-steps 25 --threads 1 -o again/finetuned.ckpt
awac eval again/finetuned.ckpt -n 3 -o again/result.json
"""  # noqa: E501


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Return the folder of a chain that is made by the first test that asks for it; not to be changed."""
    return tmp_path_factory.mktemp("chain")


@pytest.fixture
def made(awac, chain, monkeypatch):
    """Return the folder of the chain, made."""
    with monkeypatch.context() as patch:
        patch.chdir(chain)
        if not (chain / ARTIFACTS[-1]).exists():
            run_lines(awac, (f"awac {line}" for line in COMMANDS.splitlines()))
    return chain


@pytest.fixture
def _toys(monkeypatch):
    """Let real processes find the toys."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, TOYS)))


def ids(folder, names):
    return {name: read_manifest(folder / name).id for name in names}


def rewrite(path, **changes):
    """Change the manifest of an artifact and seal it again: what a forger would do."""
    manifest = read_manifest(path).model_copy(update=changes)
    if path.is_dir():
        (path / "manifest.json").write_bytes(manifest.to_bytes())
    else:
        path.write_bytes(json_artifact(read_json_artifact(path)[0], manifest.to_bytes()))
    return manifest


def with_settings(recipe, name, value):
    """Return a recipe with another value of ``section.name``."""
    section, _, leaf = name.partition(".")
    changed = recipe.settings[section] | {leaf: value}
    return recipe.model_copy(update={"settings": recipe.settings | {section: changed}})


def run_lines(awac, lines):
    for line in lines:
        words = shlex.split(line)
        if words[0] == "mkdir":
            Path(words[-1]).mkdir(parents=True, exist_ok=True)
        else:
            result = awac(*words[1:], "--workers", 1)
            assert result.code == 0, f"{line}\n{result.err}"


def on_two_threads(lines):
    """Give the pretraining back the thread count that went with its checkpoint."""
    return [line.replace("--threads 1", "--threads 2") if " pretrain " in line else line for line in lines]


def test_the_commands_of_a_chain_say_what_differs_and_no_more(awac, shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    shown = awac("rebuild", "result.json", "--dir", "again")
    assert shown.out == SHELF
    assert shown.err.startswith("warning: `result.json` describes the task `toy`, whose environment")
    trusting = awac("rebuild", "result.json", "--dir", "again", "--trust-env")
    assert (trusting.out.replace(" --trust-env", ""), trusting.err) == (SHELF, "")
    assert trusting.out.count(" --trust-env") == 3
    assert not (shelf / "again").exists()
    lines = awac("rebuild", "demos.h5").out.splitlines()
    assert lines[0] == "mkdir -p demos-rebuild"
    assert lines[1].endswith(" -o demos-rebuild/demos.h5")


def test_the_printed_commands_make_the_same_ids_from_the_last_artifact_alone(awac, made, tmp_path):
    shutil.copy(made / "third.json", tmp_path / "x.json")
    printed = awac("rebuild", "x.json", "--dir", "a folder", "--trust-env")
    lines = printed.out.splitlines()
    assert len(lines) == 1 + len(COMMANDS.splitlines())
    assert "--task cli_toys:cli/Toy-v0 --horizon 4 --success-key reached" in lines[-1]
    assert printed.err == (
        "the thread count of what is gone is unknown, that of `x.json` is used: "
        "rollouts.zarr, pretrained.ckpt, finetuned.ckpt, finetuned-2.ckpt, finetuned-3.ckpt\n"
    )
    run_lines(awac, on_two_threads(lines))
    again = "demos.zarr rollouts.zarr rollouts-bc.ckpt rollouts-bc-1.ckpt demos-2.zarr pretrained.ckpt "
    again += "finetuned-online.zarr finetuned.ckpt finetuned-2.ckpt finetuned-3.ckpt finetuned-3-online.zarr "
    again += "result.json"
    recorded = ids(made, ARTIFACTS)
    rebuilt = ids(tmp_path / "a folder", again.split())
    assert dict(zip(rebuilt.values(), again.split(), strict=True)) == dict(
        zip(recorded.values(), again.split(), strict=True)
    )


def test_threads_are_those_of_the_runs_that_are_on_disk(awac, made):
    lines = awac("rebuild", made / "third.json", "--trust-env")
    assert lines.err == ""
    (pretraining,) = [line for line in lines.out.splitlines() if " pretrain " in line]
    assert "--threads 2" in pretraining
    assert lines.out.count("--threads 2") == 1


@pytest.mark.parametrize(
    ("name", "count", "last"),
    [
        ("first.h5", 5, "--save-online first-rebuild/finetuned-online.h5 -o first-rebuild/finetuned.ckpt"),
        ("toy.h5", 2, "-o toy-rebuild/rollouts.h5"),
        ("toy-bc-1.ckpt", 2, "--algo bc"),
        ("more.zarr", 3, "--policy more-rebuild/clone.ckpt"),
    ],
)
def test_any_artifact_of_the_chain_is_a_goal(awac, made, name, count, last):
    lines = awac("rebuild", made / name).out.splitlines()
    assert len(lines) == 1 + count
    assert last in lines[-1]


def test_the_online_dataset_alone_comes_from_its_fine_tuning_with_all_its_data(awac, made, tmp_path):
    shutil.copy(made / "first.h5", tmp_path / "online.h5")
    *_, last = awac("rebuild", "online.h5", "--dir", "again").out.splitlines()
    assert last.startswith(
        "awac finetune again/pretrained.ckpt --data again/rollouts.zarr --data again/demos-2."
    )
    assert last.endswith("--save-online again/finetuned-online.h5 -o again/finetuned.ckpt")
    (makes,) = awac("rebuild", "online.h5", "--json").json["commands"][-1]["makes"]
    assert makes["id"] == read_manifest(made / "first.h5").id


def test_reuse_takes_what_is_on_disk_and_makes_the_rest(awac, made, tmp_path):
    for name in ("third.ckpt", "second.ckpt", "first.h5"):
        (shutil.copytree if (made / name).is_dir() else shutil.copy)(made / name, tmp_path / name)
    found = awac("rebuild", "third.ckpt", "--reuse", "--json").json
    assert [used["path"] for used in found["uses"]] == ["second.ckpt", "first.h5"]
    lines = [shlex.join(command["arguments"]) for command in found["commands"]]
    stages = ["collect-demos", "bc-rollout", "collect-demos", "finetune"]
    assert [line.split()[0] for line in lines] == stages
    assert lines[-1].startswith("finetune second.ckpt --data ")
    assert "--add-data first.h5" in lines[-1]
    alone = awac("rebuild", made / "third.ckpt", "--reuse").out.splitlines()
    assert len(alone) == 2
    assert f"finetune {made / 'second.ckpt'} " in alone[1]


@pytest.mark.usefixtures("_toys")
def test_a_fine_tuning_by_another_algorithm_is_told_which(awac, made):
    shutil.copy(made / "toy.h5", "toy.h5")
    networks = [f"--set=awac.network.{name}_hidden=[8]" for name in ("policy", "critic")]
    one = ("--data", "toy.h5", "--threads", 1, "--workers", 1)
    awac("pretrain", "--updates", 3, *networks, *one, "-o", "other.ckpt")
    online = ("--env-steps", 7, "--set", "finetune.batch_size=8")
    awac("finetune", "other.ckpt", "--algo", "filtered-bc", *online, *one, "-o", "x.ckpt").made("x.ckpt")
    *_, last = awac("rebuild", "x.ckpt", "--reuse").out.splitlines()
    words = (
        "other.ckpt --data toy.h5 --algo filtered-bc --env-steps 7 --set finetune.batch_size=8 --threads 1"
    )
    assert last == f"awac finetune {words} -o x-rebuild/finetuned.ckpt"
    *_, last = awac("rebuild", "x-online.zarr", "--reuse").out.splitlines()
    assert last == f"awac finetune {words} -o x-online-rebuild/finetuned.ckpt"
    assert awac("rebuild", "x.ckpt", "--reuse", "--run", "--trust-env").code == 0
    made_again, first = ids(Path(), ["x-rebuild/finetuned.ckpt", "x.ckpt"]).values()
    assert made_again == first


def test_a_task_with_binary_rewards_starts_from_its_own_preset(tmp_path, awac):
    standard = resolve(default=default_preset("awac", "binary")).settings
    demos = open_dataset(DEMOS)
    manifest = demos.sealed()
    recipe = pretrain.pretrain_recipe([demos], standard, algo="awac", seed=0)
    out = tmp_path / "x.json"
    changes = {"kind": "evaluation", "id": "1" * 64, "recipe": recipe, "ancestors": manifest.lineage()}
    forged = manifest.model_copy(update=changes)
    out.write_bytes(json_artifact({}, forged.to_bytes()))
    collect, train = plan(out, Path("again")).commands
    assert str(collect) == (
        "awac collect-demos relocate --noise 0.1 --set collect.noise_correlation=0.7 -o again/demos.zarr"
    )
    assert str(train) == "awac pretrain --data again/demos.zarr --threads 1 -o again/pretrained.ckpt"


@pytest.fixture
def robot(tmp_path):
    """Return a dataset that no command makes, with binary rewards that only its header knows of."""
    facts = TaskFacts(
        spec=TaskSpec(name="robot"),
        observation_dim=1,
        action_dim=1,
        observation_layout=(("observation", 1),),
        action_low=(-1.0,),
        action_high=(1.0,),
        reward_kind="binary",
        reward_range=(-1.0, 0.0),
        success_rule="somebody said so",
        held_steps=1,
    )
    recipe = Recipe(stage="record", version=1, settings={}, seed=0)
    path = tmp_path / "robot.zarr"
    header = Header(task=facts, sources=(Source(kind="human", name="somebody"),))
    with claimed(path, recipe) as target, Writer(target.payload, header) as writer:
        writer.append(
            Episode(
                observations=np.arange(4, dtype=np.float32)[:, None],
                actions=np.zeros((3, 1), np.float32),
                rewards=np.zeros(3, np.float32) - 1,
                success=np.zeros(3, bool),
                terminated=False,
                truncated=True,
                end_reason=EndReason.TIME_LIMIT,
            )
        )
        commit_dataset(target, writer, recipe=recipe, parents=[], clock=Clock(Execution()))
    return path


def test_a_root_that_no_command_makes_must_be_on_disk(awac, robot, tmp_path):
    small = ("--updates", 2, "--batch-size", 4, "--threads", 1)
    assert awac("pretrain", "--data", robot, *small, "-o", "p.ckpt").code == 0
    shown = awac("rebuild", "p.ckpt")
    assert shown.out.splitlines()[1] == (
        "awac pretrain --data robot.zarr --updates 2 --set pretrain.batch_size=4 --threads 1 "
        "-o p-rebuild/pretrained.ckpt"
    )
    assert shown.err == "`robot.zarr` was made by `record`, which no command repeats: it is used as it is\n"
    awac("rebuild", "robot.zarr").failed(3, "`robot.zarr` was made by `record`", "keep a copy")
    robot.rename(tmp_path / "elsewhere")
    awac("rebuild", "p.ckpt").failed(3, "which was made by `record`, which no command repeats", "--parents")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda recipe: recipe.model_copy(update={"version": 7}), "was made by version 7 of collect-demos"),
        (lambda recipe: with_settings(recipe, "collect.speed", 3), "settings `collect` of another version"),
        (lambda recipe: with_settings(recipe, "collect.episodes", 0), "settings that this awac refuses"),
        (lambda recipe: with_settings(recipe, "task.name", "mine"), "the task `mine`, which no command line"),
        (lambda recipe: with_settings(recipe, "task.horizon", -1), "a recipe without a valid task"),
        (lambda recipe: recipe.model_copy(update={"settings": {"collect": 3}}), "without a valid task"),
    ],
)
def test_a_recipe_that_no_command_follows_is_refused(awac, artifact, change, message):
    path = artifact("demos.zarr")
    rewrite(path, recipe=change(read_manifest(path).recipe))
    awac("rebuild", path).failed(3, message, "keep a copy")


def test_an_expert_of_another_version_is_refused(awac, tmp_path):
    manifest = read_manifest(DEMOS)
    (expert,) = manifest.recipe.inputs
    other = manifest.recipe.model_copy(update={"inputs": (expert.model_copy(update={"id": "ab" * 32}),)})
    forged = manifest.model_copy(update={"kind": "evaluation", "recipe": other})
    (tmp_path / "x.json").write_bytes(json_artifact({}, forged.to_bytes()))
    awac("rebuild", "x.json").failed(3, "an expert abababababab that this awac does not have", "copy")


def test_a_task_is_named_as_it_was_given():
    for task in list_tasks():
        assert task_text(resolve_task(task.name)) == task.name
    given = {"kwargs": {"a": [1, None]}, "horizon": 3, "obs_keys": ("x", "y"), "success_key": "ok"}
    for text in ("pen-100", "awac/AdroitPenBinary-v0", "toy_tasks:Toy-v0", "CartPole-v1", "gymnasium:Ant-v5"):
        spec = resolve_task(text, **given)
        assert resolve_task(task_text(spec), **given) == spec
    assert task_text(resolve_task("pen").model_copy(update={"name": "mine"})) is None
    assert task_text(TaskSpec(name="robot")) is None


@pytest.mark.usefixtures("_toys")
def test_equal_recipes_with_other_content_are_told_and_measured(awac, artifact):
    path = artifact("demos.zarr")
    manifest = read_manifest(path)
    older = manifest.run.model_copy(
        update={
            "versions": manifest.run.versions | {"numpy": "1.0"},
            "platform": "Abacus",
            "execution": manifest.run.execution | {"threads": 64},
        }
    )
    rewrite(path, recipe=with_settings(manifest.recipe, "collect.noise", 0.9), run=older)
    ran = awac("rebuild", path, "--run", "--trust-env", "--workers", 1)
    assert ran.code == 0, ran.err
    what, *differences, success, verdict = ran.out.splitlines()
    assert what.startswith(f"recipe equal, content differs  {manifest.id[:12]} -> ")
    assert differences == [
        f"  numpy: 1.0 -> {manifest.run.versions['numpy']}",
        f"  platform: Abacus -> {manifest.run.platform}",
        "  threads: 64 -> 1",
    ]
    assert success.count("% [") == success.count("of 4 episodes") == 2
    assert verdict == "rebuilt `demos.zarr`: 0 of 1 ids are the recorded ones"
    strict = awac("rebuild", path, "--run", "--trust-env", "--workers", 1, "--exact", "--json")
    assert strict.code == 6
    assert "another content than recorded" in strict.err
    one = strict.json["artifacts"][0]
    assert one["recorded_outcome"]["success"].keys() == {"any", "final", "held"}


def test_other_recipes_are_exit_6(awac, made, tmp_path, monkeypatch):
    shutil.copytree(made / "more.zarr", tmp_path / "more.zarr")
    shutil.copytree(made / "toy-bc-1.ckpt", tmp_path / "toy-bc-1.ckpt")
    recipe = read_manifest(tmp_path / "more.zarr").recipe
    (policy,) = recipe.inputs
    forged = recipe.model_copy(update={"inputs": (policy.model_copy(update={"key": "0" * 64}),)})
    rewrite(tmp_path / "more.zarr", recipe=with_settings(forged, "collect.noise", 0.9))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, TOYS)))
    ran = awac("rebuild", "more.zarr", "--run", "--trust-env", "--workers", 1, "--reuse")
    assert (ran.code, ran.out.startswith("recipe differs  ")) == (6, True), ran.err
    assert "what was made of `more.zarr` has another recipe than recorded" in ran.err


def test_checkpoints_that_differ_are_both_measured(awac, artifact):
    path = artifact("pretrained.ckpt")
    artifact("toy.zarr")
    rewrite(path, recipe=with_settings(read_manifest(path).recipe, "pretrain.updates", 4))
    found = plan(path, Path("again"), reuse=True)
    run_lines(awac, found.lines())
    (one,) = confirm(found, partial(measure, episodes=3, execution=Execution(trust_env=True))).artifacts
    assert (one.same, one.recipe_equal) == (False, True)
    assert one.recorded_outcome.episodes == one.rebuilt_outcome.episodes == 3


def test_a_robots_checkpoint_is_not_measured(awac, robot):
    assert awac("pretrain", "--data", robot, "--updates", 1, "--batch-size", 2, "-o", "p.ckpt").code == 0
    assert measure(Path("p.ckpt"), episodes=1, execution=Execution()) is None


@pytest.mark.usefixtures("_toys")
def test_a_stopped_rebuild_ends_as_its_command_did_and_goes_on_to_the_same_ids(awac, artifact, monkeypatch):
    path = artifact("demos.zarr", "x.zarr")
    monkeypatch.setenv("STOP_AT", "3")
    monkeypatch.setenv("STOP_WITH", "SIGINT")
    stopped = awac("rebuild", path, "--run", "--trust-env", "--workers", 1)
    stopped.failed(
        130, "command 1 of 1 ended with exit code 130: awac collect-demos", "same rebuild to go on"
    )
    assert Path("x-rebuild/demos.zarr.part").is_dir()
    monkeypatch.delenv("STOP_AT")
    ran = awac("rebuild", path, "--run", "--trust-env", "--workers", 1, "--exact")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        f"same id  {read_manifest(path).id[:12]}  x-rebuild/demos.zarr",
        "rebuilt `x.zarr`: all ids are the recorded ones (1 artifact)",
    ]


def test_ctrl_c_reaches_the_command_once_so_that_it_saves(script, artifact, tmp_path):
    path = tmp_path / artifact("demos.zarr")
    slow = with_settings(read_manifest(path).recipe, "task.kwargs", {"hang_s": 0.02})
    rewrite(path, recipe=with_settings(slow, "collect.episodes", 5000))
    process = script("exec awac rebuild demos.zarr --run --trust-env --workers 1", tmp_path)
    begun = tmp_path / "demos-rebuild" / "demos.zarr.part" / "payload" / "zarr.json"
    deadline = time.monotonic() + 60
    while not begun.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert "of 5000 episodes; all of them are kept" in err
    assert err.splitlines()[-2].startswith("error: command 1 of 1 ended with exit code 130")


def test_code_that_a_manifest_names_is_not_run_without_trust(awac, artifact):
    path = artifact("demos.zarr")
    recipe = read_manifest(path).recipe
    awac("rebuild", path, "--run").failed(3, "environment `cli/Toy-v0` is in the module", "--trust-env")
    rewrite(path, recipe=with_settings(recipe, "collect.policy", "antigravity:fly"))
    awac("rebuild", path, "--run").failed(3, "names the policy `antigravity:fly`", "--trust-env")
    shown = awac("rebuild", path)
    assert shown.code == 0
    assert shown.err.startswith("warning: `demos.zarr` names the policy `antigravity:fly`")
    assert not Path("demos-rebuild").exists()


def test_nothing_is_compared_with_itself(awac, artifact):
    path = artifact("demos.zarr")
    awac("rebuild", path, "--dir", ".").failed(2, "`demos.zarr` is the recorded artifact", "another --dir")


def test_a_file_in_the_place_of_the_folder_is_left_alone(awac, artifact, tmp_path):
    (tmp_path / "file").touch()
    path = artifact("demos.zarr")
    awac("rebuild", path, "--run", "--trust-env", "--dir", "file").failed(
        2, "`file` is a file, not a folder", "--dir"
    )
