import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from awaccli.artifacts.commit import Existing
from awaccli.config.resolve import resolve
from awaccli.config.settings import CollectSettings, EvaluateSettings, Execution
from awaccli.envs.registry import resolve_task
from awaccli.stages.bc_rollout import bc_rollout
from awaccli.stages.collect_demos import collect_demos
from awaccli.stages.evaluate import evaluate
from awaccli.stages.finding import find_training_data
from awaccli.stages.finetune import finetune
from awaccli.stages.pretrain import pretrain

TOYS = Path(__file__).parents[1] / "envs" / "toys"
SETTINGS = resolve(
    preset="smoke",
    assignments=[
        "bc.updates=12",
        "pretrain.updates=10",
        "finetune.env_steps=25",
        "finetune.utd=1.0",
        "finetune.episodes_per_round=3",
        "finetune.retry_failures=0.5",
        "rollout.episodes=5",
        "rollout.actions=mix",
        "awac.network.normalize_observations=true",
        "awac.average=0.9",
        "awac.bc_updates=3",
    ],
).settings
EXECUTION = Execution(save_every=4, log_every=5)


class StopAfter:
    """A reporter that asks to stop at the n-th time a stage looks."""

    def __init__(self, looks):
        self.looks = looks

    @contextmanager
    def phase(self, title, total, unit):
        yield self

    def update(self, done, **shown):
        pass

    def note(self, message):
        pass

    warn = note

    def interrupted(self):
        self.looks -= 1
        return signal.SIGINT if self.looks < 0 else 0


class Chain:
    """The five stages on a toy task in one folder."""

    def __init__(self, folder, *, execution=EXECUTION, ending="zarr", existing=Existing.REFUSE):
        self.folder, self.settings = folder, SETTINGS
        self.execution = execution.model_copy(update={"trust_env": True})  # the toys' module is our own
        self.ending, self.existing = ending, existing
        self.task = resolve_task("toy_tasks:Toy-v0", success_key="reached")

    def path(self, stem, ending=None):
        return self.folder / f"{stem}.{ending or self.ending}"

    def _run(self, stage, *arguments, **options):
        options.setdefault("existing", self.existing)
        return stage(*arguments, execution=self.execution, **options)

    def collect(self, **options):
        settings = CollectSettings(policy="random", episodes=4)
        return self._run(collect_demos, self.task, settings, self.path("demos"), **options)

    def rollout(self, demos, **options):
        return self._run(bc_rollout, demos, self.settings, self.path("toy"), **options)

    def pretrain(self, data, **options):
        return self._run(pretrain, [data], self.settings, self.path("pretrained", "ckpt"), **options)

    def finetune(self, start, **options):
        data = find_training_data(start, [], data_dir=None, added=[])
        online = self.path("finetuned-online")
        out = self.path("finetuned", "ckpt")
        return self._run(finetune, start, data, self.settings, out, online_out=online, **options)

    def evaluate(self, checkpoint, **options):
        out = self.path("eval", "json")
        return self._run(evaluate, checkpoint, EvaluateSettings(episodes=3), out, **options)

    def ids(self, **options):
        demos = self.collect(**options)
        data = self.rollout(demos, **options)
        pretrained = self.pretrain(data, **options)
        finetuned = self.finetune(pretrained, **options)
        return [demos.id, data.id, pretrained.id, finetuned.id, self.evaluate(finetuned, **options)]


@pytest.fixture(scope="session", autouse=True)
def _toys_and_no_power_cuts():
    """Find the toys, and leave out fsync: half of the time, against power cuts that no test makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOYS)
        patch.syspath_prepend(Path(__file__).parent / "toys")
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Return what an undisturbed run in one process makes; what a test has made is there for the next."""
    return Chain(tmp_path_factory.mktemp("reference"), existing=Existing.RESUME)


@pytest.fixture
def chain(tmp_path):
    def make(name, **options):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return Chain(folder, **options)

    return make


@pytest.fixture
def stop_after():
    return StopAfter


@pytest.fixture
def resume():
    return Existing.RESUME
