"""``awac rebuild`` of chains with ``awac data`` verbs and imports."""

import os
import shlex
import shutil
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest

from awaccli.artifacts.manifest import read_manifest
from awaccli.data import derive
from awaccli.data.dataset import open_dataset
from awaccli.data.filter import filtered
from awaccli.data.relabel import Relabelling, SuccessRule, relabelled
from awaccli.data.repair import repair
from awaccli.envs.registry import resolve_task
from awaccli.reports.rebuild import plan
from awaccli.stages import import_data

TOYS = (Path(__file__).parents[1] / "envs" / "toys", Path(__file__).parent / "toys")
CHAIN = """
collect-demos cli_toys:cli/Toy-v0 --success-key reached --policy random -n 9 -o demos.zarr
data split demos.zarr --ratio 0.333333333,0.4 --names a,b,c --seed 3 -o part
data filter part-a.zarr ' -index > -2' -o few.h5
data relabel few.h5 --success 'observation[0] > 0' --binary --reward-scale 0.1 -o one.zarr
data relabel part-c.zarr --success 'observation[0] > 0' --binary --reward-scale 0.1 -o two.zarr
data merge one.zarr two.zarr -o all.zarr
pretrain --data all.zarr --updates 2 --batch-size 8 --threads 1 -o last.ckpt
""".strip()
LINES = """\
mkdir -p again
awac collect-demos cli_toys:cli/Toy-v0 --horizon 6 --success-key reached -n 9 --policy random -o again/demos.zarr
awac data split again/demos.zarr --ratio 0.333333333,0.4,0.266666667 --names a,b,c --seed 3 -o again/split.zarr
awac data relabel again/split-c.zarr --success 'observation[0] > 0' --binary --reward-scale 0.1 -o again/relabelled.zarr
awac data filter again/split-a.zarr ' -index > -2' -o again/filtered.zarr
awac data relabel again/filtered.zarr --success 'observation[0] > 0' --binary --reward-scale 0.1 -o again/relabelled-2.zarr
awac data merge again/relabelled-2.zarr again/relabelled.zarr -o again/merged.zarr
awac pretrain --data again/merged.zarr --updates 2 --set pretrain.batch_size=8 --threads 1 -o again/pretrained.ckpt
"""  # noqa: E501
MAP = """
name = "peg \\"in\\" hole"
actions = ["command", "gripper"]
success = "peg < 0.5"
[observations]
joints = { path = "q", scale = 0.5, unit = "rad" }
arm = "arm"
[fields]
peg = "peg"
[episodes]
lengths = "lengths"
[credits]
authors = "our lab"
licence = "MIT"
"""


def run(awac, lines):
    """Run lines of `awac`, without what starts workers."""
    for line in lines:
        words = shlex.split(line)
        if words[0] == "mkdir":
            Path(words[-1]).mkdir(parents=True, exist_ok=True)
        else:
            words = words[1:] if words[0] == "awac" else words
            result = awac(*words, *(() if words[0] == "data" else ("--workers", 1)))
            assert result.code == 0, f"{line}\n{result.err}"


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Return the folder of a chain that the first test makes that asks for it."""
    return tmp_path_factory.mktemp("chain")


@pytest.fixture
def made(awac, chain, tmp_path, monkeypatch):
    """Return this test's folder with a copy of the chain."""
    with monkeypatch.context() as patch:
        patch.chdir(chain)
        if not (chain / "last.ckpt").exists():
            run(awac, CHAIN.splitlines())
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_chain_of_verbs_is_rebuilt_with_every_id_from_its_last_artifact(awac, made, tmp_path, monkeypatch):
    assert awac("rebuild", "last.ckpt", "--dir", "again").out == LINES
    recorded = {
        name: read_manifest(made / name).id
        for name in ("demos.zarr", "part-a.zarr", "part-c.zarr", "few.h5", "one.zarr", "two.zarr", "all.zarr")
    } | {"last.ckpt": read_manifest(made / "last.ckpt").id}
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.move("last.ckpt", alone / "last.ckpt")
    monkeypatch.chdir(alone)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, TOYS)))
    for name in recorded.keys() - {"last.ckpt"}:
        (shutil.rmtree if (made / name).is_dir() else Path.unlink)(made / name)
    ran = awac("rebuild", "last.ckpt", "--run", "--trust-env", "--workers", 1)
    assert ran.code == 0, ran.err
    same = [line.split() for line in ran.out.splitlines()[:-1]]
    assert {words[2] for words in same} == {identity[:12] for identity in recorded.values()}
    assert {tuple(words[:2]) for words in same} == {("same", "id")}
    assert ran.out.splitlines()[-1] == "rebuilt `last.ckpt`: all ids are the recorded ones (8 artifacts)"


