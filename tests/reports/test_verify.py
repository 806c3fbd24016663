"""Whatever is wrong with an artifact is found and named, and nothing else is."""

import json
import random
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.json_file import json_artifact, read_json_artifact
from awaccli.artifacts.manifest import MANIFEST, Ancestor, read_manifest
from awaccli.artifacts.tensors import read_arrays, write_arrays
from awaccli.data.dataset import open_dataset
from awaccli.data.evaluation import open_evaluation
from awaccli.data.schema import episode_sha256
from awaccli.errors import InputError
from awaccli.reports.verify import Verifier, verdict, verification_text
from awaccli.reports.verify_manifest import identify

KINDS = {
    "data.zarr": "dataset",
    "sealed.h5": "dataset",
    "policy.ckpt": "checkpoint",
    "result.json": "evaluation",
}
FOLDERS = ("data.zarr", "policy.ckpt")
FILES = ("sealed.h5", "result.json")


def verify(path, **options):
    return Verifier(**options).verify(path)


def faults(path, **options):
    """Return the messages of failing checks by the checks' names, having seen that the report is coherent."""
    found = verify(path, **options)
    failing = [check for part in (found, *found.parents) for check in part.checks if not check.ok]
    assert found.ok is not bool(failing)
    assert ("FAILED" in verification_text(found)) is bool(failing)
    by_name = {}
    for check in failing:
        by_name.setdefault(check.name, []).append(check.message)
    return by_name


def noted(path, name, **options):
    return [check.message for check in verify(path, **options).checks if check.ok and check.name == name]


def flip(file, position):
    content = bytearray(file.read_bytes())
    content[position] ^= 1 << position % 8
    file.write_bytes(content)


def files_of(path):
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name != MANIFEST)


def positions(file, count):
    """Return the first and the last byte of a file, and some between them, always the same."""
    size = file.stat().st_size
    between = random.Random(file.name + str(size)).choices(range(size), k=count)
    return sorted({0, size - 1, *between})


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("deep", [False, True])
def test_sound_artifacts_pass_every_check(shelf, name, deep):
    found = verify(shelf / name, deep=deep)
    assert found.ok
    assert (found.kind, found.id) == (KINDS[name], read_manifest(shelf / name).id)
    assert verdict(found).startswith(f"{shelf / name}: all ")
    names = {check.name for check in found.checks}
    assert names >= {"manifest", "id", "recipe"}
    assert ("derived" in names) is (deep and found.kind == "dataset")


def test_the_documentation_has_every_check_and_no_other(taken):
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", page.partition("### Checks")[2].partition("###")[0], re.MULTILINE)
    paths = [taken(name) for name in KINDS]
    (paths[0] / "notes.txt").write_text("mine")
    made = {check.name for path in paths for check in verify(path, deep=True).checks}
    assert sorted(rows) == sorted(made)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_flipped_byte_is_found_in_every_file(taken, name):
    path = taken(name)
    whole = {file: file.read_bytes() for file in files_of(path)}
    assert len(whole) > 1
    for step in range(6):
        for file, content in whole.items():
            file.write_bytes(content)
            flip(file, positions(file, 6)[step % len(positions(file, 6))])
        named = faults(path)["files"]
        assert named == [f"{file.relative_to(path).as_posix()} has changed" for file in whole]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_flipped_byte_in_one_file_leaves_the_other_checks_standing(taken, name):
    path = taken(name)
    for file in files_of(path)[::4]:
        content = file.read_bytes()
        flip(file, len(content) // 2)
        assert faults(path)["files"] == [f"{file.relative_to(path).as_posix()} has changed"]
        assert not verify(path).ok
        file.write_bytes(content)
    assert verify(path).ok


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_files_are_named_with_what_is_left(taken, name, share):
    path = taken(name)
    for file in files_of(path):
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])
    messages = faults(path)["files"]
    assert len(messages) == len(files_of(path))
    for file, message in zip(files_of(path), messages, strict=True):
        assert message.startswith(
            f"{file.relative_to(path).as_posix()} is truncated: {file.stat().st_size} of "
        )


