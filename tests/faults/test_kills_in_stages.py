"""Every stage, killed at random moments and resumed until it finishes: the same result, and nothing lost.

The moments are uniform over the time that the stage takes undisturbed, those of resumed runs included.
"""

import itertools
import signal
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from fault_readers import committed, hashes_in
from fault_samples import some
from fault_stages import HAND, TOY

from awaccli.artifacts.manifest import read_manifest

SEED = 0
KILLS_OF_A_RUN = 4
"""After as many it is left to finish."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
ENDS = {
    signal.SIGKILL: {-9: "killed"},
    signal.SIGINT: {130: "saved and left", -2: "left while starting"},
    signal.SIGTERM: {143: "saved and left", -15: "left while starting"},
}


@dataclass
class Victim:
    """A stage that is killed again and again."""

    awac: object
    """How to start it."""
    folder: Path
    words: tuple
    rng: np.random.Generator
    tally: object
    undisturbed_s: float
    options: dict
    kills: int = 0
    kept: dict = field(default_factory=dict)
    """Hashes and seeds of the episodes that were committed when they were last looked at, by dataset."""

    def finish(self):
        """Kill and resume it, and let it finish in the end."""
        for attempt in range(KILLS_OF_A_RUN):
            if self._ends_by_itself(attempt):
                return
        log = self.folder.parent / "log-last"
        self._start(log).succeeded()
        self._look(log)

    def _ends_by_itself(self, attempt):
        log = self.folder.parent / f"log-{attempt}"
        run = self._start(log)
        number = SIGNALS[self.rng.integers(len(SIGNALS))]
        run.after(self.rng.uniform(0, self.undisturbed_s), number)
        code = run.wait()
        assert run.orphans() == []
        starting = self.options["fresh"] and code == -signal.SIGINT  # Python itself, importing
        assert starting or "/awaccli/" not in run.err, f"a traceback: {run.err}"
        self._look(log)
        if code:
            self.kills += 1
            command = " ".join(self.words[:2]) if self.words[0] == "data" else self.words[0]
            self.tally(f"{command}, {number.name}", ENDS[number][code])
        return code == 0

    def _start(self, log):
        return self.awac(*self.words, "--resume", where=self.folder, FAULT_LOG=log, **self.options)

    def _look(self, log):
        """Check that what was committed is still there, whole, and was not collected again."""
        known = {seed for _, seeds in self.kept.values() for seed in seeds}
        collected = set(map(int, log.read_text().split())) if log.exists() else set()
        assert not known & collected, "a committed episode was collected twice"
        for path in sorted({Path(str(path).removesuffix(".part")) for path in self.folder.iterdir()}):
            if path.suffix in (".zarr", ".h5") and not path.is_symlink():
                before, now = self.kept.get(path, ([], []))[0], hashes_in(path)
                assert now[: len(before)] == before, f"{path.name}: {len(before)} episodes, then {len(now)}"
                self.kept[path] = now, committed(path).episodes.seed.tolist() if now else []


@dataclass(frozen=True)
class Variant:
    """How a stage is run when it is killed: none of it changes the result."""

    task: str = "toy"
    workers: int = 1
    hdf5: bool = False
    fresh: bool = False
    """In new interpreters: some kills fall into their start."""

    def fits(self, stage):
        """Return whether a stage has what is varied here."""
        makes_data, steps = stage not in ("pretrained", "measured"), stage != "merged"
        return (makes_data or not self.hdf5) and (steps or self.workers == 1)

    def __str__(self):
        extras = [name for name in ("hdf5", "fresh") if getattr(self, name)]
        return "-".join([self.task, f"{self.workers}-workers", *extras])


LONG = (
    Variant(),
    Variant(workers=2),
    Variant(hdf5=True),
    Variant(fresh=True),
    Variant(task="hand"),
    Variant(task="hand", workers=2, hdf5=True),
)
CASES = [(stage, variant) for stage in TOY for variant in LONG if variant.fits(stage)]


@pytest.fixture
def kill(awac, tally, inputs, folder, request):
    """Return a function that kills a stage over and over until enough kills have hit it."""

    def kill(stage, kills, variant):
        stages, shelf = (TOY, "shelf") if variant.task == "toy" else (HAND, "hand_shelf")
        shelf = request.getfixturevalue(shelf)
        expected = {path.name: read_manifest(path).id for path in shelf.glob(f"{stage}*")}
        renamed = {name: name.replace(".zarr", ".h5") if variant.hdf5 else name for name in expected}
        words = [renamed.get(word, word) for word in stages[stage]]
        words += ["--workers", variant.workers] if variant.workers > 1 else []
        words += ["--save-online", "finetuned-online.h5"] if variant.hdf5 and stage == "finetuned" else []
        rng = np.random.default_rng((SEED, *f"{stage} {variant}".encode()))
        hits, undisturbed_s = 0, None
        for number in itertools.count():
            here = folder / str(number) / "here"
            here.mkdir(parents=True)
            inputs(stage, shelf, here)
            before = set(here.iterdir())
            if undisturbed_s is None:
                undisturbed_s = awac(*words, where=here, fresh=variant.fresh).succeeded()
            else:
                victim = Victim(awac, here, words, rng, tally, undisturbed_s, {"fresh": variant.fresh})
                victim.finish()
                hits += victim.kills
            made = {path.name: read_manifest(path).id for path in set(here.iterdir()) - before}
            assert made == {renamed[name]: identity for name, identity in expected.items()}
            if hits >= kills:
                return

    return kill


@pytest.mark.parametrize("stage", some(TOY, "finetuned"))
def test_a_killed_stage_resumes_to_the_same_result(kill, stage):
    kill(stage, 1, Variant())


@pytest.mark.slow
def test_workers_die_with_their_stage(kill):
    kill("demos", 1, Variant(workers=2))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("stage", "variant"), CASES, ids=str)
def test_many_kills(kill, stage, variant):
    kill(stage, 12, variant)
