"""`awac data plot` and `awac data video`: outputs, exit codes, and what they load."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from awaccli.envs.opengl import open_gl
from awaccli.errors import RunError


@pytest.mark.parametrize("name", ["toy.zarr", "demos.h5"])
def test_a_plot_in_the_terminal(awac, linked, name):
    result = awac("data", "plot", linked(name))
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"{name.partition('.')[0]}: ")
    for title in ("Returns", "Lengths", "Success", "Actions at a bound", "State coverage", "Observations"):
        assert f"\n{title}" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert "\x1b" not in result.out


def test_a_plot_in_a_file(awac, linked):
    path = linked("toy.zarr")
    awac("data", "plot", "-", "-o", "toy.png", stdin=[str(path)]).made("toy.png")
    with Image.open("toy.png") as picture:
        assert picture.format == "PNG"
    awac("data", "plot", path, "-o", "toy.png").failed(4, "`toy.png` already exists", "--overwrite")
    awac("data", "plot", path, "-o", "toy.jpg").failed(2, "its name must end in .png or .svg or .pdf")
    awac("data", "plot", path, "-o", "no/toy.png").failed(2, "does not exist")


def test_the_numbers_behind_a_plot(awac, linked):
    both = awac("data", "plot", linked("demos.zarr"), linked("toy.zarr"), "--json").json
    assert (both["by"], [group["name"] for group in both["groups"]]) == ("dataset", ["demos", "toy"])
    assert [group["episodes"] for group in both["groups"]] == [4, 9]
    one = awac("data", "plot", "toy.zarr", "--json").json
    assert one["by"] == "source"
    assert sum(group["episodes"] for group in one["groups"]) == 9
    awac("data", "plot", "toy.zarr", linked("wide.zarr")).failed(3, "`wide.zarr` has observations of")
    awac("data", "plot", "nothing.zarr").failed(3, "`nothing.zarr` does not exist")


def test_an_unfinished_dataset_is_plotted(awac, monkeypatch):
    monkeypatch.setenv("STOP_AT", "3")
    monkeypatch.setenv("STOP_WITH", "SIGTERM")
    awac("collect-demos", "TOY", "--policy", "random", "-n", "9", "--workers", "1", "-o", "x.zarr")
    assert awac("data", "plot", "x.zarr.part").out.startswith("x.zarr: 3 episodes, ")


def test_text_needs_neither_matplotlib_nor_torch(linked, tmp_path):
    linked("toy.zarr")
    program = (
        "import sys; sys.argv[1:] = ['data', 'plot', 'toy.zarr', '--json']\n"
        "from awaccli.cli.app import main\n"
        "try: main()\n"
        "finally: print(*({'matplotlib', 'torch', 'mujoco', 'PIL'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "\n")


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    """Return a dataset of one short episode of a hand."""
    path = tmp_path_factory.mktemp("hand") / "hand.zarr"
    command = [
        "collect-demos",
        "relocate",
        "--policy",
        "random",
        "-n",
        "1",
        "--horizon",
        "6",
        "-o",
        str(path),
    ]
    program = f"import sys; sys.argv[1:] = {command}; from awaccli.cli.app import main; main()"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return path


def test_a_film(awac, hand):
    try:
        open_gl()
    except RunError as error:
        pytest.skip(str(error))
    result = awac("data", "video", hand, "--width", "64", "--every", "3", "-o", "x.mp4", "--json")
    assert (result.json["path"], result.json["frames"]) == ("x.mp4", 3)
    assert result.json["episodes"][0]["start"] == "start"
    assert result.err == "drawn from the stored start state and actions: 0\n"
    awac("data", "video", hand, "-o", "x.mp4").failed(4, "`x.mp4` already exists", "--overwrite")


@pytest.mark.parametrize("wanted", ["impossible", "glfw"])
def test_without_opengl_it_says_what_to_install(hand, tmp_path, wanted):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")
    }
    program = f"import sys; sys.argv[1:] = ['data', 'video', {str(hand)!r}, '-o', 'x.gif']\n"
    program += "from awaccli.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment | {"MUJOCO_GL": wanted},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: no OpenGL can draw without a display here, and MUJOCO_GL=")
    assert "apt install libegl1" in hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("-o", "x.mkv"), 2, "must end in .mp4 or .gif"),
        (("-o", "no/x.gif"), 2, "does not exist"),
        (("-o", "x.gif", "--episodes", "2,99999999999"), 2, "no episode 4"),
        (("-o", "x.gif", "--episodes", "three"), 2, "`three` names no episode"),
        (("-o", "x.gif"), 3, "could run that author's code"),
        (("-o", "x.gif", "--trust-env"), 5, "cannot be drawn"),
    ],
)
def test_films_that_make_no_sense(awac, linked, arguments, code, message):
    awac("data", "video", linked("demos.zarr"), *arguments).failed(code, message)


def test_without_the_encoder_it_says_how_to_get_it(awac, linked, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    path = linked("demos.zarr")
    awac("data", "video", path, "-o", "x.mp4").failed(2, "imageio-ffmpeg", 'pip install "awaccli[video]"')