@pytest.mark.parametrize("name", FOLDERS)
def test_every_missing_file_is_named(taken, name):
    path = taken(name)
    for file in files_of(path)[::2]:
        content = file.read_bytes()
        file.unlink()
        assert faults(path)["files"] == [f"{file.relative_to(path).as_posix()} is missing"]
        file.write_bytes(content)
    names = [file.relative_to(path).as_posix() for file in files_of(path)]
    for file in files_of(path):
        file.unlink()
    assert faults(path)["files"] == [f"{name} is missing" for name in names]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_or_missing_byte_is_found_anywhere_in_a_single_file(taken, name):
    path = taken(name)
    content = path.read_bytes()
    dense = range(0, 600, 13) if name == "sealed.h5" else range(0, len(content), 29)
    for position in sorted({*dense, *positions(path, 20)}):
        path.write_bytes(content)
        flip(path, position)
        found = faults(path)
        assert found, position
        assert name == "result.json" or found.keys() == {"seal"}, position
    for size in (100, 511, 512, 513, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        assert name in str(faults(path)), size


@pytest.mark.parametrize("name", FOLDERS)
def test_a_damaged_manifest_is_found_and_the_rest_is_checked_as_far_as_it_can_be(taken, name):
    path = taken(name)
    manifest = path / MANIFEST
    content = manifest.read_bytes()
    for position in sorted({*range(0, len(content), 31), *positions(manifest, 20)}):
        manifest.write_bytes(content)
        flip(manifest, position)
        found = identify(path)
        assert found.kind == KINDS[name]
        assert f"the manifest of `{path}` is damaged" in found.fault, position
    for size in (0, 1, len(content) // 2, len(content) - 3):
        manifest.write_bytes(content[:size])
        assert identify(path).fault
    torn = verify(path)
    assert {check.name for check in torn.checks if check.ok} >= (
        {"header", "fields", "index", "arrays", "episodes"} if name == "data.zarr" else {"policy", "trainer"}
    )
    manifest.unlink()
    assert faults(path)["manifest"] == ["manifest.json is missing"]
    files_of(path)[0].unlink()
    assert not verify(path).ok


def test_a_manifest_that_can_still_be_read_tells_which_files_have_changed(taken):
    path = taken("policy.ckpt")
    manifest = path / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"wall_s":', b'"wall_s":1'))
    flip(path / "policy.safetensors", -1)
    found = faults(path)
    assert "its own checksum does not match" in found["manifest"][0]
    assert found["files"] == ["policy.safetensors has changed"]


def test_files_that_nobody_listed_are_named_but_no_fault(taken):
    path = taken("data.zarr")
    (path / "steps" / "notes.txt").write_text("mine")
    assert noted(path, "unlisted") == ["the manifest does not list steps/notes.txt"]
    assert verify(path).ok


@pytest.mark.parametrize("name", ["data.zarr", "sealed.h5"])
def test_a_changed_number_is_found_by_its_episode_though_all_checksums_were_made_right(taken, workshop, name):
    path = taken(name)
    write(path, "steps/observations", (13, 1), 0.25)
    write(path, "final/sim/qpos", (2, 0), 0.25)
    workshop.reforge(path)
    assert faults(path).keys() == {"episodes", "id"}
    assert faults(path)["episodes"] == [
        "episodes 1 to 2: the content is not what the recorded hash was taken of"
    ]
    open_dataset(path)  # who only opens it trusts the recorded hashes


def test_new_hashes_of_changed_episodes_do_not_give_the_old_id(taken, workshop):
    path = taken("data.zarr")
    write(path, "steps/actions", (13, 1), 0.25)
    altered = open_episodes(path)[1]
    write(path, "episodes/sha256", 1, np.frombuffer(episode_sha256(altered), np.uint8))
    workshop.reforge(path)
    assert faults(path).keys() == {"id"}
    assert read_manifest(path).id[:12] in faults(path)["id"][0]


def test_lost_chunks_are_named_with_their_episodes_and_hide_no_other_fault(taken, workshop):
    path = taken("data.zarr")
    (path / "steps/success/c/0").unlink()
    (path / "final/observations/c/0/0").write_bytes(b"")
    workshop.reforge(path)
    found = faults(path)
    assert "files" not in found
    first, second = found["arrays"]
    assert first.startswith("final/observations, rows 0 to 2 (episodes 0 to 2): ")
    assert second.startswith("steps/success, rows 0 to 29 (episodes 0 to 2): ")
    assert "c/0" in second
    assert "episodes" in found


def test_only_the_episodes_of_a_lost_chunk_are_affected(workshop):
    path = workshop.dataset("long.zarr", episodes=[workshop.episode(seed, steps=9000) for seed in range(16)])
    assert sorted(file.name for file in (path / "steps/sim/qpos/c").iterdir()) == ["0", "1", "2"]
    (path / "steps/sim/qpos/c/1/0").unlink()
    write(path, "steps/rewards", 9000 * 15, -7.0)
    workshop.reforge(path)
    found = faults(path, deep=True)
    assert found["arrays"][0].startswith("steps/sim/qpos, rows 65536 to 131071 (episodes 7 to 14): ")
    assert found["episodes"] == ["episodes 7 to 15: the content is not what the recorded hash was taken of"]
    assert [message.partition(" is")[0] for message in found["derived"]] == ["episode 15: return"]


@pytest.mark.parametrize("limit", [("_MOST_LOST", 5), ("_MOST_LOST_BYTES", 5 * 8)])
def test_who_declares_far_more_than_is_stored_is_soon_given_up(taken, workshop, monkeypatch, limit):
    name, value = limit
    monkeypatch.setattr(f"awaccli.reports.verify_dataset.{name}", value)
    path = taken("data.zarr")
    edit_json(path / "steps/actions/zarr.json", lambda array: narrow(array, 1))
    (path / "steps/actions/c/0/0").unlink()
    workshop.reforge(path)
    found = faults(path)
    assert len(found["arrays"]) == 7  # six chunks of 8 bytes, and the field
    assert "episodes" not in found


def test_nan_is_named_by_episode_and_step(taken, workshop):
    path = taken("data.zarr")
    write(path, "steps/rewards", 13, np.nan)
    write(path, "final/observations", (2, 0), np.inf)
    workshop.reforge(path)
    first, second = sorted(faults(path)["arrays"])
    assert "final/observations is not finite in episode 2, step 10" in first
    assert "steps/rewards is not finite in episode 1, step 3" in second


@pytest.mark.parametrize(
    ("field", "row", "value", "words"),
    [
        ("episodes/start", 1, 11, "do not cover"),
        ("episodes/length", 1, 0, "do not cover"),
        ("episodes/source", 1, 1, "source"),
        ("episodes/end_reason", 1, 9, "end reason"),
        ("steps/truncations", 19, False, "neither terminated nor truncated"),
        ("steps/terminations", 12, True, "goes on after"),
    ],
)
def test_an_index_that_does_not_fit_the_steps_is_found(taken, workshop, field, row, value, words):
    path = taken("data.zarr")
    write(path, field, row, value)
    workshop.reforge(path)
    (message,) = faults(path)["index"]
    assert words in message


def test_every_broken_rule_of_an_index_is_reported(taken, workshop):
    path = taken("data.zarr")
    write(path, "episodes/source", 1, 1)
    write(path, "episodes/end_reason", 1, 9)
    workshop.reforge(path)
    assert len(faults(path)["index"]) == 2


@pytest.mark.parametrize(
    ("field", "value"), [("return", 3.5), ("success", None), ("success_steps", 99), ("clipped", 4)]
)
def test_derived_values_are_recomputed_in_depth_only(taken, workshop, field, value):
    path = taken("data.zarr")
    if value is None:
        value = not open_dataset(path).episodes.success[1]
    write(path, f"episodes/{field}", 1, value)
    workshop.reforge(path)
    assert verify(path).ok
    (message,) = faults(path, deep=True)["derived"]
    assert field in message
    assert field == "clipped" or "episode 1: " in message


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda awac: awac.update(format="awac-dataset/2"), "header"),
        (lambda awac: awac["fields"].pop("steps/success"), "fields"),
        (lambda awac: awac["fields"]["final/sim/qpos"].update(shape=[3]), "fields"),
        (lambda awac: awac["fields"]["steps/rewards"].update(unit="J"), "id"),
        (lambda awac: awac["task"].update(success_rule="far from the goal"), "id"),
        (lambda awac: awac["task"]["spec"].update(horizon=7), "content"),
        (lambda awac: awac["commit"].update(n_episodes=2, n_steps=20), "content"),
    ],
)
def test_a_changed_header_is_found_though_all_checksums_were_made_right(taken, workshop, change, check):
    path = taken("data.zarr")
    edit_json(path / "zarr.json", lambda root: change(root["attributes"]["awac"]))
    workshop.reforge(path)
    assert check in faults(path)


