"""Signs of trouble are put into words once, and only when several lines of the log agree."""

import math

import pytest

from awaccli.config.settings import AwacSettings, Execution
from awaccli.errors import InterruptedRunError
from awaccli.protocols import _Silent
from awaccli.stages.pretrain import pretrain
from awaccli.stages.remarks import Remarks


class Heard(_Silent):
    def __init__(self):
        self.warnings, self.shown = [], {}

    def update(self, done, **shown):
        self.shown = shown

    def warn(self, message):
        self.warnings.append(message)


def line(updates, *, ess=0.4, phase="offline", critics=0.8, returns=0.8):
    shares = {"q/range_share": critics, "q/return_share": returns}
    return {"phase": phase, "updates": updates, "env_steps": 0, "weights/ess": ess} | shares


def evaluation(env_steps, successes, episodes=40, phase="online"):
    found = {"eval/success_final": successes / episodes, "eval/episodes": episodes}
    return {"phase": phase, "updates": 100, "env_steps": env_steps} | found


def remarks_on(rows, *, env_steps=0, **settings):
    heard = Heard()
    remarks = Remarks(AwacSettings(**settings), heard, env_steps=env_steps)
    for row in rows:
        remarks.read(row)
    return heard.warnings


@pytest.mark.parametrize(
    ("unwell", "well", "words"),
    [({"ess": 0.99}, {"ess": 0.9}, "behaviour cloning"), ({"ess": 0.005}, {"ess": 0.02}, "a few samples")],
)
def test_weights_are_remarked_once_several_lines_agree(unwell, well, words):
    assert remarks_on(line(500 * i, **unwell) for i in range(1, 4)) == []
    mixed = [unwell, unwell, unwell, well, unwell, unwell, unwell]
    assert remarks_on(line(500 * (i + 1), **shares) for i, shares in enumerate(mixed)) == []
    found = remarks_on(line(500 * i, **unwell) for i in range(1, 20))
    assert len(found) == 1
    assert words in found[0]


def test_cloning_on_purpose_is_no_sign():
    rows = [line(500 * i, ess=1.0) for i in range(1, 9)]
    assert remarks_on(rows, bc_updates=4000) == []
    assert remarks_on(rows, bc_updates=1000)


def test_critics_on_their_way_are_remarked_with_the_time_they_take():
    rows = [line(1000 * i, critics=0.3) for i in range(1, 9)]
    (found,) = remarks_on(rows)
    assert "30% of their range, where the logged returns are at 80%" in found
    assert "20,000 updates" in found
    assert remarks_on(rows[:3]) == []
    assert remarks_on(rows, return_updates=6000) == []
    assert remarks_on(line(1000 * i, critics=0.3, returns=0.4) for i in range(1, 9)) == []
    assert remarks_on(line(1000 * i, critics=0.3, phase="online") for i in range(1, 9)) == []


def test_a_sign_is_told_by_its_name_not_by_its_words():
    worse = [line(1000 * i, critics=0.3 if i < 6 else 0.2) for i in range(1, 12)]
    assert len(remarks_on(worse)) == 1
    both = [line(500 * i, ess=0.99 if i < 6 else 0.005) for i in range(1, 12)]
    assert len(remarks_on(both)) == 2


def test_a_fall_at_the_switch_is_remarked_where_it_is_no_chance():
    (found,) = remarks_on([evaluation(0, 30), evaluation(5000, 25), evaluation(9000, 8)])
    assert "from 75% to 20%" in found
    assert remarks_on([evaluation(0, 30), evaluation(5000, 24)]) == []
    assert remarks_on([evaluation(0, 30, phase="offline"), evaluation(0, 8, phase="offline")]) == []
    # a run that goes on later has not seen where it began
    assert remarks_on([evaluation(5000, 30), evaluation(9000, 8)]) == []
    assert remarks_on([evaluation(7000, 30), evaluation(9000, 8)], env_steps=7000)


def test_a_training_says_what_its_log_shows(chain):
    cloning = chain("cloning", execution=Execution(log_every=1))
    cloning.settings = cloning.settings.model_copy(
        update={"awac": cloning.settings.awac.model_copy(update={"lam": math.inf, "bc_updates": 0})}
    )
    data = cloning.rollout(cloning.collect())
    heard = Heard()
    pretrain([data], cloning.settings, cloning.path("x", "ckpt"), execution=cloning.execution, report=heard)
    assert [warning for warning in heard.warnings if "behaviour cloning" in warning]


def test_a_training_shows_its_evaluations_so_far(chain, stop_after, resume):
    heard, watched = (
        Heard(),
        chain("watched", execution=Execution(log_every=2, eval_every=4, eval_episodes=2)),
    )
    data = watched.rollout(watched.collect())
    with pytest.raises(InterruptedRunError):
        watched.pretrain(data, report=stop_after(8))
    pretrained = watched.pretrain(data, existing=resume, report=heard)
    assert len(heard.shown["eval/success_final"]) == 2  # one of them before the interrupt
    assert {"q/mean", "weights/ess"} <= heard.shown.keys()
    watched.finetune(pretrained, report=heard)
    assert 0 <= heard.shown["online/success"] <= 1
