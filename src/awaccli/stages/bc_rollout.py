"""``awac bc-rollout``: clone demonstrations, roll the clone out, and keep both as one dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from awaccli.artifacts.checkpoint import Checkpoint
from awaccli.artifacts.commit import Existing, Target, check_free, claimed
from awaccli.artifacts.manifest import Clock, Recipe, ancestors_of
from awaccli.config.settings import Actions, Execution, RolloutSettings, SimState
from awaccli.config.tree import Settings
from awaccli.config.versions import STAGE_VERSIONS
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.schema import Header, Source
from awaccli.data.writer import Writer, commit_dataset
from awaccli.envs.acting import ActorSpec, load_actor
from awaccli.envs.rollout import Job, Rollouts
from awaccli.envs.simulation import describe
from awaccli.envs.trust import require_trusted
from awaccli.episode import NO_ARRAYS, Episode
from awaccli.errors import DatasetError
from awaccli.protocols import SILENT, Reporter
from awaccli.seeding import integer
from awaccli.stages.learners import used_settings
from awaccli.stages.pretrain import pretrain, pretrain_recipe
from awaccli.stages.recording import record

_PHASE = "rollout"


def bc_rollout(
    demos: Dataset,
    settings: Settings,
    out: Path,
    *,
    seed: int = 0,
    execution: Execution | None = None,
    existing: Existing = Existing.REFUSE,
    report: Reporter = SILENT,
) -> Dataset:
    """Clone ``demos``, roll the clone out, and commit the trajectories at ``out``.

    The clone itself is committed beside it as ``<stem>-bc.ckpt`` (more of them for ``rollout.bc_seeds`` > 1).

    Raises:
        AwacError: demos without a simulator, an output that exists, a failed run, an interrupt.
    """
    execution = execution or Execution()
    recipe = planned(demos, settings, seed=seed, execution=execution)
    check_free(out, recipe, existing)
    clones = [
        pretrain(
            [demos],
            settings,
            path,
            algo="bc",
            seed=clone_seed,
            execution=execution,
            existing=existing,
            report=report,
        )
        for path, clone_seed in clone_outputs(demos, settings, out, seed=seed, existing=existing)
    ]
    ancestors = ancestors_of([demos.sealed(), *(clone.manifest for clone in clones)])
    with claimed(out, recipe, existing, ancestors=ancestors) as target:
        if not target.finished:
            _roll_out(
                demos, clones, settings.rollout, target, recipe=recipe, execution=execution, report=report
            )
    return open_dataset(out)


def planned(demos: Dataset, settings: Settings, *, seed: int, execution: Execution) -> Recipe:
    """Return the recipe of a run, having checked that its environment is free of doubt or trusted.

    Raises:
        DatasetError: demos without a simulator.
        InputError: their environment could run code, and ``execution`` does not trust it.
    """
    recipe = bc_rollout_recipe(demos, settings, seed=seed)
    require_trusted(demos.task.spec, demos.path, trust_env=execution.trust_env)
    return recipe


def bc_rollout_recipe(demos: Dataset, settings: Settings, *, seed: int) -> Recipe:
    """Return what ``bc_rollout`` would make, without making it."""
    if demos.task.spec.env_id is None:
        raise DatasetError(
            f"`{demos.path}` has no simulator behind it: a clone of it cannot be rolled out",
            hint=f"clone it only: awac pretrain --algo bc --data {demos.path}",
        )
    return Recipe(
        stage="bc-rollout",
        version=STAGE_VERSIONS["bc-rollout"],
        settings=used_settings("bc", settings, "rollout"),
        seed=seed,
        inputs=(demos.sealed().reference("demos"),),
    )


def clone_outputs(
    demos: Dataset, settings: Settings, out: Path, *, seed: int, existing: Existing
) -> list[tuple[Path, int]]:
    """Return path and seed of every clone, having checked that all of them may be written."""
    outputs = []
    for number in range(settings.rollout.bc_seeds):
        path = out.with_name(f"{out.stem}-bc.ckpt" if number == 0 else f"{out.stem}-bc-{number}.ckpt")
        clone_seed = seed if number == 0 else integer(seed, "clone", number)
        check_free(path, pretrain_recipe([demos], settings, algo="bc", seed=clone_seed), existing)
        outputs.append((path, clone_seed))
    return outputs


def _roll_out(
    demos: Dataset,
    clones: Sequence[Checkpoint],
    settings: RolloutSettings,
    target: Target,
    *,
    recipe: Recipe,
    execution: Execution,
    report: Reporter,
) -> None:
    clock = Clock(execution)
    facts = describe(demos.task.spec)
    modes: list[Actions] = ["mean", "sample"] if settings.actions == "mix" else [settings.actions]
    who = [(clone, mode) for mode in modes for clone in clones]
    actors = [ActorSpec(policy=f"file:{clone.policy_path.absolute()}", actions=mode) for clone, mode in who]
    for actor in actors:
        load_actor(actor, facts)
    taken = demos.header.sources if settings.include_demos else ()
    own = tuple(Source(kind="policy", name=clone.path.name, id=clone.id, actions=mode) for clone, mode in who)
    header = Header(task=facts, sources=taken + own, credits=demos.header.credits)
    n_demos = demos.n_episodes if settings.include_demos else 0
    sim_state = settings.sim_state if demos.has_simulator_state or not n_demos else "none"
    with (
        Writer(target.payload, header, resume=target.resuming) as writer,
        Rollouts(
            facts.spec,
            workers=execution.workers,
            sim_state=sim_state,
            timeout_s=execution.episode_timeout_s,
        ) as rollouts,
    ):
        for episode in demos.between(writer.n_episodes, n_demos):
            writer.append(_plain(episode, sim_state))
        first = writer.n_episodes - n_demos
        record(
            rollouts,
            actors,
            _jobs(recipe.seed, range(first, settings.episodes), len(actors)),
            writer,
            until=n_demos + settings.episodes,
            title="roll out the clone",
            report=report,
            keep=lambda episode: replace(_plain(episode, sim_state), source=episode.source + len(taken)),
        )
        parents = [(demos.path, demos.sealed()), *((clone.path, clone.manifest) for clone in clones)]
        commit_dataset(target, writer, recipe=recipe, parents=parents, clock=clock)


def _jobs(seed: int, indices: range, actors: int) -> Iterator[Job]:
    """Share the episodes out among the actors in turn."""
    return (Job(index, seed, _PHASE, actor=index % actors) for index in indices)


def _plain(episode: Episode, sim_state: SimState) -> Episode:
    """Leave out what only some recorders store, so that demonstrations and rollouts share their columns."""
    plain = replace(episode, infos=NO_ARRAYS, sim=NO_ARRAYS)
    return replace(plain, sim_init=None, model=NO_ARRAYS) if sim_state == "none" else plain
