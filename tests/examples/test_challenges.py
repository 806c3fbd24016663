"""The challenge analysis with tiny budgets."""

import re
import shutil
from pathlib import Path

import pytest

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.manifest import read_manifest
from awaccli.config.algorithms import ALGORITHMS

pytestmark = pytest.mark.timeout(600)  # 25 s of CPU time, on a machine that may be busy
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "challenges"
SMALLER = {
    r"\[128, 128\]": "[8]",
    r"(?m)^updates = \d+": "updates = 2",
    r"(?m)^bc_updates = \d+": "bc_updates = 1",
    r"(?m)^batch_size = \d+": "batch_size = 8",
    r"(?m)^episodes = \d+": "episodes = 2",
    r"(?m)^env_steps = \d+": "env_steps = 210",
    r"(?m)^utd = \S+": "utd = 0.02",
    r"(?m)^episodes_per_round = \d+": "episodes_per_round = 1",
}
SAYING_MORE = "SETTINGS_bear=--set pretrain.updates=500 --set finetune.utd=3"
"""Behaviour models are in every 500th update's line of the log."""
OPTIONS = ["DEMOS=demos.h5", "EPISODES=1", "WATCHED=--eval-episodes 1", "OUT=out", SAYING_MORE]
RUN = Path("runs") / "relocate" / "seed-0"
BUDGETS = {"dapg": 2 + 2, "rlpd": 4, "sac": 4, "sacfd-prior": 4, "bear": 500 + 630}
BUDGETS |= dict.fromkeys(("cql", "cal-ql"), 2 + 21)
"""Updates where they are not those of most."""


@pytest.fixture(scope="module")
def chain(make_chain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("challenges")
    for file in ("Makefile", "relocate.toml"):
        shutil.copy(EXAMPLE / file, folder)
    shutil.copy(ROOT / "datasets" / "relocate-demos.h5", folder / "demos.h5")
    settings = folder / "relocate.toml"
    text = settings.read_text()
    for pattern, smaller in SMALLER.items():
        text, count = re.subn(pattern, smaller, text)
        assert count, pattern
    settings.write_text(text)
    made = make_chain(folder, OPTIONS)
    made.planned = made.plan("all")
    for line in made.planned:
        made.work(line)
    return made


def test_no_algorithm_is_left_out_and_nothing_is_made_twice(chain):
    trained = [line for line in chain.planned if line.startswith("awac pretrain")]
    assert {re.search(r"--algo (\S+)", line).group(1) for line in trained} == ALGORITHMS.keys() - {"bc"}
    assert len(chain.planned) == len(set(chain.planned))
    for line in trained:
        assert "--threads 1" in line


def test_made_again_nothing_runs(chain):
    assert chain.make("-q", "all", check=False).returncode == 0
    chain.make("AWAC=false", "all")


def test_all_had_the_same_data_steps_and_updates_but_where_the_example_says_so(chain):
    checkpoints = [path for path in sorted((chain.folder / RUN).glob("*.ckpt")) if not path.is_symlink()]
    curves = [path for path in checkpoints if not re.search(r"(-start|data-bc)$", path.stem)]
    assert len(curves) == len(ALGORITHMS) - 1 + 4
    data = read_manifest(chain.folder / RUN / "data.zarr").id
    demos = read_manifest(chain.folder / "runs" / "relocate" / "demos.zarr").id
    for path in curves:
        content = open_checkpoint(path).content
        assert content.env_steps == 210
        assert content.updates == BUDGETS.get(path.stem, 2 + 4), path
        offline = [reference.id for reference in content.data if reference.role == "offline"]
        assert offline == [demos if path.stem == "dapg" else data], path


def test_figures_and_tables_of_what_is_there(chain):
    for line in chain.plan("figures", "tables"):
        chain.work(line)
    figures = [
        "off-policy",
        "slow",
        "constrained",
        "later",
        "ablations",
        "nll-offline",
        "nll-online",
        "q-gap",
    ]
    names = {f"{name}.svg" for name in figures} | {"table.txt", "table.tex", "evaluations.csv"}
    assert {path.name for path in (chain.folder / "out").iterdir()} == names
    table = (chain.folder / "out" / "table.txt").read_text()
    for curve in ("awac", "bc", "frozen", "normaliser", *ALGORITHMS):
        assert re.search(rf"(?m)^{curve} ", table), curve


def test_the_hands_take_their_data_from_the_papers_example(chain):
    (chain.folder / "door.pickle").write_bytes(b"")
    shutil.copy(EXAMPLE / "door-human.toml", chain.folder)
    ours = chain.plan("TASK=door-human", "HUMAN=door.pickle", "awac")
    shutil.copy(ROOT / "examples" / "paper" / "Makefile", chain.folder / "paper.mk")
    theirs = chain.plan("-f", "paper.mk", "TASK=door-human", "HUMAN=door.pickle", "awac")
    for stage in ("data import", "bc-rollout"):
        found, wanted = ([line.split() for line in plan if stage in line] for plan in (ours, theirs))
        assert found == wanted != []
