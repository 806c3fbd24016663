import os
import signal
import subprocess
import sys

import pytest

from awaccli.artifacts.commit import Begun, Existing, claimed, part_of
from awaccli.artifacts.manifest import MANIFEST, FileEntry
from awaccli.errors import OutputExistsError, UsageError


def make(path, recipe, manifest, existing=Existing.REFUSE, text="payload"):
    with claimed(path, recipe, existing) as target:
        if not target.finished:
            target.payload.mkdir(exist_ok=True)
            (target.payload / "file").write_text(text)
            (target.payload / MANIFEST).write_bytes(manifest.to_bytes())
            target.commit()
        return target


def test_commit_leaves_the_artifact_and_nothing_else(tmp_path, recipe, manifest):
    make(tmp_path / "x.ckpt", recipe, manifest)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.ckpt"]
    assert sorted(entry.name for entry in (tmp_path / "x.ckpt").iterdir()) == ["file", MANIFEST]


def test_existing_output_is_refused_unless_overwritten(tmp_path, recipe, manifest):
    path = tmp_path / "x.ckpt"
    make(path, recipe, manifest)
    with pytest.raises(OutputExistsError, match="already exists"):
        make(path, recipe, manifest)
    make(path, recipe, manifest, Existing.OVERWRITE, text="new")
    assert (path / "file").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.ckpt"]


@pytest.mark.parametrize("existing", [Existing.RESUME, Existing.IF_CHANGED])
def test_a_finished_output_with_the_same_recipe_is_not_made_again(tmp_path, recipe, manifest, existing):
    path = tmp_path / "x.ckpt"
    make(path, recipe, manifest)
    assert make(path, recipe, manifest, existing).finished


def test_if_changed_touches_what_is_current_and_replaces_what_is_not(tmp_path, recipe, manifest):
    path = tmp_path / "x.ckpt"
    make(path, recipe, manifest)
    os.utime(path, (1, 1))
    make(path, recipe, manifest, Existing.IF_CHANGED)
    assert path.stat().st_mtime > 1
    other = recipe.model_copy(update={"seed": 1})
    make(path, other, manifest.model_copy(update={"recipe": other}), Existing.IF_CHANGED, text="seed 1")
    assert (path / "file").read_text() == "seed 1"


def test_resume_with_other_settings_is_refused(tmp_path, recipe, manifest):
    make(tmp_path / "x.ckpt", recipe, manifest)
    with pytest.raises(OutputExistsError, match="other settings"):
        make(tmp_path / "x.ckpt", recipe.model_copy(update={"seed": 1}), manifest, Existing.RESUME)


def test_an_unfinished_run_stops_a_new_one_and_is_continued_by_resume(tmp_path, recipe):
    path = tmp_path / "x.ckpt"
    with pytest.raises(RuntimeError), claimed(path, recipe) as target:  # noqa: PT012 - leaving by an error is what is tested
        (target.scratch / "progress").write_text("half")
        raise RuntimeError
    with pytest.raises(OutputExistsError, match=r"unfinished run \(pretrain"), claimed(path, recipe):
        pass
    with claimed(path, recipe, Existing.RESUME) as target:
        assert target.resuming
        assert (target.scratch / "progress").read_text() == "half"
    with claimed(path, recipe, Existing.OVERWRITE) as target:
        assert not (target.scratch / "progress").exists()


def test_a_run_that_fails_before_any_progress_leaves_nothing(tmp_path, recipe):
    with pytest.raises(RuntimeError), claimed(tmp_path / "x.ckpt", recipe):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_is_refused_and_a_dead_one_does_not_block(tmp_path, recipe):
    path = tmp_path / "x.ckpt"
    program = f"""
import signal, sys
from pathlib import Path
from awaccli.artifacts.commit import claimed
from awaccli.artifacts.manifest import Recipe
with claimed(Path({str(path)!r}), Recipe.model_validate_json({recipe.model_dump_json()!r})):
    print("claimed", flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"claimed\n"
        with pytest.raises(OutputExistsError, match="written by another process"), claimed(path, recipe):
            pass
        owner.send_signal(signal.SIGKILL)
    with claimed(path, recipe, Existing.RESUME):
        pass


def test_a_missing_folder_is_a_usage_error(tmp_path, recipe):
    with pytest.raises(UsageError, match="does not exist"), claimed(tmp_path / "no" / "x.ckpt", recipe):
        pass


def test_what_a_kill_right_after_the_commit_leaves_goes_with_the_next_run(tmp_path, recipe, manifest):
    path = tmp_path / "x.ckpt"
    make(path, recipe, manifest)
    part_of(path).mkdir()
    (part_of(path) / "begun.json").write_text(Begun(recipe=recipe).model_dump_json())
    (part_of(path) / "snapshot").write_text("state")
    assert make(path, recipe, manifest, Existing.RESUME).finished
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.ckpt"]


def test_progress_of_another_recipe_stays_where_the_output_is_current(tmp_path, recipe, manifest):
    path = tmp_path / "x.ckpt"
    make(path, recipe, manifest)
    part_of(path).mkdir()
    other = recipe.model_copy(update={"seed": 1})
    (part_of(path) / "begun.json").write_text(Begun(recipe=other).model_dump_json())
    (part_of(path) / "snapshot").write_text("state")
    assert make(path, recipe, manifest, Existing.IF_CHANGED).finished
    assert (part_of(path) / "snapshot").is_file()


def test_a_damaged_output_is_said_to_be_damaged(tmp_path, recipe, manifest):
    path = tmp_path / "x.ckpt"
    make(path, recipe, manifest.model_copy(update={"files": (FileEntry(path="file", size=7, sha256="0"),)}))
    with pytest.raises(OutputExistsError, match="is damaged: file has changed"):
        make(path, recipe, manifest, Existing.RESUME)
    make(path, recipe, manifest, Existing.IF_CHANGED, text="new")
    assert (path / "file").read_text() == "new"