def test_a_changed_tensor_gives_another_id(taken, workshop):
    path = taken("policy.ckpt")
    for file, name in (("policy.safetensors", "mean.bias"), ("trainer.safetensors", "critic.weight")):
        arrays, facts = read_arrays(path / file)
        write_arrays(path / file, arrays | {name: arrays[name] + 1}, facts)
        workshop.reforge(path)
        assert faults(path).keys() == {"id"}
        write_arrays(path / file, arrays, facts)
        workshop.reforge(path)
        assert verify(path).ok


@pytest.mark.parametrize(
    ("facts", "arrays", "words"),
    [
        ({"kind": "oracle"}, {}, "oracle"),
        ({"config": {"layers": 2, "activation": "relu", "mean": "tanh"}}, {}, "layers.1.weight"),
        ({}, {"mean.weight": np.ones((3, 4), np.float32)}, "mean.bias"),
        ({}, {"mean.bias": np.array([np.nan, 0], np.float32)}, "not finite"),
    ],
)
def test_a_policy_that_cannot_act_is_found(taken, workshop, facts, arrays, words):
    path = taken("policy.ckpt")
    known, stated = read_arrays(path / "policy.safetensors")
    write_arrays(path / "policy.safetensors", known | arrays, stated | facts)
    workshop.reforge(path)
    (message,) = faults(path)["policy"]
    assert words in message


