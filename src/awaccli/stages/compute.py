"""The machine a run trains on: threads, device, and tensors to and from files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from awaccli.config.settings import Execution
from awaccli.errors import UsageError


def prepare(execution: Execution) -> str:
    """Set the thread count and return the device to train on.

    Raises:
        UsageError: the device does not exist here.
    """
    torch.set_num_threads(execution.threads)
    # UPSTREAM: use_deterministic_algorithms(True) does the same, but imports torch's compiler: 1.5 s (2.10)
    torch.set_deterministic_debug_mode("error")
    name = execution.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device `{name}` is not available here", hint="use --device cpu") from error
    return name


def to_arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Copy tensors into NumPy arrays, wherever they live."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def to_tensors(arrays: Mapping[str, np.ndarray], device: str) -> dict[str, torch.Tensor]:
    """Copy arrays into tensors on ``device``."""
    return {name: torch.from_numpy(np.array(array)).to(device) for name, array in arrays.items()}