def test_the_default_preset_need_not_be_known_where_the_data_is_gone(awac, made, tmp_path):
    (tmp_path / "alone").mkdir()
    shutil.move("last.ckpt", tmp_path / "alone" / "last.ckpt")
    lines = plan(Path("alone/last.ckpt"), Path("again")).lines()
    assert lines[-1] == LINES.splitlines()[-1]  # scaled rewards are dense ones

    run(awac, ["data relabel demos.zarr --success 'observation[0] > 0' -o rule.zarr"])
    run(awac, ["pretrain --data rule.zarr --updates 2 --batch-size 8 --threads 1 -o rule.ckpt"])
    known = plan(Path("rule.ckpt"), Path("again")).lines()[-1]
    shutil.move("rule.ckpt", tmp_path / "alone" / "rule.ckpt")
    unknown = plan(Path("alone/rule.ckpt"), Path("again")).lines()[-1]
    assert known == (
        "awac pretrain --data again/relabelled.zarr --updates 2 --set pretrain.batch_size=8 --threads 1 "
        "-o again/pretrained.ckpt"
    )
    Path("again").mkdir()
    run(awac, [unknown.replace("again/relabelled", "rule")])
    assert read_manifest(Path("again/pretrained.ckpt")).id == read_manifest(Path("alone/rule.ckpt")).id


@pytest.mark.parametrize(
    ("command", "name", "out"),
    [
        ("data subsample demos.zarr -n 3 --stratify source --seed 2 -o x.h5", "x.h5", "subsampled.h5"),
        ("data subsample demos.zarr --fraction 0.3 -o x.zarr", "x.zarr", "subsampled.zarr"),
        ("data dedupe twice.zarr -o x.zarr", "x.zarr", "distinct.zarr"),
        ("data split part-b.zarr --by source -o x.h5", "x-random.h5", "split-b.h5"),
        ("data split twice.zarr --ratio 0.5 -o x.h5", "x-train.h5", "split-train.h5"),
        ("data relabel demos.zarr --horizon 3 --drop-before -o x.zarr", "x.zarr", "relabelled.zarr"),
    ],
)
def test_each_verb_is_made_again(awac, made, command, name, out):
    run(awac, ["data merge part-b.zarr demos.zarr -o twice.zarr", command])
    lines = plan(made / name, Path("again")).lines()
    run(awac, lines)
    assert read_manifest(Path("again") / out).id == read_manifest(made / name).id


def test_goals_of_another_task_are_named_and_code_of_a_stranger_is_not_run(awac, shelf, tmp_path):
    shutil.copytree(shelf / "demos.zarr", tmp_path / "demos.zarr")
    data = open_dataset(tmp_path / "demos.zarr")
    recipe = derive.derived_recipe(
        "relabel",
        [data],
        {
            "hindsight": 2,
            "achieved": ["observation"],
            "desired": ["observation"],
            "rule": {"task": resolve_task("cli_toys:cli/Toy-v0").model_dump(mode="json"), "threshold": None},
        },
    )
    derive.derive(tmp_path / "far.zarr", recipe, data.header, list(data)[1:], parents=[data])
    found = awac("rebuild", "far.zarr", "--reuse")
    assert found.code == 0, found.err
    assert "whose environment `cli/Toy-v0` is in the module `cli_toys`" in found.err
    assert awac("rebuild", "far.zarr", "--reuse", "--run").code == 3


