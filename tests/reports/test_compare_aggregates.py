"""Aggregates over seeds against hand computations and closed forms."""

import itertools
import math

import numpy as np
import pytest

from awaccli.reports.aggregates import (
    estimate,
    interquartile_mean,
    mean,
    probability_of_improvement,
)


def array(*values):
    return np.array(values, np.float64)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((5,), 5),
        ((9, 1, 2), 4),  # fewer than four: the mean
        ((100, 1, 3, -50), 2),
        ((0, 1, 2, 3, 100), 2),
        ((7, 0, 1, 2, 3, 4, 5, 6), 3.5),  # without 0, 1 and 6, 7
    ],
)
def test_the_interquartile_mean_leaves_out_a_quarter_on_each_side(scores, expected):
    assert interquartile_mean(array(*scores)) == expected


def test_statistics_go_along_the_last_axis():
    scores = array(*range(16)).reshape(2, 8)
    assert mean(scores).tolist() == [3.5, 11.5]
    assert interquartile_mean(scores).tolist() == [3.5, 11.5]


def test_the_interval_of_two_runs_is_from_one_to_the_other():
    """Of four equally likely draws, one in four has the lower run twice: more than 2.5 %."""
    found = estimate([array(0.2, 0.6)], mean)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.2, 0.6))
    assert found == estimate([array(0.2, 0.6)], mean)


def test_the_interval_is_that_of_the_exact_bootstrap_distribution():
    scores = array(0.0, 0.1, 0.4, 0.5)
    exact = [np.mean(draw) for draw in itertools.product(scores, repeat=4)]
    low, high = np.quantile(exact, [0.025, 0.975])
    found = estimate([scores], mean)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.026)  # one step of the distribution
    middle = [np.mean(sorted(draw)[1:3]) for draw in itertools.product(scores, repeat=4)]
    low, high = np.quantile(middle, [0.025, 0.975])
    found = estimate([scores], interquartile_mean)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.051)


def test_one_run_has_no_interval_over_runs():
    found = estimate([array(0.7)], mean)
    assert (found.value, found.low, found.high) == (0.7, None, None)
    assert estimate([array(0.7, 0.8), array(0.1)], mean).low is None


def test_tasks_are_never_mixed():
    """Within each task all runs agree, so every draw does too; draws over both would not."""
    found = estimate([array(0.1, 0.1, 0.1), array(0.9, 0.9, 0.9)], mean)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def probability(first, second):
    return probability_of_improvement({"door": array(*first)}, {"door": array(*second)})


def test_the_probability_of_improvement_counts_pairs():
    assert probability((1, 2), (0, 0)).value == 1
    assert probability((1, 1), (1, 1)).value == 0.5
    # 3 beats all of 0, 2, 4 but 4; 1 beats 0; 2 beats 0 and ties with 2
    assert probability((3, 1, 2), (0, 2, 4)).value == pytest.approx((2 + 1 + 1.5) / 9)
    assert probability((0, 2, 4), (3, 1, 2)).value == pytest.approx(1 - 4.5 / 9)


def test_the_interval_of_the_probability_of_improvement_is_that_of_all_draws():
    first, second = (0.1, 0.4, 0.6, 0.7), (0.0, 0.4, 0.5, 0.65)
    wins = np.array([[(np.sign(a - b) + 1) / 2 for b in second] for a in first])
    draws = np.array([np.bincount(draw, minlength=4) for draw in itertools.product(range(4), repeat=4)])
    low, high = np.quantile(draws @ wins @ draws.T / 16, [0.025, 0.975])
    found = probability(first, second)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1 / 32)
    assert 0 < found.low < found.value < found.high


def test_the_probability_of_improvement_is_a_mean_over_common_tasks():
    first = {"door": array(1, 1), "pen": array(0, 0), "relocate": array(9, 9)}
    second = {"pen": array(1, 1), "door": array(0, 0)}
    found = probability_of_improvement(first, second)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert probability_of_improvement({"door": array(1)}, {"pen": array(1)}) is None
    lone = probability((1,), (0, 0))
    assert (lone.value, lone.low) == (1, None)


def test_intervals_narrow_with_the_root_of_the_number_of_runs():
    rng = np.random.default_rng(0)
    few, many = (estimate([rng.normal(size=count)], mean) for count in (25, 400))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.35)
    assert many.high - many.low == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.15)
