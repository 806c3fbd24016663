"""The machine a run trains on: threads, device, and tensors to and from files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from awaccli.config.settings import Execution
from awaccli.data.buffer import Memory
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


def memory_of(execution: Execution) -> Memory:
    """Return how much memory training rows may take, and where they are mapped from if they need more."""
    cache = Path(execution.cache) if execution.cache else Path.home() / ".cache" / "awac" / "rows"
    return Memory(execution.max_memory_bytes or _free_bytes() // 2, cache)


def _free_bytes() -> int:
    """Return the memory that this process could still get, going by the system and its control group."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = (
            (group / name).read_text(encoding="ascii") for name in ("memory.max", "memory.current")
        )
        free = min(free, max(0, int(limit) - int(used)))
    return free


def to_arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Copy tensors into NumPy arrays, wherever they live."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def to_tensors(arrays: Mapping[str, np.ndarray], device: str) -> dict[str, torch.Tensor]:
    """Copy arrays into tensors on ``device``."""
    return {name: torch.from_numpy(np.array(array)).to(device) for name, array in arrays.items()}
