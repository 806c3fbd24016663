"""`awac eval --video`: what it prints and makes, what is refused before a step, and what is never lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest
from PIL import Image

from awaccli.envs.opengl import open_gl
from awaccli.errors import RunError

DRAWN = ("--task", "drawn_tasks:Drawn-v0", "--success-key", "reached", "--workers", "1")


@pytest.fixture
def policy(linked, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "stages" / "toys")
    return linked("finetuned.ckpt")


def test_a_film_beside_the_result(awac, policy):
    plain = awac("eval", policy, "-n", "6", *DRAWN)
    filmed = awac("eval", policy, "-n", "6", *DRAWN, "--video", "x.gif", "--video-width", "80")
    assert (filmed.code, filmed.out) == (0, plain.out)
    assert filmed.err.endswith("drawn from the seed and actions: 0, 1, 2, 3\nmade x.gif\n")
    with Image.open("x.gif") as film:
        assert film.size == (160, 120)


def test_the_json_says_what_the_film_shows(awac, policy):
    command = ("eval", policy, "-n", "6", *DRAWN, "--json")
    plain = awac(*command).json
    options = ("--video", "x.gif", "--video-episodes", "2", "--video-every", "3", "--video-width", "64")
    found = awac(*command, *options, "-o", "x.json").json
    film = found.pop("video")
    assert found == plain
    assert "video" not in json.loads(Path("x.json").read_text())
    assert (film["path"], film["every"], len(film["episodes"])) == ("x.gif", 3, 2)
    with Image.open("x.gif") as drawn:
        assert (drawn.n_frames, drawn.size) == (film["frames"], (128, 48))
    one = film["episodes"][0]
    assert list(one) == ["episode", "steps", "success", "return", "start", "diverged_at"]
    assert (one["episode"], one["start"], one["diverged_at"]) == (0, "seed", None)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--video", "x.mkv"), 2, "must end in .mp4 or .gif"),
        (("--video", "no/x.gif"), 2, "does not exist"),
        (("--video", "there.gif"), 4, "`there.gif` already exists"),
        (("--video-episodes", "2"), 2, "go with --video"),
        (("--video-every", "2"), 2, "go with --video"),
        (("--video", "x.gif", "--offline", "--data", "toy.zarr"), 2, "--offline goes with --data, not with"),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_step_is_made(
    awac, policy, monkeypatch, arguments, code, message
):
    monkeypatch.setattr("awaccli.envs.simulation.Simulation.step", lambda *_: pytest.fail("a step"))
    Path("there.gif").write_text("precious")
    awac("eval", policy, *DRAWN[4:], *arguments).failed(code, message)
    assert Path("there.gif").read_text() == "precious"


def test_without_the_encoder_nothing_is_measured(awac, policy, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    awac("eval", policy, *DRAWN, "--video", "x.mp4").failed(
        2, "imageio-ffmpeg", 'pip install "awaccli[video]"'
    )


def test_more_than_sixteen_are_too_many(awac, policy):
    result = awac("eval", policy, *DRAWN, "--video", "x.gif", "--video-episodes", "17")
    assert (result.code, result.out) == (2, "")


def test_a_dry_run_says_whether_it_could_be_drawn(awac, policy):
    result = awac("eval", policy, *DRAWN, "--video", "x.gif", "--dry-run")
    assert result.code == 0
    assert "also makes: x.gif" in result.out
    toy = ("eval", policy, "--workers", "1", "--video", "x.gif", "--dry-run")
    awac(*toy).failed(5, "cannot be drawn")
    assert not Path("x.gif").exists()


def test_overwrite_is_for_the_film_too(awac, policy):
    command = ("eval", policy, "-n", "2", *DRAWN, "--video", "x.gif", "--video-width", "64", "-o", "x.json")
    assert awac(*command).code == 0
    awac("eval", policy, "-n", "2", *DRAWN, "--video", "x.gif").failed(4, "`x.gif` already exists")
    before = Path("x.gif").stat().st_ino
    assert awac(*command, "--overwrite").code == 0
    assert Path("x.gif").stat().st_ino != before


def test_a_film_that_cannot_be_drawn_costs_no_measurement(awac, policy):
    command = ("eval", policy, "-n", "2", "--workers", "1")
    expected = awac(*command)
    failed = awac(*command, "--video", "x.gif", "-o", "x.json")
    assert (failed.code, failed.out) == (5, expected.out)
    assert "error: task `toy` cannot be drawn" in failed.err
    again = awac(*command, "--json", "--if-changed", "-o", "x.json", "--video", "x.gif", "--min-success", "1")
    assert again.code == 5
    found = json.loads(again.out)
    assert found.pop("video") is None
    assert found == awac(*command, "--json").json
    assert not Path("x.gif").exists()


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    """Return a policy of a hand, in a folder of its own."""
    folder = tmp_path_factory.mktemp("hand")
    collect = [
        "collect-demos",
        "relocate",
        "--policy",
        "random",
        "-n",
        "2",
        "--horizon",
        "6",
        "-o",
        "hand.zarr",
    ]
    clone = ["pretrain", "--algo", "bc", "--preset", "smoke", "--updates", "2", "--data", "hand.zarr"]
    for command in (collect, [*clone, "-o", "hand.ckpt"]):
        done = started(folder, *command, "--workers", "1")
        assert done.returncode == 0, done.stderr
    return folder / "hand.ckpt"


def started(folder, *arguments, **variables):
    program = "from awaccli.cli.app import main; main()"
    environment = {
        name: text for name, text in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")
    }
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_film_of_a_hand(hand, tmp_path):
    try:
        open_gl()
    except RunError as error:
        pytest.skip(str(error))
    film = ("--video", "x.mp4", "--video-width", "64", "--video-every", "3", "--json")
    done = started(tmp_path, "eval", str(hand), "-n", "2", "--workers", "1", *film)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)["video"]
    assert (made["frames"], [one["diverged_at"] for one in made["episodes"]]) == (3, [None, None])
    read = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", "x.mp4", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert b"128x48" in read.stderr
    assert len(read.stdout) == 3 * 128 * 48 * 3


def test_without_opengl_the_result_is_printed_and_kept_first(hand, tmp_path):
    measure = ("eval", str(hand), "-n", "2", "--workers", "1", "--video", "x.gif", "-o", "x.json")
    done = started(tmp_path, *measure, MUJOCO_GL="glfw")
    assert done.returncode == 5
    assert done.stdout.startswith("relocate: 2 episodes, mean actions, seed 0\n")
    assert "error: no OpenGL can draw without a display here" in done.stderr
    assert "hint: on Debian and Ubuntu: apt install libegl1" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
