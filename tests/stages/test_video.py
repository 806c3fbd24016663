"""Films: what is drawn from states is what actions lead to; tiles, marks, pace, and refusals."""

import subprocess
from dataclasses import replace

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from awaccli.artifacts.commit import Existing, claimed
from awaccli.artifacts.manifest import Clock, Recipe
from awaccli.config.settings import CollectSettings, Execution
from awaccli.data.dataset import open_dataset
from awaccli.data.writer import Writer, commit_dataset
from awaccli.envs.opengl import open_gl
from awaccli.envs.registry import resolve_task
from awaccli.envs.rendering import Studio
from awaccli.errors import (
    DatasetError,
    InputError,
    InterruptedRunError,
    OutputExistsError,
    RunError,
    UsageError,
)
from awaccli.stages.collect_demos import collect_demos
from awaccli.stages.drawing import VideoSettings, _pace
from awaccli.stages.film import Take, Tile, film, write_film
from awaccli.stages.video import video

TRUSTED = Execution(trust_env=True)
GREEN, VERMILION, BACKGROUND = (0, 158, 115), (213, 94, 0), (24, 24, 24)


@pytest.fixture(scope="module")
def gl():
    try:
        return open_gl()
    except RunError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    settings = CollectSettings(policy="random", episodes=2, sim_state="full")
    folder = tmp_path_factory.mktemp("hand")
    return collect_demos(resolve_task("relocate", horizon=8), settings, folder / "hand.zarr")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    settings = CollectSettings(policy="random", episodes=5)
    task = resolve_task("drawn_tasks:Drawn-v0", success_key="reached")
    return collect_demos(task, settings, tmp_path_factory.mktemp("drawn") / "drawn.zarr")


def rewritten(folder, dataset, episodes):
    """Write a dataset again, with other episodes."""
    path, recipe = folder / "changed.zarr", Recipe(stage="test", version=1, settings={}, seed=0)
    with claimed(path, recipe, Existing.OVERWRITE) as target:
        with Writer(target.payload, dataset.header.model_copy(update={"fields": {}})) as writer:
            for episode in episodes:
                writer.append(episode)
        commit_dataset(target, writer, recipe=recipe, parents=(), clock=Clock(Execution()))
    return open_dataset(path)


def without(folder, dataset, **changes):
    return rewritten(folder, dataset, [replace(episode, **changes) for episode in dataset])


def read_gif(path):
    with Image.open(path) as picture:
        frames = []
        for number in range(picture.n_frames):
            picture.seek(number)
            frames.append(np.asarray(picture.convert("RGB")))
        return frames, picture.info["duration"]


def test_states_and_actions_give_the_same_pictures(gl, hand):
    pictures, diverged = {}, []
    with Studio(hand.task, width=64, height=48) as studio:
        for start in ("seed", "start", "states"):
            frames = studio.frames(hand.episode(1), start, [0, 3, 8], diverged.append)
            pictures[start] = list(frames)
    assert diverged == []
    assert [frame.shape for frame in pictures["states"]] == [(48, 64, 3)] * 3
    for start in ("start", "seed"):
        np.testing.assert_array_equal(pictures[start], pictures["states"])
    assert (pictures["states"][0] != pictures["states"][2]).any()


def test_a_film_of_a_hand(gl, hand, tmp_path):
    out = tmp_path / "hand.mp4"
    made = video(hand, VideoSettings(count=1, width=64, every=3), out)
    [episode] = made.model_dump()["episodes"]
    facts = {"episode": 0, "steps": 8, "success": False, "return": -8.0}
    assert episode == facts | {"start": "states", "diverged_at": None}
    assert (made.frames, made.every, made.fps) == (4, 3, pytest.approx(100 / 3))  # steps 0, 3, 6 and the last
    assert out.read_bytes()[4:8] == b"ftyp"
    assert [file.name for file in tmp_path.iterdir()] == ["hand.mp4"]


