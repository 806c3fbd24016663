"""``awac data import``: a foreign file becomes a dataset, by the same rules for every format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from awaccli.artifacts.commit import Existing
from awaccli.artifacts.manifest import Clock, Recipe, Run
from awaccli.config.settings import Execution
from awaccli.config.versions import IMPORT_VERSION
from awaccli.data.dataset import Dataset
from awaccli.data.derive import derive
from awaccli.data.evaluation import SuccessRates
from awaccli.data.formats import Foreign
from awaccli.data.import_settings import ImportSettings
from awaccli.data.memory import require_buffer
from awaccli.data.public_sets import public_set_with
from awaccli.data.schema import Credits, Header, Import, Source
from awaccli.envs.simulation import describe
from awaccli.episode import Episode
from awaccli.errors import InputError, InterruptedRunError
from awaccli.protocols import SILENT, Reporter
from awaccli.stages.import_episode import Rules, episode_of
from awaccli.stages.import_losses import Judged, import_losses
from awaccli.stages.import_survey import Survey
from awaccli.stages.import_task import decisions, first_rules

__all__ = ["ImportReport", "ImportSettings", "Prepared", "import_data", "prepare_import", "write_import"]

STAGE = "import"
_HELD_STEPS = 25


class SuccessAtLengths(BaseModel):
    """Success rates of episodes that may be longer than the task's horizon."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon: int | None
    """Steps."""
    within_horizon: SuccessRates | None
    """None where no episode is longer: it is the same."""
    full_length: SuccessRates