def test_rules_of_python_and_repaired_data_are_roots(awac, shelf, tmp_path):
    shutil.copytree(shelf / "demos.zarr", tmp_path / "demos.zarr")
    data = open_dataset(tmp_path / "demos.zarr")
    rule = SuccessRule(
        of=lambda episode: episode.observations[1:, 0] > 0, words="right", settings={"mine": 1}
    )
    relabelled(data, Relabelling(success=rule)).write(tmp_path / "mine.zarr")
    awac("rebuild", "mine.zarr").failed(3, "was relabelled by a rule that only Python code knows", "a copy")
    filtered(open_dataset(tmp_path / "mine.zarr"), "index > 0").write(tmp_path / "last.zarr")
    shown = awac("rebuild", "last.zarr")
    assert shown.out.splitlines()[1:] == [
        "awac data filter mine.zarr 'index > 0' -o last-rebuild/filtered.zarr"
    ]
    assert shown.err.startswith(
        "`mine.zarr` was relabelled by a rule that only Python code knows: it is used"
    )


def test_a_repaired_dataset_is_a_root(awac, tmp_path, monkeypatch):
    monkeypatch.setenv("STOP_AT", "3")
    monkeypatch.setenv("STOP_WITH", "SIGINT")
    assert awac("collect-demos", "TOY", "RANDOM", "-n", 9, "-o", "d.zarr").code == 130
    repair(tmp_path / "d.zarr.part")
    awac("rebuild", "d.zarr").failed(3, "`d.zarr` was repaired: it is what an interrupted run left", "copy")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "has settings of `data-split` that this awac does not read"),
        ({"by": "ratio", "ratio": 3, "part": "a"}, "has settings of `data-split` that this awac"),
        ({"by": "source", "part": "../../a"}, "is the part `../../a` of a split"),
        ({"by": "split", "names": ["a,b"], "part": "a-b"}, "is of splits whose names hold a comma"),
    ],
)
def test_forged_recipes_of_verbs_are_refused(awac, shelf, tmp_path, settings, message):
    shutil.copytree(shelf / "demos.zarr", tmp_path / "demos.zarr")
    data = open_dataset(tmp_path / "demos.zarr")
    recipe = derive.derived_recipe("split", [data], {"part": "a"} | settings)
    derive.derive(tmp_path / "x.zarr", recipe, data.header, list(data)[1:], parents=[data])
    awac("rebuild", "x.zarr").failed(3, message, "keep a copy")


@pytest.fixture
def file(tmp_path):
    """Return an npz without marks of where the clock ended an episode."""
    rng = np.random.default_rng(0)
    (tmp_path / "raw").mkdir()
    np.savez(
        tmp_path / "raw" / "robot.npz",
        observations=rng.normal(size=(12, 3)).astype(np.float32),
        actions=rng.uniform(-1, 1, (12, 2)).astype(np.float32),
        rewards=np.zeros(12, np.float32) - 1,
        terminals=np.arange(12) == 5,
    )
    return Path("raw/robot.npz")


def test_an_import_is_made_again_from_the_file_that_has_its_hash(awac, file, tmp_path):
    said = "--horizon 6 --name peg --source-kind human --source-name 'operator 7' --authors us --licence MIT"
    run(awac, [f"data import {file} {said} -o robot.h5", "data filter robot.h5 'index > 0' -o late.zarr"])
    recorded = {name: read_manifest(Path(name)).id for name in ("robot.h5", "late.zarr")}
    lines = awac("rebuild", "late.zarr", "--dir", "again").out.splitlines()
    assert lines[1] == (
        "awac data import raw/robot.npz --format npz --name peg --horizon 6 --source-kind human "
        "--source-name 'operator 7' --authors us --licence MIT -o again/imported.zarr"
    )
    (tmp_path / "shelf").mkdir()
    shutil.move(file, tmp_path / "shelf" / "renamed.bin")  # neither where it was nor called so
    np.savez("robot.npz", observations=np.zeros((2, 3)), actions=np.zeros((2, 2)))
    Path("robot.h5").unlink()
    lost = awac("rebuild", "late.zarr", "--dir", "again")
    lost.failed(3, "which was imported from `robot.npz` (", "name its folder with --parents")
    assert "bytes, SHA-256 " in lost.err
    found = awac("rebuild", "late.zarr", "--parents", "shelf", "--run", "--dir", "again", "--quiet")
    assert found.code == 0, found.err
    assert read_manifest(Path("again/imported.zarr")).id == recorded["robot.h5"]
    assert read_manifest(Path("again/filtered.zarr")).id == recorded["late.zarr"]


