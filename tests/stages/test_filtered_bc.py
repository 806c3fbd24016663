"""Cloning of successes only: the control that a critic must beat."""

import pytest

from awaccli.artifacts.manifest import Recipe
from awaccli.artifacts.tensors import read_policy
from awaccli.config.resolve import load_preset, resolve
from awaccli.data.derive import derive
from awaccli.errors import DatasetError
from awaccli.stages.finding import find_training_data
from awaccli.stages.finetune import finetune
from awaccli.stages.pretrain import pretrain

SETTINGS = resolve(
    inherited=[("filtered-bc", load_preset("filtered-bc"))],
    preset="smoke",
    assignments=[
        "bc.network.normalize_observations=false",
        "pretrain.updates=5",
        "finetune.env_steps=12",
        "finetune.utd=0.5",
    ],
).settings


@pytest.fixture
def made(chain):
    return chain("filtered")


def part(made, name, keep):
    """Make a dataset of those random episodes that end as asked."""
    demos = made.collect(existing=made.existing.RESUME)
    recipe = Recipe(stage="x", version=1, settings={"name": name}, seed=0)
    episodes = [episode for episode in demos if keep(bool(episode.success[-1]))]
    return derive(made.path(name), recipe, demos.header, episodes, parents=[demos])


def trained(made, name, data, settings=SETTINGS):
    return pretrain(data, settings, made.path(name, "ckpt"), algo="filtered-bc", execution=made.execution)


def test_failures_make_no_difference(made):
    mixed, good = (part(made, name, keep) for name, keep in (("mixed", lambda won: True), ("good", bool)))
    assert 0 < len(good) < len(mixed)
    plain = SETTINGS.pretrain.model_copy(update={"success_ratio": 0.0})
    unfiltered = SETTINGS.model_copy(update={"pretrain": plain})
    runs = [
        trained(made, "of-mixed", [mixed]),
        trained(made, "of-good", [good]),
        trained(made, "all-of-good", [good], unfiltered),
        trained(made, "all-of-mixed", [mixed], unfiltered),
    ]
    heads = [read_policy(run.path / "policy.safetensors").arrays["mean.bias"].tolist() for run in runs]
    assert heads[0] == heads[1] == heads[2] != heads[3]


def test_without_a_success_it_refuses_to_begin(made):
    bad = part(made, "bad", lambda won: not won)
    with pytest.raises(DatasetError, match=r"`.*bad\.zarr` has none") as error:
        trained(made, "none", [bad])
    assert "smaller share" in error.value.hint
    assert not made.path("none", "ckpt.part").exists()

    good = part(made, "good", bool)
    start = trained(made, "start", [good])
    only_bad = find_training_data(start, [bad.path], data_dir=None, added=[])
    with pytest.raises(DatasetError, match=r"finetune\.success_ratio = 1"):
        finetune(start, only_bad, SETTINGS, made.path("end", "ckpt"), execution=made.execution)


def test_it_goes_on_online(made):
    start = trained(made, "start", [part(made, "mixed", lambda won: True)])
    data = find_training_data(start, [], data_dir=None, added=[])
    end = finetune(start, data, SETTINGS, made.path("end", "ckpt"), execution=made.execution)
    assert (end.content.algo, end.content.updates, end.content.env_steps) == ("filtered-bc", 5 + 6, 12)
    assert end.policy().arrays["mean.bias"].tolist() != start.policy().arrays["mean.bias"].tolist()
