"""The chain on a page: a graph from demonstrations to policy; what each node is, and the command for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from awaccli.artifacts.commit import PART
from awaccli.reports.figures import short
from awaccli.reports.graph_layout import laid_out
from awaccli.reports.html import Html, details, element, number
from awaccli.reports.lineage import Lineage, Node, settings_that_matter

_TITLES = {
    "collect-demos": "Demonstrations",
    "import": "Imported dataset",
    "bc-rollout": "Rollouts of a clone",
    "pretrain": "Pretrained policy",
    "finetune": "Fine-tuned policy",
    "finetune-online": "Online episodes",
    "eval": "Evaluation",
    "expert": "Built-in expert",
    "unknown": "Of unknown origin",
}
_BOX_WIDTH, _BOX_HEIGHT = 196.0, 64.0
_ACROSS, _DOWN = 212.0, 104.0
"""From the middle of a node to that of the next one."""
_MARGIN = 4.0
_LETTERS = 30
"""That fit into a node."""


def node_title(node: Node) -> str:
    """Return what a node is, in a word or two."""
    if node.stage == "pretrain" and (node.settings or {}).get("algo") == "bc":
        return "Clone"
    stage = node.stage or node.kind
    return _TITLES.get(stage, f"Dataset: {stage.removeprefix('data-')}" if node.kind == "dataset" else stage)


def graph_html(found: Lineage, given: Sequence[str]) -> Html:
    """Return the graph; its nodes lead to their cards.

    Args:
        found: at least one node.
        given: ids of the artifacts that the page is about.
    """
    layout = laid_out([node.id for node in found.nodes], [(edge.from_, edge.to) for edge in found.edges])
    width = max(1.0, layout.columns) * _ACROSS + 2 * _MARGIN
    height = (layout.layers - 1) * _DOWN + _BOX_HEIGHT + 2 * _MARGIN

    def place(middle: float, layer: int) -> tuple[float, float]:
        return _MARGIN + middle * _ACROSS, _MARGIN + _BOX_HEIGHT / 2 + layer * _DOWN

    arrow = element(
        "marker",
        element("path", d="M0 0 L8 4 L0 8 z", class_="arrow"),
        id="arrow",
        viewBox="0 0 8 8",
        refX=7,
        refY=4,
        markerWidth=7,
        markerHeight=7,
        orient="auto",
    )
    edges = [_edge([place(*spot) for spot in layout.edges[edge.from_, edge.to]]) for edge in found.edges]
    boxes = [_box(node, *place(*layout.nodes[node.id]), given=node.id in given) for node in found.nodes]
    picture = element(
        "svg",
        element("defs", arrow),
        *edges,
        *boxes,
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        role="group",
        aria_label="Graph of the chain, from its roots at the top; each node leads to its facts below",
    )
    return element("div", picture, class_="graph")


def _edge(places: Sequence[tuple[float, float]]) -> Html:
    """Return a smooth line with an arrow, from the lower side of a box to the upper side of another."""
    (x, y), *rest = places
    path = [f"M{number(x)} {number(y + _BOX_HEIGHT / 2)}"]
    y += _BOX_HEIGHT / 2
    for step, (end_x, middle) in enumerate(rest, start=1):
        top = middle - _BOX_HEIGHT / 2 - (2 if step == len(rest) else 0)
        bend = (y + top) / 2
        path.append(
            f"C{number(x)} {number(bend)} {number(end_x)} {number(bend)} {number(end_x)} {number(top)}"
        )
        x, y = end_x, top
        if step < len(rest):
            y = middle + _BOX_HEIGHT / 2
            path.append(f"L{number(x)} {number(y)}")
    return element("path", d=" ".join(path), class_="edge", marker_end="url(#arrow)")


def _box(node: Node, x: float, y: float, *, given: bool) -> Html:
    left, top = x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2
    classes = ["box", node.kind, *(["gone"] if not node.present else []), *(["given"] if given else [])]
    texts = (node_title(node), _file(node), _few_settings(node))
    lines = [
        element(
            "text",
            short(text, _LETTERS),
            x=x,
            y=top + 20 + 17 * row,
            text_anchor="middle",
            class_=("title", "file", "settings")[row],
        )
        for row, text in enumerate(texts)
        if text
    ]
    frame = element("rect", x=left, y=top, width=_BOX_WIDTH, height=_BOX_HEIGHT, rx=9)
    return element("a", frame, *lines, href=f"#{node_anchor(node.id)}", class_=" ".join(classes))


def _few_settings(node: Node) -> str:
    """Return the settings that matter most, as many as fit."""
    words = settings_that_matter(node)
    while len(", ".join(words)) > _LETTERS and len(words) > 1:
        words.pop()
    return ", ".join(words)


def _file(node: Node) -> str:
    if node.path:
        return Path(node.path).name
    return "built in" if node.present else "not on disk"


def node_anchor(identity: str) -> str:
    """Return the name of a node's card on the page."""
    return f"node-{''.join(letter for letter in identity if letter.isalnum())[:16]}"


def cards_html(found: Lineage, commands: Mapping[str, str], *, level: int) -> Html:
    """Return a card for each node, roots first: facts, and the command that makes it."""
    layout = laid_out([node.id for node in found.nodes], [(edge.from_, edge.to) for edge in found.edges])
    ordered = sorted(found.nodes, key=lambda node: layout.nodes[node.id][1])
    items = [_card(node, commands.get(node.id), level=level) for node in ordered]
    return element("ol", *items, class_="cards")


def _card(node: Node, command: str | None, *, level: int) -> Html:
    seed = [f"seed {node.seed}"] if node.seed is not None else []
    words = ", ".join([*([node.stage] if node.stage else []), *settings_that_matter(node), *seed])
    place = _file(node)
    made = details("Command", element("pre", element("code", command))) if command else None
    identity = element("code", node.id[:16], title=node.id)
    named = element("p", "id ", identity, class_="small")
    where = element("span", place, class_="file" if node.present else "file gone")
    return element(
        "li",
        element(f"h{level}", node_title(node), " ", where),
        element("p", words) if words else None,
        element("p", "unfinished", class_="small") if node.path and node.path.endswith(PART) else named,
        made,
        id=node_anchor(node.id),
    )


def chain_html(found: Lineage, commands: Mapping[str, str], given: Sequence[str], *, level: int) -> Html:
    """Return the graph and, beside or below it, the cards."""
    return element("div", graph_html(found, given), cards_html(found, commands, level=level), class_="chain")