class ImportReport(BaseModel):
    """What an import makes, or would make, of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    path: str | None
    """Of the dataset; None: a dry run."""
    id: str | None
    format: str
    file: str
    sha256: str
    public_set: str | None
    """Name of the public dataset that the file is, known by its hash."""
    task: str
    reward_kind: str
    n_episodes: int
    n_steps: int
    clipped_share: float
    success: SuccessAtLengths | None
    """None where the file does not say what succeeded, nor does a rule."""
    losses: tuple[str, ...]
    recipe_key: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """An import that has been thought through; nothing is written yet."""

    foreign: Foreign
    header: Header
    recipe: Recipe
    rules: Rules
    survey: Survey
    judged: Judged

    def episodes(self) -> Iterator[Episode]:
        """Yield the episodes that are written, one recording in memory at a time."""
        for index, recording in enumerate(self.foreign.episodes()):
            episode = episode_of(recording, self.rules, _where(self.foreign, index))
            if episode is not None:
                yield episode

    def report(self, path: Path | None = None, identity: str | None = None) -> ImportReport:
        """Return what is, or will be, made."""
        survey, facts = self.survey, self.header.task
        success = None
        if self.judged != "unknown":
            success = SuccessAtLengths(
                horizon=survey.horizon,
                within_horizon=survey.rates(full_length=False) if survey.longer else None,
                full_length=survey.rates(full_length=True),
            )
        return ImportReport(
            path=str(path) if path else None,
            id=identity,
            format=self.foreign.format,
            file=self.foreign.path.name,
            sha256=self.foreign.sha256,
            public_set=known.name if (known := public_set_with(self.foreign.sha256)) else None,
            task=facts.spec.name,
            reward_kind=facts.reward_kind,
            n_episodes=survey.n_episodes,
            n_steps=survey.n_steps,
            clipped_share=survey.clipped / (survey.n_steps * facts.action_dim),
            success=success,
            losses=self.header.imports[0].losses,
            recipe_key=self.recipe.key,
        )


def import_data(
    foreign: Foreign,
    settings: ImportSettings,
    out: Path,
    *,
    existing: Existing = Existing.REFUSE,
    report: Reporter = SILENT,
) -> Dataset:
    """Make the dataset of a foreign file at ``out``; its loss report is in ``header.imports``.

    Raises:
        AwacError: the file is damaged or does not fit the task, an output that exists, an interrupt.
    """
    return write_import(
        prepare_import(foreign, settings, report=report), out, existing=existing, report=report
    )


def write_import(
    prepared: Prepared, out: Path, *, existing: Existing = Existing.REFUSE, report: Reporter = SILENT
) -> Dataset:
    """Write what has been prepared; see `import_data`."""
    return derive(
        out,
        prepared.recipe,
        prepared.header,
        prepared.episodes(),
        clock=_Clock(prepared.foreign),
        existing=existing,
        total=prepared.survey.n_episodes,
        max_memory=prepared.foreign.max_memory,
        report=report,
    )


class _Clock(Clock):
    """Remembers where the file was, too."""

    def __init__(self, foreign: Foreign) -> None:
        super().__init__(Execution())
        self._file = {foreign.sha256: foreign.origin or foreign.path}

    def run(self, target: Path, inputs: Mapping[str, Path]) -> Run:
        """Describe the run that made ``target`` from ``inputs`` and from the file."""
        return super().run(target, {**inputs, **self._file})


def prepare_import(foreign: Foreign, settings: ImportSettings, *, report: Reporter = SILENT) -> Prepared:
    """Go through a foreign file once, and decide what becomes of it.

    Raises:
        AwacError: the file is damaged, or does not fit the task; an interrupt.
    """
    task = describe(settings.task) if settings.task else None
    first = next(foreign.episodes(), None)
    if first is None:
        raise InputError(f"`{foreign.path}` holds no episode", hint="expected at least one")
    rules, layout = first_rules(foreign, settings, task, first, _where(foreign, 0))
    held_steps = _HELD_STEPS if foreign.held_steps is None else foreign.held_steps
    survey = Survey(
        horizon=task.spec.horizon if task else settings.horizon or foreign.horizon,
        held_steps=task.held_steps if task else held_steps,
    )
    _look_through(foreign, rules, survey, report)
    made = decisions(foreign, settings, task, rules, layout, survey)
    header = Header(
        task=made.facts,
        sources=_sources(foreign, settings),
        credits=_credits(foreign, settings),
        imports=(
            Import(
                format=foreign.format,
                file=foreign.path.name,
                sha256=foreign.sha256,
                size_bytes=_size_bytes(foreign.path),
                losses=import_losses(foreign, survey, made),
            ),
        ),
        splits={name: tuple(members) for name, members in survey.splits.items()},
    )
    return Prepared(foreign, header, _recipe(foreign, settings), made.rules, survey, made.judged)


def _sources(foreign: Foreign, settings: ImportSettings) -> tuple[Source, ...]:
    """Return who acted: whom the user names, the file, or what is known of a public dataset."""
    if settings.source:
        return (settings.source,)
    known = public_set_with(foreign.sha256)
    unnamed = all(source.name == "unknown" for source in foreign.sources)
    return (known.source,) if known and known.source and unnamed else foreign.sources


def _credits(foreign: Foreign, settings: ImportSettings) -> tuple[Credits, ...]:
    if settings.credits:
        return (settings.credits,)
    known = public_set_with(foreign.sha256)
    return foreign.credits or ((known.credits,) if known else ())


def _look_through(foreign: Foreign, rules: Rules, survey: Survey, report: Reporter) -> None:
    with report.phase("look through", foreign.n_episodes or 0, "episodes") as progress:
        for index, recording in enumerate(foreign.episodes()):
            require_buffer(_where(foreign, index), recording.size_bytes, foreign.max_memory)
            survey.add(recording, episode_of(recording, rules, _where(foreign, index)), rules.parts)
            progress.update(index + 1)
            if signal := report.interrupted():
                raise InterruptedRunError(signal, "stopped before anything was written")
    if not survey.n_episodes:
        raise InputError(f"`{foreign.path}` holds no complete transition", hint="there is nothing to import")
    total = survey.n_episodes + survey.too_short
    if survey.rewarded not in (0, survey.n_episodes):
        raise InputError(
            f"`{foreign.path}`: only {survey.rewarded} of {total} recordings have rewards",
            hint="import those with rewards and those without apart",
        )


def _size_bytes(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _where(foreign: Foreign, index: int) -> str:
    return f"`{foreign.path}`, episode {index}"


def _recipe(foreign: Foreign, settings: ImportSettings) -> Recipe:
    """Return a recipe that depends on what the file holds, not on where it is or what it is called."""
    return Recipe(
        stage=STAGE,
        version=IMPORT_VERSION,
        settings={
            "format": foreign.format,
            "sha256": foreign.sha256,
            "import": settings.model_dump(mode="json", exclude_defaults=True),
            "reading": dict(foreign.settings),
        },
        seed=0,
    )
