"""What learners share to stop and go on: Adam with visible moments, and copying saved tensors back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from awaccli.config.settings import OptimiserSettings
from awaccli.errors import CheckpointError


def make_adam(policy: nn.Module, critic: nn.Module | None, settings: OptimiserSettings) -> torch.optim.Adam:
    """Return one Adam for all networks, its moments already in place so that they can be saved and loaded.

    Weight decay is L2 (added to the gradient), on the policy only and never on its log std: it would pull the
    exploration of every task towards the same value.
    """
    free_log_std = [weight for name, weight in policy.named_parameters() if name == "free_log_std"]
    weights = [weight for name, weight in policy.named_parameters() if name != "free_log_std"]
    groups = [
        {"params": weights, "lr": settings.policy_lr, "weight_decay": settings.weight_decay},
        {"params": free_log_std, "lr": settings.policy_lr},
    ]
    if critic is not None:
        groups.append({"params": list(critic.parameters()), "lr": settings.critic_lr})
    optimiser = torch.optim.Adam(groups, fused=True)
    for group in optimiser.param_groups:
        for weight in group["params"]:
            optimiser.state[weight] = {
                "step": torch.zeros((), dtype=torch.float32, device=weight.device),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }
    return optimiser


def named_tensors(modules: Mapping[str, nn.Module], optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    """Return live views of parameters, buffers and moments: ``policy.head.bias``, ``adam.policy.head...``."""
    views = {
        f"{prefix}.{name}": tensor
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    return views | dict(_moments(modules, optimiser))


def _moments(modules: Mapping[str, nn.Module], optimiser: torch.optim.Adam) -> Iterator[tuple[str, Tensor]]:
    for prefix, module in modules.items():
        for name, weight in module.named_parameters():
            for key, tensor in optimiser.state.get(weight, {}).items():
                yield f"adam.{prefix}.{name}.{key}", tensor


def copy_saved(own: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into ``own``, all or none; names that ``own`` does not know are ignored.

    Raises:
        CheckpointError: a name is missing or a shape differs.
    """
    hint = "was it trained with other networks or another algorithm? `awac info` shows its settings"
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