@pytest.mark.parametrize(
    ("changes", "start"), [({"sim": {}}, "start"), ({"sim": {}, "sim_init": None, "model": {}}, "seed")]
)
def test_the_most_that_is_stored_is_used(gl, hand, tmp_path, changes, start):
    made = video(
        without(tmp_path, hand, **changes), VideoSettings((1,), width=64, every=8), tmp_path / "x.gif"
    )
    assert [(one.episode, one.start, one.diverged_at) for one in made.episodes] == [(1, start, None)]


def test_where_nothing_is_stored_nothing_is_invented(hand, tmp_path):
    bare = without(tmp_path, hand, sim={}, sim_init=None, model={}, seed=None)
    with pytest.raises(DatasetError, match="episode 0 has no states, no start state and no seed"):
        video(bare, VideoSettings(), tmp_path / "x.gif")


def test_a_divergence_is_said(drawn, tmp_path):
    first, second, *_ = drawn
    moved = first.observations.copy()
    moved[2:] += 0.1
    changed, said = rewritten(tmp_path, drawn, [replace(first, observations=moved), second]), []
    out = tmp_path / "x.gif"
    made = video(changed, VideoSettings(width=64), out, execution=TRUSTED, report=Said(said))
    assert [one.diverged_at for one in made.episodes] == [2, None]
    assert said == [
        "drawn from the seed and actions: 0, 1",
        "episode 0 goes elsewhere from step 2 on than it did when it was recorded",
    ]


class Said:
    """A reporter that remembers, and that can be asked to stop."""

    def __init__(self, said, stop_at=99):
        self.said, self.looks = said, stop_at

    def note(self, message):
        self.said.append(message)

    warn = note

    def phase(self, title, total, unit):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, done, **shown):
        pass

    def interrupted(self):
        self.looks -= 1
        return 2 if self.looks < 0 else 0


