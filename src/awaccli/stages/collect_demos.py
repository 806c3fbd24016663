"""``awac collect-demos``: record episodes of a policy as a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.commit import Existing, Target, claimed
from awaccli.artifacts.manifest import Clock, InputRef, Manifest, Recipe, ancestors_of
from awaccli.config.settings import CollectSettings, Execution
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.config.versions import STAGE_VERSIONS
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.schema import Credits, Header, Source
from awaccli.data.writer import Writer, commit_dataset
from awaccli.envs.acting import ActorSpec, load_actor
from awaccli.envs.experts import EXPERT_CREDITS, expert_id, expert_policy
from awaccli.envs.rollout import Job, Rollouts
from awaccli.envs.simulation import describe
from awaccli.episode import Episode
from awaccli.errors import RunError
from awaccli.protocols import SILENT, Reporter
from awaccli.seeding import integer
from awaccli.stages.recording import record

_PHASE = "collect"
_ATTEMPTS_PER_EPISODE = 10


@dataclass(frozen=True, slots=True)
class Demonstrator:
    """Who acts, and where it comes from."""

    actor: ActorSpec
    source: Source
    inputs: tuple[InputRef, ...] = ()
    parents: tuple[tuple[Path, Manifest], ...] = ()
    credits: tuple[Credits, ...] = ()


def collect_demos(
    task: TaskSpec,
    settings: CollectSettings,
    out: Path,
    *,
    seed: int = 0,
    execution: Execution | None = None,
    existing: Existing = Existing.REFUSE,
    report: Reporter = SILENT,
) -> Dataset:
    """Record ``settings.episodes`` episodes of a policy on ``task`` and commit them at ``out``.

    Raises:
        AwacError: unknown policy or one that does not fit, an output that exists, a failed run, an interrupt.
    """
    execution = execution or Execution()
    facts, demonstrator, recipe = prepare(task, settings, seed=seed)
    ancestors = ancestors_of(parent for _, parent in demonstrator.parents)
    with claimed(out, recipe, existing, ancestors=ancestors) as target:
        if not target.finished:
            _collect(facts, settings, target, demonstrator, recipe=recipe, execution=execution, report=report)
    return open_dataset(out)


def prepare(
    task: TaskSpec, settings: CollectSettings, *, seed: int
) -> tuple[TaskFacts, Demonstrator, Recipe]:
    """Return the task, who acts, and what ``collect_demos`` would make, without making it.

    Raises:
        AwacError: the task cannot be made, or the policy is unknown or does not fit it.
    """
    facts = describe(task)
    who = find_demonstrator(facts.spec, settings)
    load_actor(who.actor, facts)
    chosen = settings.model_dump(mode="json")
    if who.inputs:
        chosen["policy"] = who.inputs[0].role  # the policy itself is an input, wherever its file is
    recipe = Recipe(
        stage="collect-demos",
        version=STAGE_VERSIONS["collect-demos"],
        settings={"collect": chosen, "task": facts.spec.model_dump(mode="json")},
        seed=seed,
        inputs=who.inputs,
    )
    return facts, who, recipe


def find_demonstrator(task: TaskSpec, settings: CollectSettings) -> Demonstrator:
    """Return who ``settings.policy`` names.

    Raises:
        UsageError: the task has no expert, or the text names nothing known.
        InputError: a checkpoint that is missing or damaged.
    """
    name = settings.policy
    if name == "expert":
        path = expert_policy(task)
        identity = expert_id(path)
        return Demonstrator(
            _actor(f"file:{path.absolute()}", settings),
            _source("policy", f"expert {task.name}", settings, identity),
            inputs=(InputRef(role="expert", id=identity, key=identity),),
            credits=(Credits(**EXPERT_CREDITS),),
        )
    if name.endswith(".ckpt") or Path(name).is_dir():
        checkpoint = open_checkpoint(Path(name))
        return Demonstrator(
            _actor(f"file:{checkpoint.policy_path.absolute()}", settings),
            _source("policy", checkpoint.path.name, settings, checkpoint.id),
            inputs=(checkpoint.manifest.reference("policy"),),
            parents=((checkpoint.path, checkpoint.manifest),),
        )
    return Demonstrator(_actor(name, settings), _source("scripted", name, settings))


def _actor(policy: str, settings: CollectSettings) -> ActorSpec:
    return ActorSpec(policy, settings.actions, settings.noise, settings.noise_correlation)


def _source(
    kind: Literal["policy", "scripted"], name: str, settings: CollectSettings, identity: str | None = None
) -> Source:
    return Source(
        kind=kind,
        name=name,
        id=identity,
        actions=settings.actions,
        noise=settings.noise,
        noise_correlation=settings.noise_correlation,
    )


def _collect(
    facts: TaskFacts,
    settings: CollectSettings,
    target: Target,
    who: Demonstrator,
    *,
    recipe: Recipe,
    execution: Execution,
    report: Reporter,
) -> None:
    clock = Clock(execution)
    header = Header(task=facts, sources=(who.source,), credits=who.credits)
    attempts = settings.max_attempts or _ATTEMPTS_PER_EPISODE * settings.episodes
    with (
        Writer(target.payload, header, resume=target.resuming) as writer,
        Rollouts(
            facts.spec,
            workers=execution.workers,
            sim_state=settings.sim_state,
            timeout_s=execution.episode_timeout_s,
        ) as rollouts,
    ):
        first = _next_attempt(writer, recipe.seed, attempts)
        jobs = (Job(index, recipe.seed, _PHASE) for index in range(first, attempts))
        tried = record(
            rollouts,
            [who.actor],
            jobs,
            writer,
            until=settings.episodes,
            title="collect demonstrations",
            report=report,
            keep=_successful if settings.success_only else lambda episode: episode,
        )
        if writer.n_episodes < settings.episodes:
            raise RunError(
                f"{writer.n_episodes} of {settings.episodes} episodes succeeded in {first + tried} attempts",
                hint="use --all, less --noise, or more --max-attempts",
            )
        commit_dataset(target, writer, recipe=recipe, parents=who.parents, clock=clock)


def _successful(episode: Episode) -> Episode | None:
    return episode if episode.success[-1] else None


def _next_attempt(writer: Writer, seed: int, attempts: int) -> int:
    """Return the attempt that follows the last stored episode, found by that episode's reset seed."""
    if writer.n_episodes == 0:
        return 0
    last = writer.dataset().episode(writer.n_episodes - 1).seed
    indices = (index for index in range(attempts) if integer(seed, _PHASE, index, "env") == last)
    return next(islice(indices, 1), attempts - 1) + 1
