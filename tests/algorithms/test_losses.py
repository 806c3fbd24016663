import math

import pytest
import torch

from awaccli.algorithms import losses


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_log_prob_by_hand():
    log_prob = losses.gaussian_log_prob(
        torch.tensor([[0.5, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([math.log(0.5), 0.0])
    )
    expected = -0.5 - math.log(0.5) - math.log(2 * math.pi)
    assert log_prob.tolist() == pytest.approx([expected])


def test_log_prob_is_that_of_torch():
    generator = torch.Generator().manual_seed(0)
    actions, mean = torch.randn(2, 7, 3, dtype=torch.float64, generator=generator)
    log_std = f64(-2.0, -0.5, 0.3)
    expected = torch.distributions.Normal(mean, log_std.exp()).log_prob(actions).sum(dim=1)
    torch.testing.assert_close(losses.gaussian_log_prob(actions, mean, log_std), expected)


def test_infinite_temperature_is_behaviour_cloning():
    for form in ("softmax", "exp"):
        assert losses.awac_weights(torch.tensor([-5.0, 0.0, 900.0]), math.inf, form=form).tolist() == [
            1,
            1,
            1,
        ]


def test_softmax_weights_by_hand():
    weights = losses.awac_weights(f64(0.0, math.log(3)), 1.0)
    assert weights.tolist() == pytest.approx([0.5, 1.5])


def test_softmax_weights_have_mean_one_and_ignore_a_shift():
    advantage = torch.linspace(-3, 2, 11, dtype=torch.float64)
    weights = losses.awac_weights(advantage, 0.4)
    assert weights.mean().item() == pytest.approx(1)
    torch.testing.assert_close(losses.awac_weights(advantage + 50, 0.4), weights)


def test_lam_divides():
    assert losses.awac_weights(f64(2.0), 4.0, form="exp").item() == pytest.approx(math.exp(0.5))


def test_exp_weights_stop_at_the_largest_and_stay_finite():
    advantage = torch.tensor([-1e6, 0.0, 1e6], requires_grad=True)
    weights = losses.awac_weights(advantage, 1.0, form="exp", max_weight=20.0)
    assert weights.tolist() == pytest.approx([0, 1, 20])
    assert not weights.requires_grad


def test_softmax_weights_of_a_huge_advantage_imitate_one_sample():
    assert losses.awac_weights(torch.tensor([0.0, 1e6]), 1.0).tolist() == [0, 2]


def test_binary_weights_need_a_positive_advantage():
    weights = losses.awac_weights(torch.tensor([-1.0, 0.0, 1e-3]), 0.3, form="binary")
    assert weights.tolist() == [0, 0, 1]


def test_cap_and_normalisation_by_hand():
    assert losses.capped_advantage(f64(-2.0, 0.4, 9.0), 0.5).tolist() == [-2, 0.4, 0.5]
    assert losses.normalised_advantage(f64(-1.0, 3.0)).tolist() == [-0.5, 1.5]
    assert losses.normalised_advantage(torch.ones(4)).isfinite().all()


def test_normaliser_by_hand():
    sampled = f64([0.0, -3.0], [math.log(3), 5.0])
    found = losses.log_normaliser(sampled, 2.0)
    expected = [2 * math.log((1 + math.sqrt(3)) / 2), 2 * math.log((math.exp(-1.5) + math.exp(2.5)) / 2)]
    assert found.tolist() == pytest.approx(expected)
    torch.testing.assert_close(losses.log_normaliser(sampled + 7, 2.0), found + 7)  # V(s) cancels
    assert losses.log_normaliser(f64([-1e6], [1e6]), 1e-2).isfinite().all()


def test_normaliser_goes_from_the_mean_to_the_best_action():
    sampled = f64([0.0], [1.0], [8.0])
    assert losses.log_normaliser(sampled, math.inf).item() == 3
    assert losses.log_normaliser(sampled, 1e6).item() == pytest.approx(3, rel=1e-4)
    assert losses.log_normaliser(sampled, 1e-3).item() == pytest.approx(8, rel=1e-3)


def test_truncation_bootstraps_and_termination_does_not():
    target = losses.td_target(f64(-1.0, -1.0), f64(0.99, 0.0), f64(-50.0, -50.0))
    assert target.tolist() == pytest.approx([-50.5, -1])


def test_n_step_discount_is_in_the_bootstrap():
    target = losses.td_target(f64(-2.9701), f64(0.99**3), f64(-10.0))
    assert target.item() == pytest.approx(-2.9701 - 10 * 0.99**3)


def test_target_is_clamped_to_its_bounds():
    next_q = torch.tensor([-500.0, 30.0, -40.0])
    target = losses.td_target(torch.zeros(3), torch.ones(3), next_q, bounds=(-100.0, 0.0))
    assert target.tolist() == [-100, 0, -40]


@pytest.mark.parametrize(
    ("rewards", "expected"), [((-1.0, 0.0), (-100, 0)), ((0.0, 1.0), (0, 100)), ((1.0, 2.0), (1, 200))]
)
def test_reachable_values(rewards, expected):
    assert losses.reachable_values(rewards, 0.99) == pytest.approx(expected)


def test_critic_loss_by_hand():
    q, target = f64([1.0, 2.0], [0.0, 0.0]), f64(0.0, 4.0)
    assert losses.critic_loss(q, target).item() == (1 + 4) / 2 + (0 + 16) / 2


def test_weighted_likelihood_by_hand():
    assert losses.weighted_likelihood_loss(f64(-2.0, -4.0), f64(0.5, 1.5)).item() == (1 + 6) / 2


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: losses.critic_loss(torch.zeros(2, 4), torch.zeros(4, 1)),
        lambda: losses.weighted_likelihood_loss(torch.zeros(4), torch.zeros(4, 1)),
        lambda: losses.td_target(torch.zeros(4), torch.zeros(4, 1), torch.zeros(4)),
        lambda: losses.gaussian_log_prob(torch.zeros(4, 2), torch.zeros(1, 2), torch.zeros(2)),
        lambda: losses.awac_weights(torch.zeros(4, 1), 1.0),
        lambda: losses.weighted_likelihood_loss(torch.zeros(4), torch.ones(4, requires_grad=True)),
    ],
)
def test_nothing_is_broadcast(wrong):
    with pytest.raises(AssertionError):
        wrong()


def test_effective_sample_size_limits():
    assert losses.effective_sample_size(torch.ones(8)).item() == 1
    assert losses.effective_sample_size(torch.eye(8)[0]).item() == 1 / 8
    assert losses.effective_sample_size(torch.zeros(8)).item() == 0


def test_gaussian_kl_is_that_of_torch():
    mean, other = f64([0.3, -1.0], [0.0, 0.5]), f64([0.0, 0.0], [0.0, 0.5])
    log_std, other_log_std = f64(-1.0, -2.0), f64(-0.5, -2.0)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, log_std.exp()),
        torch.distributions.Normal(other, other_log_std.exp()),
    ).sum(dim=1)
    found = losses.gaussian_kl(mean, log_std, other_mean=other, other_log_std=other_log_std)
    torch.testing.assert_close(found, expected)
