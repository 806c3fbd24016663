"""A learner's step as one launch of a GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from awaccli.protocols import Batch

Step = Callable[[Batch, Mapping[str, Tensor], Any], dict[str, Tensor]]
"""Gets a batch, the noise, and a hashable phase that decides what it does."""
_REHEARSALS = 3
"""Steps before a recording, in which libraries set up what must not be recorded."""


class _Recording(NamedTuple):
    batch: Batch
    noise: dict[str, Tensor]
    graph: torch.cuda.CUDAGraph
    results: dict[str, Tensor]

    def replay(self, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for field in dataclasses.fields(Batch):
            getattr(self.batch, field.name).copy_(getattr(batch, field.name))
        for name, draw in self.noise.items():
            draw.copy_(noise[name])
        self.graph.replay()
        return self.results


class Captured:
    """A step that is recorded as a CUDA graph where it is first asked for, and replayed ever after.

    A step of small networks is a hundred operations of a few microseconds, each of which takes longer to
    launch than to run; a graph is launched at once. There is a recording for each phase and batch size.

    The step may read and write device tensors only, without waiting for them. Its results are overwritten by
    the next call.

    Args:
        step: what to record.
        state: returns all tensors that the step changes, by name; they are put back after rehearsals.
    """

    def __init__(self, step: Step, state: Callable[[], Mapping[str, Tensor]]) -> None:
        self._step, self._state = step, state
        self._recordings: dict[tuple[Any, int], _Recording] = {}

    def __call__(self, batch: Batch, noise: Mapping[str, Tensor], phase: Any) -> dict[str, Tensor]:
        """Make the step, and return its results, on the device."""
        key = phase, len(batch.rewards)
        if key not in self._recordings:
            self._recordings[key] = self._record(batch, noise, phase)
        return self._recordings[key].replay(batch, noise)

    def _record(self, batch: Batch, noise: Mapping[str, Tensor], phase: Any) -> _Recording:
        before = {name: tensor.clone() for name, tensor in self._state().items()}
        own = Batch(*(getattr(batch, field.name).clone() for field in dataclasses.fields(Batch)))
        draws = {name: draw.clone() for name, draw in noise.items()}
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_REHEARSALS):
                self._step(own, draws, phase)
                torch.clear_autocast_cache()  # weights in bfloat16 belong to one step
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = self._step(own, draws, phase)
        torch.clear_autocast_cache()
        for name, tensor in self._state().items():
            tensor.copy_(before[name])
        return _Recording(own, draws, graph, results)


def made_fast(step: Step, state: Callable[[], Mapping[str, Tensor]], device: str | torch.device) -> Step:
    """Return the step as it is, or captured where the device is a GPU; see ``Captured``."""
    return Captured(step, state) if torch.device(device).type == "cuda" else step
