"""`awac data validate` and `awac data replay`: reports, verdicts and exit codes."""

import json

import numpy as np
import pytest
import zarr

from awaccli.artifacts.manifest import MANIFEST, Manifest
from awaccli.data.certificate import open_certificate

TRUST = ("--trust-env", "--workers", "1")


def altered(path, name, where, value):
    """Change an array behind awac's back; only the hash of the episode tells."""
    zarr.open_array(path, path=name, mode="r+")[where] = value
    manifest = Manifest.from_bytes((path / MANIFEST).read_bytes(), origin="x")
    (path / MANIFEST).write_bytes(manifest.model_copy(update={"files": ()}).to_bytes())
    return path


@pytest.mark.parametrize("name", ["demos.zarr", "demos.h5"])
def test_a_sound_dataset_passes(awac, linked, name):
    path = linked(name)
    result = awac("data", "validate", path)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[-1].startswith(f"{name} (4 episodes, ")
    assert ": ok: 0 errors, 0 warnings, " in result.out
    assert awac("data", "validate", "-", "--strict", stdin=[name]).code == 0


def test_an_error_is_exit_6_and_a_warning_only_where_strict(awac, artifact):
    path = altered(artifact("demos.zarr"), "steps/observations", (1, 0), np.nan)
    result = awac("data", "validate", path, "--json")
    assert (result.code, result.json["ok"]) == (6, False)
    assert result.json["codes"] == {"hash-mismatch": 1, "not-finite": 1} | notes(result)
    assert result.json["counts"]["error"] == 2
    [finding] = [finding for finding in result.json["findings"] if finding["code"] == "not-finite"]
    assert finding == {
        "severity": "error",
        "code": "not-finite",
        "field": "steps/observations",
        "episode": 0,
        "step": 1,
        "message": finding["message"],
    }
    text = awac("data", "validate", path)
    assert text.code == 6
    assert text.err.splitlines()[0] == "error: `demos.zarr`: hash-mismatch, not-finite"
    assert "docs/validate.md" in text.err


def notes(result):
    severities = {finding["code"]: finding["severity"] for finding in result.json["findings"]}
    return {code: count for code, count in result.json["codes"].items() if severities[code] == "note"}


def test_strict_and_against(awac, linked):
    linked("toy.zarr")
    linked("demos.zarr")
    leaking = awac("data", "validate", "toy.zarr", "--against", "demos.zarr")
    assert leaking.code == 6
    assert "leak" in leaking.out.splitlines()[0]
    assert awac("data", "validate", "demos.zarr", "--strict", "--against", "demos.h5").code == 3


def test_an_unfinished_dataset_is_looked_at(awac, artifact, monkeypatch):
    monkeypatch.setenv("STOP_AT", "3")
    monkeypatch.setenv("STOP_WITH", "SIGTERM")
    awac("collect-demos", "TOY", "--policy", "random", "-n", "9", "--workers", "1", "-o", "x.zarr")
    found = awac("data", "validate", "x.zarr.part", "--json").json
    assert found["codes"]["unfinished"] == 1
    assert (found["ok"], found["n_episodes"]) == (True, 3)


def test_what_is_no_dataset_is_refused(awac, linked):
    awac("data", "validate", "nothing.zarr").failed(3, "`nothing.zarr` does not exist")
    awac("data", "validate", linked("finetuned.ckpt")).failed(3, "not a dataset")
    awac("data", "validate", "-", stdin=[]).failed(2, "no dataset on stdin")


def test_a_replay_reports_and_leaves_a_certificate(awac, artifact):
    path = artifact("demos.zarr")
    result = awac("data", "replay", path, *TRUST)
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "demos.zarr: 4 episodes: 4 bit-exact, 0 within-tolerance, 0 diverged, 0 not-replayed "
        "(demos.replay.json)\n"
    )
    certificate = open_certificate(path.with_name("demos.replay.json"))
    again = awac("data", "replay", path, "--json", "--overwrite", "--episodes", "1,3-3", *TRUST)
    assert again.json["episodes"] == [
        verdict.model_dump() for verdict in certificate.episodes if verdict.episode in (1, 3)
    ]
    awac("data", "replay", path, *TRUST).failed(4, "`demos.replay.json` already exists", "--overwrite")
    assert awac("data", "replay", path, "-o", "other.json", *TRUST).code == 0


def test_a_divergence_is_exit_6(awac, artifact):
    path = artifact("demos.zarr")
    file = path / "steps/rewards"
    altered(path, file.relative_to(path).as_posix(), 1, 7.5)
    result = awac("data", "replay", path, *TRUST)
    assert result.code == 6
    assert result.out.startswith("episode 0: diverged at step 2: rewards is off by ")
    assert "1 of 4 episodes diverged, first episode 0 at step 2" in result.err
    found = awac("data", "replay", path, "--json", "--overwrite", *TRUST).json
    assert found["summary"] == {"bit_exact": 3, "within_tolerance": 0, "diverged": 1, "not_replayed": 0}
    assert json.loads(path.with_name("demos.replay.json").read_text())["summary"] == found["summary"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 3, "could run that author's code"),
        (("--trust-env", "--mode", "start"), 3, "no start states"),
        (("--mode", "sideways"), 2, "--mode sideways is unknown"),
        (("--trust-env", "--episodes", "0,4"), 2, "no episode 4"),
        (("--trust-env", "--episodes", "999999999999999999"), 2, "no episode 4"),
        (("--episodes", "3-1"), 2, "`3-1` names no episode"),
        (("--episodes", "all,1"), 2, "`all` names no episode"),
        (("-o", "x.zarr"), 2, "its name must end in .json"),
        (("--trust-env", "-o", "nowhere/x.json"), 2, "does not exist"),
    ],
)
def test_replays_that_make_no_sense(awac, linked, arguments, code, message):
    awac("data", "replay", linked("demos.zarr"), *arguments, "--workers", "1").failed(code, message)
