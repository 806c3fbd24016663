"""Draws are functions of their names, whichever generator makes them."""

import numpy as np
import pytest
import torch

from awaccli.seeding import integer, stream
from awaccli.stages.draws import DeviceDraws, draws


def on_a_device(*names):
    return DeviceDraws(torch.Generator().manual_seed(integer(*names, bits=63)))


@pytest.mark.parametrize("make", [lambda *names: draws("cpu", *names), on_a_device])
def test_draws_belong_to_their_names(make):
    def some(*names):
        source = make(*names)
        return torch.cat((source.integers(7, 500).float(), source.normal((50, 10)).flatten()))

    assert torch.equal(some(0, "update", 3), some(0, "update", 3))
    for others in [(1, "update", 3), (0, "update", 4), (0, "diagnose", 3)]:
        assert not torch.equal(some(0, "update", 3), some(*others))
    whole, normal = some(0, "update", 3).split(500)
    assert set(whole.tolist()) == set(range(7))
    assert abs(float(normal.mean())) < 0.2
    assert float(normal.std()) == pytest.approx(1, abs=0.1)


def test_on_the_cpu_they_are_numpys():
    source, rng = draws("cpu", 5, "x"), stream(5, "x")
    np.testing.assert_array_equal(source.integers(100, 8), rng.integers(100, size=8))
    np.testing.assert_array_equal(source.normal((2, 3)), rng.standard_normal((2, 3), dtype=np.float32))
