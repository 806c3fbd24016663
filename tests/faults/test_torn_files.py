"""Files that are cut off, emptied, altered or gone: found, named, and a way on.

No kill of awac leaves such files (`test_kills_at_every_event.py`); disks, copies and other programs do.
"""

import itertools
import shutil

import pytest
import zarr
from fault_readers import episodes_in, read
from fault_samples import some
from fault_stages import TOY

from awaccli.artifacts.manifest import read_manifest
from awaccli.errors import InputError, exit_code_of
from awaccli.seeding import integer

ARTIFACTS = ("demos.zarr", "demos.h5", "pretrained.ckpt", "measured.json")


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def garble(path):
    path.write_bytes(b"\xff\xfe" + path.read_bytes()[2:])


def remove(path):
    path.unlink()


FILES = ("zarr.json", "steps/observations/zarr.json", "steps/observations/c/0/0")
DAMAGES = (halve, empty, garble, remove)


@pytest.mark.parametrize("name", some(ARTIFACTS, "pretrained.ckpt", "measured.json"))
def test_damage_to_any_file_of_an_artifact_is_an_input_error_that_names_it(shelf, awac, folder, name):
    if name == "demos.h5":
        awac(*(name if word == "demos.zarr" else word for word in TOY["demos"])).succeeded()
    else:
        (shutil.copytree if (shelf / name).is_dir() else shutil.copy2)(shelf / name, folder / name)
    path = folder / name
    files = [file for file in path.rglob("*") if file.is_file() and file.stat().st_size] or [path]
    damages = DAMAGES if len(files) < len(DAMAGES) else itertools.cycle(DAMAGES)
    for file, damage in zip(files * len(DAMAGES), damages, strict=False):
        whole = file.read_bytes()
        damage(file)
        with pytest.raises(InputError, match=name) as caught:
            read(path)
        assert exit_code_of(caught.value) == 3
        file.write_bytes(whole)
    read(path)


def test_the_command_line_says_so_with_exit_3(awac, copied):
    halve(copied("finetuned.ckpt") / "manifest.json")
    words = TOY["measured"]
    awac(*words).failed(3, "the manifest of `finetuned.ckpt` is damaged", "restore the artifact from a copy")
    awac(*words, "--resume").failed(3, "the manifest of `finetuned.ckpt` is damaged")


@pytest.mark.slow
def test_a_damaged_output_is_not_taken_for_a_finished_one(awac, copied):
    halve(copied("demos.zarr") / "manifest.json")
    awac(*TOY["demos"], "--resume").failed(4, "`demos.zarr` exists and cannot be used", "--overwrite")
    awac(*TOY["demos"], "--overwrite").succeeded()


@pytest.fixture
def stopped(awac, inputs, folder):
    """Return a function that runs a stage until its environment fails, and returns what it leaves."""

    def stop(stage, phase, episode):
        inputs(stage)
        broken = {"FAULT": "raise", "FAULT_SEED": integer(0, phase, episode, "env"), "FAULT_STEP": 1}
        awac(*TOY[stage], **broken).failed(5, "the environment raised")
        output = TOY[stage][TOY[stage].index("-o") + 1]
        return folder / f"{output}.part"

    return stop


@pytest.fixture
def resumed(awac, shelf, folder):
    """Return a function that resumes a stage to the result that the shelf has."""

    def resume(stage):
        awac(*TOY[stage], "--resume").succeeded()
        for path in shelf.glob(f"{stage}*"):
            assert read_manifest(folder / path.name).id == read_manifest(path).id

    return resume


@pytest.mark.parametrize("damage", some((halve, empty), halve))
@pytest.mark.parametrize("stage", some(("pretrained", "finetuned"), "pretrained"))
def test_a_torn_snapshot_costs_updates_but_no_episode(awac, stopped, resumed, stage, damage):
    part = stopped(stage, *(("eval", 1) if stage == "pretrained" else ("online-0", 3)))
    damage(part / "snapshot.safetensors")
    snapshot = f"{part.name}/snapshot.safetensors"
    awac(*TOY[stage], "--resume").failed(3, f"`{snapshot}`", f"rm {snapshot}", "no episode")
    (part / "snapshot.safetensors").unlink()
    resumed(stage)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_torn_metrics_file_costs_lines_of_it(stopped, resumed, damage):
    metrics = stopped("pretrained", "eval", 1) / "payload" / "metrics.jsonl"
    metrics.write_text('{"phase": "offline", "updates": 1, "env_steps": 0, "wall_s": 0.1}\n[1]\n')
    damage(metrics)
    resumed("pretrained")


@pytest.mark.slow
def test_a_torn_manifest_of_an_unfinished_dataset_is_written_again(stopped, resumed):
    part = stopped("demos", "collect", 3)
    (part / "payload" / "manifest.json").write_text('{"schema": "awac-mani')
    resumed("demos")


@pytest.mark.slow
@pytest.mark.parametrize("damage", [halve, empty, remove])
def test_a_torn_note_of_what_was_begun(awac, stopped, folder, damage):
    part = stopped("demos", "collect", 3)
    damage(part / "begun.json")
    awac(*TOY["demos"], "--resume").failed(4, "whose begun.json is missing or damaged", "awac data repair")
    awac("data", "repair", part.name).succeeded()
    assert episodes_in(folder / "demos.zarr") == 3


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_an_unfinished_dataset(awac, stopped, file, damage):
    damage(stopped("demos", "collect", 3) / "payload" / file)
    awac(*TOY["demos"], "--resume").failed(3, "demos.zarr.part", "--overwrite")


@pytest.mark.slow
def test_what_is_whole_of_a_damaged_dataset_can_be_sealed(awac, stopped, folder):
    part = stopped("demos", "collect", 3)
    rewards = zarr.open_array(part / "payload", path="steps/rewards", mode="r+")
    rewards[0] = 7
    awac(*TOY["demos"], "--resume").failed(3, "episode 0 has changed", "awac data repair")
    awac("data", "repair", part.name).succeeded()
    assert episodes_in(folder / "demos.zarr") == 2
