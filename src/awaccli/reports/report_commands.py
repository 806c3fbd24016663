"""The chains of all artifacts of a report in one graph, and the commands that make what is in it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from awaccli.artifacts.commit import PART
from awaccli.errors import InputError
from awaccli.reports.chain import Chain
from awaccli.reports.lineage import Edge, Lineage, Node
from awaccli.reports.rebuild import plan_of
from awaccli.reports.report_artifact import Shown, told

MOST_NODES = 30
"""A graph of more is no help: each artifact then has its own chain, as text."""


def common_chain(
    shown: Sequence[Shown], notes: dict[str, str], *, trust_env: bool
) -> tuple[Lineage | None, dict[str, str]]:
    """Return the chains of all artifacts in one, and the commands of its nodes by id.

    Args:
        shown: the artifacts.
        notes: is told why the graph (``chain``) or some commands (``commands``) are not there.
        trust_env: tell the commands to trust the environments that files describe.
    """
    nodes: dict[str, Node] = {}
    edges: dict[Edge, None] = {}
    for one in shown:
        if one.lineage:
            nodes |= {node.id: node for node in one.lineage.nodes if node.id not in nodes}
            edges |= dict.fromkeys(one.lineage.edges)
    if not 0 < len(nodes) <= MOST_NODES:
        many = f"{len(nodes)} artifacts are too many for one graph: see each one's own chain"
        notes["chain"] = many if nodes else "what it was begun from cannot be read"
        return None, {}
    commands: dict[str, str] = {}
    for one in shown:
        if one.chain:
            commands = _commands(one.chain, notes, trust_env=trust_env) | commands
    first = next(one.lineage for one in shown if one.lineage)
    return first.model_copy(update={"nodes": tuple(nodes.values()), "edges": tuple(edges)}), commands


def _commands(chain: Chain, notes: dict[str, str], *, trust_env: bool) -> dict[str, str]:
    """Return what makes each artifact of a chain, as far as it can be made."""
    name = chain.path.name.removesuffix(PART).partition(".")[0]
    target = Path(f"{name}-rebuild")
    try:
        plan = plan_of(chain, target, trust_env=trust_env)
    except InputError as error:
        notes["commands"] = told(error)
        try:
            plan = plan_of(chain, target, reuse=True, trust_env=trust_env)
        except InputError:
            return {}
    return {
        made.id: shlex.join(
            ["awac", *(_seen_from(chain.path.absolute().parent, word) for word in command.arguments)]
        )
        for command in plan.commands
        for made in command.makes
    }


def _seen_from(folder: Path, word: str) -> str:
    """Return an argument as it is written in a folder: a page is shown to others, who have other folders."""
    path = Path(word)
    is_path = path.is_absolute() or ((path.suffix or "/" in word) and path.exists())
    return os.path.relpath(path, folder) if is_path else word
