"""The parts of a report's page that are about one artifact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from awaccli.artifacts.manifest import Manifest
from awaccli.data.evaluation import Rate
from awaccli.reports.chart import Chart, chart_html
from awaccli.reports.html import Html, details, element, facts, joined, prose, table
from awaccli.reports.info import size_bytes
from awaccli.reports.lineage import Lineage, tree_text
from awaccli.reports.live import duration
from awaccli.reports.report_artifact import Measured, Shown
from awaccli.reports.report_curves import (
    EVALUATION_HEADER,
    diagnostic_charts,
    evaluation_rows,
    learning_charts,
)
from awaccli.reports.runs import Run
from awaccli.reports.success import rate_text

_RULES = (("at the last step", "final"), ("at any step", "any"), ("held", "held"))
_UNTOLD = ("workers", "cache")
"""Of how a run was executed: neither decides anything."""


def count(value: int) -> str:
    """Return a number with narrow spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def decimal(value: float) -> str:
    """Return a number with one decimal, and a minus as wide as a plus."""
    return f"{value:.1f}".replace("-", "\u2212")


def lead(one: Shown) -> str:
    """Return what an artifact is, in a sentence."""
    task = f" for {_task(one)}" if _task(one) else ""
    if run := one.run:
        state = "trained" if one.id else "in training"
        steps = f" and {count(run.env_steps)} online steps" if run.env_steps else ""
        robot = f" ({run.robot_min:.1f} minutes of the robot's time)" if run.robot_min else ""
        return (
            f"A policy{task}, {state} by {run.algo}: {count(run.updates)} updates{steps}{robot}, "
            f"seed {run.seed}."
        )
    if dataset := one.dataset:
        size = f"{count(len(dataset))} episodes, {count(dataset.n_steps)} steps"
        return f"A dataset{task}: {size}{'' if one.id else ', unfinished'}."
    assert one.evaluation is not None
    found = one.evaluation
    episodes = f"{count(found.outcome.episodes)} episodes with {found.actions} actions"
    return f"An evaluation of a policy{task} that {found.algo} trained: {episodes}, seed {found.seed}."


def _task(one: Shown) -> str:
    if one.dataset is not None:
        return one.dataset.task.spec.name
    known = [one.manifest, *(found.manifest for found in (one.chain.found.values() if one.chain else ()))]
    return next((manifest.task.name for manifest in known if manifest and manifest.task), "")


def artifact_html(one: Shown, *, level: int, folded: bool, with_tree: bool) -> Html:
    """Return all about one artifact.

    Args:
        one: the artifact.
        level: of the headings.
        folded: fold up diagnostics, since there are others to look at.
        with_tree: tell where it comes from here, since no graph of the page does.
    """
    return joined(
        _tiles(one),
        *(element("p", element("b", "Sign"), " ", prose(words), class_="remark") for words in one.remarks),
        _success(one, level),
        _learning(one.run, level) if one.run else None,
        _diagnostics(one.run, level, folded=folded) if one.run else None,
        _made(one, with_tree=with_tree),
    )


def _tiles(one: Shown) -> Html | None:
    """Return the few numbers that matter most, large."""
    tiles = []
    if found := one.headline:
        rate = found.success.final
        about = f"success at the last step, 95 % interval {100 * rate.low:.0f} to {100 * rate.high:.0f} %"
        tiles.append(_tile(f"{100 * rate.rate:.0f} %", about, "tile main"))
        if found.return_mean is not None:
            tiles.append(_tile(decimal(found.return_mean), "mean return"))
        tiles.append(_tile(count(found.episodes), f"episodes: {found.name}"))
    if one.run:
        known = "training" if one.run.whole else "training, as far as known"
        tiles.append(_tile(duration(one.run.wall_s), known))
    return element("ul", *tiles, class_="tiles") if tiles else None


def _tile(value: str, words: str, class_: str = "tile") -> Html:
    return element("li", element("strong", value), element("span", words), class_=class_)


