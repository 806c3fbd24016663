"""Write what the quickstart made into the README, between its two markers.

    python readme.py README.md seed-0 seed-1 seed-2

Each folder is a run of this example's Makefile. Nothing outside of the markers changes, and nothing at all
where the text is there already.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from awaccli.data.evaluation import Rate
from awaccli.errors import AwacError
from awaccli.reports.success import Row, comparison

BEGIN = "<!-- quickstart: from here to the end marker, `make readme` writes -->"
END = "<!-- quickstart: end -->"
ARTIFACTS = (
    "relocate.zarr",
    "pretrained-mean.json",
    "pretrained-sample.json",
    "finetuned-mean.json",
    "finetuned-sample.json",
)
LABELS = {
    "relocate: expert relocate": "{episodes} demonstrations",
    "relocate: relocate-bc.ckpt": "behaviour cloning, {episodes} episodes each",
    "pretrained-mean": "after pretraining, frozen: the control",
    "finetuned-mean": "after fine-tuning",
}
"""Of rows, by their names in `awac compare`; a row without one goes on with the row above."""
CURVES, FILM = "docs/pictures/quickstart-curves.svg", "docs/pictures/quickstart.gif"


def main(readme: Path, runs: Sequence[Path]) -> None:
    """Rewrite the region between the markers of ``readme``."""
    for picture in (CURVES, FILM):
        if not (readme.parent / picture).is_file():
            sys.exit(f"error: `{readme.parent / picture}` is missing\nhint: make readme draws it")
    old = readme.read_text(encoding="utf-8")
    new = rewritten(old, region(runs), name=str(readme))
    if new == old:
        print(f"{readme} shows these runs already")
    else:
        readme.write_text(new, encoding="utf-8")
        print(f"wrote {readme}: {', '.join(run.name for run in runs)}")
    for picture in (CURVES, FILM):
        print(f"  {picture}: {(readme.parent / picture).stat().st_size / 1000:.0f} kB")


def rewritten(text: str, inside: str, *, name: str) -> str:
    """Return ``text`` with ``inside`` between its markers."""
    for marker in (BEGIN, END):
        if text.count(marker) != 1:
            sys.exit(
                f"error: `{name}` has {text.count(marker)} times the marker {marker}\nhint: expected once"
            )
    before, rest = text.split(BEGIN)
    if END not in rest:
        sys.exit(f"error: `{name}`: its end marker is before the other\nhint: {BEGIN} comes first")
    return f"{before}{BEGIN}\n{inside}{END}{rest.split(END)[1]}"


def region(runs: Sequence[Path]) -> str:
    """Return what is shown of the runs."""
    columns = [comparison([run / name for name in ARTIFACTS]) for run in runs]
    if any([row.name for row in column] != [row.name for row in columns[0]] for column in columns):
        sys.exit(
            f"error: {', '.join(map(str, runs))} do not have the same rows\nhint: awac compare says which"
        )
    seeds = [run.name.replace("-", " ") for run in runs]
    output = (runs[0] / "table.txt").read_text(encoding="utf-8")
    return "\n".join(
        [
            *table(seeds, columns),
            "",
            f"Online learning added {gain(columns)} points to the mean actions of the frozen policy.",
            "",
            f"![Learning curves: success at the last step by online steps, {len(runs)} seeds]({CURVES})",
            "",
            f"![A hand carries a ball to a target: four evaluation episodes, framed by success]({FILM})",
            "",
            f"The film shows the fine-tuned policy of {seeds[0]}. That run ended with:",
            "",
            f"```text\n{output}```",
            "",
        ]
    )


def table(seeds: Sequence[str], columns: Sequence[Sequence[Row]]) -> list[str]:
    """Return the lines of a table with a row for everyone who acted, and a column for each seed."""
    lines = [
        f"| final success, % [95 % interval] | actions | {' | '.join(seeds)} |",
        f"| --- | --- |{' ---: |' * len(seeds)}",
    ]
    shown: set[str] = set()
    for rows in zip(*columns, strict=True):
        first = rows[0]
        label = "" if first.name in shown else LABELS.get(first.name, "")
        shown.add(first.name)
        cells = [rate_text(row.outcome.success.final) for row in rows]
        name = label.format(episodes=first.outcome.episodes)
        lines.append(f"| {name} | {first.actions} | {' | '.join(cells)} |")
    return lines


def rate_text(rate: Rate) -> str:
    """Return a rate with its interval, in per cent."""
    return f"{100 * rate.rate:.0f} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


def gain(columns: Sequence[Sequence[Row]]) -> str:
    """Return how many points fine-tuning added to the mean actions: the least and the most of all seeds."""
    added = []
    for column in columns:
        rates = {row.name: row.outcome.success.final.rate for row in column}
        added.append(round(100 * (rates["finetuned-mean"] - rates["pretrained-mean"])))
    return str(added[0]) if min(added) == max(added) else f"{min(added)} to {max(added)}"


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python readme.py README.md seed-0 ...")
    try:
        main(Path(sys.argv[1]), [Path(run) for run in sys.argv[2:]])
    except (AwacError, OSError) as error:
        sys.exit(f"error: {error}\nhint: make readme makes what is missing")
