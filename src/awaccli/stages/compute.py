"""What a run computes with: threads, device, matrix products, compiler; and tensors to and from files."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from awaccli.config.settings import Execution
from awaccli.data.buffer import Memory
from awaccli.errors import UsageError

_WORTH_COMPILING = 20_000_000
"""Rows of all batches of a run beyond which compiled updates have repaid the half minute they take first."""
_KEPT_BYTES = 1 << 30
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True, slots=True)
class Machine:
    """What updates are computed with; the last bits of what is learned depend on all of it."""

    device: str
    precision: str
    """Of matrix products: ``float32``, ``float32 (oneDNN)``: the same by another library, or ``bf16``."""
    compiled: bool

    @property
    def mode(self) -> str:
        """How manifests call it."""
        return "compiled" if self.compiled else "eager"

    def products(self) -> torch.autocast:
        """Return the context in which updates are made."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16")


def prepare(execution: Execution, *, rows: int = 0) -> Machine:
    """Set up this process for training.

    Args:
        execution: what is asked for.
        rows: of all batches that the run's recipe asks for, whatever a resumed run has left of them.

    Raises:
        UsageError: the device or the compiler does not exist here.
    """
    torch.set_num_threads(execution.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS is not deterministic
    # UPSTREAM: use_deterministic_algorithms(True) does the same, but imports torch's compiler: 1.5 s (2.10)
    torch.set_deterministic_debug_mode("error")
    _keep_freed_memory()
    device = _device(execution.device)
    compiled = execution.compilation == "always" or (
        execution.compilation == "auto" and rows >= _WORTH_COMPILING
    )
    if compiled and (problem := _compiler_problem(device)):
        if execution.compilation == "always":
            raise UsageError(f"updates cannot be compiled here: {problem}", hint="use --compile auto")
        compiled = False
    return Machine(device, _precision(execution.precision, device), compiled)


def _keep_freed_memory() -> None:
    """Tell the C library to keep what is freed: pages that come back at every update cost a tenth of it."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _precision(wanted: str, device: str) -> str:
    """Return what matrices are multiplied in.

    oneDNN is up to twice as fast as PyTorch's default library, depending on the CPU, but PyTorch uses it for
    float32 only where it may round to bfloat16 inside. Whether it does so here, a small product tells: the
    same on every run on this machine.
    """
    if wanted != "float32" or device != "cpu":
        return wanted
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    settings.fp32_precision = "bf16"
    a = torch.linspace(0, 97, 64 * 512).view(64, 512).sin()
    worst = (a @ a.T - a.double() @ a.double().T).abs().max()  # float32: 5e-4, bfloat16: 8e-2
    if worst < 5e-3:
        return "float32 (oneDNN)"
    settings.fp32_precision = "none"
    return wanted


def _compiler_problem(device: str) -> str | None:
    """Return why PyTorch's compiler does not work here, or None; it takes its first seconds now."""
    from torch._inductor import config

    config.compile_threads = 1  # no processes that outlive a stopped run
    try:
        torch.compile(torch.square, fullgraph=True)(torch.ones(8, device=device))
    except (RuntimeError, OSError) as error:
        return " ".join(str(error).split("\n\n")[0].split())
    return None


def _device(name: str) -> str:
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
