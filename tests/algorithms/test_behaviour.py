"""The behaviour model: fits what it is shown, and says how well it fits each side of the data."""

import numpy as np
import pytest
import torch

from awaccli.algorithms.behaviour import behaviour_model, behaviour_nll
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.squashed import log_prob
from awaccli.algorithms.state import Adam, Block, Group
from awaccli.config.section import NetworkSettings


def test_likelihoods_of_the_two_sides_and_of_one_alone():
    log_prob = torch.tensor([-1.0, -2.0, -6.0])
    mixed = behaviour_nll(log_prob, torch.tensor([True, False, False]))
    assert {name: value.item() for name, value in mixed.items()} == {
        "behaviour/nll": 3,
        "behaviour/nll_offline": 1,
        "behaviour/nll_online": 4,
    }
    for side, offline in (("offline", True), ("online", False)):
        alone = behaviour_nll(log_prob, torch.full((3,), offline))
        assert alone.keys() == {"behaviour/nll", f"behaviour/nll_{side}"}
        assert alone["behaviour/nll"] == alone[f"behaviour/nll_{side}"] == 3


def test_it_learns_a_spread_that_depends_on_the_state(spaces):
    rng = np.random.default_rng(0)
    states = torch.from_numpy(rng.choice([-1.0, 1.0], (4000, 3)).astype(np.float32))
    spread = torch.where(states[:, :1] > 0, 0.6, 0.1)
    actions = torch.tanh(0.5 + spread * torch.from_numpy(rng.standard_normal((4000, 2)).astype(np.float32)))
    settings = NetworkSettings(policy_hidden=(16,), initial_std=0.5, min_log_std=-3)
    model = behaviour_model(Setup(spaces, seed=0), settings)
    adam = Adam({"model": Group(Block(model), 1e-2)})
    for k in range(200):
        rows = slice(200 * (k % 20), 200 * (k % 20 + 1))
        adam.minimise(-log_prob(actions[rows], *model(states[rows])).mean())
    mean, log_std = model(torch.tensor([[1.0, 1, 1], [-1, 1, 1]]))
    assert mean.detach().numpy() == pytest.approx(0.5, abs=0.1)
    assert log_std.exp().detach().numpy() == pytest.approx(np.array([[0.6] * 2, [0.1] * 2]), rel=0.2)


def test_actions_at_the_limits_have_finite_likelihoods_and_gradients(spaces):
    model = behaviour_model(Setup(spaces, seed=0), NetworkSettings(policy_hidden=(8,)))
    actions = torch.tensor([[1.0, -1.0], [0.0, 1.0]])
    found = log_prob(actions, *model(torch.zeros(2, 3)))
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())
