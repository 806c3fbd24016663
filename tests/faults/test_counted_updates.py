"""A resumed training makes at most the updates that remain, and those of one snapshot interval again."""

import time

import pytest
from fault_samples import some
from fault_stages import TOY

from awaccli.artifacts.manifest import read_manifest

DEFAULT_INTERVAL_S = 2.0
DEFAULT_SHARE = 0.01
STAGES = {"pretrained": "pretrain.updates", "finetuned": "finetune.env_steps"}


@pytest.fixture
def killed_past_half_way(awac, inputs, folder):
    """Return a function that runs a stage, kills it after a number of updates, and lets it finish.

    It returns what the first run logged of its updates and snapshots, and how many updates the second made.
    """

    def run(stage, *, after, extra=()):
        inputs(stage)
        logs = [folder.parent / f"updates-{number}" for number in (1, 2)]
        logs[0].touch()
        words = (*TOY[stage], *extra)
        first = awac(*words, FAULT_UPDATES=logs[0])
        while logs[0].read_bytes().count(b"update") < after:
            time.sleep(after / 10_000)
        first.kill()
        assert first.wait() == -9
        awac(*words, "--resume", FAULT_UPDATES=logs[1]).succeeded()
        return logs[0], len(updates(logs[1]))

    return run


def entries(log, name):
    lines = [line.split() for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [(float(done), float(took)) for what, done, took in lines if what == name]


def updates(log):
    return entries(log, "update")


@pytest.mark.parametrize("stage", some(STAGES, "pretrained"))
def test_with_a_given_interval(killed_past_half_way, stage, shelf, folder):
    total = 14 if stage == "pretrained" else 15
    log, again = killed_past_half_way(stage, after=8)
    remaining = total - len(updates(log))
    assert remaining <= again <= remaining + 3
    made = f"{stage}.ckpt"
    assert read_manifest(folder / made).id == read_manifest(shelf / made).id


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", STAGES)
def test_with_the_default_interval(killed_past_half_way, stage):
    """It is a time: two seconds, or as long as makes snapshots cost one per cent."""
    total = 4000
    size = ("--updates", total) if stage == "pretrained" else ("--set", f"finetune.utd={total / 30}")
    calm = ("--set", "awac.optimiser.critic_lr=1e-6")  # or the critic would soon explode on such data
    extra = (*size, *calm, "--save-every", 0, "--eval-every", 0)
    log, again = killed_past_half_way(stage, after=total // 2, extra=extra)
    made, saved = updates(log), entries(log, "save")
    assert saved, "no snapshot in half of the run: make it longer"
    interval_s = max(DEFAULT_INTERVAL_S, max(took for _, took in saved) / DEFAULT_SHARE)
    longest_s = max(took for _, took in made)
    since = made[-1][0] - interval_s - 2 * longest_s
    remaining = total - len(made)
    assert remaining <= again <= remaining + sum(done > since for done, _ in made) + 1
    assert again < total
