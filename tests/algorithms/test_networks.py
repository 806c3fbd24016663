import numpy as np
import pytest
import torch

from awaccli.algorithms.networks import ObservationNormaliser, Spaces, TwinCritic, observation_scale
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.algorithms.state import Adam, Block, Group
from awaccli.config.section import NetworkSettings
from awaccli.seeding import stream

SMALL = NetworkSettings(policy_hidden=(8, 6), critic_hidden=(8, 6))


def rng():
    return stream(0, "test")


def test_last_layers_start_near_zero_and_hidden_ones_by_fan_in(spaces):
    critic = TwinCritic(spaces, SMALL, rng=rng())
    first, last = critic.layers[0].weight, critic.layers[-1].weight
    assert first.abs().max() <= 1 / np.sqrt(5)
    assert first.abs().max() > 0.9 / np.sqrt(5)
    assert last.abs().max() <= 1e-3
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("layer_norm", [False, True])
def test_batched_critics_are_two_plain_networks(spaces, layer_norm):
    critic = TwinCritic(spaces, SMALL.model_copy(update={"layer_norm": layer_norm}), rng=rng())
    observations, actions = torch.ones(4, 3), torch.linspace(-1, 1, 8).view(4, 2)
    q = critic(observations, actions)
    assert q.shape == (2, 4)
    for member in range(2):
        hidden = torch.cat((observations, actions), dim=1)
        for layer in critic.layers:
            if hasattr(layer, "weight"):
                hidden = hidden @ layer.weight[member] + layer.bias[member]
            elif hasattr(layer, "gain"):
                hidden = torch.nn.functional.layer_norm(hidden, hidden.shape[-1:])
            else:
                hidden = torch.relu(hidden)
        torch.testing.assert_close(q[member], hidden.squeeze(1))


def test_scale_has_a_floor_relative_to_the_range():
    scale = observation_scale(
        np.array([0.0, 5.0, 1e3]),
        np.array([2.0, 1e-4, 1e-8]),
        np.array([-4.0, 4.0, 1e3]),
        np.array([4.0, 6.0, 1e3]),
    )
    assert scale.tolist() == pytest.approx([2, 0.02, 1])
    assert scale.dtype == np.float32


def test_normaliser_clips_and_is_the_identity_without_statistics(spaces):
    normalised = ObservationNormaliser(spaces)(torch.tensor([[2.0, -2.0, 1e3]]))
    assert normalised.tolist() == [[2, 0, 5]]
    plain = ObservationNormaliser(Spaces(3, np.zeros(2), np.ones(2)))
    row = torch.tensor([[1e4, -0.3, 7.0]])
    assert torch.equal(plain(row), row)


def test_a_block_moves_by_a_share_of_the_distance(spaces):
    slow, fast = (GaussianPolicy(spaces, SMALL, rng=stream(seed, "test")) for seed in (0, 1))
    start, goal = slow.head.weight.clone(), fast.head.weight.clone()
    trailing, leading = Block(slow), Block(fast)
    assert torch.equal(slow.head.weight, start)
    trailing.move_towards(leading, step=0.25)
    torch.testing.assert_close(slow.head.weight, 0.75 * start + 0.25 * goal)
    trailing.move_towards(leading, step=1)
    assert torch.equal(slow.head.weight, fast.head.weight)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("decay_steps", [0, 4])
def test_adam_over_a_block_is_pytorchs_adam(spaces, weight_decay, decay_steps):
    ours, theirs = (GaussianPolicy(spaces, SMALL, rng=stream(0, "test")) for _ in range(2))
    adam = Adam({"all": Group(Block(ours), 3e-3, weight_decay, decay_steps=decay_steps)})
    reference = torch.optim.Adam(theirs.parameters(), lr=3e-3, weight_decay=weight_decay, fused=True)
    rates = [3e-3, 2.325e-3, 1.65e-3, 0.975e-3, 0.3e-3, 0.3e-3, 0.3e-3] if decay_steps else [3e-3] * 7
    for k, rate in enumerate(rates):
        reference.param_groups[0]["lr"] = rate
        observations = torch.from_numpy(stream(k, "test").normal(size=(7, 3)).astype(np.float32))
        adam.minimise(ours.mean(observations).square().sum() - ours.log_std().sum())
        reference.zero_grad()
        torch.autograd.backward(theirs.mean(observations).square().sum() - theirs.log_std().sum())
        reference.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-8)  # a block's vectors end elsewhere
