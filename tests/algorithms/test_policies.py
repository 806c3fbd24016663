import numpy as np
import pytest
import torch

from awaccli.algorithms.networks import ObservationNormaliser
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.config.section import NetworkSettings
from awaccli.seeding import stream

SMALL = NetworkSettings(policy_hidden=(8, 6))


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


def test_weights_depend_on_the_generator_only(spaces):
    torch.rand(1)
    first = GaussianPolicy(spaces, SMALL, rng=rng())
    torch.rand(7)
    again = GaussianPolicy(spaces, SMALL, rng=rng())
    other = GaussianPolicy(spaces, SMALL, rng=stream(1, "test"))
    assert torch.equal(first.layers[0].weight, again.layers[0].weight)
    assert not torch.equal(first.layers[0].weight, other.layers[0].weight)
