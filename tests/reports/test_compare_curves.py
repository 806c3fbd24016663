"""Learning curves: the numbers, what is in the figure, files that are the same every time, text."""

import math
import unicodedata
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

from awaccli.errors import InputError, OutputExistsError, UsageError
from awaccli.reports import curves_figure
from awaccli.reports.curves import SUCCESS, curve, curves, group_curves
from awaccli.reports.curves_figure import plot_curves, plot_groups
from awaccli.reports.curves_text import curves_text
from awaccli.reports.figures import COLOURS, styled
from awaccli.reports.runs import Run


def line(at, value, *, phase="online", name=SUCCESS, **more):
    counters = {"updates": at, "env_steps": at if phase == "online" else 0, "wall_s": 1.0}
    return {"phase": phase, name: value} | counters | more


def run(name, *lines, offline=(), task="door", **changes):
    fields = {
        "path": Path(f"{name}.ckpt"),
        "id": name,
        "algo": "awac",
        "seed": 0,
        "task": task,
        "updates": 10,
        "env_steps": 20,
        "facts": {},
        "lines": lines,
        "earlier": tuple(line(at, value, phase="offline") for at, value in offline),
        "whole": True,
        "wall_s": 1.0,
    }
    return Run(**fields | changes)


def points(found):
    return [(point.at, point.value) for point in found]


def test_a_curve_has_updates_offline_and_steps_online():
    found = curve(run("a", line(0, 0.1), line(20, 0.5), offline=[(5, 0.0), (10, 0.2)]), SUCCESS)
    assert points(found.offline) == [(5, 0.0), (10, 0.2)]
    assert points(found.online) == [(0, 0.1), (20, 0.5)]


def test_of_several_lines_at_one_step_the_last_counts_and_null_is_a_gap():
    found = curve(
        run("a", line(5, 0.1), line(5, 0.3), line(9, None), line(9, True), line(9, math.nan), line(12, 1)),
        SUCCESS,
    )
    assert points(found.online) == [(5, 0.3), (12, 1.0)]


def bands(found, phase="online"):
    return [(point.at, point.estimate.value, point.estimate.low) for point in found.bands[phase]]


def test_the_aggregate_goes_as_far_as_all_runs_and_between_points_on_straight_lines():
    runs = [run("a", line(0, 0.0), line(10, 1.0), line(30, 0.0)), run("b", line(0, 0.0), line(20, 0.8))]
    (found,) = group_curves({"g": runs}, SUCCESS, aggregate="mean")
    assert [at for at, *_ in bands(found)] == [0, 10, 20]
    assert [value for _, value, _ in bands(found)] == pytest.approx([0.0, 0.7, 0.65])
    assert [low for *_, low in bands(found)] == pytest.approx([0.0, 0.4, 0.5])
    assert bands(found, "offline") == []


def test_the_interquartile_mean_and_tasks_reach_the_curve():
    runs = [run(str(index), line(0, value)) for index, value in enumerate((0.0, 0.1, 0.3, 1.0))]
    (found,) = group_curves({"g": runs}, SUCCESS, aggregate="iqm")
    assert bands(found)[0][1] == pytest.approx(0.2)
    mixed = [run("a", line(0, 0.0)), run("b", line(0, 1.0), task="pen")]
    (found,) = group_curves({"g": mixed}, SUCCESS, aggregate="mean")
    assert bands(found)[0] == (0, 0.5, None)  # one run of each task says nothing of other seeds


def test_metrics_that_nobody_logged_are_refused():
    runs = [run("a", line(0, 0.1, **{"q/mean": -3.0, "policy/std": [1.0], "held_out/dataset": "x"}))]
    for wrong in ("q/meen", "policy/std", "held_out/dataset", "wall_s", "updates"):
        with pytest.raises(UsageError, match=wrong):
            curves(runs, [wrong])
    with pytest.raises(UsageError) as error:
        group_curves({"a": runs}, "q/meen", aggregate="mean")
    assert "`q/mean`" in error.value.hint
    with pytest.raises(InputError, match="no metrics yet"):
        curves([run("a")])


def test_without_names_the_main_diagnostics_are_shown():
    logged = {"weights/ess": 0.5, "q/mean": -3.0, "loss/policy": 1.0, "loss/critic": 2.0}
    assert curves([run("a", line(0, 0.1, **logged))]).metrics == (
        SUCCESS,
        "weights/ess",
        "q/mean",
        "loss/policy",
    )
    both = run("a", line(0, 0.1, **logged, **{"q/range_share": 0.3}))
    assert "q/mean" not in curves([both]).metrics
    assert curves([run("a", line(0, 1.0, name="other"))]).metrics == ("other",)


GROUPS = {
    "three": [
        run(
            str(seed), *(line(at, 0.1 * seed + at / 100) for at in (0, 20, 40)), offline=[(5, 0.0), (10, 0.1)]
        )
        for seed in range(3)
    ],
    "_one of $x$": [run("x", line(0, 0.3), line(30, 0.9))],
    "dot": [run("y", line(0, 0.5))],
    "other": [run("z", line(0, 1.0, name="q/mean"))],
}


