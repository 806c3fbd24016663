"""``awac data replay``: execute a dataset's actions again, and certify what came of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from awaccli.artifacts.commit import Existing, claimed
from awaccli.artifacts.manifest import Clock
from awaccli.config.settings import Execution
from awaccli.config.task import TaskFacts
from awaccli.data.certificate import (
    Certificate,
    Mode,
    Simulator,
    Summary,
    Verdict,
    certificate_path,
)
from awaccli.data.dataset import Dataset
from awaccli.data.derive import derived_recipe
from awaccli.envs.acting import ActorSpec
from awaccli.envs.recording import Replay
from awaccli.envs.replaying import TERMINATIONS
from awaccli.envs.rollout import Rollouts
from awaccli.envs.trust import require_trusted
from awaccli.episode import Episode
from awaccli.errors import DatasetError, InterruptedRunError, OutputExistsError, UsageError
from awaccli.protocols import SILENT, Reporter

_NOBODY = ActorSpec("nobody: the actions are recorded")
_ANY_SEED = 0
"""Of the reset before a stored state is put in place: nothing of it may be left afterwards."""


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """What to replay, from where, and how close it must come."""

    mode: Literal["auto", "start", "seed"] = "auto"
    """Start from stored states, or from seeds; auto: from states where there are any."""
    tolerance: float = 1e-5
    """Largest error that counts as equal, in [0, 1): absolute up to 1, relative beyond."""
    episodes: tuple[int, ...] | None = None
    """Which; None: all."""


def replay(
    dataset: Dataset,
    settings: ReplaySettings = ReplaySettings(),
    out: Path | None = None,
    *,
    overwrite: bool = False,
    execution: Execution | None = None,
    report: Reporter = SILENT,
) -> Certificate:
    """Execute the recorded actions again, compare, and write the certificate to ``out``.

    Args:
        dataset: is only read.
        settings: what to replay, and how.
        out: a ``.json`` file [default: ``X.replay.json`` beside ``X.zarr``].
        overwrite: replace a certificate that is there.
        execution: workers, and whether to trust the environment that the dataset names.
        report: whom to tell.

    Raises:
        DatasetError: nothing in it can be replayed, or its states are not those of the simulator here.
        InputError: its environment could run code, and ``execution`` does not trust it.
        UsageError: an episode that it does not have; an environment that cannot be made.
        OutputExistsError: there is a certificate.
        RunError: the environment failed.
        InterruptedRunError: a signal came; nothing is kept.
    """
    execution = execution or Execution()
    out = out or certificate_path(dataset.path)
    if out.exists() and not overwrite:
        raise OutputExistsError(f"`{out}` already exists", hint="use --overwrite, or another -o/--output")
    if dataset.task.spec.env_id is None:
        raise DatasetError(
            f"`{dataset.path}` was recorded without a simulator", hint="there is nothing to execute it in"
        )
    recipe = derived_recipe("replay", [dataset], asdict(settings))
    require_trusted(dataset.task.spec, dataset.path, trust_env=execution.trust_env)
    with claimed(out, recipe, Existing.OVERWRITE) as target:
        certificate = _certify(dataset, settings, out, execution, report)
        target.payload.write_bytes(certificate.to_bytes())
        target.commit()
    return certificate


def _certify(
    dataset: Dataset, settings: ReplaySettings, out: Path, execution: Execution, report: Reporter
) -> Certificate:
    clock, task = Clock(execution), dataset.task
    modes = _modes(dataset, settings)
    with Rollouts(task.spec, workers=execution.workers, timeout_s=execution.episode_timeout_s) as rollouts:
        _require_same_sizes(dataset, rollouts.facts)
        recorded, installed = _simulator(task), _simulator(rollouts.facts)
        for difference in recorded.differences(installed):
            report.warn(difference)
        verdicts = tuple(_verdicts(dataset, rollouts, modes, settings.tolerance, report))
    return Certificate(
        dataset=dataset.id,
        path=dataset.path.name,
        task=task.spec,
        mode=settings.mode,
        tolerance=settings.tolerance,
        recorded=recorded,
        installed=installed,
        summary=_summary(verdicts),
        episodes=verdicts,
        run=clock.run(out, {dataset.id: dataset.path}),
    )


def _modes(dataset: Dataset, settings: ReplaySettings) -> dict[int, Mode | None]:
    """Return from where each chosen episode starts, in rising order; None: it cannot be replayed."""
    indices = range(len(dataset)) if settings.episodes is None else sorted(set(settings.episodes))
    for index in indices:
        if not 0 <= index < len(dataset):
            raise UsageError(
                f"`{dataset.path}` has no episode {index}", hint=f"it has episodes 0 to {len(dataset) - 1}"
            )
    if settings.mode != "seed" and dataset.has_simulator_state:
        return dict.fromkeys(indices, "start")
    if settings.mode == "start":
        raise DatasetError(f"`{dataset.path}` has no start states", hint="try --mode seed")
    modes: dict[int, Mode | None] = {
        index: "seed" if dataset.episodes.has_seed[index] else None for index in indices
    }
    if not any(modes.values()):
        without = "no seeds" if settings.mode == "seed" else "neither start states nor seeds"
        raise DatasetError(
            f"`{dataset.path}` has {without}, so nothing says where its episodes start",
            hint="what awac records has both; recordings of others may have neither",
        )
    return modes


def _require_same_sizes(dataset: Dataset, found: TaskFacts) -> None:
    recorded = dataset.task
    for what, has, wants in (
        ("observations", recorded.observation_layout, found.observation_layout),
        ("actions", recorded.action_dim, found.action_dim),
    ):
        if has != wants:
            raise DatasetError(
                f"`{dataset.path}` has {what} of {has}, task `{found.spec.name}` here has {what} of {wants}",
                hint="it was recorded in another version of the environment",
            )


def _simulator(facts: TaskFacts) -> Simulator:
    return Simulator(versions=facts.versions, mjcf_sha256=facts.mjcf_sha256)


def _verdicts(
    dataset: Dataset,
    rollouts: Rollouts,
    modes: dict[int, Mode | None],
    tolerance: float,
    report: Reporter,
) -> Iterator[Verdict]:
    """Replay what can be replayed; yield a verdict for every episode, in rising order."""
    waiting: deque[tuple[int, Episode]] = deque()

    def jobs() -> Iterator[Replay]:
        for index, episode in _episodes(dataset, [index for index, mode in modes.items() if mode]):
            waiting.append((index, episode))
            yield _job(index, episode, modes[index])

    replays = rollouts.run([_NOBODY], jobs())
    with report.phase("replay", len(modes), "episodes") as progress:
        for done, (index, mode) in enumerate(modes.items()):
            if signal := report.interrupted():
                raise InterruptedRunError(
                    signal,
                    f"stopped after {done} of {len(modes)} episodes",
                    hint="a replay keeps nothing: repeat the command",
                )
            if mode is None:
                yield Verdict(episode=index, verdict="not-replayed", reason="it has no seed")
            else:
                found = next(replays)
                yield compare(*waiting.popleft(), found, mode=mode, tolerance=tolerance)
            progress.update(done + 1)


def _episodes(dataset: Dataset, indices: Sequence[int]) -> Iterator[tuple[int, Episode]]:
    """Yield some episodes with their indices, reading what lies together at once."""
    for _, run in groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
        together = [index for _, index in run]
        yield from zip(together, dataset.between(together[0], together[-1] + 1), strict=True)


def _job(index: int, episode: Episode, mode: Mode | None) -> Replay:
    if mode == "seed":
        assert episode.seed is not None
        return Replay(index, episode.seed, "replay", actions=episode.actions)
    return Replay(
        index, _ANY_SEED, "replay", actions=episode.actions, sim_init=episode.sim_init, model=episode.model
    )


@dataclass(frozen=True, slots=True)
class _Difference:
    """One number that is not what was recorded."""

    step: int
    field: str
    dimension: int
    error: float


def compare(index: int, recorded: Episode, found: Episode, *, mode: Mode, tolerance: float) -> Verdict:
    """Judge a replay: step k is the state after k actions, and what the action before it gave.

    Args:
        index: of the episode.
        recorded: as it is in the dataset.
        found: what the same actions did now.
        mode: with start, the first observation is not compared: the state says more than it.
        tolerance: see `ReplaySettings`.
    """
    first = 0 if mode == "seed" else 1
    terminations = np.arange(1, len(recorded) + 1) == len(recorded) * recorded.terminated
    fields = {
        "observations": (first, recorded.observations[first:], found.observations[first:]),
        "rewards": (1, recorded.rewards, found.rewards),
        "success": (1, recorded.success, found.success),
        "terminations": (1, terminations, found.infos[TERMINATIONS]),
    }
    if all(old.tobytes() == new.tobytes() for _, old, new in fields.values()):
        return Verdict(episode=index, verdict="bit-exact", mode=mode, largest_error=0.0)
    largest, beyond = [], []
    for name, (start, old, new) in fields.items():
        errors = _errors(old, new)
        largest.append(_difference(name, start, errors, int(errors.max(axis=1).argmax())))
        too_large = np.flatnonzero(errors.max(axis=1) > tolerance)
        if len(too_large):
            beyond.append(_difference(name, start, errors, int(too_large[0])))
    most = max(largest, key=lambda place: place.error)
    shown = min(beyond, key=lambda place: (place.step, -place.error)) if beyond else most
    return Verdict(
        episode=index,
        verdict="diverged" if beyond else "within-tolerance",
        mode=mode,
        step=shown.step,
        field=shown.field,
        dimension=shown.dimension if shown.field == "observations" else None,
        error=_finite(shown.error),
        largest_error=_finite(most.error),
    )


def _errors(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return how far numbers are apart, float64 [K, D]: absolute up to 1, relative to ``old`` beyond."""
    old, new = (np.asarray(values, np.float64).reshape(len(values), -1) for values in (old, new))
    with np.errstate(invalid="ignore"):
        errors = np.abs(new - old) / np.maximum(1.0, np.abs(old))
    errors[np.isnan(errors)] = np.inf
    return np.where(old == new, 0.0, errors)


def _difference(field: str, start: int, errors: np.ndarray, row: int) -> _Difference:
    dimension = int(errors[row].argmax())
    return _Difference(start + row, field, dimension, float(errors[row, dimension]))


def _finite(error: float) -> float | None:
    return error if np.isfinite(error) else None


def _summary(verdicts: Sequence[Verdict]) -> Summary:
    counts = Counter(verdict.verdict for verdict in verdicts)
    return Summary(
        bit_exact=counts["bit-exact"],
        within_tolerance=counts["within-tolerance"],
        diverged=counts["diverged"],
        not_replayed=counts["not-replayed"],
    )
