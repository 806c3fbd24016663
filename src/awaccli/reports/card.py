"""A dataset's card: what a person should know before using it, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from awaccli.data.dataset import Dataset
from awaccli.data.stats import Stats
from awaccli.reports.making import steps_to
from awaccli.reports.stats import DIMENSION_HEADER, SOURCE_HEADER, dimension_rows, source_rows


def card(dataset: Dataset, found: Stats) -> str:
    """Return the card of a sealed dataset.

    Raises:
        DatasetError: it is unfinished.
    """
    dataset.sealed()
    name = dataset.path.name
    sections: tuple[tuple[str, Iterator[str]], ...] = (
        ("", _facts(dataset, found)),
        ("How it was made", _making(dataset.path)),
        ("Episodes by source", _sources(dataset, found)),
        ("Numbers", _numbers(found)),
        ("Fields", _fields(dataset)),
        ("Imported from", _imports(dataset)),
        ("Credits and licence", _credits(dataset)),
        ("Checking it", _checking(name, found.id)),
    )
    lines = [f"# {name}", ""]
    for title, section in sections:
        if text := "\n".join(section).strip():
            lines += ([f"## {title}", ""] if title else []) + [text, ""]
    return "\n".join(lines).rstrip() + "\n"


def _facts(dataset: Dataset, found: Stats) -> Iterator[str]:
    task = dataset.task
    spec = task.spec
    where = f"environment `{spec.env_id}`" if spec.env_id else "recorded without a simulator"
    parts = ", ".join(f"`{name}` {size}" for name, size in task.observation_layout)
    span = "range unknown" if task.reward_range is None else "{:g} to {:g}".format(*task.reward_range)
    lengths = dataset.episodes.length
    low, high = min(task.action_low), max(task.action_high)
    clipped = dataset.header.clipped / (dataset.n_steps * task.action_dim)
    rows = [
        ("task", f"`{spec.name}`, {where}, horizon {spec.horizon or 'unknown'}"),
        ("episodes", f"{len(dataset)}, of {lengths.min()} to {lengths.max()} steps; {dataset.n_steps} steps"),
        ("observations", f"{task.observation_dim} numbers: {parts}"),
        ("actions", f"{task.action_dim} numbers, {low:g} to {high:g}; {clipped:.2%} of them were clipped"),
        ("reward", f"{task.reward_kind}, {span}"),
        ("success", f"{task.success_rule}; held: more than {task.held_steps} steps"),
        ("control step", f"{task.control_dt:g} s" if task.control_dt else "unknown"),
        ("versions", ", ".join(f"{name} {v}" for name, v in task.versions.items()) or "unknown"),
        ("content id", f"`{found.id}`"),
    ]
    yield from _table(("", ""), rows)


def _making(path: Path) -> Iterator[str]:
    for number, step in enumerate(steps_to(path), start=1):
        yield f"{number}. `{step.name}` (`{step.id[:12]}`): {step.words}"
        if step.command:
            yield from ("", "   ```sh", f"   {step.command}", "   ```", "")


def _sources(dataset: Dataset, found: Stats) -> Iterator[str]:
    yield from _table(SOURCE_HEADER, source_rows(found))
    yield ""
    yield "Rates are in per cent, with 95 % Wilson intervals; returns are mean ± standard deviation."
    for source in dataset.header.sources:
        details: list[str] = [source.kind]
        details += [f"{source.actions} actions"] if source.actions else []
        details += [f"noise {source.noise:g}"] if source.noise else []
        details += [f"id `{source.id[:12]}`"] if source.id else []
        yield f"- {source.name}: {', '.join(details)}"
    for name, members in dataset.header.splits.items():
        yield f"- split `{name}`: {len(members)} episodes"


def _numbers(found: Stats) -> Iterator[str]:
    yield from _table(DIMENSION_HEADER, dimension_rows(found))


def _fields(dataset: Dataset) -> Iterator[str]:
    rows = [
        (f"`{name}`", f"`{spec.dtype}`", "x".join(map(str, spec.shape)) or "1", spec.unit, spec.doc)
        for name, spec in sorted(dataset.header.fields.items())
    ]
    yield from _table(("field", "type", "row", "unit", "what it is"), rows)


def _imports(dataset: Dataset) -> Iterator[str]:
    for record in dataset.header.imports:
        yield f"- `{record.file}` ({record.format}), SHA-256 `{record.sha256}`"
        yield from (f"  - {loss}" for loss in record.losses)


def _credits(dataset: Dataset) -> Iterator[str]:
    for credit in dataset.header.credits:
        yield f"- {credit.authors}. Licence: {credit.licence}. {credit.citation}".rstrip()
    if not dataset.header.credits:
        yield "None recorded: ask whoever gave it to you on what terms it may be used."


def _checking(name: str, identity: str) -> Iterator[str]:
    yield "```sh"
    yield f"awac verify --deep {name}"
    yield f"awac lineage {name}"
    yield "```"
    yield ""
    yield f"The content id must be `{identity}`, in whatever container."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(_cell(text) for text in row)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
