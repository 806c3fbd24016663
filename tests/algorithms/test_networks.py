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


def acted_mean(weights, observation):
    """A policy file's mean action in NumPy, in units of the box."""
    arrays, clip = weights.arrays, weights.arrays["observation.clip"]
    hidden = (observation - arrays["observation.mean"]) / arrays["observation.scale"]
    hidden = np.clip(hidden, -clip, clip)
    for i in range(weights.config["layers"]):
        weight = arrays[f"layers.{i}.weight"]
        if weight.ndim == 3:  # groups, each of which sees its own part
            own = hidden.reshape(len(weight), -1)
            out = np.concatenate([one @ part for one, part in zip(weight, own, strict=True)])
        else:
            out = weight @ hidden
        hidden = np.maximum(out + arrays[f"layers.{i}.bias"], 0)
    mean = arrays["mean.weight"] @ hidden + arrays["mean.bias"]
    return np.tanh(mean) if weights.config["mean"] == "tanh" else mean


@pytest.mark.parametrize("mean", ["tanh", "linear"])
@pytest.mark.parametrize(("members", "hidden"), [(1, (8, 6)), (1, ()), (3, (8, 6)), (3, (8,)), (3, ())])
def test_exported_arrays_act_like_the_network(spaces, mean, members, hidden):
    settings = SMALL.model_copy(update={"mean": mean, "policy_hidden": hidden})
    policy = GaussianPolicy(spaces, settings, rng=rng(), members=members)
    with torch.no_grad():
        policy.head.weight.mul_(2000)
    normaliser = ObservationNormaliser(spaces)
    weights = policy.weights(spaces, normaliser)
    observations = 20 * rng().standard_normal((16, 3)).astype(np.float32)
    expected = policy.mean(normaliser(torch.from_numpy(observations))).detach().numpy()
    found = np.stack([acted_mean(weights, row) for row in observations])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected).max() > 0.5


def test_exported_arrays_are_float32_copies(spaces):
    policy = GaussianPolicy(spaces, SMALL, rng=rng())
    weights = policy.weights(spaces, ObservationNormaliser(spaces))
    assert {array.dtype for array in weights.arrays.values()} == {np.dtype(np.float32)}
    assert weights.config == {"activation": "relu", "mean": "tanh", "layers": 2}
    before = weights.arrays["layers.0.bias"].copy()
    with torch.no_grad():
        policy.layers[0].bias.add_(1)
    np.testing.assert_array_equal(weights.arrays["layers.0.bias"], before)
    assert weights.arrays["action.half"].tolist() == [2, 1]


def test_log_std_starts_at_the_initial_std_and_is_bounded(spaces):
    policy = GaussianPolicy(spaces, SMALL.model_copy(update={"initial_std": 0.2}), rng=rng())
    assert policy.log_std().exp().tolist() == pytest.approx([0.2, 0.2])
    with torch.no_grad():
        policy.free_log_std.copy_(torch.tensor([-1e4, 1e4]))
    assert policy.log_std().tolist() == [-6, 0]


def test_last_layers_start_near_zero_and_hidden_ones_by_fan_in(spaces):
    critic = TwinCritic(spaces, SMALL, rng=rng())
    first, last = critic.layers[0].weight, critic.layers[-1].weight
    assert first.abs().max() <= 1 / np.sqrt(5)
    assert first.abs().max() > 0.9 / np.sqrt(5)
    assert last.abs().max() <= 1e-3
    assert not torch.equal(first[0], first[1])


def test_weights_depend_on_the_generator_only(spaces):
    torch.rand(1)
    first = GaussianPolicy(spaces, SMALL, rng=rng())
    torch.rand(7)
    again = GaussianPolicy(spaces, SMALL, rng=rng())
    other = GaussianPolicy(spaces, SMALL, rng=stream(1, "test"))
    assert torch.equal(first.layers[0].weight, again.layers[0].weight)
    assert not torch.equal(first.layers[0].weight, other.layers[0].weight)


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