def test_an_environment_that_draws_itself(drawn, tmp_path):
    out = tmp_path / "x.gif"
    made = video(drawn, VideoSettings(width=60, height=60), out, execution=TRUSTED)
    frames, duration_ms = read_gif(out)
    longest = max(one.steps for one in made.episodes)
    assert (made.frames, len(frames), made.fps, duration_ms) == (longest + 1, longest + 1, 25, 40)
    assert frames[0].shape == (120, 120, 3)
    for place, one in enumerate(made.episodes):
        tile = frames[-1][place // 2 * 60 :, place % 2 * 60 :][:60, :60].astype(int)
        frame = GREEN if one.success else VERMILION
        assert np.abs(tile[0, 30] - frame).max() < 12  # a GIF has 256 colours
        red = np.clip(128 + 40 * drawn.episode(one.episode).observations[-1, 0], 0, 255)
        assert np.abs(tile[30, 30] - (red, 0, 0)).max() < 12
        assert np.abs(tile[30, 5] - BACKGROUND).max() < 12  # 40 x 30 pixels, padded


def take(pictures, *, success=True, index=0):
    frames = (picture for picture in pictures)
    return Take(index, success, 0.0, len(pictures) - 1, range(len(pictures)), frames)


def flat(value, shape=(48, 64, 3)):
    return np.full(shape, value, np.uint8)


def test_pictures_are_asked_for_one_at_a_time():
    asked = []

    def endless():
        for number in range(1000):
            asked.append(number)
            yield flat(number % 256)

    frames = film([replace(take([]), shown=range(1000), frames=endless())], Tile(64, 48))
    next(frames)
    next(frames)
    assert asked == [0, 1]


@pytest.mark.parametrize(
    ("count", "shape"), [(1, (50, 66)), (2, (50, 130)), (3, (98, 130)), (5, (98, 196)), (16, (196, 260))]
)
def test_tiles_fill_a_sheet_of_even_size(count, shape):
    [sheet] = film([take([flat(200)], index=i) for i in range(count)], Tile(65, 49))
    assert sheet.shape == (*shape, 3)


def test_who_is_done_waits_and_success_is_told_by_words_and_frame():
    takes = [take([flat(90)]), take([flat(100), flat(200)], success=False, index=7)]
    first, last = film(takes, Tile(320, 240))
    assert tuple(last[0, 160]) == GREEN
    assert tuple(last[0, 480]) == VERMILION
    np.testing.assert_array_equal(first[:, :320], last[:, :320])
    assert tuple(first[120, 480]) == (100, 100, 100)
    assert tuple(last[120, 480]) == (200, 200, 200)
    words = [(picture[6:20, 6:200] > 240).all(axis=-1).sum() for picture in (last, last[:, 320:])]
    assert 50 < words[0] < words[1]  # `no success` is longer


def test_mp4_and_gif_can_be_read_back(tmp_path):
    pictures = [flat(value, (64, 96, 3)) for value in (0, 120, 240)]
    write_film(iter(pictures), tmp_path / "x.mp4", fps=5)
    write_film(iter(pictures), tmp_path / "x.gif", fps=5)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "x.mp4"]
    read = subprocess.run(
        [*ffmpeg, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    )
    assert b"96x64" in read.stderr
    assert b" 5 fps" in read.stderr
    assert np.frombuffer(read.stdout, np.uint8).reshape(3, -1).mean(axis=1) == pytest.approx(
        [0, 120, 240], abs=4
    )
    frames, duration_ms = read_gif(tmp_path / "x.gif")
    assert duration_ms == 200
    assert [int(frame.mean()) for frame in frames] == [0, 120, 240]


@pytest.mark.parametrize(
    ("control_dt", "settings", "expected"),
    [
        (0.01, {}, (4, 25.0)),
        (0.05, {}, (1, 20.0)),
        (0.008, {}, (5, 25.0)),
        (None, {}, (1, 25.0)),
        (0.01, {"every": 10}, (10, 10.0)),
        (0.01, {"every": 10, "fps": 30.0}, (10, 30.0)),
    ],
)
def test_a_film_lasts_as_long_as_what_it_shows(hand, control_dt, settings, expected):
    task = hand.task.model_copy(update={"control_dt": control_dt})
    assert _pace(task, VideoSettings(**settings)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (VideoSettings((0, 5)), UsageError, "has no episode 5"),
        (VideoSettings(()), UsageError, "0 episodes in one film"),
        (VideoSettings(camera="top"), UsageError, "has no cameras"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(drawn, tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        video(drawn, settings, tmp_path / "x.gif", execution=TRUSTED)
    assert list(tmp_path.iterdir()) == []


def test_cameras_are_named(gl, hand):
    with pytest.raises(UsageError, match="no camera `top`") as error:
        Studio(hand.task, width=64, height=48, camera="top")
    assert error.value.hint == "it has fixed, vil_camera"
    views = []
    for camera in ("0", None):
        with Studio(hand.task, width=64, height=48, camera=camera) as studio:
            views += studio.frames(hand.episode(0), "states", [0], [].append)
    assert (views[0] != views[1]).any()


def test_what_cannot_be_drawn_is_an_error(drawn, chain, tmp_path):
    plain = chain("plain").collect()
    with pytest.raises(RunError, match="cannot be drawn"):
        video(plain, VideoSettings(), tmp_path / "x.gif", execution=TRUSTED)
    with pytest.raises(InputError, match="could run that author's code"):
        video(drawn, VideoSettings(), tmp_path / "x.gif")
    spec = drawn.task.spec.model_copy(update={"kwargs": {"picture_dtype": "float32"}})
    header = drawn.header.model_copy(update={"task": drawn.task.model_copy(update={"spec": spec})})
    drawn_badly = type(drawn)(drawn.path, drawn._store, header, drawn.manifest)
    with pytest.raises(RunError, match=r"draws float32 \[40, 30, 3\]"):
        video(drawn_badly, VideoSettings(), tmp_path / "x.gif", execution=TRUSTED)
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


def test_a_signal_and_a_file_that_is_there(drawn, tmp_path):
    out = tmp_path / "x.mp4"
    with pytest.raises(InterruptedRunError, match="stopped after 2 of "):
        video(drawn, VideoSettings(width=64), out, execution=TRUSTED, report=Said([], stop_at=2))
    assert list(tmp_path.iterdir()) == []
    out.write_text("precious")
    with pytest.raises(OutputExistsError):
        video(drawn, VideoSettings(width=64), out, execution=TRUSTED)
    video(drawn, VideoSettings(width=64), out, execution=TRUSTED, overwrite=True)
    assert out.stat().st_size > 500
