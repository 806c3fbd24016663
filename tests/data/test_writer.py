"""A writer that is stopped, at any moment, leaves whole episodes, and another one goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from awaccli.artifacts.commit import Existing, claimed
from awaccli.data.dataset import open_dataset
from awaccli.data.schema import Header, dataset_id, episode_sha256
from awaccli.data.writer import Writer, commit_dataset
from awaccli.errors import DatasetError

ENDLESS_WRITER = """
import importlib.util, sys
from pathlib import Path
import numpy as np
from awaccli.data.schema import Header
from awaccli.data.writer import Writer

spec = importlib.util.spec_from_file_location("make", sys.argv[1])
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)
header = Header.model_validate_json(Path(sys.argv[3]).read_text())
writer = Writer(Path(sys.argv[2]), header)
for index in range(1_000_000):
    writer.append(make._episode(np.random.default_rng(index), rich=True))
    writer.flush()
    print(index, flush=True)
"""


def episodes_of(make_episode, count):
    return [make_episode(np.random.default_rng(index), rich=True) for index in range(count)]


def expected_id(writer: Writer, episodes) -> str:
    return dataset_id(writer.dataset().header, map(episode_sha256, episodes))


@pytest.mark.parametrize("attempt", range(2))
def test_killed_writer_leaves_whole_episodes(tmp_path, header, make_episode, attempt):
    """The kill falls somewhere into the commits after a random number of acknowledged ones."""
    header_file, scratch = tmp_path / "header.json", tmp_path / "growing.zarr"
    header_file.write_text(json.dumps(header.to_json()))
    scratch.mkdir()
    acknowledged = int(np.random.default_rng().integers(1, 8))
    command = [
        sys.executable,
        "-c",
        ENDLESS_WRITER,
        Path(__file__).with_name("conftest.py"),
        scratch,
        header_file,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        for _ in range(acknowledged):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    with Writer(scratch, header, resume=True) as writer:
        done = writer.n_episodes
        assert done >= acknowledged
        for episode in episodes_of(make_episode, done + 3)[done:]:
            writer.append(episode)
    assert writer.dataset().altered_episodes() == []
    assert writer.dataset().id == expected_id(writer, episodes_of(make_episode, done + 3))
    assert not list(scratch.rglob("*.partial"))


def test_readers_see_only_what_is_committed(tmp_path, header, make_episode):
    episodes = episodes_of(make_episode, 4)
    writer = Writer(tmp_path, header)
    writer.append(episodes[0])
    with pytest.raises(InterruptedError):
        interrupt_commit(writer)
    writer.flush()
    before = writer.dataset()
    writer.append(episodes[1])
    assert (writer.n_episodes, len(writer.dataset())) == (2, 1)
    with pytest.raises(InterruptedError):
        interrupt_commit(writer)
    assert len(writer.dataset()) == 1
    resumed = Writer(tmp_path, header, resume=True)
    assert resumed.n_episodes == 1
    assert resumed.n_steps == len(episodes[0])
    for episode in episodes[1:]:
        resumed.append(episode)
    resumed.flush()
    assert resumed.dataset().id == expected_id(resumed, episodes)
    assert before.id == expected_id(resumed, episodes[:1])
    assert before.column("steps/rewards").size == len(episodes[0])


def interrupt_commit(writer: Writer) -> None:
    """Stop a commit after all arrays are written and before it is published."""

    def stop(*_, **__):
        raise InterruptedError

    writer._publish = stop
    try:
        writer.flush()
    finally:
        del writer._publish


def test_killed_before_the_first_commit(tmp_path, header, make_episode):
    episodes = episodes_of(make_episode, 2)
    writer = Writer(tmp_path, header)
    writer.append(episodes[0])
    with pytest.raises(InterruptedError):
        interrupt_commit(writer)
    with Writer(tmp_path, header, resume=True) as resumed:
        assert resumed.n_episodes == 0
        resumed.append(episodes[1])
    assert resumed.dataset().id == expected_id(resumed, episodes[1:])


def append_and_stop(writer: Writer, episodes) -> None:
    with writer:
        for episode in episodes:
            writer.append(episode)
        raise KeyboardInterrupt


def test_exception_keeps_what_was_appended(tmp_path, header, make_episode):
    with pytest.raises(KeyboardInterrupt):
        append_and_stop(Writer(tmp_path, header), episodes_of(make_episode, 3))
    assert len(open_dataset(tmp_path, unfinished=True)) == 3


def test_groups_are_committed_by_size(tmp_path, header, make_episode, monkeypatch):
    monkeypatch.setattr("awaccli.data.writer._COMMIT_S", np.inf)
    monkeypatch.setattr("awaccli.data.writer._COMMIT_BYTES", 5_000)
    with Writer(tmp_path, header) as writer:
        for episode in episodes_of(make_episode, 20):
            writer.append(episode)
    assert 1 < writer.dataset().header.commit.seq < 20


def test_only_resume_continues(tmp_path, header, make_episode):
    with Writer(tmp_path, header) as writer:
        writer.append(make_episode(np.random.default_rng(0)))
    with pytest.raises(DatasetError, match="already holds"):
        Writer(tmp_path, header)
    other = header.model_copy(update={"sources": header.sources[:1]})
    with pytest.raises(DatasetError, match="another sources"):
        Writer(tmp_path, other, resume=True)
    changed = header.task.model_copy(update={"held_steps": 3})
    with pytest.raises(DatasetError, match="another task"):
        Writer(tmp_path, Header(task=changed, sources=header.sources), resume=True)


def test_damage_is_found_on_resume(tmp_path, header, make_episode):
    import zarr

    with Writer(tmp_path, header) as writer:
        for episode in episodes_of(make_episode, 2):
            writer.append(episode)
    zarr.open_array(tmp_path, path="steps/rewards", mode="r+")[-1] = 7
    with pytest.raises(DatasetError, match="episode 1 has changed"):
        Writer(tmp_path, header, resume=True)


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, header, make_episode, recipe, clock, suffix):
    episodes = episodes_of(make_episode, 5)
    path = tmp_path / f"x.{suffix}"
    with claimed(path, recipe) as target, pytest.raises(KeyboardInterrupt):
        append_and_stop(Writer(target.payload, header), episodes[:3])
    with claimed(path, recipe, Existing.RESUME) as target:
        assert target.resuming
        with Writer(target.payload, header, resume=True) as writer:
            for episode in episodes[writer.n_episodes :]:
                writer.append(episode)
        writer.seal()
        (target.scratch / "sealed.h5").write_bytes(b"torn")
        writer = Writer(target.payload, header, resume=True)
        manifest = commit_dataset(target, writer, recipe=recipe, parents=(), clock=clock)
    assert (
        manifest.id
        == open_dataset(path).id
        == dataset_id(open_dataset(path).header, map(episode_sha256, episodes))
    )
    assert manifest.content == {"n_episodes": 5, "n_steps": sum(map(len, episodes))}
    assert list(tmp_path.iterdir()) == [path]
