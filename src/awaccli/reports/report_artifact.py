"""One artifact as a report shows it: success, curves, warnings, and what it was made with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from awaccli.artifacts.commit import PART, payload_of
from awaccli.artifacts.manifest import Manifest, read_manifest
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.evaluation import Evaluation, SuccessRates, open_evaluation
from awaccli.errors import AwacError, InputError
from awaccli.reports.chain import Chain, begun_chain, read_chain
from awaccli.reports.comparison import is_evaluation, logged_rates
from awaccli.reports.kind import kind_of
from awaccli.reports.lineage import Lineage, lineage_of
from awaccli.reports.runs import Line, Run, read_run
from awaccli.reports.success import dataset_outcome, source_rows
from awaccli.reports.training_run import training_run
from awaccli.reports.watch import remarks


@dataclass(frozen=True)
class Measured:
    """Success as it was measured once."""

    name: str
    actions: str
    """``mean`` or ``sample``; ``as recorded`` where no policy of ours acted."""
    episodes: int
    success: SuccessRates
    return_mean: float | None


@dataclass(frozen=True)
class Shown:
    """One artifact, finished or not."""

    path: Path
    kind: str
    manifest: Manifest | None
    """None: unfinished."""
    chain: Chain | None
    measured: tuple[Measured, ...] = ()
    run: Run | None = None
    """Of a checkpoint."""
    remarks: tuple[str, ...] = ()
    """What its log means, in plain words."""
    dataset: Dataset | None = None
    evaluation: Evaluation | None = None

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    @property
    def id(self) -> str | None:
        """Content id, or None while it is unfinished."""
        return self.manifest.id if self.manifest else None

    @property
    def headline(self) -> Measured | None:
        """The one measurement that stands for it."""
        return self.measured[0] if self.measured else None

    @cached_property
    def lineage(self) -> Lineage | None:
        """Where it comes from."""
        return lineage_of(self.chain) if self.chain else None


@dataclass
class Evaluations:
    """Evaluations among what was given, and those beside checkpoints."""

    given: dict[Path, Evaluation] = field(default_factory=dict)
    _beside: dict[Path, dict[Path, Evaluation]] = field(default_factory=dict)

    def of(self, checkpoint: str, folder: Path) -> dict[Path, Evaluation]:
        """Return those of a checkpoint: by mean actions first, the largest first."""
        if folder not in self._beside:
            self._beside[folder] = dict(_evaluations_in(folder))
        known = {path.absolute(): found for path, found in (self._beside[folder] | self.given).items()}
        own = [(path, found) for path, found in known.items() if found.checkpoint == checkpoint]
        own.sort(key=lambda pair: (not pair[1].deterministic, -pair[1].outcome.episodes, pair[0].name))
        return dict(own)


def _evaluations_in(folder: Path) -> Iterator[tuple[Path, Evaluation]]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield path, open_evaluation(path)
        except InputError:
            continue  # JSON of somebody else


def read_shown(path: Path, evaluations: Evaluations) -> Shown:
    """Read what a report shows of the artifact at ``path``, which may be unfinished.

    Raises:
        InputError: missing, damaged, not an artifact, or an unfinished one that holds nothing yet.
    """
    if path.suffix == PART and path.is_dir():
        return _unfinished(path)
    manifest, chain = read_manifest(path), read_chain(path)
    match kind_of(path):
        case "checkpoint":
            run = read_run(path)
            beside = evaluations.of(manifest.id, path.absolute().parent)
            found = [_evaluated(file.name, one) for file, one in beside.items()]
            measured = (*found, *_in_training(run))
            return Shown(path, "checkpoint", manifest, chain, measured, run=run, remarks=_remarks(path))
        case "dataset":
            dataset = open_dataset(path)
            return Shown(path, "dataset", manifest, chain, _by_source(dataset), dataset=dataset)
        case _:
            one = open_evaluation(path)
            own = (_evaluated(path.name, one),)
            return Shown(path, "evaluation", manifest, chain, own, evaluation=one)


def _unfinished(path: Path) -> Shown:
    chain = begun_chain(path)
    if (payload_of(path) / "zarr.json").is_file():
        dataset = open_dataset(path, unfinished=True)
        return Shown(path, "dataset", None, chain, _by_source(dataset), dataset=dataset)
    run = read_run(path)
    return Shown(path, "checkpoint", None, chain, tuple(_in_training(run)), run=run, remarks=_remarks(path))


def _evaluated(name: str, found: Evaluation) -> Measured:
    result = found.outcome
    return Measured(name, found.actions, result.episodes, result.success, result.returns.mean)


def _by_source(dataset: Dataset) -> tuple[Measured, ...]:
    """Return success over all episodes, then for each of those who acted, where there are several."""
    if not len(dataset):
        return ()
    result = dataset_outcome(dataset)
    rows = [
        Measured(row.name, row.actions, row.outcome.episodes, row.outcome.success, row.outcome.returns.mean)
        for row in source_rows(dataset)
    ]
    if len(rows) == 1:
        return tuple(rows)
    whole = Measured("all episodes", "", result.episodes, result.success, result.returns.mean)
    return (whole, *rows)


def _in_training(run: Run) -> Iterator[Measured]:
    """Yield the last evaluation that training made, and the one before its first online step."""
    made = [line for line in run.lines if is_evaluation(line)]
    before = next((line for line in run.lines if line["phase"] == "online" and is_evaluation(line)), None)
    if made:
        yield _logged("in training", made[-1])
    if before is not None and before is not made[-1]:
        yield _logged("before online training", before)


def _logged(name: str, line: Line) -> Measured:
    counted = f"step {line['env_steps']}" if line["phase"] == "online" else f"update {line['updates']}"
    reward = line.get("eval/return_mean")
    return Measured(f"{name}, {counted}", "mean", line["eval/episodes"], logged_rates(line), reward)


def _remarks(path: Path) -> tuple[str, ...]:
    try:
        return tuple(remarks(training_run(path)))
    except InputError:
        return ()  # its log has another form than that of our trainings


def told(error: AwacError) -> str:
    """Return an error in a sentence, with the names of files but not of their folders."""
    text = f"{error} ({error.hint})" if error.hint else str(error)
    return re.sub(r"`[^`]*/([^`/]+)`", r"`\1`", text)
