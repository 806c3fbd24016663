"""Films of evaluations: the episodes that were measured, marked as measured, and nothing else changes."""

import numpy as np
import pytest
from PIL import Image

from awaccli.artifacts.commit import Existing
from awaccli.artifacts.manifest import read_manifest
from awaccli.config.settings import EvaluateSettings, Execution
from awaccli.envs.registry import resolve_task
from awaccli.errors import InputError, OutputExistsError, RunError, UsageError
from awaccli.stages.drawing import VideoSettings
from awaccli.stages.evaluate import evaluate
from awaccli.stages.evaluation_video import evaluation_video, require_drawable, varied

TRUSTED = Execution(trust_env=True)
SETTINGS = EvaluateSettings(episodes=7)
GREEN, VERMILION = (0, 158, 115), (213, 94, 0)
WIDTH = 60


@pytest.fixture(scope="module")
def policy(reference):
    """Return a checkpoint of the toy task."""
    return reference.pretrain(reference.rollout(reference.collect()))


@pytest.fixture
def task():
    return resolve_task("drawn_tasks:Drawn-v0", success_key="reached")


@pytest.fixture
def measured(policy, task):
    """Return an evaluation and its episodes."""
    seen = []
    return evaluate(policy, SETTINGS, task=task, seed=3, seen=seen.extend), seen


def pictures(path):
    with Image.open(path) as film:
        found = []
        for number in range(film.n_frames):
            film.seek(number)
            found.append(np.asarray(film.convert("RGB")).astype(int))
    return found


@pytest.mark.parametrize(
    ("success", "count", "expected"),
    [
        ("++++++", 4, [0, 1, 2, 3]),
        ("++++-+-", 4, [0, 1, 2, 4]),
        ("-----+", 2, [0, 5]),
        ("+-++", 3, [0, 1, 2]),
        ("+++-+", 4, [0, 1, 2, 3]),
        ("+-", 1, [0]),
        ("-+", 16, [0, 1]),
        ("-", 4, [0]),
    ],
)
def test_a_success_and_a_failure_are_shown_where_there_are_both(success, count, expected):
    assert varied([mark == "+" for mark in success], count=count) == expected


def test_the_film_shows_what_was_measured(policy, task, measured, tmp_path):
    result, episodes = measured
    ended = [bool(episode.success[-1]) for episode in episodes]
    assert [episode.seed for episode in episodes] == list(result.seeds)
    assert sum(ended) / len(ended) == result.outcome.success.final.rate
    assert len(set(ended)) == 2  # or it would say nothing of marks

    out, look = tmp_path / "x.gif", VideoSettings(count=4, width=WIDTH, height=WIDTH)
    film = evaluation_video(policy, SETTINGS, out, look=look, episodes=episodes, task=task, seed=3)
    shown = [one.episode for one in film.episodes]
    assert shown == varied(ended, count=4)
    assert {one.success for one in film.episodes} == {True, False}
    assert [(one.start, one.diverged_at) for one in film.episodes] == [("seed", None)] * 4

    found = pictures(out)
    longest = max(len(episodes[index]) for index in shown)
    assert (film.frames, len(found), film.fps) == (longest + 1, longest + 1, 25)
    assert {picture.shape for picture in found} == {(2 * WIDTH, 2 * WIDTH, 3)}
    for place, index in enumerate(shown):
        tile = found[-1][place // 2 * WIDTH :, place % 2 * WIDTH :][:WIDTH, :WIDTH]
        assert np.abs(tile[0, 30] - (GREEN if ended[index] else VERMILION)).max() < 12  # of 256 colours
        red = np.clip(128 + 40 * episodes[index].observations[-1, 0], 0, 255)
        assert np.abs(tile[30, 30] - (red, 0, 0)).max() < 12


def test_an_evaluation_is_the_same_to_the_bit_with_and_without_a_film(policy, task, measured, tmp_path):
    expected, _ = measured
    made = {}
    for workers in (1, 2):
        run, out, seen = Execution(workers=workers), tmp_path / f"{workers}.json", []
        result = evaluate(policy, SETTINGS, out, task=task, seed=3, execution=run, seen=seen.extend)
        film = tmp_path / f"{workers}.gif"
        evaluation_video(policy, SETTINGS, film, look=VideoSettings(width=64), episodes=seen, task=task)
        assert result == expected
        made[workers] = read_manifest(out).id, film.read_bytes()
    plain = tmp_path / "plain.json"
    evaluate(policy, SETTINGS, plain, task=task, seed=3)
    assert made[1] == made[2]
    assert made[1][0] == read_manifest(plain).id


def test_of_a_result_that_is_there_the_episodes_are_rolled_out_again(policy, task, measured, tmp_path):
    out, seen = tmp_path / "x.json", []
    evaluate(policy, SETTINGS, out, task=task, seed=3)
    again = Existing.IF_CHANGED
    result = evaluate(policy, SETTINGS, out, task=task, seed=3, existing=again, seen=seen.extend)
    assert (result, seen) == (measured[0], [])
    look, films = VideoSettings(count=2, width=64), []
    for name, episodes in (("a.gif", measured[1]), ("b.gif", seen)):
        film = tmp_path / name
        evaluation_video(policy, SETTINGS, film, look=look, episodes=episodes, task=task, seed=3)
        films.append(film.read_bytes())
    assert films[0] == films[1]


def test_where_actions_lead_elsewhere_it_is_said_and_marks_stay_as_measured(policy, tmp_path):
    task = resolve_task("drawn_tasks:Unsteady-v0", success_key="reached")
    seen = []
    evaluate(policy, SETTINGS, task=task, seen=seen.extend)
    look = VideoSettings(count=3, width=64)
    film = evaluation_video(policy, SETTINGS, tmp_path / "x.gif", look=look, episodes=seen, task=task)
    assert [one.diverged_at for one in film.episodes] == [1, 1, 1]
    assert [one.success for one in film.episodes] == [
        bool(seen[one.episode].success[-1]) for one in film.episodes
    ]


def test_what_cannot_be_filmed_is_an_error_and_leaves_nothing(policy, task, measured, tmp_path):
    look, out = VideoSettings(), tmp_path / "x.gif"
    with pytest.raises(InputError, match="could run that author's code"):
        evaluation_video(policy, SETTINGS, out, look=look, episodes=measured[1])
    with pytest.raises(RunError, match="cannot be drawn"):
        evaluation_video(policy, SETTINGS, out, look=look, episodes=measured[1], execution=TRUSTED)
    with pytest.raises(RunError, match="cannot be drawn"):
        require_drawable(policy, look, task=None, execution=TRUSTED)
    named = VideoSettings((0, 7))
    with pytest.raises(UsageError, match="has no episode 7"):
        evaluation_video(policy, SETTINGS, out, look=named, episodes=measured[1], task=task)
    assert list(tmp_path.iterdir()) == []
    out.write_text("precious")
    with pytest.raises(OutputExistsError):
        evaluation_video(policy, SETTINGS, out, look=look, episodes=measured[1], task=task)
    assert out.read_text() == "precious"
