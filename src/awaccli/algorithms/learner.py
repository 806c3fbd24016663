"""What all learners share: a step made of losses, tensors by name, and the ways in and out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from awaccli.algorithms.captured import made_fast
from awaccli.algorithms.networks import ObservationNormaliser, Spaces
from awaccli.algorithms.state import Adam, Block, copy_saved, named_tensors
from awaccli.protocols import Batch, PolicyWeights


@dataclass(frozen=True, slots=True)
class Setup:
    """What a learner is made for, and on."""

    spaces: Spaces
    """Observations and actions of the task."""
    seed: int
    """Initial weights are functions of it."""
    reward_range: tuple[float, float] | None = None
    """Smallest and largest reward of a step, where known."""
    device: str | torch.device = "cpu"
    """Where tensors live."""
    compiled: bool = False
    """Let PyTorch's compiler fuse the losses: 10 % faster, once it has taken its seconds."""


class GradientLearner(ABC):
    """A ``Learner`` that minimises losses by Adam, all from the networks as they were before the update.

    An algorithm makes its networks, names them, and says what its losses are. What it does in ``_losses`` and
    ``_follow`` is tensor operations only: on a GPU they are recorded and replayed. What counts updates
    belongs into ``_phase`` and ``_advance``.
    """

    _optimiser: Adam

    def __init__(self, setup: Setup, networks: Mapping[str, nn.Module]) -> None:
        """Put the networks' parameters into blocks.

        Args:
            setup: the task and the device.
            networks: by the names of their tensors; those that no loss trains take no gradients.
        """
        self._setup, self._spaces = setup, setup.spaces
        self._normaliser = ObservationNormaliser(setup.spaces).to(setup.device)
        self._networks = {name: network.to(setup.device) for name, network in networks.items()}
        self._blocks = {network: Block(network) for network in self._networks.values()}
        # Stays on the CPU on every device: schedules read it without a synchronisation.
        self._updates = torch.zeros(1, dtype=torch.int64)
        losses = self._losses
        self._fused_losses = (
            torch.compile(losses, fullgraph=True, dynamic=False) if setup.compiled else losses
        )
        self._fast_step = made_fast(self._step, self.tensors, setup.device)

    @property
    def updates(self) -> int:
        """Gradient updates made so far, offline and online."""
        return int(self._updates)

    @abstractmethod
    def noise_shapes(self, batch_size: int) -> Mapping[str, tuple[int, ...]]:
        """Return the standard normal draws one update wants, by name."""

    @abstractmethod
    def _losses(self, batch: Batch, noise: Mapping[str, Tensor], phase: Any) -> dict[str, Tensor]:
        """Return 0-dimensional tensors: ``loss/...`` are minimised, what else there is is only watched.

        The names are the same in all phases; a loss without a gradient stands for one that waits.
        """

    @abstractmethod
    def diagnose(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float | list[float]]:
        """Return diagnostics on a batch, changing nothing."""

    @abstractmethod
    def policy(self) -> PolicyWeights:
        """Return the policy that acts and is evaluated, as arrays."""

    def state_values(self, observations: Tensor) -> Tensor | None:  # noqa: ARG002 - protocol
        """Return None: there is no critic, unless a learner says otherwise."""
        return None

    def update(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Make one gradient step on all losses; return them, 0-dimensional."""
        found = self._fast_step(batch, noise, self._phase())
        self._updates += 1
        self._advance()
        return found

    def _step(self, batch: Batch, noise: Mapping[str, Tensor], phase: Any) -> dict[str, Tensor]:
        found = self._fused_losses(batch, noise, phase)
        trained = (value for name, value in found.items() if name.startswith("loss/") and value.requires_grad)
        self._optimiser.minimise(*trained, resting=self._resting(phase))
        self._follow()
        return {name: value.detach() for name, value in found.items()}

    def _phase(self) -> Any:
        """Return what the next update does, going by how many came before it; hashable."""
        return None

    def _resting(self, phase: Any) -> Collection[str]:  # noqa: ARG002 - few let anything rest
        """Return the optimiser's groups that an update of this phase leaves as they are, moments included."""
        return ()

    def _follow(self) -> None:  # noqa: B027 - most have nothing to do here
        """Let what trails the trained networks take its step."""

    def _advance(self) -> None:  # noqa: B027 - nor here
        """Do what belongs to the CPU after each update."""

    def tensors(self) -> dict[str, Tensor]:
        """Return networks, moments, observation statistics and the counter by name, as live views."""
        networks = {"normaliser": self._normaliser, **self._networks}
        return {"updates": self._updates, **named_tensors(networks, self._optimiser)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy a saved ``tensors()`` back in; going on is then bit-identical to never having stopped.

        Raises:
            CheckpointError: a name is missing or a shape differs.
        """
        copy_saved(self.tensors(), tensors)