def test_a_policy_of_another_size_than_its_checkpoint_is_found(taken, workshop):
    path = taken("policy.ckpt")
    content = read_manifest(path).content
    workshop.reforge(path, content=content | {"observation_dim": 4})
    assert "observations of size 3" in faults(path)["policy"][0]
    workshop.reforge(path, content={"algo": "awac"})
    assert faults(path).keys() == {"content"}
    with pytest.raises(InputError, match=r"content\.settings"):
        open_checkpoint(path)


def test_tensors_that_are_not_finite_are_found(workshop):
    weights = {"critic.weight": np.array([1, np.inf], np.float32), "step": np.array(3)}
    path = workshop.checkpoint("x.ckpt", trainer=weights)
    (message,) = faults(path)["trainer"]
    assert "critic.weight" in message
    assert "not finite" in message


def test_settings_and_data_of_a_checkpoint_are_those_of_its_recipe(taken, workshop):
    path = taken("policy.ckpt")
    manifest = read_manifest(path)
    content = manifest.content | {"settings": {"awac": {"lam": 9.0}}}
    workshop.reforge(path, content=content)
    assert "settings" in faults(path)["training"][0]
    content = manifest.content | {"data": [{"id": "ab" * 32, "role": "offline"}]}
    workshop.reforge(path, content=content)
    assert "abababababab" in faults(path)["training"][0]


def test_changed_values_of_an_evaluation_give_another_id(taken):
    path = taken("result.json")
    body, manifest = read_json_artifact(path)
    body["outcome"]["success"]["final"]["rate"] = 1.0
    path.write_bytes(json_artifact(body, manifest))
    assert faults(path).keys() == {"id"}
    body["outcome"]["success"]["final"]["rate"] = float("nan")
    path.write_bytes(json_artifact(body, manifest))
    assert "bytes" in faults(path)
    del body["outcome"]
    path.write_bytes(json_artifact(body, manifest))
    assert faults(path)["values"] == ["outcome: Field required"]


