"""The curves of the paper's figure, its controls and ablations, with tiny budgets."""

import re
import shutil
from pathlib import Path

import pytest

from awaccli.artifacts.checkpoint import open_checkpoint

pytestmark = pytest.mark.timeout(600)  # 25 s of CPU time, on a machine that may be busy
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "paper"
TINY = """
[rollout]
episodes = 2
[bc]
updates = 2
batch_size = 8
network = { policy_hidden = [8] }
[awac]
bc_updates = 1
return_updates = 1
network = { policy_hidden = [8], critic_hidden = [8] }
[pretrain]
updates = 2
batch_size = 8
[finetune]
batch_size = 8
utd = 0.02
episodes_per_round = 1
"""
CONTROLS = {"awac", "shuffled", "no-pretraining", "filtered-bc"}


@pytest.fixture(scope="module")
def chain(make_chain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples") / "examples" / "paper"
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLE / "Makefile", folder)
    (folder.parents[1] / "datasets").mkdir()
    shutil.copy(ROOT / "datasets" / "relocate-demos.h5", folder.parents[1] / "datasets")
    (folder / "tiny.toml").write_text(TINY)
    budgets = ["STEPS_relocate=--env-steps 210", "UPDATES_relocate=4", "ABLATION_STEPS=210", "EPISODES=1"]
    settings = [
        "TASK=relocate",
        "SETTINGS_relocate=--config tiny.toml",
        "WATCHED=--eval-every 3 --eval-episodes 1",
        "OUT=out",
    ]
    made = make_chain(folder, [*settings, *budgets])
    made.planned = made.plan("all", "ablations")
    for line in made.planned:
        made.work(line)
    return made


def curves(chain):
    """Return what ends a curve, by its name."""
    folder = chain.folder / "runs" / "relocate" / "seed-0"
    made = {file.name.removesuffix("-mean.json") for file in folder.glob("*-mean.json")}
    return {name: open_checkpoint(folder / f"{name}.ckpt") for name in made}


def ablations(chain):
    text = (chain.folder / "Makefile").read_text()
    return {"modern-short", "uniform"} | set(re.findall(r"(?m)^SETTINGS_(?!relocate|pen)(\S+) :=", text))


def test_made_again_nothing_runs(chain):
    assert chain.make("-q", "all", "ablations", check=False).returncode == 0


def test_controls_and_ablations_differ_from_awac_in_what_they_are_called_after(chain):
    found = curves(chain)
    assert found.keys() == CONTROLS | {"frozen", "bc", "bc-long"} | ablations(chain)
    for name in CONTROLS | ablations(chain):
        assert found[name].content.env_steps == 210, name
    settings = {name: checkpoint.manifest.recipe.settings for name, checkpoint in found.items()}
    ours = settings["modern-short"]
    assert settings["awac"] == ours
    assert settings["shuffled"]["awac"] == ours["awac"] | {"shuffle_advantages": True}
    assert found["bc-long"].content.updates == 4
    assert found["no-pretraining"].content.updates == 4
    assert all(settings[name] != ours for name in ablations(chain) - {"modern-short"})


def test_figure_and_tables_of_what_is_there(chain):
    for line in chain.plan("figure"):
        chain.work(line)
    names = {path.name for path in (chain.folder / "out").iterdir()}
    tables = {"table.txt", "by-actions.txt", "ablations.txt"}
    assert names == tables | {"curves.svg", "evaluations.csv", "ablations.csv"}
    said = {name: (chain.folder / "out" / name).read_text() for name in tables}
    for curve in CONTROLS | {"frozen", "bc", "bc-long"}:
        assert re.search(rf"(?m)^{curve} ", said["table.txt"]), curve
    assert said["ablations.txt"].split("\n")[2].startswith("modern-short ")
    for name in ablations(chain):
        assert re.search(rf"(?m)^{name} ", said["ablations.txt"]), name
