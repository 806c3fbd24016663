"""The natural policy gradient (Kakade 2001; the step as in TRPO, arXiv:1502.05477) of a Gaussian policy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from awaccli.algorithms import losses
from awaccli.algorithms.policies import GaussianPolicy

_TINY = 1e-20


def conjugate_gradient(product: Callable[[Tensor], Tensor], vector: Tensor, iterations: int) -> Tensor:
    """Return an approximate solution x of ``M x = vector``, float [P].

    The number of iterations is fixed, so that nothing waits for a value.

    Args:
        product: returns ``M v`` for a float [P]; M is symmetric and positive definite.
        vector: float [P].
        iterations: at most P make sense.
    """
    solution, residual, direction = torch.zeros_like(vector), vector, vector
    squared = residual @ residual
    for _ in range(iterations):
        image = product(direction)
        length = squared / (direction @ image + _TINY)
        solution = solution + length * direction
        residual = residual - length * image
        last, squared = squared, residual @ residual
        direction = residual + squared / (last + _TINY) * direction
    return solution


def fisher_product(policy: GaussianPolicy, observations: Tensor) -> Callable[[Tensor], Tensor]:
    """Return ``v -> F v`` for the Fisher matrix of a policy's parameters, averaged over observations [B, O].

    F is the second derivative of ``KL(pi || pi')`` in the parameters of ``pi'`` where both are equal.
    """
    parameters = list(policy.parameters())
    mean, log_std = policy.mean(observations), policy.log_std()
    divergence = losses.gaussian_kl(
        mean.detach(), log_std.detach(), other_mean=mean, other_log_std=log_std
    ).mean()
    slope = _flat(torch.autograd.grad(divergence, parameters, create_graph=True))
    return lambda vector: _flat(torch.autograd.grad(slope @ vector, parameters, retain_graph=True))


def gradient(objective: Tensor, policy: GaussianPolicy) -> Tensor:
    """Return the gradient of a 0-dimensional objective in a policy's parameters, float [P]."""
    return _flat(torch.autograd.grad(objective, list(policy.parameters())))


def natural_step(
    slope: Tensor, product: Callable[[Tensor], Tensor], *, kl: float, iterations: int, damping: float
) -> Tensor:
    """Return the step ``sqrt(2 kl / (g x)) x`` with ``(F + damping I) x = g``, float [P].

    To second order it changes the policy by ``KL = kl``, and nothing else of that size gains more.

    Args:
        slope: g, the gradient of what is to rise, float [P].
        product: ``v -> F v``.
        kl: size of the step, in nats.
        iterations: of conjugate gradients.
        damping: added to the Fisher matrix's diagonal.
    """
    direction = conjugate_gradient(lambda vector: product(vector) + damping * vector, slope, iterations)
    return direction * torch.sqrt(2 * kl / (slope @ direction).clamp(min=_TINY))


def _flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([one.reshape(-1) for one in gradients])
