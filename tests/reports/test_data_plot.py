"""Pictures of datasets: files that are the same every time, and text that reads well anywhere."""

import subprocess
import sys
import unicodedata

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from awaccli.data.distributions import (
    MOST_DATASETS,
    MOST_GROUPS,
    Coverage,
    Distributions,
    Group,
    Histogram,
    Measured,
    Range,
)
from awaccli.data.evaluation import SuccessRates, wilson
from awaccli.errors import OutputExistsError, UsageError
from awaccli.reports import data_plot
from awaccli.reports.data_plot import plot_distributions
from awaccli.reports.data_plot_text import bar, distributions_text
from awaccli.reports.figures import COLOURS, LINES, MARKERS, short


def found(names=("demos",), *, dimensions=5, by="source", largest=2.0, episodes=40):
    """Return numbers of datasets that need not exist."""
    rng = np.random.default_rng(0)
    # Of (0, 9) the interval begins a last bit above 0.
    rates = SuccessRates(any=wilson(9, 10), final=wilson(7, 10), held=wilson(0, 9))

    def ranges(name, **bounds):
        return tuple(
            Range(
                name=f"{name}[{i}]",
                min=-largest,
                p01=-largest / 2,
                mean=largest / 10,
                p99=largest / 2,
                max=largest,
                **bounds,
            )
            for i in range(dimensions)
        )

    def histogram(edges):
        counts = rng.multinomial(episodes, np.full(len(edges) - 1, 1 / (len(edges) - 1)), size=len(names))
        return Histogram(edges=edges, counts=counts.tolist())

    points = [rng.normal(size=(60, 2)).round(4).tolist() for _ in names]
    measured = Measured(
        name="x",
        id="0" * 64,
        n_episodes=episodes * len(names),
        n_steps=60 * len(names),
        saturation=tuple(np.linspace(0, 0.3, dimensions).tolist()),
        observations=ranges("observations"),
        actions=ranges("actions", low=-2.0, high=float("inf")),
    )
    datasets = [measured]
    if by == "dataset":
        datasets = [measured.model_copy(update={"name": name}) for name in names]
    return Distributions(
        by=by,
        datasets=datasets,
        groups=[Group(name=name, episodes=episodes, success=rates) for name in names],
        returns=histogram((-3.5, -2.5, -1.5, -0.5, 0.5)),
        lengths=histogram((199.5, 200.5)),
        coverage=Coverage(explained=(0.5, 0.25), points=points),
    )


HARD = {
    "one": found(),
    "sources": found(
        [
            r"$\alpha_{$",
            "two\nlines",
            "_hidden",
            *(f"a rather long name of a policy.ckpt, {i}" for i in range(4)),
        ]
    ),
    "datasets": found([f"run-{i}" for i in range(MOST_DATASETS)], by="dataset"),
    "wide": found(dimensions=100, largest=5e6),
    "narrow": found(dimensions=1, largest=0.0, episodes=1),
}


def test_every_group_has_its_own_colour_marker_and_line():
    for kind in (COLOURS, MARKERS, LINES):
        assert len(set(kind)) == MOST_GROUPS >= MOST_DATASETS


@pytest.mark.parametrize("case", ["sources", "wide"])
def test_hard_cases_are_drawn(tmp_path, case):
    path = tmp_path / "x.png"
    plot_distributions(HARD[case], path)
    with Image.open(path) as picture:
        assert picture.size == (1440, 1500)
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_the_same_numbers_give_the_same_bytes_whatever_the_settings(tmp_path, suffix, begin):
    first, again = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    plot_distributions(HARD["one"], first)
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "text.usetex": True}):
        plot_distributions(HARD["one"], again)
        assert (mpl.rcParams["font.size"], mpl.rcParams["text.usetex"]) == (30, True)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes().startswith(begin)


def test_every_group_is_in_the_legend():
    figure = data_plot._figure(HARD["sources"])
    assert [text.get_text().strip()[:7] for text in figure.legends[0].get_texts()] == [
        r"$\alpha",
        "two lin",
        "_hidden",
        *["a rathe"] * 4,
    ]


def test_files_are_not_lost(tmp_path):
    path = tmp_path / "x.pdf"
    path.write_text("precious")
    with pytest.raises(OutputExistsError):
        plot_distributions(HARD["one"], path)
    assert path.read_text() == "precious"
    plot_distributions(HARD["one"], path, overwrite=True)
    assert path.read_bytes().startswith(b"%PDF")
    with pytest.raises(UsageError, match="does not exist"):
        plot_distributions(HARD["one"], tmp_path / "no" / "x.png")


@pytest.mark.parametrize("case", HARD)
def test_text_is_80_columns_of_plain_characters(case):
    lines = distributions_text(HARD[case]).split("\n")
    for line in lines:
        assert len(line) <= 80, line
        assert not any(unicodedata.category(character) == "Cc" for character in line), line
        assert line == line.rstrip()


def test_text_says_what_the_panels_show():
    text = distributions_text(
        found(["expert", "clone"]).model_copy(
            update={"returns": Histogram(edges=(-2.5, -1.5, -0.5), counts=((1, 3), (0, 4)))}
        )
    )
    lines = text.split("\n")
    returns = lines.index("Returns: share of episodes")
    assert lines[returns + 1].split() == ["A", "expert", "B", "clone"]
    assert lines[returns + 2].split() == ["-2", "█████▊", "25", "%", "·"]
    assert lines[returns + 3].split() == ["-1", "█" * 17 + "▎", "75", "%", "█" * 23, "100", "%"]
    assert "70 % [40, 89]" in text
    assert "200  █" in text
    assert "actions[4]  ██████████████████████████████████████████████████ 30.0 %" in text
    assert "across: component 1, 50 % of the variance; up: component 2, 25 %" in text
    assert lines[-7].startswith("Observations: ")
    assert lines[-6].split() == ["-2", "2"]
    # asinh: 1 is not half of the way to 2
    assert lines[-1] == " observations[4]  " + "─" * 12 + "━" * 23 + "●" + "━" * 14 + "─" * 12


def test_a_map_of_one_group_is_shaded_and_of_several_has_letters():
    def shown(numbers):
        return {c for line in distributions_text(numbers).split("\n") if line.startswith("│") for c in line}

    assert shown(HARD["one"]) <= set("│ ·░▒▓█")
    assert shown(HARD["datasets"]) == set("│ ABCDEF")


def test_bars():
    assert (bar(0, 8), bar(1, 8), bar(0.5, 8)) == ("", "█" * 8, "█" * 4)
    assert bar(1e-6, 8) == "▏"
    assert bar(3 / 64, 8) == "▍"


def test_long_names_lose_their_middle():
    assert short("short") == "short"
    assert short("a\n b") == "a b"
    assert short("policies/run-17.ckpt, mean", 11) == "polic… mean"
    assert len(short("x" * 99)) == 28


def test_matplotlib_is_only_loaded_to_draw():
    program = "import sys, awaccli.reports.data_plot, awaccli.reports.data_plot_text, awaccli.cli.app; "
    program += "print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