def test_a_file_in_a_neighbouring_folder_has_a_plain_path(awac, file, tmp_path, monkeypatch):
    (tmp_path / "made").mkdir()
    run(awac, [f"data import {file} --horizon 6 -o made/robot.zarr"])
    assert f" {file} " in awac("rebuild", "made/robot.zarr").out
    monkeypatch.chdir("made")
    assert f" {tmp_path / file} " in awac("rebuild", "robot.zarr").out


def test_an_import_whose_file_is_gone_is_used_as_it_is(awac, file):
    run(
        awac,
        [f"data import {file} --horizon 6 -o robot.zarr", "data filter robot.zarr 'index>0' -o l.zarr"],
    )
    file.unlink()
    shown = awac("rebuild", "l.zarr")
    assert shown.out.splitlines()[1].startswith("awac data filter robot.zarr ")
    assert shown.err.startswith("`robot.zarr` was imported from `robot.npz` (")
    assert "is not found: it is used as it is" in shown.err


def test_an_import_by_a_description_brings_the_description_with_it(awac, tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File("data.h5", "w") as store:
        store["q"], store["arm"] = rng.normal(size=(9, 2)), rng.normal(size=(9, 1))
        store["command"], store["gripper"] = rng.uniform(-1, 1, (9, 1)), rng.uniform(-1, 1, 9)
        store["peg"], store["lengths"] = rng.random(9), np.array([4, 5])
    Path("robot.toml").write_text(MAP)
    run(awac, ["data import data.h5 --map robot.toml -o robot.zarr"])
    Path("robot.toml").unlink()
    found = plan(Path("robot.zarr"), tmp_path / "again")
    (written,) = found.files
    assert list(tomllib.loads(written.text)["observations"]) == ["joints", "arm"]
    (command,) = found.commands
    assert command.arguments[:3] == ("data", "import", "data.h5")
    ran = awac("rebuild", "robot.zarr", "--run", "--quiet")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("same id")
    assert f"cat > again/imported.toml <<'END'\n{written.text}END" in "\n".join(
        plan(Path("robot.zarr"), Path("again")).lines()
    )


def test_descriptions_in_another_order_are_other_recipes(awac, tmp_path):
    from awaccli.data.formats.mapped import read_mapped

    np.savez("d.npz", a=np.zeros((3, 1)), b=np.ones((3, 1)), c=np.zeros((3, 1)), r=np.zeros(3), n=[3])
    base = 'name = "x"\nactions = "c"\nrewards = "r"\n[episodes]\nlengths = "n"\n[observations]\n'
    keys = set()
    for order in ('a = "a"\nb = "b"\n', 'b = "b"\na = "a"\n'):
        Path("m.toml").write_text(base + order)
        foreign = read_mapped(Path("d.npz"), Path("m.toml"))
        keys.add(import_data.prepare_import(foreign, import_data.ImportSettings()).recipe.key)
    assert len(keys) == 2


def test_precision_and_compilation_are_those_of_the_run(awac, made):
    run(
        awac,
        ["pretrain --data all.zarr --updates 1 --batch-size 8 --precision bf16 --compile never -o x.ckpt"],
    )
    (line,) = plan(Path("x.ckpt"), Path("again"), reuse=True).lines()[1:]
    assert " --precision bf16 --compile never -o again/pretrained.ckpt" in line
