"""AWAC updates per second against d3rlpy, a plain eager loop, JAX, and the matrix products alone.

Contestants are processes of their own, pinned to the same cores, that take turns: a few updates each, round
after round, so that whatever slows the machine slows them all. `python -m benchmarks.updates --help`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import numpy as np
import torch

from awaccli.data.dataset import open_dataset
from benchmarks.datasets import episodes_like_the_demonstrations, write_awac
from benchmarks.measure import Row, table

FOLDER = Path(__file__).parent
PEERS = FOLDER.parent / ".venv-peers" / "bin" / "python"
ROUNDS, SECONDS = 7, 0.5
PRODUCT = 2 * 1024 * 256 * 256
"""Floating-point operations of the product that the machine's rate is measured by."""


class Contestant:
    """A process that makes updates when told to."""

    def __init__(self, script: str, data: Path, threads: int, cores: set[int], *options: str) -> None:
        ours = script in ("awac.py", "eager.py", "products.py")
        python = sys.executable if ours else str(PEERS)
        alone = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "XLA_FLAGS": alone}
        self._process = subprocess.Popen(
            [python, FOLDER / "contestants" / script, "--data", data, "--threads", str(threads), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - nothing runs beside us
        )

    def seconds(self, updates: int) -> float:
        """Make ``updates`` and return how long they took."""
        print(updates, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"a contestant stopped: {self._process.args}")
        return float(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()


def rates(contestants: dict[str, Contestant]) -> dict[str, float]:
    """Return updates per second of each: medians over rounds, each long enough to be measured."""
    counts = {}
    for name, contestant in contestants.items():
        contestant.seconds(3)  # compiles
        counts[name] = max(3, round(SECONDS * 5 / contestant.seconds(5)))
    rounds = [
        {name: contestant.seconds(counts[name]) / counts[name] for name, contestant in contestants.items()}
        for _ in range(ROUNDS)
    ]
    return {name: 1 / statistics.median(times[name] for times in rounds) for name in contestants}


def products(batch: int, observation: int, action: int, *, layers: int, width: int) -> float:
    """Return the floating-point operations of all matrix products that one update of AWAC needs.

    Forward: both target critics, both critics twice (Q and V), the policy twice. Backward: the gradients of
    all weights, and those of all inputs but the first layer's.
    """
    critic = 2 * ((observation + action) * width + width * width + width)
    policy = observation * width + (layers - 1) * width * width + width * action
    critic_backward = critic + critic - 2 * (observation + action) * width
    policy_backward = policy + policy - observation * width
    return 2 * batch * (3 * critic + 2 * policy + critic_backward + policy_backward)


def measure(folder: Path, *, batch: int, threads: int, layers: int, peers: bool) -> list[Row]:
    """Return the rows of one configuration."""
    cores = set(sorted(os.sched_getaffinity(0))[:threads])
    shape = ("--batch", str(batch), "--policy-layers", str(layers))
    scripts = {
        "awac": ("awac.py", *shape),
        "awac, compiled": ("awac.py", *shape, "--compile", "always"),
        "awac, bf16": ("awac.py", *shape, "--precision", "bf16"),
        "awac, compiled bf16": ("awac.py", *shape, "--precision", "bf16", "--compile", "always"),
        "eager loop": ("eager.py", *shape),
        "default BLAS": ("products.py",),
        "oneDNN": ("products.py", "--precision", "oneDNN"),
    }
    if peers:
        scripts |= {"d3rlpy": ("d3rlpy_awac.py", *shape), "JAX": ("jax_awac.py", *shape)}
    with ExitStack() as stack:
        found = rates(
            {
                name: stack.enter_context(
                    Contestant(
                        script,
                        folder / ("a.zarr" if script == "awac.py" else "a.npz"),
                        threads,
                        cores,
                        *options,
                    )
                )
                for name, (script, *options) in scripts.items()
            }
        )
    fastest = max(found.pop("default BLAS"), found.pop("oneDNN"))
    limit = fastest * PRODUCT / products(batch, 39, 30, layers=layers, width=256)
    name = f"updates, batch {batch}, {threads} thread{'s' * (threads > 1)}, policy {layers} x 256"
    share = {name: rate / limit for name, rate in found.items()}
    note = f"limit {limit:.0f}/s at {fastest * PRODUCT / 1e9:.0f} GFLOP/s"
    return [Row(name, found, "per s"), Row("share of the products' limit", share, "share", note)]


def measure_gpu(folder: Path, *, batch: int, layers: int) -> Row:
    """Return the row of one configuration on a GPU, with all cores for the process that drives it."""
    shape = ("--batch", str(batch), "--policy-layers", str(layers), "--device", "cuda")
    scripts = {"awac": shape, "awac, compiled": (*shape, "--compile", "always")}
    with ExitStack() as stack:
        cores = os.sched_getaffinity(0)
        contestants = {
            name: stack.enter_context(Contestant("awac.py", folder / "a.zarr", 1, cores, *options))
            for name, options in scripts.items()
        }
        found = rates(contestants)
    name = torch.cuda.get_device_name()
    return Row(f"updates, batch {batch}, {name}, policy {layers} x 256", found, "per s")


def transitions(path: Path, target: Path) -> None:
    """Write a dataset's transitions as arrays."""
    episodes = list(open_dataset(path))
    np.savez(
        target,
        observations=np.concatenate([e.observations[:-1] for e in episodes]),
        next_observations=np.concatenate([e.observations[1:] for e in episodes]),
        actions=np.concatenate([e.actions for e in episodes]),
        rewards=np.concatenate([e.rewards for e in episodes]),
        ends=np.concatenate([np.zeros(len(e), np.float32) for e in episodes]),
        last=np.concatenate([np.arange(len(e)) == len(e) - 1 for e in episodes]).astype(np.float32),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--batch", type=int, nargs="*", default=[256, 1024])
    parser.add_argument("--no-peers", action="store_true", help="only what needs no other packages")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_awac(folder / "a.zarr", *episodes_like_the_demonstrations(500))
        transitions(folder / "a.zarr", folder / "a.npz")
        for threads in options.threads:
            for batch in options.batch:
                for layers in (2, 4) if batch == 1024 else (2,):
                    rows += measure(
                        folder, batch=batch, threads=threads, layers=layers, peers=not options.no_peers
                    )
        if torch.cuda.is_available():
            rows += [measure_gpu(folder, batch=1024, layers=layers) for layers in (2, 4)]
    print(table(f"Updates: medians of {ROUNDS} rounds, pinned to as many cores as threads", rows))


if __name__ == "__main__":
    main()
