"""The equations of AWAC (arXiv:2006.09359), one per function.

Letters as in the paper: ``Q(s, a)`` is a critic's estimate of the discounted return, ``V(s)`` what the policy
itself can expect, ``A = Q - V`` the advantage of a logged action, ``lam`` the temperature that divides it.
Dimensions: B batch, A action, E ensemble of critics.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from awaccli.config.settings import WeightForm

_LOG_2_PI = math.log(2 * math.pi)


def reachable_values(reward_range: tuple[float, float], discount: float) -> tuple[float, float]:
    """Return the lowest and highest discounted return that rewards in ``reward_range`` can add up to.

    An episode may run forever, ``r / (1 - discount)``, or end after one step, ``r``: each bound is the worse
    of the two. Rewards in [-1, 0] at discount 0.99 reach [-100, 0].
    """
    low, high = reward_range
    horizon = 1 / (1 - discount)
    return min(low, low * horizon), max(high, high * horizon)


def td_target(
    rewards: Tensor, bootstraps: Tensor, next_q_min: Tensor, *, bounds: tuple[float, float] | None = None
) -> Tensor:
    """Return what the critics should have said: ``y = r + bootstrap * min_j Q'_j(s', a')``, ``a' ~ pi(s')``.

    Args:
        rewards: float [B], discounted sum over the n steps of the target.
        bootstraps: float [B], ``discount^n``; 0 where the task terminated, not where the clock ran out.
        next_q_min: float [B], smallest target critic at the next observation, in units of return.
        bounds: lowest and highest return that the rewards can reach, or None: unknown.

    Returns:
        float [B], in units of return.

    Source: policy evaluation of AWAC, with twin critics as in its released code; no entropy term.
    """
    assert rewards.shape == bootstraps.shape == next_q_min.shape
    target = rewards + bootstraps * next_q_min
    # NUMERICS: the target is clamped, never the critic's output: beyond its clamp an output has no gradient,
    # and a critic that has drifted there could never come back.
    return target if bounds is None else target.clamp(*bounds)


def critic_loss(q: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean squared error of each critic, summed over critics; 0-dimensional.

    Args:
        q: float [E, B], every critic's value of the logged actions.
        target: float [B], see ``td_target``; shared by all critics.
        weights: float [B], of the rows' errors; None: 1.
    """
    assert q.shape[1:] == target.shape
    squared = (q - target).square()
    return (squared if weights is None else weights * squared).mean(dim=1).sum()


def normalised_advantage(advantage: Tensor, like: Tensor | None = None) -> Tensor:
    """Return ``A / std(A)`` over the batch, float [B]: ``lam`` then counts standard deviations.

    ``like`` gives the std instead, float [B].
    """
    return advantage / (advantage if like is None else like).std(correction=0).clamp(min=1e-6)


def capped_advantage(advantage: Tensor, cap: float) -> Tensor:
    """Return ``min(A, cap)``, float [B]: none counts more than ``exp(cap / lam)``, however high its Q."""
    return advantage.clamp(max=cap)


def awac_weights(
    advantage: Tensor, lam: float, *, form: WeightForm = "softmax", max_weight: float = 100.0
) -> Tensor:
    """Weigh logged actions by how much better than the policy they look.

    - ``softmax``: ``w_i = B * exp(A_i / lam) / sum_j exp(A_j / lam)``, mean 1 whatever the critic's scale.
    - ``exp``: ``w_i = exp(A_i / lam)``, as in the paper, but at most ``max_weight``.
    - ``binary``: ``w_i = 1 if A_i > 0 else 0``; ``lam`` plays no part.

    Args:
        advantage: ``Q(s, a) - V(s)``, float [B], in units of return.
        lam: temperature > 0, same units. ``inf`` makes all weights 1: plain behaviour cloning.
        form: one of the above.
        max_weight: largest weight of the ``exp`` form.

    Returns:
        float [B], non-negative, detached.

    Source: actor update of AWAC; ``softmax`` is the released code's form, ``binary`` that of CRR
    (arXiv:2006.15134).
    """
    assert advantage.dim() == 1
    advantage = advantage.detach()
    if form == "binary":
        return (advantage > 0).to(advantage.dtype)
    if math.isinf(lam):
        return torch.ones_like(advantage)
    if form == "softmax":
        # DEVIATION: the paper writes exp(A / lam), where one outlier owns the batch. Softmax bounds a weight
        # at B and does not drift with the critic's scale, but depends on the batch size.
        return advantage.numel() * torch.softmax(advantage / lam, dim=0)
    # NUMERICS: clamp the exponent, not the result: exp overflows to inf, and inf * 0 is NaN in the gradient.
    return (advantage / lam).clamp(max=math.log(max_weight)).exp()


def log_normaliser(sampled: Tensor, lam: float) -> Tensor:
    """Return ``lam * log Z(s)``, ``Z(s) = mean_k exp(A(s, a_k) / lam)``, float [B], in units of return.

    What is left of an advantage without it weighs ``exp(A / lam) / Z(s)``: how much better than other actions
    of the same state a logged one is. ``V(s)`` is in both, so that weight does not depend on it.

    Args:
        sampled: ``A(s, a_k)``, float [K, B].
        lam: temperature > 0, in the same units. ``inf`` gives the mean advantage.

    Source: the normaliser of the optimal policy in AWAC (arXiv:2006.09359), which its algorithm leaves out.
    """
    if math.isinf(lam):
        return sampled.mean(dim=0)
    return lam * (torch.logsumexp(sampled / lam, dim=0) - math.log(len(sampled)))


def gaussian_log_prob(actions: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log density of actions under a diagonal Gaussian, float [B].

    Args:
        actions: float [B, A], scaled so that the action box is [-1, 1].
        mean: float [B, A], same scale.
        log_std: natural logarithm, float [A] where it is the same in every state, else float [B, A].
    """
    assert actions.shape == mean.shape
    assert log_std.shape in (actions.shape, actions.shape[1:])
    scaled = (actions - mean) * torch.exp(-log_std)
    return -0.5 * (scaled.square().sum(dim=1) + actions.shape[1] * _LOG_2_PI) - log_std.sum(dim=-1)


def weighted_likelihood_loss(log_prob: Tensor, weights: Tensor) -> Tensor:
    """Return ``-mean_i(w_i * log pi(a_i | s_i))``, 0-dimensional: imitate, the better actions more.

    This projects the best policy near the data onto the policy class by the forward KL divergence. The policy
    that collected the data is never modelled: drawing from the buffer stands for it.

    Args:
        log_prob: float [B], of the logged actions.
        weights: float [B], without gradient, see ``awac_weights``; ones give behaviour cloning.
    """
    assert log_prob.shape == weights.shape
    assert not weights.requires_grad
    # DEVIATION: the normaliser Z(s) of the derivation is left out, as in the paper's own experiments, unless
    # the weights come with it, see log_normaliser.
    return -(weights * log_prob).mean()


def effective_sample_size(weights: Tensor) -> Tensor:
    """Return ``(sum w)^2 / (B * sum w^2)`` in [0, 1]: the share of the batch that the weights really use.

    Near 1 the update is behaviour cloning, near 1 / B it imitates a single sample; 0 if all weights are 0.
    """
    squares = weights.square().sum().clamp(min=torch.finfo(weights.dtype).tiny)
    return weights.sum().square() / squares / weights.numel()


def gaussian_kl(mean: Tensor, log_std: Tensor, *, other_mean: Tensor, other_log_std: Tensor) -> Tensor:
    """Return ``KL(N(mean, std) || N(other_mean, other_std))`` of diagonal Gaussians, float [B], in nats.

    Args:
        mean: float [B, A].
        log_std: float [A].
        other_mean: float [B, A].
        other_log_std: float [A].
    """
    assert mean.shape == other_mean.shape
    assert log_std.shape == other_log_std.shape == mean.shape[1:]
    squares = torch.exp(2 * log_std) + (mean - other_mean).square()
    return (other_log_std - log_std + 0.5 * squares * torch.exp(-2 * other_log_std) - 0.5).sum(dim=1)


def soft_clipped_q(q: Tensor, minimum_share: float) -> Tensor:
    """Return ``share * min_j Q_j + (1 - share) * max_j Q_j``, float [...], for values float [E, ...].

    Source: BCQ (arXiv:1812.02900), equation 10.
    """
    return minimum_share * q.amin(dim=0) + (1 - minimum_share) * q.amax(dim=0)


def laplacian_mmd(samples: Tensor, others: Tensor, width: float) -> Tensor:
    """Return the maximum mean discrepancy of two sets of actions in each state, float [B], in [0, sqrt(2)].

    ``MMD^2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)`` over all pairs, with
    ``k(x, y) = exp(-|x - y|_1 / (2 * width))``.

    Args:
        samples: float [N, B, A].
        others: float [M, B, A].
        width: scale of the kernel, in units in which the action box is 2 wide per dimension.

    Source: BEAR (arXiv:1906.00949), equation 5, and its released code.
    """

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        distance = (one.unsqueeze(0) - other.unsqueeze(1)).abs().sum(dim=-1)
        return torch.exp(-distance / (2 * width)).mean(dim=(0, 1))

    squared = kernel(samples, samples) + kernel(others, others) - 2 * kernel(samples, others)
    # NUMERICS: rounding may take it below zero, and the root has no slope there.
    return (squared.clamp(min=0) + 1e-6).sqrt()


def expectile_loss(error: Tensor, expectile: float) -> Tensor:
    """Return ``mean(|tau - 1[u < 0]| * u^2)``, 0-dimensional: errors above count ``tau``, below ``1 - tau``.

    Args:
        error: ``u = Q - V``, float [B]. At ``tau = 0.5`` V becomes the mean of Q, towards 1 its maximum.
        expectile: ``tau``, in (0, 1).

    Source: IQL (arXiv:2110.06169), equation 5.
    """
    share = torch.where(error < 0, 1 - expectile, expectile)
    return (share * error.square()).mean()
