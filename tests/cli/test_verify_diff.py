"""`awac verify` and `awac diff` as their users see them."""

import subprocess
import sys

import pytest

KINDS = {
    "demos.zarr": "dataset",
    "demos.h5": "dataset",
    "finetuned.ckpt": "checkpoint",
    "result.json": "evaluation",
}


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", KINDS)
def test_verify_passes_what_awac_made(awac, linked, name):
    found = awac("verify", linked(name), "--json").json
    assert (found["ok"], found["path"], found["kind"]) == (True, name, KINDS[name])
    assert found["id"] == awac("info", name, "--json").json["id"]
    assert all(check["ok"] and check["message"] for check in found["checks"])
    text = awac("verify", name).out.splitlines()
    assert text[0] == f"{KINDS[name]}  {name}"
    assert [line.split()[:2] for line in text[1:-2]] == [[check["name"], "ok"] for check in found["checks"]]
    assert text[-1] == f"{name}: all {len(found['checks'])} checks ok"


def test_verify_finds_the_whole_chain_of_a_real_run_sound(awac, linked):
    names = (
        "demos.zarr",
        "toy.zarr",
        "toy-bc.ckpt",
        "pretrained.ckpt",
        "finetuned-online.zarr",
        "finetuned.ckpt",
    )
    for name in names:
        linked(name)
    found = awac("verify", "--deep", linked("result.json"), "--json").json
    assert found["ok"]
    assert sorted(part["path"] for part in found["parents"]) == sorted(names)
    assert awac("verify", "--parents", ".", *names).code == 0


def test_verify_names_every_fault_and_exits_with_6(awac, artifact):
    path = artifact("demos.zarr")
    damage(path / "steps/rewards/c/0")
    (path / "final/observations/c/0/0").unlink()
    text = awac("verify", path)
    assert text.code == 6
    lines = text.out.splitlines()
    assert "files     FAILED  steps/rewards/c/0 has changed" in lines
    assert "files     FAILED  final/observations/c/0/0 is missing" in lines
    assert lines[-1].endswith("checks FAILED")
    assert text.err.startswith("error: `demos.zarr`: not as recorded\nhint: ")
    as_json = awac("verify", path, "--json")
    assert as_json.code == 6
    assert not as_json.json["ok"]
    messages = [check["message"] for check in as_json.json["checks"] if not check["ok"]]
    assert "steps/rewards/c/0 has changed" in messages


def test_verify_takes_several_artifacts_and_stdin(awac, linked, artifact):
    path = artifact("demos.h5")
    damage(path)
    good = linked("demos.zarr")
    several = awac("verify", "-", "--json", stdin=[f"{good}\n", f"{path}\n"])
    assert several.code == 6
    assert not several.json["ok"]
    assert [part["ok"] for part in several.json["artifacts"]] == [True, False]
    text = awac("verify", good, path)
    assert "demos.zarr: all " in text.out
    assert "`demos.h5`: its checksum does not match" in text.out
    assert "`demos.zarr`" not in text.err
    awac("verify", "-", stdin=[]).failed(2, "no artifact on stdin", "pipe")


def test_verify_refuses_what_is_no_artifact(awac, tmp_path, linked):
    awac("verify", "x.zarr").failed(3, "does not exist")
    (tmp_path / "x.zarr.part").mkdir()
    awac("verify", "x.zarr.part").failed(3, "unfinished", "--resume")
    awac("verify", linked("demos.zarr"), "--parents", "nowhere").failed(
        3, "`nowhere` does not exist", "--parents"
    )


def test_verify_demands_parents_only_where_a_folder_is_named(awac, linked, tmp_path):
    alone = linked("pretrained.ckpt")
    assert "is absent; its recipe is kept" in awac("verify", alone).out
    missing = awac("verify", alone, "--parents", ".")
    assert missing.code == 6
    assert "parent    FAILED  data " in missing.out
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/toy.zarr").symlink_to(linked("toy.zarr").resolve())
    assert awac("verify", alone, "--parents", "kept").code == 0


def test_diff_says_in_its_first_line_how_two_artifacts_compare(awac, linked):
    a, b = linked("demos.zarr"), linked("demos.h5")
    assert awac("diff", a, b).out.startswith("identical: ")
    assert awac("diff", a, b, "--exit-code").code == 0
    other = linked("toy.zarr")
    assert awac("diff", a, other).code == 0
    text = awac("diff", a, other, "--exit-code")
    assert text.code == 6
    assert text.out.startswith("different: ")
    assert "\nepisodes\nin both    4\nonly in B  5: 4 to 8\n" in text.out
    assert "\nrollout.episodes " in text.out
    assert "are not the same" in text.err


@pytest.mark.parametrize(
    ("a", "b", "content"),
    [
        ("demos.zarr", "wide.zarr", {"episodes", "outcome_a", "outcome_b", "dimensions", "described"}),
        (
            "pretrained.ckpt",
            "finetuned.ckpt",
            {"counters", "data_both", "data_only_b", "tensors", "evaluation"},
        ),
    ],
)
def test_diff_as_json(awac, linked, a, b, content):
    found = awac("diff", linked(a), linked(b), "--json").json
    assert (found["verdict"], found["a"]["path"], found["b"]["path"]) == ("different", a, b)
    assert found["content"].keys() >= content
    assert found["recipe"].keys() == {"settings", "inputs"}
    assert all(change.keys() == {"name", "a", "b", "only"} for change in found["recipe"]["settings"])


def test_diff_refuses_two_kinds(awac, linked):
    awac("diff", linked("demos.zarr"), linked("result.json")).failed(3, "is a dataset", "two datasets")


@pytest.mark.parametrize("module", ["awaccli.reports.verify", "awaccli.reports.diff_text"])
def test_reading_needs_no_torch(module):
    program = f"import sys, {module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "mujoco"} & set(found.stdout.split())
