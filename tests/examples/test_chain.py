"""The relocate chain as Make runs it: real stages on the real task, with tiny budgets."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from awaccli.artifacts.manifest import read_manifest
from awaccli.data.evaluation import open_evaluation
from awaccli.envs.opengl import open_gl
from awaccli.errors import RunError

ROOT = Path(__file__).parents[2]
BEGIN = "<!-- quickstart: from here to the end marker, `make readme` writes -->"
END = "<!-- quickstart: end -->"
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
        for name in ("Makefile", "readme.py"):
            shutil.copy(ROOT / "examples" / "relocate" / name, folder)
        shutil.copy(ROOT / "datasets" / "relocate-demos.h5", folder / "demos.h5")
        (folder / "relocate.toml").write_text(TINY)
        awac = folder / "awac"
        awac.write_text(f'#!/bin/sh\necho "$1" >> {self.log}\nexec {Path(sys.executable).parent}/awac "$@"\n')
        awac.chmod(0o755)

    def make(self, *arguments, seed=0):
        """Run Make with one evaluation instead of four (seeds: all); return the commands that it started."""
        self.log.write_text("")
        one = f"EVALUATIONS=seed-{seed}/finetuned-mean.json" if "seeds" not in arguments else "EPISODES=1"
        tiny = ["CURVE=--eval-every 2 --eval-episodes 1", f"PYTHON={sys.executable}"]
        command = ["make", "AWAC=./awac", "DEMOS=demos.h5", "CORES=1", "EPISODES=1", *tiny, one, *arguments]
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


@pytest.fixture
def readme(chain):
    """Return a page with markers, and beside it the runs of seeds 0 and 1 and pictures that are none."""
    chain.make("seeds", "SEEDS=0 1")
    pictures = chain.folder / "docs" / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for name in ("quickstart-curves.svg", "quickstart.gif"):
        (pictures / name).write_text("drawn")
    page = chain.folder / "README.md"
    page.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    yield page
    shutil.rmtree(pictures)


def rewrite(page):
    command = [sys.executable, "readme.py", page.name, "seed-0", "seed-1"]
    return subprocess.run(command, cwd=page.parent, capture_output=True, text=True, check=False)


def cell(path):
    final = open_evaluation(path).outcome.success.final
    return f"{100 * final.rate:.0f} [{100 * final.low:.0f}, {100 * final.high:.0f}]"


def test_the_region_between_the_markers_is_what_the_runs_made_and_nothing_else_changes(readme):
    folder = readme.parent
    done = rewrite(readme)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("wrote README.md: seed-0, seed-1\n")
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    inside, after = rest.split(END)
    assert (before, after) == ("# Before\n\n", "\n\nAfter.\n")
    lines = inside.splitlines()
    assert lines[1:3] == [
        "| final success, % [95 % interval] | actions | seed 0 | seed 1 |",
        "| --- | --- | ---: | ---: |",
    ]
    assert lines[3] == "| 25 demonstrations | mean + noise | 52 [33, 70] | 52 [33, 70] |"
    assert lines[4].startswith("| behaviour cloning, 1 episodes each | mean | ")
    assert lines[5].startswith("|  | sample | ")
    named = ("after pretraining, frozen: the control", "", "after fine-tuning", "")
    stems = ("pretrained-mean", "pretrained-sample", "finetuned-mean", "finetuned-sample")
    for line, label, stem in zip(lines[6:10], named, stems, strict=True):
        cells = [cell(folder / f"seed-{seed}" / f"{stem}.json") for seed in (0, 1)]
        assert line == f"| {label} | {stem.partition('-')[2]} | {' | '.join(cells)} |"
    assert "\nOnline learning added " in inside
    assert "](docs/pictures/quickstart-curves.svg)" in inside
    assert "](docs/pictures/quickstart.gif)" in inside
    assert f"```text\n{(folder / 'seed-0' / 'table.txt').read_text()}```\n" in inside

    written = readme.stat().st_mtime_ns
    assert rewrite(readme).stdout.startswith("README.md shows these runs already\n")
    assert readme.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "has 0 times the marker <!-- quickstart: from here"),
        (BEGIN, "has 0 times the marker <!-- quickstart: end"),
        (f"{BEGIN}\n{BEGIN}\n{END}", "has 2 times the marker"),
        (f"{END}\n{BEGIN}", "its end marker is before the other"),
    ],
)
def test_a_page_without_its_markers_is_an_error_and_stays(readme, text, message):
    readme.write_text(text)
    done = rewrite(readme)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert readme.read_text() == text


def test_a_missing_picture_is_an_error(readme):
    (readme.parent / "docs" / "pictures" / "quickstart.gif").unlink()
    done = rewrite(readme)
    assert (done.returncode, done.stdout) == (1, "")
    assert "`docs/pictures/quickstart.gif` is missing" in done.stderr


def test_the_readme_of_this_repository_has_its_markers():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert 0 < text.find(BEGIN) < text.find(END)


def test_make_readme_draws_what_is_new_and_then_nothing(chain):
    try:
        open_gl()
    except RunError as error:
        pytest.skip(str(error))
    page, pictures = chain.folder / "README.md", chain.folder / "docs" / "pictures"
    page.write_text(f"{BEGIN}\n{END}\n")
    where = (
        "SEEDS=0 1",
        "README=README.md",
        "PICTURES=docs/pictures",
        "FILM=--video-every 100 --video-width 64",
    )
    assert sorted(chain.make("seeds", "readme", *where)) == ["compare", "eval"]
    with Image.open(pictures / "quickstart.gif") as film:
        assert (film.size, film.n_frames) == ((64, 48), 3)
    assert (pictures / "quickstart-curves.svg").read_text().startswith("<?xml")
    assert "| 25 demonstrations |" in page.read_text()
    made = {file: file.stat().st_mtime_ns for file in (page, *pictures.iterdir())}
    assert chain.make("seeds", "readme", *where) == []
    assert {file: file.stat().st_mtime_ns for file in made} == made
