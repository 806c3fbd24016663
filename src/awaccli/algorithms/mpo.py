"""Maximum a posteriori policy optimisation (arXiv:1806.06920, arXiv:1812.02256)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from awaccli.algorithms import diagnostics, losses
from awaccli.algorithms.candidates import q_of_samples
from awaccli.algorithms.learner import GradientLearner, Setup
from awaccli.algorithms.networks import TwinCritic
from awaccli.algorithms.policies import GaussianPolicy
from awaccli.algorithms.state import Group, adam_for, policy_group
from awaccli.config.baselines import MpoSettings
from awaccli.protocols import Batch, PolicyWeights
from awaccli.seeding import stream

_LEAST_RAW_DUAL = -18.0
"""Of temperature and multipliers before the softplus: where Q is flat, nothing else would hold them."""
_MEAN_MULTIPLIER, _STD_MULTIPLIER = 10.0, 1000.0
"""Of the first update: high, so that the policy does not leap before they are learned."""


class Mpo(GradientLearner):
    """A ``Learner``: actions of its own are weighed by their Q, and the policy is fitted to the weighed ones.

    The policy that draws, and from which its change is counted, is a copy that is renewed once in a period.
    """

    def __init__(self, settings: MpoSettings, setup: Setup, behaviour: GaussianPolicy | None = None) -> None:
        """Make the networks.

        Args:
            settings: its section.
            setup: the task and the device.
            behaviour: a further policy that learns, for those that draw actions from it.
        """
        self._settings = settings
        network, optimiser = settings.network, settings.optimiser
        self._policy = GaussianPolicy(setup.spaces, network, rng=stream(setup.seed, "init", "policy"))
        self._target_policy = copy.deepcopy(self._policy).requires_grad_(requires_grad=False)
        # DEVIATION: the paper has one critic; the smaller of two here, as for all others.
        self._critic = TwinCritic(setup.spaces, network, rng=stream(setup.seed, "init", "critic"))
        self._target_critic = copy.deepcopy(self._critic).requires_grad_(requires_grad=False)
        self._duals = {
            "temperature": Dual(1.0),
            "mean_multiplier": Dual(_MEAN_MULTIPLIER),
            "std_multiplier": Dual(_STD_MULTIPLIER),
        }
        learned: dict[str, nn.Module] = {"behaviour": behaviour} if behaviour else {}
        networks: dict[str, nn.Module] = {
            "policy": self._policy,
            "target_policy": self._target_policy,
            "critic": self._critic,
            "target_critic": self._target_critic,
            **self._duals,
            **learned,
        }
        super().__init__(setup, networks)
        blocks = self._blocks
        self._optimiser = adam_for(
            self._policy,
            blocks[self._policy],
            blocks[self._critic],
            optimiser,
            **{name: Group(blocks[dual], settings.dual_lr) for name, dual in self._duals.items()},
            **{
                name: policy_group(blocks[module], optimiser, regularised=False)
                for name, module in learned.items()
            },
        )

    def noise_shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """Return the draws one update wants: ``next`` for a', ``samples`` for actions that are weighed."""
        one = (batch_size, self._spaces.action_dim)
        return {"next": one, "samples": (self._settings.samples, *one)}

    def _phase(self) -> bool:
        """Return whether the policy only clones."""
        return self.updates < self._settings.bc_updates

    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: bool) -> dict[str, Tensor]:
        settings, observations = self._settings, self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        mean, log_std = self._policy.mean(observations), self._policy.log_std()
        actions, q_samples = self._drawn(observations, noise["samples"])
        temperature = self._duals["temperature"]()
        kl_mean, kl_std = self._divergences(observations, mean, log_std)
        over_mean, over_std = kl_mean - settings.mean_limit, kl_std - settings.std_limit
        mean_multiplier, std_multiplier = (self._duals[f"{name}_multiplier"]() for name in ("mean", "std"))
        if phase:
            policy_loss = -losses.gaussian_log_prob(batch.actions, mean, log_std).mean()
            over_mean, over_std = torch.zeros_like(over_mean), torch.zeros_like(over_std)
        else:
            weights = torch.softmax(q_samples / temperature.detach(), dim=0)
            policy_loss = (
                self._fit(observations, actions, weights, mean, log_std)
                + mean_multiplier.detach() * kl_mean
                + std_multiplier.detach() * kl_std
            )
        return {
            "loss/policy": policy_loss,
            "loss/critic": losses.critic_loss(q, self._target(batch, noise)),
            "loss/temperature": temperature_loss(q_samples, temperature, settings.kl_limit),
            "loss/multipliers": -mean_multiplier * over_mean.detach() - std_multiplier * over_std.detach(),
            "policy/kl_mean": kl_mean.detach(),
            "policy/kl_std": kl_std.detach(),
            "q/largest": q.detach().abs().amax(),
        }

    def _proposal(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log std, float32 [B, A] and [A], of who draws the actions that are weighed."""
        return self._target_policy.mean(observations), self._target_policy.log_std()

    @torch.no_grad()
    def _drawn(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions as they were drawn, float32 [N, B, A], and ``min_j Q'_j`` of them, [N, B]."""
        mean, log_std = self._proposal(observations)
        actions = mean + log_std.exp() * noise
        q = q_of_samples(self._target_critic, observations, actions.clamp(-1, 1))
        return actions, q.amin(dim=0)

    def _fit(
        self, observations: Tensor, actions: Tensor, weights: Tensor, mean: Tensor, log_std: Tensor
    ) -> Tensor:
        """Return the weighed likelihood's loss, 0-dimensional: of the mean at the old std, and of the std.

        ``-mean_s sum_i w_i (log N(a_i; mean, old std) + log N(a_i; old mean, std))``.
        """
        old_mean, old_log_std = self._old(observations)
        flat = actions.flatten(0, 1)

        def log_prob(of_mean: Tensor, of_log_std: Tensor) -> Tensor:
            repeated = of_mean.expand_as(actions).flatten(0, 1)
            return losses.gaussian_log_prob(flat, repeated, of_log_std).view_as(weights)

        likelihood = log_prob(mean, old_log_std) + log_prob(old_mean, log_std)
        return -(weights * likelihood).sum(dim=0).mean()

    def _divergences(self, observations: Tensor, mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``KL(old || new)`` with only the mean new, and with only the std, 0-dimensional, in nats."""
        old_mean, old_log_std = self._old(observations)
        moved = losses.gaussian_kl(old_mean, old_log_std, other_mean=mean, other_log_std=old_log_std)
        spread = losses.gaussian_kl(old_mean, old_log_std, other_mean=old_mean, other_log_std=log_std)
        return moved.mean(), spread.mean()

    @torch.no_grad()
    def _old(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        return self._target_policy.mean(observations), self._target_policy.log_std()

    @torch.no_grad()
    def _target(self, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        """Return ``r + bootstrap * min_j Q'_j(s', a')``, float32 [B], with a' of the copied policy."""
        # DEVIATION: the paper's Retrace needs the probabilities by which logged actions were chosen.
        observations = self._normaliser(batch.next_observations)
        mean, log_std = self._old(observations)
        actions = (mean + log_std.exp() * noise["next"]).clamp(-1, 1)
        q_min = self._target_critic(observations, actions).amin(dim=0)
        return losses.td_target(batch.rewards, batch.bootstraps, q_min)

    @torch.no_grad()
    def _follow(self) -> None:
        # DEVIATION: the paper copies its critics once in a period; here they follow as for all others.
        blocks = self._blocks
        blocks[self._target_critic].move_towards(blocks[self._critic], step=self._settings.tau)
        for dual in self._duals.values():
            dual.raw.clamp_(min=_LEAST_RAW_DUAL)

    def _advance(self) -> None:
        updates, settings = self.updates, self._settings
        if updates % settings.target_period == 0 or updates == settings.bc_updates:
            self._blocks[self._target_policy].move_towards(self._blocks[self._policy], step=1)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:
        """Return diagnostics of the weights, the critics and the policy on a batch, changing nothing."""
        return {name: value.tolist() for name, value in self._found(batch, noise).items()}

    def _found(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        observations = self._normaliser(batch.observations)
        q = self._critic(observations, batch.actions)
        mean, log_std = self._policy.mean(observations), self._policy.log_std()
        temperature = self._duals["temperature"]()
        weights = torch.softmax(self._drawn(observations, noise["samples"])[1] / temperature, dim=0)
        return (
            diagnostics.of_critic(q.amin(dim=0), batch.returns, None)
            | diagnostics.of_policy(mean, log_std, batch.actions)
            | {
                "weights/ess": (1 / weights.square().sum(dim=0)).mean() / len(weights),
                "weights/max": weights.max() * len(weights),
                "temperature": temperature,
                "mean_multiplier": self._duals["mean_multiplier"](),
                "std_multiplier": self._duals["std_multiplier"](),
                "batch/offline_share": batch.offline.float().mean(),
                "q/td_error": (q - self._target(batch, noise)).abs().mean(),
            }
        )

    @torch.no_grad()
    def state_values(self, observations: Tensor) -> Tensor:
        """Return ``min_j Q_j(s, mean action)``, float32 [B]."""
        scaled = self._normaliser(observations)
        value: Tensor = self._critic(scaled, self._policy.mean(scaled).clamp(-1, 1)).amin(dim=0)
        return value

    def policy(self) -> PolicyWeights:
        """Return the policy that acts."""
        return self._policy.weights(self._spaces, self._normaliser)


class Dual(nn.Module):
    """A positive number that is learned through a softplus, as in the authors' own implementation.

    A loss that is linear in it then has a gradient that does not grow with it. Learned by its logarithm a
    multiplier grows faster and faster while its limit is exceeded (Adam's moments are behind an exponential),
    and takes as long to come back as Adam remembers the largest gradient: the policy stands still.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor([initial + math.log(-math.expm1(-initial))]))

    def forward(self) -> Tensor:
        """Return the number, 0-dimensional."""
        return functional.softplus(self.raw).squeeze()


def temperature_loss(q: Tensor, temperature: Tensor, kl_limit: float) -> Tensor:
    """Return the dual of the E-step, 0-dimensional: at its minimum the weights are ``kl_limit`` from uniform.

    ``eta * kl_limit + eta * mean_s log mean_i exp(Q(s, a_i) / eta)``.

    Args:
        q: float [N, B], of N actions in each of B states, without gradient.
        temperature: ``eta``, 0-dimensional.
        kl_limit: in nats.

    Source: MPO (arXiv:1806.06920), equation 9; the mean over samples stands for the policy.
    """
    log_mean = torch.logsumexp(q / temperature, dim=0) - math.log(len(q))
    return temperature * (kl_limit + log_mean.mean())