@pytest.fixture
def drawn():
    return group_curves(GROUPS, SUCCESS, aggregate="mean")


def test_every_run_is_thin_and_every_group_bold(drawn):
    figure = curves_figure._groups_figure(drawn, SUCCESS, "mean")
    offline, online = figure.axes
    assert (len(offline.lines), len(online.lines)) == (3 + 1, 3 + 1 + 1 + 1)
    widths = sorted(found.get_linewidth() for found in online.lines)
    assert widths == [0.7] * 3 + [2.0] * 3
    assert (len(offline.collections), len(online.collections)) == (1, 1)  # one run has no band
    bold = {found.get_color(): found for found in online.lines if found.get_linewidth() == 2}
    assert list(bold) == list(COLOURS[:3])
    assert len({found.get_linestyle() for found in bold.values()}) == 3
    assert bold[COLOURS[0]].get_ydata() == pytest.approx([0.1, 0.3, 0.5])
    assert offline.get_facecolor() != online.get_facecolor()
    assert (offline.get_xlabel(), online.get_xlabel()) == ("offline updates", "online steps")
    assert offline.get_ylim() == online.get_ylim() == (-0.02, 1.02)
    labels = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert labels == ["three (3 runs)", "_one of $x$ (1 run)", "dot (1 run)", "other (not logged)"]


def test_a_phase_that_nobody_has_takes_no_room():
    found = group_curves({"x": GROUPS["_one of $x$"]}, SUCCESS, aggregate="iqm")
    (axes,) = curves_figure._groups_figure(found, SUCCESS, "iqm").axes
    assert axes.get_xlabel() == "online steps"


def test_a_panel_for_every_metric():
    runs = [run(name, line(0, 0.1, **{"q/mean": 1.0, "loss": 2.0}), line(5, 0.2)) for name in "ab"]
    runs[0] = replace(runs[0], earlier=(line(3, 0.0, phase="offline"),))
    with styled():
        figure = curves_figure._curves_figure(curves(runs, [SUCCESS, "q/mean", "loss"]))
    assert [len(axes.lines) for axes in figure.axes] == [1, 2, 2, 2]
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["success at the last step", "", "Q of logged actions", "loss"]


def test_long_names_stay_inside_the_figure():
    many = {f"{index} {'long ' * 9}": GROUPS["dot"] for index in range(7)}
    with styled():
        figure = curves_figure._groups_figure(group_curves(many, SUCCESS, aggregate="mean"), SUCCESS, "mean")
        figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.width


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_numbers_give_the_same_bytes_whatever_the_settings(tmp_path, drawn, suffix):
    first, again = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    plot_groups(drawn, first, metric=SUCCESS, aggregate="mean")
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other"}):
        plot_groups(drawn, again, metric=SUCCESS, aggregate="mean")
    assert first.read_bytes() == again.read_bytes()
    assert len(first.read_bytes()) > 5000
    if suffix == ".png":
        with Image.open(first) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 50
    with pytest.raises(OutputExistsError):
        plot_groups(drawn, first, metric=SUCCESS, aggregate="mean")


def test_more_than_can_be_told_apart_is_refused(tmp_path):
    many = [run(str(index), line(0, 0.1)) for index in range(8)]
    with pytest.raises(UsageError, match="8 lines"):
        plot_curves(curves(many), tmp_path / "x.png")
    with pytest.raises(UsageError, match="8 lines"):
        curves_text(curves(many))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "runs",
    [
        GROUPS["three"],
        [run("a rather long name, longer than anybody wants to read\n", line(0, -1e-12), line(9, 3e200))],
        [run("flat", line(1, 2.0, name="loss"), line(10**9, 2.0, name="loss"), id=None)],
        [run("offline", offline=[(0, 0.4)])],
    ],
)
def test_text_is_80_columns_of_plain_characters(runs):
    for text in curves_text(curves(runs)).split("\n"):
        assert len(text) <= 80, text
        assert text == text.rstrip()
        assert not any(unicodedata.category(character) == "Cc" for character in text)


def test_text_shows_where_the_points_are():
    found = curves([run("a", line(0, 0.0), line(40, 1.0), offline=[(10, 0.0)]), run("b", line(40, 1.0))])
    assert curves_text(found).split("\n") == [
        "A a: awac, seed 0, 10 updates, 20 online steps",
        "B b: awac, seed 0, 10 updates, 20 online steps",
        "",
        "success at the last step (eval/success_final)",
        "last: A 1, B 1",
        "        1 │                  │" + " " * 49 + "*",
        *["          │                  │"] * 6,
        "        0 │                 A│A",
        "          └" + "─" * 18 + "┴" + "─" * 50,
        "           0    updates    10 0                 online steps                  40",
    ]


def test_text_of_one_run_has_dots_and_says_that_it_goes_on():
    text = curves_text(curves([run("a", line(0, 2.0, name="loss"), line(8, 5.0, name="loss"), id=None)]))
    lines = text.split("\n")
    assert lines[0] == "● a: awac, seed 0, 10 updates, 20 online steps, unfinished"
    assert lines[4].split() == ["5", "│", "●"]
    assert lines[4].endswith("●")
    assert lines[11] == "        2 │●"