def _success(one: Shown, level: int) -> Html:
    heading = element(f"h{level}", "Success")
    if not one.measured:
        hint = element("code", f"awac eval {one.name}")
        return joined(heading, element("p", "Not measured yet: ", hint, class_="note"))
    rows = [_measured_row(found) for found in one.measured]
    names = ["measured by", *(words for words, _ in _RULES), "return", "episodes", "actions"]
    note = (
        "Share of episodes with its 95 % interval, by three rules: the goal is met at the last step, at any "
        "step, or held for as many steps as the task asks for."
    )
    return joined(heading, table(names, rows, class_="success"), element("p", note, class_="note"))


def _measured_row(found: Measured) -> list[str]:
    rates = [rate_html(getattr(found.success, rule)) for _, rule in _RULES]
    reward = "" if found.return_mean is None else decimal(found.return_mean)
    return [found.name, *rates, reward, count(found.episodes), found.actions]


def rate_html(rate: Rate) -> Html:
    """Return a rate in numbers, and as a bar with its interval."""
    low, high, middle = (100 * value for value in (rate.low, rate.high, rate.rate))
    bar = element(
        "svg",
        element("rect", x=0, y=4, width=100, height=4, rx=2, class_="track"),
        element("rect", x=low, y=4, width=max(0.5, high - low), height=4, rx=2, class_="interval"),
        element("rect", x=min(98.5, max(0, middle - 0.75)), y=1, width=1.5, height=10, class_="value"),
        viewBox="0 0 100 12",
        preserveAspectRatio="none",
        aria_hidden="true",
        class_="rate",
    )
    return joined(element("span", rate_text(rate), class_="number"), bar)


def _learning(run: Run, level: int) -> Html | None:
    charts, rows = learning_charts(run), evaluation_rows(run)
    if not charts:
        return None
    lost = "The log of an earlier checkpoint is not on disk: the curves begin late."
    return joined(
        element(f"h{level}", "Learning curves"),
        _figures(charts),
        None if run.whole else element("p", lost, class_="note"),
        details(f"All {len(rows)} evaluations", table(EVALUATION_HEADER, rows)) if rows else None,
    )


def _diagnostics(run: Run, level: int, *, folded: bool) -> Html | None:
    charts, title = diagnostic_charts(run), "Weights, critics, policy"
    if not charts:
        return None
    if folded:
        return details(title, _figures(charts))
    return joined(element(f"h{level}", title), _figures(charts))


def _figures(charts: Sequence[Chart]) -> Html:
    return element("div", *map(chart_html, charts), class_="charts")


def _made(one: Shown, *, with_tree: bool) -> Html:
    """Return what can be looked up: settings, versions, hashes."""
    tree = details("Where it comes from", element("pre", _tree(one.lineage))) if one.lineage else None
    recipe = one.chain.manifest.recipe if one.chain else None
    settings = json.dumps(recipe.settings, indent=1, ensure_ascii=False) if recipe else None
    return joined(
        tree if with_tree else None,
        details("All settings", element("pre", settings)) if settings else None,
        details("Versions and hashes", facts(_identity(one, one.manifest))),
    )


def _tree(found: Lineage) -> str:
    """Return a chain as text, with the names of files but not of their folders."""
    nodes = [node.model_copy(update={"path": node.path and Path(node.path).name}) for node in found.nodes]
    return tree_text(found.model_copy(update={"nodes": tuple(nodes)}))


def _identity(one: Shown, manifest: Manifest | None) -> list[tuple[str, str]]:
    recipe = one.chain.manifest.recipe if one.chain else None
    pairs = [("content id", element("code", one.id) if one.id else "none yet: unfinished")]
    if recipe:
        pairs.append(("recipe key", element("code", recipe.key)))
        pairs.append(("stage", f"{recipe.stage}, version {recipe.version}, seed {recipe.seed}"))
        pairs += [(f"input: {ref.role}", element("code", ref.id)) for ref in recipe.inputs]
    if manifest is None:
        return pairs
    run = manifest.run
    execution = [f"{name} {value}" for name, value in run.execution.items() if name not in _UNTOLD and value]
    return [
        *pairs,
        ("size", f"{size_bytes(one.path) / 1e6:.2f} MB"),
        ("started", run.started),
        ("took", duration(run.wall_s)),
        ("platform", f"{run.platform}, {run.precision}, {run.mode}"),
        ("execution", ", ".join(execution)),
        *((f"version of {name}", version) for name, version in run.versions.items()),
    ]
