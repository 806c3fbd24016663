import shutil
from contextlib import suppress

import numpy as np
import pytest

from awaccli.artifacts.commit import Begun, claimed, part_of, payload_of
from awaccli.artifacts.manifest import Ancestor, Recipe, read_manifest
from awaccli.data.dataset import open_dataset
from awaccli.data.repair import repair
from awaccli.data.writer import Writer
from awaccli.errors import DatasetError, InputError, OutputExistsError

N = 6


@pytest.fixture(params=["zarr", "h5"])
def crashed(request, tmp_path, header, make_episode, recipe):
    """Return the ``.part`` of a run that died with N episodes committed, and rows of one more written."""
    path = tmp_path / f"x.{request.param}"
    parent = Recipe(stage="collect-demos", version=1, settings={}, seed=3)
    known = {"ab" * 32: Ancestor(kind="dataset", recipe=parent)}
    with suppress(KeyboardInterrupt), claimed(path, recipe, ancestors=known) as target:
        writer = Writer(target.payload, header)
        for seed in range(N):
            writer.append(make_episode(np.random.default_rng(seed), rich=True))
            writer.flush()
        writer.append(make_episode(np.random.default_rng(N), rich=True))
        writer._publish = lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
        writer.flush()
    return part_of(path)


def expected(header, make_episode, tmp_path, kept):
    writer = Writer(tmp_path / "expected.zarr", header)
    for seed in kept:
        writer.append(make_episode(np.random.default_rng(seed), rich=True))
    writer.flush()
    return writer.dataset().id


def damage(part, field="steps/observations"):
    """Break the last chunk of a field; return the indices of the episodes that lie in it."""
    folder = payload_of(part) / field / "c"
    last = max((file for file in folder.rglob("*") if file.is_file()), key=lambda file: int(file.parts[-2]))
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 255
    last.write_bytes(content)
    return last


def test_every_committed_episode_is_sealed_and_the_tail_dropped(crashed, header, make_episode, tmp_path):
    done = repair(crashed)
    dataset = open_dataset(done.path)
    assert dataset.id == expected(header, make_episode, tmp_path, range(N))
    assert (done.n_episodes, done.dropped_episodes, done.already) == (N, (), False)
    assert done.uncommitted_steps == len(make_episode(np.random.default_rng(N), rich=True))
    assert not crashed.exists()


def test_repaired_once_it_stays_as_it_is(crashed):
    first = repair(crashed)
    before = read_manifest(first.path)
    again = repair(crashed)
    assert again.already
    assert (again.path, again.n_episodes, read_manifest(again.path)) == (first.path, N, before)
    assert repair(first.path).already


def test_it_knows_where_it_comes_from(crashed, recipe):
    manifest = read_manifest(repair(crashed).path)
    assert manifest.recipe.stage == "repair"
    assert manifest.recipe.settings["begun"] == recipe.model_dump(mode="json")
    assert manifest.ancestors["ab" * 32].recipe.seed == 3


def test_damaged_episodes_are_dropped_and_named(header, make_episode, tmp_path, recipe):
    path = tmp_path / "x.zarr"
    with suppress(KeyboardInterrupt), claimed(path, recipe) as target:
        with Writer(target.payload, header) as writer:
            for seed in range(N):
                writer.append(make_episode(np.random.default_rng(seed), rich=True))
        array = writer._arrays._arrays["steps/actions"]
        start = int(writer.dataset().episodes.start[2])
        array[start : start + 1] = array[start : start + 1] + 0.25
        raise KeyboardInterrupt
    done = repair(part_of(path))
    assert done.dropped_episodes == (2,)
    assert open_dataset(path).id == expected(header, make_episode, tmp_path, [0, 1, 3, 4, 5])


def test_a_missing_chunk_costs_the_episodes_in_it(crashed):
    damage(crashed).unlink()
    with pytest.raises(DatasetError, match="every episode is damaged"):
        repair(crashed)  # a small dataset is one chunk
    assert crashed.exists()


def test_a_damaged_index_is_not_guessed(crashed):
    damage(crashed, "episodes/sha256")
    with pytest.raises(DatasetError, match="sha256"):
        repair(crashed)
    assert crashed.exists()


def test_both_there_is_refused(crashed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(crashed, copy)
    repair(crashed)
    copy.rename(crashed)
    with pytest.raises(OutputExistsError, match="already exists"):
        repair(crashed)


def test_what_holds_no_episode_is_refused(tmp_path, recipe):
    part = tmp_path / "x.ckpt.part"
    part.mkdir()
    (part / "begun.json").write_text(Begun(recipe=recipe).model_dump_json())
    with pytest.raises(InputError, match="holds no episodes"):
        repair(part)
    with pytest.raises(InputError, match="does not exist"):
        repair(tmp_path / "y.zarr.part")