def test_how_an_evaluation_was_measured_is_what_its_manifest_says(taken, workshop):
    path = taken("result.json")
    workshop.reforge(path, content={"deterministic": False, "episodes": 5}, ancestors={})
    messages = faults(path)["content"]
    assert len(messages) == 2
    assert open_evaluation(path).checkpoint in messages[1]


def test_the_chain_of_recipes_has_no_gap(taken, workshop):
    path = taken("result.json")
    manifest = read_manifest(path)
    data, checkpoint = manifest.ancestors
    lost = {checkpoint: manifest.ancestors[checkpoint]}
    workshop.reforge(path, ancestors=lost)
    (message,) = faults(path)["recipe"]
    assert (
        f"its ancestor {checkpoint[:12]} was made from data {data[:12]}, whose recipe is not kept" == message
    )
    other = Ancestor(kind="dataset", recipe=manifest.ancestors[data].recipe.model_copy(update={"seed": 1}))
    workshop.reforge(path, ancestors=lost | {data: other})
    (message,) = faults(path)["recipe"]
    assert f"the recipe kept for it is {other.recipe.key[:12]}" in message


def test_built_in_experts_are_no_artifacts(shelf):
    manifest = read_manifest(shelf / "data.zarr")
    assert [ref.role for ref in manifest.recipe.inputs] == ["expert"]
    assert not noted(shelf / "data.zarr", "parent")


def test_parents_are_found_where_they_were_beside_the_artifact_or_in_the_folder_named(
    taken, workshop, tmp_path
):
    checkpoint = taken("policy.ckpt")
    assert "absent; its recipe is kept" in noted(checkpoint, "parent")[0]
    assert "is neither" in faults(checkpoint, parents=tmp_path)["parent"][0]
    data = taken("data.zarr", "renamed.zarr")
    assert "renamed.zarr`" in noted(checkpoint, "parent")[0]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(data, elsewhere)
    assert "absent" in noted(checkpoint, "parent")[0]
    assert "elsewhere/renamed.zarr`" in noted(checkpoint, "parent", parents=elsewhere)[0]
    shutil.move(elsewhere / "renamed.zarr", tmp_path / "data.zarr")
    assert "data.zarr`" in noted(checkpoint, "parent")[0]


def test_another_artifact_in_the_place_of_a_parent_is_a_fault_unless_the_parent_is_found(taken, workshop):
    checkpoint = taken("policy.ckpt")
    other = workshop.dataset("data.zarr", episodes=(7,))
    (message,) = faults(checkpoint)["parent"]
    assert f"is not what lies where it was: `{other}` is dataset {read_manifest(other).id[:12]}" in message
    shutil.rmtree(other / "steps")
    (other / MANIFEST).write_bytes(b"{}")
    assert f"the manifest of `{other}` is damaged" in faults(checkpoint)["parent"][0]
    taken("data.zarr", "kept.zarr")
    assert verify(checkpoint).ok


def test_a_parent_with_the_same_content_but_another_recipe_is_a_fault(taken, workshop):
    checkpoint, data = taken("policy.ckpt"), taken("data.zarr")
    recipe = read_manifest(data).recipe.model_copy(update={"seed": 1})
    workshop.reforge(data, recipe=recipe)
    assert verify(data).ok
    assert f"same content, but was made by recipe {recipe.key[:12]}" in faults(checkpoint)["parent"][0]


def test_ancestors_are_examined_in_depth_and_each_once(taken, workshop):
    data, checkpoint = taken("data.zarr"), taken("policy.ckpt")
    second = workshop.checkpoint("second.ckpt", data=[data], seed=1)
    child = workshop.dataset("child.zarr", parents=[checkpoint, second], episodes=(5,))
    found = verify(child, deep=True)
    assert found.ok
    assert sorted(part.path.rpartition("/")[2] for part in found.parents) == [
        "data.zarr",
        "policy.ckpt",
        "second.ckpt",
    ]
    assert verify(child).parents == ()
    flip(data / "steps/rewards/c/0", 30)
    assert verify(child).ok
    assert "steps/rewards/c/0 has changed" in faults(child, deep=True)["files"]
    verifier = Verifier(deep=True)
    assert [len(verifier.verify(path).parents) for path in (checkpoint, second)] == [1, 0]


