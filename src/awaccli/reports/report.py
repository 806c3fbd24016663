"""What a report shows of artifacts and what they come from: read, measured and filmed, but not yet a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from pydantic import BaseModel, ConfigDict

from awaccli.artifacts.commit import PART
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.distributions import MOST_DATASETS, Distributions, dataset_distributions
from awaccli.data.evaluation import Rate, open_evaluation
from awaccli.errors import AwacError, InputError, InterruptedRunError
from awaccli.protocols import SILENT, Clip, Reporter
from awaccli.reports.figures import Picture, fewer_colours
from awaccli.reports.folder import folder, is_folder_of_artifacts
from awaccli.reports.kind import kind_of
from awaccli.reports.lineage import Lineage
from awaccli.reports.report_artifact import Evaluations, Shown, read_shown, told
from awaccli.reports.report_commands import common_chain

KINDS = ("checkpoint", "evaluation", "dataset")
"""In the order of the page."""
MOST_FILMED = 3
NOT_HERE = "no dataset of this chain is on disk"
_STORES = (".zarr", ".h5", ".hdf5")
Film = Callable[[Dataset], Sequence[Clip]]


@dataclass(frozen=True)
class Filmed:
    """Episodes of one dataset."""

    path: Path
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class Pictured:
    """Datasets side by side in one figure."""

    numbers: Distributions
    picture: Picture


@dataclass(frozen=True)
class Report:
    """All that a page shows."""

    title: str
    shown: tuple[Shown, ...]
    """By kind, else in the order in which they are given."""
    damaged: tuple[tuple[str, str], ...]
    """Of a folder: names of what cannot be read, and why."""
    graph: Lineage | None
    """The chains of all artifacts in one, or None where that would be too large."""
    commands: Mapping[str, str]
    """What makes the nodes of the graph, by id."""
    pictured: Pictured | None
    films: tuple[Filmed, ...]
    notes: Mapping[str, str]
    """Why ``commands``, ``data``, ``films`` or ``chain`` are not there, in words."""


class ReportedArtifact(BaseModel):
    """An artifact on the page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    kind: str
    id: str | None
    """None: unfinished."""
    success: Rate | None
    """At the last step, by the measurement that stands for it."""
    remarks: tuple[str, ...]


