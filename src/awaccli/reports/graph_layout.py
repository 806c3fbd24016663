"""Where the nodes of a small graph without circles are drawn: in layers, every edge pointing down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from statistics import fmean

Edge = tuple[str, str]
"""From, to."""
_SWEEPS = 4
_LANE = 0.25
"""Width of an edge that passes a layer, where a node is 1 wide."""
_Place = str | tuple[str, str, int]
"""A node, or where an edge passes a layer: its ends and the number of the layer."""


@dataclass(frozen=True)
class Layout:
    """A graph in units of a node's width and of a layer."""

    nodes: Mapping[str, tuple[float, int]]
    """Where the middle of each node is, and the number of its layer, from 0 at the top."""
    edges: Mapping[Edge, tuple[tuple[float, int], ...]]
    """Where each edge goes, both ends included: one place in every layer that it crosses."""
    columns: float
    layers: int


def laid_out(nodes: Sequence[str], edges: Iterable[Edge]) -> Layout:
    """Lay out a graph: roots at the top, a node below all that lead to it, few crossings.

    Args:
        nodes: in any order; the same order gives the same layout.
        edges: between those nodes, without a circle.
    """
    edges = list(dict.fromkeys(edges))
    depth = _depths(nodes, edges)
    lanes = {edge: _lane(edge, depth) for edge in edges}
    layers: list[list[_Place]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        layers[depth[node]].append(node)
    for lane in lanes.values():
        for place in lane[1:-1]:
            assert isinstance(place, tuple)
            layers[place[2]].append(place)
    _untangle(layers, lanes.values())
    width = max(map(_width, layers), default=0.0)
    found: dict[_Place, tuple[float, int]] = {}
    for row, layer in enumerate(layers):
        left = (width - _width(layer)) / 2
        for place in layer:
            found[place] = left + _width([place]) / 2, row
            left += _width([place])
    return Layout(
        nodes={node: found[node] for node in nodes},
        edges={edge: tuple(found[place] for place in lane) for edge, lane in lanes.items()},
        columns=width,
        layers=len(layers),
    )


def _width(layer: Sequence[_Place]) -> float:
    return sum(1.0 if isinstance(place, str) else _LANE for place in layer)


def _depths(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Return for every node the length of the longest way to it; roots move down to where they are used."""
    parents: dict[str, list[str]] = {node: [] for node in nodes}
    children: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        parents[end].append(start)
        children[start].append(end)
    depth: dict[str, int] = {}
    for node in TopologicalSorter(parents).static_order():
        depth[node] = max((depth[parent] + 1 for parent in parents[node]), default=0)
    for node in nodes:
        if not parents[node] and children[node]:
            depth[node] = min(depth[child] for child in children[node]) - 1
    return depth


def _lane(edge: Edge, depth: Mapping[str, int]) -> list[_Place]:
    start, end = edge
    passed: list[_Place] = [(start, end, layer) for layer in range(depth[start] + 1, depth[end])]
    return [start, *passed, end]


def _untangle(layers: list[list[_Place]], lanes: Iterable[Sequence[_Place]]) -> None:
    """Order each layer by the mean place of its neighbours, down and up in turn."""
    above: dict[_Place, list[_Place]] = {}
    below: dict[_Place, list[_Place]] = {}
    for lane in lanes:
        for upper, lower in pairwise(lane):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        for row in range(1, len(layers)) if down else reversed(range(len(layers) - 1)):
            _order(layers[row], layers[row - 1 if down else row + 1], neighbours)


def _order(
    layer: list[_Place], beside: Sequence[_Place], neighbours: Mapping[_Place, Sequence[_Place]]
) -> None:
    shift = (len(layer) - len(beside)) / 2
    rank = {place: column + shift for column, place in enumerate(beside)}
    own = {place: float(column) for column, place in enumerate(layer)}
    wish = {
        place: fmean([rank[near] for near in neighbours.get(place, ())] or [own[place]]) for place in layer
    }
    layer.sort(key=lambda place: (wish[place], own[place]))