def nothing(path):
    pass


def foreign_zarr(path):
    zarr.open_group(path, mode="w", zarr_format=3)


def foreign_hdf5(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["observations"] = np.zeros(3)


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("x.zarr", nothing, "does not exist"),
        ("x.ckpt", lambda path: path.mkdir(), "not an awac artifact"),
        ("x.zarr", foreign_zarr, "not an awac artifact"),
        ("x.h5", foreign_hdf5, "not an awac artifact"),
        ("x.h5", lambda path: path.write_bytes(b""), "not an awac artifact"),
        (
            "x.json",
            lambda path: path.write_text('{"kind": "evaluation", "episodes": 3}'),
            "not an awac artifact",
        ),
        ("x.json", lambda path: path.write_text("[1, 2"), "not an awac artifact"),
        ("x.json", lambda path: path.write_text("[" * 100_000), "not an awac artifact"),
        ("x.txt", lambda path: path.write_text("awac-dataset sha256 "), "is damaged"),
        ("x.zarr.part", lambda path: path.mkdir(), "unfinished"),
    ],
)
def test_what_is_no_artifact_is_refused(tmp_path, name, make, words):
    make(tmp_path / name)
    with pytest.raises(InputError, match=words) as caught:
        verify(tmp_path / name)
    assert caught.value.exit_code == 3
    assert name in str(caught.value)


def test_an_unfinished_dataset_is_no_damaged_one(taken):
    path = taken("data.zarr")
    (path / MANIFEST).unlink()
    edit_json(path / "zarr.json", lambda root: root["attributes"]["awac"]["commit"].update(sealed=False))
    with pytest.raises(InputError, match="unfinished") as caught:
        verify(path)
    assert "--resume" in caught.value.hint


def test_a_manifest_of_another_kind_than_what_it_lies_in_is_a_fault(taken, workshop):
    dataset, checkpoint, evaluation = taken("data.zarr"), taken("policy.ckpt"), taken("result.json")
    for path, kind in ((dataset, "evaluation"), (checkpoint, "dataset"), (evaluation, "checkpoint")):
        workshop.reforge(path, kind=kind)
        assert not verify(path).ok
    workshop.reforge(evaluation, kind="dataset")
    assert not verify(evaluation).ok


def test_parents_must_be_a_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        Verifier(parents=tmp_path / "nowhere")


@pytest.mark.parametrize("name", FOLDERS)
def test_no_change_of_a_stranger_ends_in_anything_but_a_report(taken, workshop, name):
    """One byte of one file, all checksums right: the layers below the checksums see it."""
    path = taken(name)
    noticed = 0
    for file in files_of(path)[:: 4 if name == "data.zarr" else 1]:
        content = file.read_bytes()
        for position in positions(file, 0 if name == "data.zarr" else 60):
            file.write_bytes(content)
            flip(file, position)
            workshop.reforge(path)
            noticed += not verify(path, deep=True).ok
        file.write_bytes(content)
    assert noticed > 5


def write(path, field, row, value):
    if path.is_dir():
        array = zarr.open_array(path, path=field, mode="r+").with_config({"write_empty_chunks": True})
        array[row] = value
        return
    with h5py.File(path, "r+") as file:
        file[field][row] = value


def open_episodes(path):
    from awaccli.data.dataset import Dataset
    from awaccli.data.schema import Header
    from awaccli.data.stores import open_store

    store = open_store(path)
    return list(Dataset(path, store, Header.from_json(store.attributes(), origin="x"), None))


def edit_json(file, change):
    value = json.loads(file.read_bytes())
    change(value)
    file.write_text(json.dumps(value))


def narrow(array, rows):
    """Cut an array into chunks of a few rows, on paper."""
    array["chunk_grid"]["configuration"]["chunk_shape"][0] = rows