class ReportSummary(BaseModel):
    """What ``awac report --json`` prints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    path: str
    size_bytes: int
    artifacts: tuple[ReportedArtifact, ...]
    damaged: dict[str, str]
    films: int
    left_out: dict[str, str]
    """What of the page is not there, and why."""


def page_name(paths: Sequence[Path]) -> Path:
    """Return a file name for a page about artifacts: theirs where it is one, else a plain one."""
    if len(paths) == 1 and not is_folder_of_artifacts(paths[0]):
        return Path(f"{Path(paths[0].name.removesuffix(PART)).stem or 'report'}.html")
    return Path("report.html")


def summary(found: Report, page: Path) -> ReportSummary:
    """Return what was written to ``page``."""
    return ReportSummary(
        path=str(page),
        size_bytes=page.stat().st_size,
        artifacts=tuple(
            ReportedArtifact(
                path=str(one.path),
                kind=one.kind,
                id=one.id,
                success=one.headline.success.final if one.headline else None,
                remarks=one.remarks,
            )
            for one in found.shown
        ),
        damaged=dict(found.damaged),
        films=sum(len(film.clips) for film in found.films),
        left_out=dict(found.notes),
    )


def read_report(
    paths: Sequence[Path], *, film: Film | None = None, trust_env: bool = False, report: Reporter = SILENT
) -> Report:
    """Read artifacts and what they come from.

    Args:
        paths: artifacts, unfinished ones too, or folders of them; each is shown once.
        film: makes films of episodes of a dataset; None: there are to be none.
        trust_env: tell the commands that are shown to trust the environments that files describe.
        report: whom to tell.

    Raises:
        InputError: missing, damaged or no artifact; in a folder, damaged ones are only named.
    """
    shown, damaged = _read(paths)
    notes: dict[str, str] = {}
    graph, commands = common_chain(shown, notes, trust_env=trust_env)
    datasets = _datasets(shown, notes)
    return Report(
        title=_title(paths, shown),
        shown=tuple(shown),
        damaged=tuple(damaged),
        graph=graph,
        commands=commands,
        pictured=_pictured(datasets, notes, report),
        films=tuple(_films(_worth_filming(shown), film, notes, report)),
        notes=notes,
    )


def _title(paths: Sequence[Path], shown: Sequence[Shown]) -> str:
    if len(paths) == 1:
        return paths[0].absolute().name
    return shown[0].name if len(shown) == 1 else f"{len(shown)} artifacts"


def _read(paths: Sequence[Path]) -> tuple[list[Shown], list[tuple[str, str]]]:
    """Return artifacts by kind, and of folders what is damaged."""
    wanted: dict[Path, bool] = {}
    damaged: list[tuple[str, str]] = []
    for path in paths:
        if is_folder_of_artifacts(path):
            rows = folder(path).artifacts
            damaged += [(row.name, row.holds) for row in rows if row.kind == "damaged"]
            wanted |= {path / row.name: False for row in rows if row.kind != "damaged"}
        else:
            wanted[path] = True
    evaluations = Evaluations({path: open_evaluation(path) for path in wanted if _is_evaluation(path)})
    found: dict[str, Shown] = {}
    for path, is_named in wanted.items():
        try:
            one = read_shown(path, evaluations)
        except InputError as error:
            if is_named:
                raise
            damaged.append((path.name, told(error)))
            continue
        found.setdefault(one.id or str(path.absolute()), one)
    return sorted(_sections(found), key=lambda one: KINDS.index(one.kind)), damaged


def _is_evaluation(path: Path) -> bool:
    return path.suffix == ".json" and kind_of(path) == "evaluation"


def _sections(found: Mapping[str, Shown]) -> list[Shown]:
    """Leave out evaluations of what is there: they are among its measurements."""
    return [one for one in found.values() if not (one.evaluation and one.evaluation.checkpoint in found)]


def _datasets(shown: Sequence[Shown], notes: dict[str, str]) -> list[Dataset]:
    """Open the datasets among artifacts, and those in their chains that are on disk, near ones first."""
    own = {one.id or str(one.path): one.dataset for one in shown if one.dataset}
    places: dict[str, Path] = {}
    for one in shown:
        for node in one.lineage.nodes if one.lineage else ():
            if node.kind == "dataset" and node.path and node.path.endswith(_STORES) and node.id not in own:
                places[node.id] = Path(node.path)
    if len(own) + len(places) > MOST_DATASETS:
        places = {}
    if len(own) > MOST_DATASETS:
        notes["data"] = f"{len(own)} datasets are too many for one figure: name up to {MOST_DATASETS}"
        return []
    found = list(own.values())
    for path in places.values():
        try:
            found.append(open_dataset(path))
        except InputError as error:
            notes["data"] = told(error)
    return [dataset for dataset in found if len(dataset)]


def _pictured(datasets: Sequence[Dataset], notes: dict[str, str], report: Reporter) -> Pictured | None:
    if not datasets:
        notes.setdefault("data", NOT_HERE)
        return None
    from awaccli.reports.data_plot import plot_distributions

    try:
        numbers = dataset_distributions(datasets, report=report)
    except InputError as error:
        notes["data"] = told(error)
        return None
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "data.png"
        plot_distributions(numbers, file)
        return Pictured(numbers, fewer_colours(file.read_bytes()))


def _worth_filming(shown: Sequence[Shown]) -> list[Path]:
    """Return the datasets to film: given ones, and of everything else the last one on its way."""
    found: dict[str, Path] = {}
    for one in shown:
        if one.dataset:
            found[one.id or str(one.path)] = one.path
        elif one.lineage:
            here = [node for node in one.lineage.nodes if node.kind == "dataset" and node.path]
            here.sort(key=lambda node: node.stage != "finetune-online")
            found |= {node.id: Path(str(node.path)) for node in here[:1] if node.id not in found}
    return list(found.values())


def _films(
    paths: Sequence[Path], film: Film | None, notes: dict[str, str], report: Reporter
) -> Iterator[Filmed]:
    if film is None:
        notes["films"] = "none were asked for"
        return
    if not 0 < len(paths) <= MOST_FILMED:
        many = f"{len(paths)} datasets are too many to film: name up to {MOST_FILMED}"
        notes["films"] = many if paths else NOT_HERE
        return
    for path in paths:
        report.note(f"drawing a success and a failure of {path}")
        try:
            clips = film(open_dataset(path, unfinished=path.suffix == PART))
        except InterruptedRunError:
            raise
        except AwacError as error:
            notes["films"] = "; ".join([*([notes["films"]] if "films" in notes else []), told(error)])
        else:
            yield Filmed(path, tuple(clips))
