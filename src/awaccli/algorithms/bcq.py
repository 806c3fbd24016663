"""Batch-constrained Q-learning (arXiv:1812.02900): the best of actions like those in the data."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.behaviour import behaviour_nll
from awaccli.algorithms.candidates import best_of_weights, fixed_draws, q_of_samples, value_of_best
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.networks import LAST_LAYER_BOUND, Dense, TwinCritic
from awaccli.algorithms.policies import acting_weights
from awaccli.algorithms.state import Adam, Group, policy_group
from awaccli.config.baselines import BcqSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream

_CODE_LOG_STD = (-4.0, 15.0)
_CODE_LIMIT = 0.5
"""Codes are drawn within this of zero; both as in the released code."""


class Bcq(GradientLearner):
    """A ``Learner``: a VAE makes actions like the logged ones, a network changes them a little to the better.

    The VAE's decoder ``D(s, z)`` and the perturbation ``xi(s, a)`` in +-``perturbation`` make candidates
    ``a = clip(D(s, z) + xi(s, D(s, z)))`` of codes ``z ~ clip(N(0, 1), -0.5, 0.5)``. The target values the
    best of ``samples`` candidates; the policy acts by the best of as many.
    """

    def __init__(self, settings: BcqSettings, setup: Setup) -> None:
        self._settings = settings
        network, optimiser, spaces = settings.network, settings.optimiser, setup.spaces
        self._code_dim = settings.latent_dim or 2 * spaces.action_dim
        pair = spaces.observation_dim + spaces.action_dim

        def perceptron(name: str, fan_in: int, fan_out: int) -> Perceptron:
            rng = stream(setup.seed, "init", name)
            return Perceptron((fan_in, *network.policy_hidden, fan_out), rng=rng)

        self._policy = perceptron("policy", pair, spaces.action_dim)
        self._target_policy = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        self._encoder = perceptron("encoder", pair, 2 * self._code_dim)
        self._decoder = perceptron("decoder", spaces.observation_dim + self._code_dim, spaces.action_dim)
        self._critic = TwinCritic(spaces, network, rng=stream(setup.seed, "init", "critic"))
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        networks = {
            "policy": self._policy,
            "target_policy": self._target_policy,
            "encoder": self._encoder,
            "decoder": self._decoder,
            "critic": self._critic,
            "target_critic": self._target_critic,
        }
        super().__init__(setup, networks)
        blocks = self._blocks
        groups = {
            name: policy_group(blocks[networks[name]], optimiser) for name in ("policy", "encoder", "decoder")
        }
        self._optimiser = Adam({**groups, "critic": Group(blocks[self._critic], optimiser.critic_lr)})
        self._judge = blocks[self._critic].reading(self._critic)
        # DEVIATION: the released code acts by the best of 100; the paper's text has one number for both.
        self._draws = fixed_draws(settings.samples, self._code_dim).to(setup.device)

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return the draws one update wants: codes of a', of the policy's actions, of logged actions."""
        one = (batch_size, self._code_dim)
        return {"next": (self._settings.samples, *one), "here": one, "code": one}

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: None) -> dict[str, Tensor]:  # noqa: ARG002 - base
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        with torch.no_grad():
            decoded = self._decoded(observations, noise["here"])
        actions = self._perturbed(self._policy, observations, decoded)
        error, divergence = self._coded(observations, batch.actions, noise["code"])
        return {
            "loss/policy": -self._judge(observations, actions)[0].mean(),
            "loss/behaviour": (error + self._settings.kl_weight * divergence).mean(),
            "loss/critic": losses.critic_loss(q, self._target(batch, noise)),
            "q/largest": q.detach().abs().amax(),
        }

    def _coded(self, observations: Tensor, actions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the squared error of decoded actions, and ``KL(code || N(0, 1))``, float32 [B] each.

        Both are means over dimensions, of the action and of the code, as in the released code.
        """
        mean, log_std = self._encoder(observations, actions).chunk(2, dim=1)
        log_std = log_std.clamp(*_CODE_LOG_STD)
        decoded = torch.tanh(self._decoder(observations, mean + log_std.exp() * noise))
        divergence = 0.5 * (mean.square() + torch.exp(2 * log_std) - 1) - log_std
        return (decoded - actions).square().mean(dim=1), divergence.mean(dim=1)

    def _decoded(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return actions of the VAE, float32 [..., A], for observations [..., O] and draws [..., Z]."""
        return torch.tanh(self._decoder(observations, noise.clamp(-_CODE_LIMIT, _CODE_LIMIT)))

    def _perturbed(self, policy: nn.Module, observations: Tensor, actions: Tensor) -> Tensor:
        """Return ``clip(a + xi(s, a))``, float32 [..., A], as the environment would execute it."""
        change = self._settings.perturbation * torch.tanh(policy(observations, actions))
        return (actions + change).clamp(-1, 1)

    def _candidates(self, policy: nn.Module, observations: Tensor, noise: Tensor) -> Tensor:
        """Return candidates, float32 [N, B, A], for observations [B, O] and draws [N, B, Z] or [N, 1, Z]."""
        repeated = observations.expand(len(noise), -1, -1)
        decoded = self._decoded(repeated, noise.expand(-1, len(observations), -1))
        return self._perturbed(policy, repeated, decoded)

    @torch.no_grad()
    def _target(self, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        """Return ``r + bootstrap * max_i (share * min_j Q'_j + (1 - share) * max_j Q'_j)(s', a'_i)``, [B]."""
        observations = self._normaliser(batch.next_observations)
        actions = self._candidates(self._target_policy, observations, noise["next"])
        value = losses.soft_clipped_q(
            q_of_samples(self._target_critic, observations, actions), self._settings.minimum_share
        )
        return losses.td_target(batch.rewards, batch.bootstraps, value.amax(dim=0))

    def _follow(self) -> None:
        blocks, tau = self._blocks, self._settings.tau
        blocks[self._target_critic].move_towards(blocks[self._critic], step=tau)
        blocks[self._target_policy].move_towards(blocks[self._policy], step=tau)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:
        """Return diagnostics of critics and VAE on a batch, changing nothing."""
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        bound = self._likelihood_bound(*self._coded(observations, batch.actions, noise["code"]))
        drawn = self._candidates(self._policy, observations, noise["here"].unsqueeze(0))
        found = (
            diagnostics.of_critic(q.amin(dim=0), batch.returns, None)
            | behaviour_nll(bound, batch.offline)
            | {
                "policy/nll": -bound.mean(),
                "policy/at_limits": (drawn.abs() > diagnostics.AT_LIMIT).float().mean(),
                "batch/offline_share": batch.offline.float().mean(),
                "q/td_error": (q - self._target(batch, noise)).abs().mean(),
            }
        )
        return {name: value.tolist() for name, value in found.items()}

    def _likelihood_bound(self, error: Tensor, divergence: Tensor) -> Tensor:
        """Return a lower bound of the log density of logged actions, float32 [B], by the VAE.

        Its loss is that bound, up to scale and a constant, for a decoder with noise of this variance.
        """
        dim = self._spaces.action_dim
        ratio = self._settings.kl_weight * dim / self._code_dim
        squares = -(dim * error / ratio) - self._code_dim * divergence
        return squares - 0.5 * dim * math.log(math.pi * ratio)

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``min_j Q_j(s, a)``, float32 [B], at the action that the policy takes without noise."""
        scaled = self._normaliser(observations)
        return value_of_best(
            self._critic, scaled, self._candidates(self._policy, scaled, self._draws.unsqueeze(1))
        )

    def policy(self) -> PolicyWeights:
        """Return the policy that acts: perturbed actions of its draws, judged by the first critic."""
        tensors = self._decoder.tensors("") | self._policy.tensors("perturbation.")
        config = {
            "layers": len(self._decoder.layers),
            "perturbation_layers": len(self._policy.layers),
            "perturbation": self._settings.perturbation,
            "code_limit": _CODE_LIMIT,
        }
        generator = acting_weights("perturbed-vae", config, tensors, self._spaces, self._normaliser)
        return best_of_weights(generator, self._critic, self._draws)


class Perceptron(nn.Module):
    """A ReLU network of one or several inputs side by side, its output as it is."""

    def __init__(self, widths: tuple[int, ...], *, rng: np.random.Generator) -> None:
        super().__init__()
        *hidden, last = itertools.pairwise(widths)
        self.layers = nn.ModuleList(Dense(i, o, rng=rng) for i, o in hidden)
        self.head = Dense(*last, rng=rng, bound=LAST_LAYER_BOUND)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return float32 [..., out] for tensors [..., in]."""
        hidden = torch.cat(inputs, dim=-1)
        for layer in self.layers:
            hidden = torch.relu_(layer(hidden))
        found: Tensor = self.head(hidden)
        return found

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Return the parameters by the names that acting reads."""
        parts = {"layers": self.layers, "mean": self.head}
        return {
            f"{prefix}{part}.{name}": tensor
            for part, module in parts.items()
            for name, tensor in module.named_parameters()
        }
