"""A report as one HTML page: it needs nothing but itself, runs no script, and may load nothing."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from awaccli.protocols import Clip
from awaccli.reports.chart import chart_html
from awaccli.reports.html import Html, element, joined, prose, table
from awaccli.reports.report import Filmed, Pictured, Report
from awaccli.reports.report_artifact import Shown
from awaccli.reports.report_chain import chain_html
from awaccli.reports.report_curves import common_chart
from awaccli.reports.report_sections import artifact_html, count, lead, rate_html

_POLICIES = ["policy", "final success", "measured by", "algorithm", "seed", "updates", "online steps"]
_EVALUATIONS = ["evaluation", "final success", "actions", "episodes", "algorithm", "seed"]
_DATASETS = ["dataset", "final success", "made by", "seed", "episodes", "steps"]
_RULES = ("final", "any", "held")
_INDEX = "all"
Section = tuple[str, str, Html]
"""Anchor, name and content."""


def page_html(found: Report) -> str:
    """Return the page; the same report gives the same text."""
    style = files("awaccli.reports").joinpath("report.css").read_text(encoding="utf-8")
    sections = _sections(found)
    links = [
        element("a", title, href=f"#{anchor}")
        for anchor, title, _ in sections
        if len(found.shown) == 1 or not anchor.startswith("artifact")
    ]
    body = joined(
        element("a", "Skip to the content", href="#content", class_="skip"),
        element(
            "header",
            element("p", "awac report", class_="brand"),
            element("h1", found.title),
            element("p", _lead(found), class_="lead"),
            element("nav", *links, aria_label="Sections") if len(links) > 1 else None,
        ),
        element(
            "main",
            *(element("section", content, id=anchor) for anchor, _, content in sections),
            id="content",
        ),
    )
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{found.title} · awac report"),
        element("style", Html(style)),
    )
    return f"<!doctype html>\n{element('html', element('head', head), element('body', body), lang='en')}\n"


def _policy(style: str) -> str:
    """Return what the page may do: show its own pictures and films, in this one style."""
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _lead(found: Report) -> str:
    if len(found.shown) == 1:
        return lead(found.shown[0])
    kinds = {
        "checkpoint": ("policy", "policies"),
        "evaluation": ("evaluation", "evaluations"),
        "dataset": ("dataset", "datasets"),
    }
    counted = [(sum(one.kind == kind for one in found.shown), kinds[kind]) for kind in kinds]
    parts = [f"{number} {words[number > 1]}" for number, words in counted if number]
    return f"{', '.join(parts)}, side by side."


def _sections(found: Report) -> list[Section]:
    films, data = _films(found), _data(found.pictured, found.notes.get("data"))
    common: list[Section] = [
        ("films", "Films", films),
        ("chain", "Chain", _chain(found)),
        ("data", "Data", data),
    ]
    with_tree = found.graph is None
    if len(found.shown) == 1:
        only = artifact_html(found.shown[0], level=2, folded=False, with_tree=with_tree)
        return [("artifact", "Summary", only), *common]
    each = [
        (_anchor(number), one.name, _one_of_many(one, with_tree=with_tree))
        for number, one in enumerate(found.shown)
    ]
    return [(_INDEX, "Overview", _index(found)), *each, *common]


def _anchor(number: int) -> str:
    return f"artifact-{number + 1}"


def _one_of_many(one: Shown, *, with_tree: bool) -> Html:
    back = element("p", element("a", "Back to the overview", href=f"#{_INDEX}"), class_="small")
    about = element("p", lead(one), class_="lead")
    content = artifact_html(one, level=3, folded=True, with_tree=with_tree)
    return joined(element("h2", one.name), about, content, back)


def _index(found: Report) -> Html:
    """Return a table for every kind of artifact, each row leading to its section."""
    rows: dict[str, list[list[str]]] = {"checkpoint": [], "evaluation": [], "dataset": []}
    for number, one in enumerate(found.shown):
        name = element("a", one.name, href=f"#{_anchor(number)}")
        rows[one.kind].append([name, *_cells(one)])
    parts = [
        table(header, rows[kind], class_="index")
        for kind, header in zip(rows, (_POLICIES, _EVALUATIONS, _DATASETS), strict=True)
        if rows[kind]
    ]
    chart = common_chart([one.run for one in found.shown if one.run])
    damaged = [
        element("p", element("b", "Damaged"), f" {name}: ", prose(words), class_="remark")
        for name, words in found.damaged
    ]
    side_by_side = element("div", chart_html(chart), class_="charts alone") if chart else None
    return joined(element("h2", "Overview"), *damaged, side_by_side, *parts)


def _cells(one: Shown) -> list[str]:
    """Return a row of the overview, without the name; see the headers above."""
    best = one.headline
    success = rate_html(best.success.final) if best else element("span", "not measured", class_="gone")
    recipe = one.chain.manifest.recipe if one.chain else None
    seed = str(recipe.seed) if recipe else ""
    if one.run:
        by = best.name if best else ""
        return [success, by, one.run.algo, seed, count(one.run.updates), count(one.run.env_steps)]
    if one.dataset is not None:
        made = recipe.stage if recipe else ""
        return [success, made, seed, count(len(one.dataset)), count(one.dataset.n_steps)]
    assert one.evaluation is not None
    result = one.evaluation
    return [success, result.actions, count(result.outcome.episodes), result.algo, str(result.seed)]


def _chain(found: Report) -> Html:
    heading = element("h2", "Where it comes from")
    if found.graph is None:
        return joined(heading, element("p", f"Left out: {found.notes['chain']}.", class_="note"))
    given = [node.id for node in found.graph.nodes if node.path in {str(one.path) for one in found.shown}]
    problem = found.notes.get("commands")
    note = element("p", prose(f"Not every command is known: {problem}."), class_="note") if problem else None
    where = element("p", "Commands are written for the folder that the artifact is in.", class_="note")
    return joined(heading, where, chain_html(found.graph, found.commands, given, level=3), note)


def _films(found: Report) -> Html:
    heading = element("h2", "Films")
    parts = [part for film in found.films for part in _film(film)]
    problem = found.notes.get("films")
    left_out = "There are none" if not found.films else "Some are left out"
    note = element("p", prose(f"{left_out}: {problem}."), class_="note") if problem else None
    return joined(heading, *parts, note)


def _film(film: Filmed) -> list[Html]:
    clips = [_clip(clip, film.path.name) for clip in film.clips]
    title = joined("From ", element("span", film.path.name, class_="file"))
    return [element("h3", title), element("div", *clips, class_="films")]


def _clip(clip: Clip, name: str) -> Html:
    verdict = "A success" if clip.success else "A failure"
    words = f"{verdict}: episode {clip.episode}, {clip.steps} steps, return {clip.return_:.4g}."
    if clip.diverged_at is not None:
        words += f" From step {clip.diverged_at} on it goes elsewhere than when it was recorded."
    source = f"data:{clip.media_type};base64,{b64encode(clip.content).decode()}"
    label = f"Film from {name}. {words}"
    if clip.media_type.startswith("video/"):
        shown = element(
            "video",
            src=source,
            aria_label=label,
            controls="",
            muted="",
            loop="",
            playsinline="",
            preload="auto",
        )
    else:
        shown = element("img", src=source, alt=label)
    mark = element("b", verdict.removeprefix("A ").capitalize(), class_="good" if clip.success else "bad")
    return element(
        "figure", shown, element("figcaption", mark, words.removeprefix(verdict + ":")), class_="film"
    )


def _data(found: Pictured | None, problem: str | None) -> Html:
    heading = element("h2", "Data")
    note = element("p", prose(f"Left out: {problem}."), class_="note") if problem else None
    if found is None:
        return joined(heading, note)
    names = ", ".join(one.name for one in found.numbers.datasets)
    figure = element(
        "figure",
        element(
            "img",
            src=f"data:image/png;base64,{b64encode(found.picture.png).decode()}",
            alt=f"Six panels about {names}: returns, lengths, success, state coverage, actions, ranges. "
            "The table below has the main numbers.",
            width=found.picture.width,
            height=found.picture.height,
        ),
        class_="sheet",
    )
    scroll = element(
        "div", figure, class_="scroll", tabindex=0, role="region", aria_label="Figure of the data"
    )
    rows = [
        [group.name, count(group.episodes), *(rate_html(getattr(group.success, rule)) for rule in _RULES)]
        for group in found.numbers.groups
    ]
    header = [found.numbers.by, "episodes", "at the last step", "at any step", "held"]
    return joined(heading, scroll, table(header, rows, class_="success"), note)
