"""The relocate chain as Make runs it: real stages on the real task, with tiny budgets."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from awaccli.artifacts.manifest import read_manifest

ROOT = Path(__file__).parents[2]
TINY = """
[bc]
updates = 4
batch_size = 16
[rollout]
episodes = 2
[awac.network]
policy_hidden = [16]
critic_hidden = [16]
[pretrain]
updates = 4
batch_size = 16
[finetune]
env_steps = 210
batch_size = 16
utd = 0.02
episodes_per_round = 1
"""


class Chain:
    """A copy of the example, and a note of every command that Make starts."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "log.txt"
        shutil.copy(ROOT / "examples" / "relocate" / "Makefile", folder)
        shutil.copy(ROOT / "datasets" / "relocate-demos.h5", folder / "demos.h5")
        (folder / "relocate.toml").write_text(TINY)
        awac = folder / "awac"
        awac.write_text(f'#!/bin/sh\necho "$1" >> {self.log}\nexec {Path(sys.executable).parent}/awac "$@"\n')
        awac.chmod(0o755)

    def make(self, *arguments, seed=0):
        """Run Make with one evaluation instead of four; return the commands that it started."""
        self.log.write_text("")
        one = f"EVALUATIONS=seed-{seed}/finetuned-mean.json" if "seeds" not in arguments else "EPISODES=1"
        command = ["make", "AWAC=./awac", "DEMOS=demos.h5", "CORES=1", "EPISODES=1", one, *arguments]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
        subprocess.run(
            command, cwd=self.folder, check=True, env=environment, timeout=110, capture_output=True
        )
        return self.log.read_text().split()

    def made(self, seed=0):
        """Return what says when and what was made, by artifact."""
        names = ["relocate.zarr", "relocate-bc.ckpt", "pretrained.ckpt", "finetuned.ckpt"]
        names += ["finetuned-online.zarr", "finetuned-mean.json"]
        manifests = {name: read_manifest(self.folder / f"seed-{seed}" / name) for name in names}
        return {name: (found.id, found.run.started, found.run.wall_s) for name, found in manifests.items()}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    made = Chain(tmp_path_factory.mktemp("chain"))
    assert made.make() == ["bc-rollout", "pretrain", "finetune", "eval", "compare"]
    return made


def test_made_again_nothing_runs(chain):
    assert chain.make() == []


def test_a_touched_input_with_equal_content_trains_nothing(chain):
    before = chain.made()
    time.sleep(0.01)
    (chain.folder / "demos.h5").touch()
    assert chain.make() == ["bc-rollout", "pretrain", "finetune", "eval", "compare"]
    assert chain.made() == before
    assert chain.make() == []


def test_a_deleted_intermediate_comes_back_with_the_same_id_and_nothing_else_is_made(chain):
    before = chain.made()
    shutil.rmtree(chain.folder / "seed-0" / "pretrained.ckpt")
    chain.make("seed-0/pretrained.ckpt")
    chain.make()
    after = chain.made()
    assert after["pretrained.ckpt"][0] == before["pretrained.ckpt"][0]
    assert after["pretrained.ckpt"] != before["pretrained.ckpt"]
    del before["pretrained.ckpt"], after["pretrained.ckpt"]
    assert after == before


def test_a_changed_setting_makes_its_branch_again_and_no_other(chain):
    before = chain.made()
    (chain.folder / "relocate.toml").write_text(TINY.replace("utd = 0.02", "utd = 0.03"))
    chain.make()
    after = chain.made()
    same = {name for name in before if before[name] == after[name]}
    assert same == {"relocate.zarr", "relocate-bc.ckpt", "pretrained.ckpt"}
    assert chain.make() == []


def test_seeds_side_by_side(chain):
    before = chain.made()
    started = chain.make("-j2", "seeds", "SEEDS=0 1")
    assert chain.made() == before
    assert started.count("finetune") == 1
    assert chain.made(seed=1)["pretrained.ckpt"][0] != before["pretrained.ckpt"][0]
    table = (chain.folder / "seed-1" / "table.txt").read_text()
    assert "finetuned" in table
    assert (
        json.loads((chain.folder / "seed-1" / "finetuned-mean.json").read_bytes())["outcome"]["episodes"] == 1
    )
