"""What learners share: parameters in blocks, Adam with visible moments, and copying saved tensors back."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from awaccli.algorithms.policies import GaussianPolicy
from awaccli.config.section import OptimiserSettings
from awaccli.errors import CheckpointError

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_LAST_RATE = 0.1


class Block:
    """The parameters of a module side by side in one tensor, and their gradients in another.

    What goes over all parameters, as Adam and Polyak averaging do, is then one operation. The parameters
    themselves become views of the block and are used as ever.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = dict(module.named_parameters())
        self._shapes = {name: weight.shape for name, weight in parameters.items()}
        self.values = torch.cat([weight.detach().flatten() for weight in parameters.values()])
        """float32 [P]."""
        self.gradients = torch.zeros_like(self.values)
        """float32 [P]."""
        values, gradients = self.views(self.values), self.views(self.gradients)
        for name, weight in parameters.items():
            weight.data = values[name]
            weight.grad = gradients[name] if weight.requires_grad else None

    def views(self, tensor: Tensor) -> dict[str, Tensor]:
        """Return the part of a tensor like ``values`` that belongs to each parameter, by name."""
        parts = torch.split(tensor, [shape.numel() for shape in self._shapes.values()])
        return {
            name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def reading(self, module: nn.Module) -> nn.Module:
        """Return a copy of the block's module that shares its values, and passes gradients to inputs only."""
        reader = copy.deepcopy(module).requires_grad_(requires_grad=False)
        values = self.views(self.values)
        for name, weight in reader.named_parameters():
            weight.data = values[name]
        return reader

    def move_towards(self, source: Block, *, step: float | Tensor) -> None:
        """Move every parameter by the share ``step`` of its distance to that of ``source``; 1 copies."""
        self.values.lerp_(source.values, step)


class Group(NamedTuple):
    """Parameters that learn alike: a block, or a part of it."""

    block: Block
    lr: float
    weight_decay: float = 0.0
    """L2, added to the gradient."""
    part: slice = slice(None)
    decay_steps: int = 0
    """Steps over which the rate falls in a straight line to ``_LAST_RATE`` of itself; 0: never."""

    def rate(self, step: Tensor) -> float | Tensor:
        """Return the learning rate of a step; the first is step 1."""
        if not self.decay_steps:
            return self.lr
        return self.lr * (1 - (1 - _LAST_RATE) * ((step - 1) / self.decay_steps).clamp(max=1))


class Adam:
    """Adam over blocks of parameters (arXiv:1412.6980); all of its state can be saved and loaded."""

    def __init__(self, groups: Mapping[str, Group]) -> None:
        self._groups = groups
        self._blocks = list({id(group.block): group.block for group in groups.values()}.values())
        self._state = {
            name: {
                "step": torch.zeros((), device=group.block.values.device),
                "exp_avg": torch.zeros_like(group.block.values[group.part]),
                "exp_avg_sq": torch.zeros_like(group.block.values[group.part]),
            }
            for name, group in groups.items()
        }

    def minimise(self, *losses: Tensor, resting: Collection[str] = ()) -> None:
        """Make one step on the sum of losses, of all groups but those that are ``resting``."""
        for block in self._blocks:
            block.gradients.zero_()
        torch.autograd.backward(losses)
        for name, group in self._groups.items():
            if name not in resting:
                self._step(group, **self._state[name])

    @torch.no_grad()
    def _step(self, group: Group, step: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor) -> None:
        step += 1
        # UPSTREAM: what torch.optim.Adam(fused=True) calls; that class imports the compiler: 1.7 s (2.13)
        torch._fused_adam_(
            [group.block.values[group.part]],
            [group.block.gradients[group.part]],
            [exp_avg],
            [exp_avg_sq],
            [],
            [step],
            lr=group.rate(step),
            beta1=_BETA1,
            beta2=_BETA2,
            eps=_EPSILON,
            weight_decay=group.weight_decay,
            amsgrad=False,
            maximize=False,
        )

    def steps(self, name: str) -> Tensor:
        """Return how many steps a group has made, float32 [], on its device."""
        return self._state[name]["step"]

    def tensors(self) -> dict[str, Tensor]:
        """Return live views of steps and moments: ``adam.critic.exp_avg``."""
        return {
            f"adam.{name}.{key}": tensor
            for name, state in self._state.items()
            for key, tensor in state.items()
        }


def policy_group(
    block: Block, settings: OptimiserSettings, *, part: slice = slice(None), regularised: bool = True
) -> Group:
    """Return parameters that learn as a policy does: at its rate, which may fall, with its L2."""
    weight_decay = settings.weight_decay if regularised else 0.0
    return Group(block, settings.policy_lr, weight_decay, part, settings.decay_updates)


def adam_for(
    policy: GaussianPolicy,
    block: Block,
    critic: Block | None,
    settings: OptimiserSettings,
    **others: Group,
) -> Adam:
    """Return one Adam for a policy and its critics, and for whatever else learns.

    Weight decay is on the policy only and never on its log std: it would pull the exploration of every task
    towards the same value.
    """
    n_std = policy.free_log_std.numel()  # a module's own parameters come before those of its layers
    groups = {
        "policy": policy_group(block, settings, part=slice(n_std, None)),
        "log_std": policy_group(block, settings, part=slice(n_std), regularised=False),
    }
    if critic is not None:
        groups["critic"] = Group(critic, settings.critic_lr)
    return Adam({**groups, **others})


def named_tensors(modules: Mapping[str, nn.Module], optimiser: Adam) -> dict[str, Tensor]:
    """Return live views of parameters, buffers and moments: ``policy.head.bias``, ``adam.policy.exp_avg``."""
    views = {
        f"{prefix}.{name}": tensor
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    return views | optimiser.tensors()


def copy_saved(own: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into ``own``, all or none; names that ``own`` does not know are ignored.

    Raises:
        CheckpointError: a name is missing or a shape differs.
    """
    hint = (
        "was it trained with other networks or another algorithm? Without --preset, --config and --set, "
        "finetune takes the checkpoint's own; `awac info --json` shows them"
    )
    missing = _listed(own.keys() - saved.keys())
    if missing:
        raise CheckpointError(f"the checkpoint lacks {missing}", hint=hint)
    for name, tensor in own.items():
        # A file may hold a scalar as an array of length 1.
        found, expected = (tuple(t.shape) or (1,) for t in (saved[name], tensor))
        if found != expected:
            raise CheckpointError(f"`{name}` of the checkpoint is {found}, expected {expected}", hint=hint)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(saved[name].reshape(tensor.shape))


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return ", ".join(f"`{name}`" for name in ordered[:3]) + more
