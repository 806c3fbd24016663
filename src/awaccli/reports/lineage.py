"""An artifact's chain as a graph: for programs, for Graphviz, and as a tree for people."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from awaccli.artifacts.manifest import Kind
from awaccli.reports.chain import COLLECTED, Chain, Link, lookup, read_chain

_SHOWN = {
    "collect-demos": ("collect.episodes", "collect.policy", "collect.noise"),
    "bc-rollout": ("rollout.episodes", "rollout.actions", "bc.updates"),
    "pretrain": ("algo", "pretrain.updates", "bc.updates", "awac.lam"),
    "finetune": ("finetune.env_steps", "finetune.updates", "awac.lam"),
    "eval": ("evaluate.episodes", "evaluate.actions"),
}
"""Settings that tell artifacts of one stage apart."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class Node(_Record):
    """An artifact of the chain, a built-in expert, or an input of which only the id is known."""

    id: str
    kind: Kind | Literal["expert", "unknown"]
    stage: str | None
    seed: int | None
    present: bool
    path: str | None
    """Where it is, if it is on disk."""
    recipe_key: str | None
    settings: dict[str, Any] | None


class Edge(_Record):
    """A parent and what it was for."""

    from_: str = Field(serialization_alias="from")
    to: str
    role: str


class Lineage(_Record):
    """The whole chain of an artifact."""

    schema_version: Literal[1] = 1
    id: str
    path: str
    nodes: tuple[Node, ...]
    """The artifact first, every other node once."""
    edges: tuple[Edge, ...]


def lineage(path: Path, parents: Path | None = None) -> Lineage:
    """Return the chain of the artifact at ``path``, as far as its manifest and those on disk know it.

    Raises:
        InputError: not an artifact, no folder ``parents``, or recipes that need themselves.
    """
    return lineage_of(read_chain(path, parents))


def lineage_of(chain: Chain) -> Lineage:
    """Return a chain as a graph."""
    links = _from_the_top(chain)
    ids = dict.fromkeys([chain.manifest.id, *(link.parent for link in links)])
    experts = {link.parent for link in links if link.role == "expert"}
    return Lineage(
        id=chain.manifest.id,
        path=str(chain.path),
        nodes=tuple(_node(chain, identity, expert=identity in experts) for identity in ids),
        edges=tuple(Edge(from_=link.parent, to=link.child, role=link.role) for link in links),
    )


def _from_the_top(chain: Chain) -> list[Link]:
    """Return every link of the chain, in the order in which a reader goes down to its roots."""
    parents = defaultdict(list)
    for link in chain.links():
        parents[link.child].append(link)
    links: list[Link] = []
    waiting = list(reversed(parents.pop(chain.manifest.id, [])))
    while waiting:
        links.append(waiting.pop())
        waiting += reversed(parents.pop(links[-1].parent, []))
    return links


def _node(chain: Chain, identity: str, *, expert: bool) -> Node:
    known, found = chain.recipes.get(identity), chain.found.get(identity)
    if known is None:
        return Node(
            id=identity,
            kind="expert" if expert else "unknown",
            stage=None,
            seed=None,
            present=expert and _is_built_in(identity),
            path=None,
            recipe_key=None,
            settings=None,
        )
    return Node(
        id=identity,
        kind=known.kind,
        stage=known.recipe.stage,
        seed=known.recipe.seed,
        present=found is not None,
        path=str(found.path) if found else None,
        recipe_key=known.recipe.key,
        settings=known.recipe.settings,
    )


def _is_built_in(identity: str) -> bool:
    from awaccli.envs.experts import expert_id, find_expert
    from awaccli.envs.hands import HANDS

    files = (find_expert(hand.env_id) for hand in HANDS)
    return identity in {expert_id(file) for file in files if file}


def tree_text(found: Lineage) -> str:
    """Return the chain as a tree, from the artifact down to its roots; a node is drawn once."""
    nodes = {node.id: node for node in found.nodes}
    parents = defaultdict(list)
    for edge in found.edges:
        parents[edge.to].append(edge)
    lines: list[str] = []
    drawn: set[str] = set()
    waiting = [("", "", "", found.id)]
    while waiting:
        branch, stem, role, identity = waiting.pop()
        again = identity in drawn
        title = f"{branch}{role}: " if role else branch
        lines.append(title + (_short(nodes[identity]) if again else _described(nodes[identity])))
        drawn.add(identity)
        if again or role == COLLECTED:  # its inputs are those of the checkpoint above it
            continue
        below = parents[identity]
        last = len(below) - 1
        waiting += reversed(
            [
                (stem + "├└"[row == last] + "─ ", stem + "│ "[row == last] + "  ", edge.role, edge.from_)
                for row, edge in enumerate(below)
            ]
        )
    return "\n".join(lines)


def _short(node: Node) -> str:
    return f"{node.kind} {node.id[:12]} (above)"


def _described(node: Node) -> str:
    parts = [f"{node.kind} {node.id[:12]}"]
    if node.stage is not None:
        parts.append(", ".join([node.stage, *settings_that_matter(node), f"seed {node.seed}"]))
    return "  ".join([*parts, _place(node)])


def settings_that_matter(node: Node) -> list[str]:
    """Return what tells artifacts of one stage apart, in words; zero, false and none say nothing."""
    names = _SHOWN.get((node.stage or "").removesuffix("-online"), ())
    values = [(name.rpartition(".")[2], lookup(node.settings or {}, name)) for name in names]
    return [f"{name} {value}" for name, value in values if value and not isinstance(value, dict | list)]


def _place(node: Node) -> str:
    if node.kind == "expert":
        return "built in" if node.present else "of another version of awac"
    if node.kind == "unknown":
        return "of unknown origin"
    return f"at {node.path}" if node.present else "not on disk"


def dot_text(found: Lineage) -> str:
    """Return the chain as Graphviz source; what is not on disk has a dashed outline."""
    lines = ["digraph lineage {", "  rankdir=LR;", "  node [shape=box];"]
    for node in found.nodes:
        label = [node.stage or node.kind, *settings_that_matter(node), node.id[:12]]
        style = "" if node.present else ", style=dashed"
        lines.append(f"  {_quoted(node.id)} [label={_quoted(chr(10).join(label))}{style}];")
    lines += [
        f"  {_quoted(edge.from_)} -> {_quoted(edge.to)} [label={_quoted(edge.role)}];" for edge in found.edges
    ]
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
