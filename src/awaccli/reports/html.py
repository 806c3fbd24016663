"""HTML and SVG in which text from files can only ever be text: a plain string is escaped wherever it goes."""

from __future__ import annotations

from html import escape
from typing import Final

_VOID: Final = frozenset(("br", "col", "hr", "img", "link", "meta"))
"""Elements that have no end tag."""


class Html(str):
    """Text that is markup already; every other ``str`` is escaped by whoever takes it."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: str | float | None) -> Html:
    """Return an element.

    Args:
        name: of the element, one of ours.
        children: markup, or text to escape; None is left out.
        attributes: by name, with ``_`` for ``-`` and a ``_`` at the end where Python has the word. Without a
            value where it is an empty text, left out where it is None.
    """
    words = [name, *(_attribute(key, value) for key, value in attributes.items() if value is not None)]
    start = f"<{' '.join(words)}>"
    return Html(start if name in _VOID else f"{start}{joined(*children)}</{name}>")


def joined(*children: str | None) -> Html:
    """Return markup and text, one after the other."""
    return Html(
        "".join(str(child) if isinstance(child, Html) else escape(child) for child in children if child)
    )


def prose(text: str) -> Html:
    """Return a sentence of ours in which backticks mark names."""
    parts = text.split("`")
    return joined(*(element("code", part) if place % 2 else part for place, part in enumerate(parts)))


def number(value: float) -> str:
    """Return a coordinate with one decimal at most, so that pages are small and the same everywhere."""
    return f"{value:.1f}".removesuffix(".0")


def table(
    header: list[str], rows: list[list[str]], *, caption: str | None = None, class_: str | None = None
) -> Html:
    """Return a table that may scroll on its own; the first cell of a row names it."""
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:]))
        for row in rows
    ]
    grid = element(
        "table",
        element("caption", caption) if caption else None,
        element("thead", head),
        element("tbody", *body),
        class_=class_,
    )
    # What scrolls must be reachable by keyboard, and then needs a name.
    return element("div", grid, class_="scroll", tabindex=0, role="region", aria_label=caption or header[0])


def details(summary: str, *children: str | None) -> Html:
    """Return what is folded up until somebody asks."""
    return element("details", element("summary", summary), *children)


def facts(pairs: list[tuple[str, str]]) -> Html:
    """Return names and values."""
    rows = [element("div", element("dt", name), element("dd", value)) for name, value in pairs]
    return element("dl", *rows, class_="facts")


def _attribute(key: str, value: str | float) -> str:
    name = key.rstrip("_").replace("_", "-")
    text = value if isinstance(value, str) else number(value)
    return f'{name}="{escape(text)}"' if text else name
