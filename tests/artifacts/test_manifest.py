import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from awaccli.artifacts.manifest import InputRef, Manifest, Recipe, damaged_files, inventory, read_manifest
from awaccli.errors import InputError


def test_round_trip(manifest):
    assert Manifest.from_bytes(manifest.to_bytes(), origin="x") == manifest


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_byte_is_found(manifest, data):
    text = bytearray(manifest.to_bytes())
    position = data.draw(st.integers(0, len(text) - 2))
    text[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InputError):
        Manifest.from_bytes(bytes(text), origin="x")


def test_recipe_key_follows_parents_keys_not_their_ids():
    def child(parent_id, parent_key):
        ref = InputRef(role="data", id=parent_id, key=parent_key)
        return Recipe(stage="s", version=1, settings={}, seed=0, inputs=(ref,)).key

    assert child("id on one machine", "k") == child("id on another", "k")
    assert child("i", "k") != child("i", "other key")


def test_lineage_holds_the_whole_chain(manifest):
    child = manifest.model_copy(update={"id": "cd" * 32, "ancestors": manifest.lineage()})
    assert set(child.lineage()) == {"ab" * 32, "cd" * 32}


def test_damaged_files_are_named(manifest, tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    listed = manifest.model_copy(update={"files": inventory(tmp_path)})
    assert damaged_files(tmp_path, listed) == []
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_bytes(b"3")
    assert damaged_files(tmp_path, listed) == ["a is missing", "b has changed"]


@pytest.mark.parametrize("name", ["x.ckpt", "x.json", "x.h5"])
def test_foreign_things_are_no_artifacts(tmp_path, name):
    path = tmp_path / name
    if name == "x.ckpt":
        path.mkdir()
    else:
        path.write_text("[1, 2]")
    with pytest.raises(InputError, match="not an awac artifact"):
        read_manifest(path)


def test_an_unfinished_run_is_mentioned_where_its_artifact_is_missing(tmp_path):
    (tmp_path / "x.ckpt.part").mkdir()
    with pytest.raises(InputError) as caught:
        read_manifest(tmp_path / "x.ckpt")
    assert "--resume" in caught.value.hint
