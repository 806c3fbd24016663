"""``awac finetune``: go on from a checkpoint, online or with new data, and commit what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from awaccli.artifacts.checkpoint import (
    METRICS,
    Checkpoint,
    CheckpointContent,
    DataRef,
    open_checkpoint,
    write_checkpoint,
)
from awaccli.artifacts.commit import Existing, Target, check_free, claimed
from awaccli.artifacts.event_file import log_as_asked
from awaccli.artifacts.manifest import Clock, Recipe, ancestors_of
from awaccli.artifacts.metrics import MetricsLog
from awaccli.config.algorithms import section_of, with_fields
from awaccli.config.settings import Execution, FinetuneSettings
from awaccli.config.tree import Settings
from awaccli.config.versions import STAGE_VERSIONS
from awaccli.data.buffer import common_task
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.envs.simulation import describe
from awaccli.envs.trust import require_trusted
from awaccli.errors import DatasetError, UsageError
from awaccli.protocols import SILENT, Reporter
from awaccli.stages.compute import memory_of, prepare
from awaccli.stages.evaluate import PeriodicEvaluation
from awaccli.stages.learners import (
    build_buffer,
    build_learner,
    load_learner,
    require_successes,
    used_settings,
)
from awaccli.stages.online import OnlineRounds
from awaccli.stages.recording import Parents
from awaccli.stages.remarks import Remarks
from awaccli.stages.training import Training


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Datasets by what they are to the learner."""

    offline: tuple[Dataset, ...]
    online: tuple[Dataset, ...] = ()

    @property
    def all(self) -> tuple[Dataset, ...]:
        """Every dataset, offline ones first."""
        return self.offline + self.online

    def references(self) -> tuple[DataRef, ...]:
        """Return ids and roles, for a checkpoint."""
        offline = tuple(DataRef(id=dataset.id, role="offline") for dataset in self.offline)
        return offline + tuple(DataRef(id=dataset.id, role="online") for dataset in self.online)


def finetune(
    checkpoint: Checkpoint,
    data: TrainingData,
    settings: Settings,
    out: Path,
    *,
    algo: str | None = None,
    online_out: Path | None = None,
    seed: int = 0,
    execution: Execution | None = None,
    existing: Existing = Existing.REFUSE,
    report: Reporter = SILENT,
) -> Checkpoint:
    """Continue ``checkpoint`` online; commit the new experience, then the new checkpoint at ``out``.

    Args:
        checkpoint: where to start.
        data: offline datasets, and earlier online ones that go into the ring.
        settings: ``finetune`` and the algorithm's own.
        out: the checkpoint to make.
        algo: who goes on (default: the checkpoint's own algorithm); another starts from the networks that
            both have.
        online_out: the dataset of online episodes (default ``<stem>-online.zarr``).
        seed: of all streams.
        execution: how to run.
        existing: what to do about outputs that are there.
        report: whom to tell.

    Raises:
        AwacError: data that do not fit, an output that exists, a failed run, an interrupt.
    """
    execution = execution or Execution()
    online_out = online_out or default_online_path(out)
    recipe = finetune_recipe(checkpoint, data, settings, algo=algo, seed=seed)
    _require_trusted_task(data, settings, execution)
    known = ancestors_of([checkpoint.manifest, *(dataset.sealed() for dataset in data.all)])
    with claimed(out, recipe, existing, ancestors=known) as target:
        if target.finished:
            return open_checkpoint(out)
        if settings.finetune.env_steps:
            _check_online(out, online_out, recipe, existing)
        training = _make_training(
            checkpoint, data, settings, target, recipe=recipe, execution=execution, report=report
        )
        log_as_asked(training.metrics, training.clock, out, recipe.settings, report)
        gained = []
        facts = common_task(data.all)
        with PeriodicEvaluation(facts, target.scratch, execution, seed=seed, report=report) as evaluation:
            if settings.finetune.env_steps:
                log_recipe = online_recipe(recipe)
                with claimed(online_out, log_recipe, existing, ancestors=known) as log:
                    rounds = OnlineRounds(training, checkpoint, facts, settings.finetune, target, log)
                    rounds.run(log_recipe, _parents(checkpoint, data), evaluation, report)
                gained.append(open_dataset(online_out))
            else:
                _update_only(training, checkpoint, settings, target, evaluation, report)
        _commit(training, checkpoint, data, gained, target, recipe)
    return open_checkpoint(out)


def finetune_recipe(
    checkpoint: Checkpoint, data: TrainingData, settings: Settings, *, algo: str | None = None, seed: int
) -> Recipe:
    """Return what ``finetune`` would make, without making it.

    Raises:
        DatasetError: a dataset's sizes do not fit the checkpoint, or none has the successes asked for.
        UsageError: neither environment steps nor updates are asked for.
    """
    content = checkpoint.content
    facts = common_task(data.all)
    for name in ("observation_dim", "action_dim"):
        if getattr(facts, name) != getattr(content, name):
            raise DatasetError(
                f"`{data.all[0].path}` has {name} {getattr(facts, name)}, "
                f"`{checkpoint.path}` was trained with {getattr(content, name)}",
                hint="give data of the checkpoint's task, recorded with the same --obs-keys",
            )
    algo = algo or content.algo
    if algo == "bc":
        raise UsageError(
            f"`{checkpoint.path}` is a behaviour clone: it has no critic to go on with",
            hint="pretrain on its rollouts first: awac pretrain --data ROLLOUTS; or take another --algo",
        )
    require_successes(data.all, settings.finetune.success_ratio, "finetune.success_ratio")
    if bool(settings.finetune.env_steps) == bool(settings.finetune.updates):
        raise UsageError(
            "finetune counts by --env-steps, or by --updates with --env-steps 0",
            hint="give one of the two",
        )
    datasets = [dataset.sealed().reference("data") for dataset in data.offline]
    datasets += [dataset.sealed().reference("online") for dataset in data.online]
    return Recipe(
        stage="finetune",
        version=STAGE_VERSIONS["finetune"],
        settings=used_settings(algo, settings, "finetune"),
        seed=seed,
        inputs=(checkpoint.manifest.reference("checkpoint"), *datasets),
    )


def cost(plan: FinetuneSettings) -> dict[str, int]:
    """Return what a run will take, in environment steps and updates."""
    counted = max(0, plan.env_steps - plan.warmup_steps)
    return {"env_steps": plan.env_steps, "updates": plan.updates or math.floor(plan.utd * counted)}


def default_online_path(out: Path) -> Path:
    """Return where the online episodes of a checkpoint go."""
    return out.with_name(f"{out.stem}-online.zarr")


def online_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of the online dataset that a fine-tuning recipe makes on the way."""
    return recipe.model_copy(update={"stage": "finetune-online"})


def planned(
    checkpoint: Checkpoint,
    data: TrainingData,
    settings: Settings,
    out: Path,
    online_out: Path,
    *,
    algo: str,
    seed: int,
    execution: Execution,
    existing: Existing,
) -> Recipe:
    """Return the recipe of a run, having checked its environment and where its episodes go; for dry runs."""
    recipe = finetune_recipe(checkpoint, data, settings, algo=algo, seed=seed)
    _require_trusted_task(data, settings, execution)
    if settings.finetune.env_steps:
        describe(common_task(data.all).spec)
        _check_online(out, online_out, recipe, existing)
    return recipe


def _require_trusted_task(data: TrainingData, settings: Settings, execution: Execution) -> None:
    """Check the environment that is stepped to collect or to evaluate, if there is one.

    Raises:
        InputError: it could run code, and ``execution`` does not trust it.
    """
    if settings.finetune.env_steps or execution.eval_every:
        require_trusted(data.all[0].task.spec, data.all[0].path, trust_env=execution.trust_env)


def _check_online(out: Path, online_out: Path, recipe: Recipe, existing: Existing) -> None:
    if online_out.absolute() == out.absolute():
        raise UsageError(
            f"`{out}` cannot be both the checkpoint and its online dataset",
            hint="name one with --save-online",
        )
    check_free(online_out, online_recipe(recipe), existing)


def _make_training(
    checkpoint: Checkpoint,
    data: TrainingData,
    settings: Settings,
    target: Target,
    *,
    recipe: Recipe,
    execution: Execution,
    report: Reporter,
) -> Training:
    """Return the run as its files say it stands: at the checkpoint, or at its last snapshot."""
    algo, plan, seed = recipe.settings["algo"], settings.finetune, recipe.seed
    machine = prepare(execution, rows=cost(plan)["updates"] * plan.batch_size)
    device = machine.device
    made = checkpoint.content.updates if algo == checkpoint.content.algo else 0  # a new learner counts anew
    online_settings = _offline_start_over(settings, algo, made)
    learner = build_learner(
        algo, online_settings, data.offline, seed=seed, device=device, compiled=machine.compiled
    )
    buffer = build_buffer(
        algo,
        online_settings,
        data.offline,
        capacity=plan.capacity,
        device=device,
        memory=memory_of(execution),
    )
    for dataset in data.online:
        buffer.extend(list(dataset))
    training = Training(
        learner=load_learner(checkpoint, learner, algo, device),
        buffer=buffer,
        phase="online",
        seed=seed,
        batch_size=plan.batch_size,
        offline_ratio=plan.offline_ratio,
        success_ratio=plan.success_ratio,
        execution=execution,
        machine=machine,
        metrics=MetricsLog(target.payload / METRICS),
        clock=Clock(execution, precision=machine.precision, mode=machine.mode),
        remarks=(
            Remarks(online_settings.awac, report, env_steps=checkpoint.content.env_steps)
            if algo == "awac"
            else None
        ),
        updates=checkpoint.content.updates,
        env_steps=checkpoint.content.env_steps,
    )
    training.restore(target.scratch)
    return training


def _offline_start_over(settings: Settings, algo: str, updates: int) -> Settings:
    """The first offline updates are over, even where fewer were made than they would have been."""
    section = getattr(settings, section_of(algo))
    begun = {name: min(getattr(section, name, 0), updates) for name in ("bc_updates", "return_updates")}
    return with_fields(settings, algo, begun)


def _parents(checkpoint: Checkpoint, data: TrainingData) -> Parents:
    return [
        (checkpoint.path, checkpoint.manifest),
        *((dataset.path, dataset.sealed()) for dataset in data.all),
    ]


def _update_only(
    training: Training,
    checkpoint: Checkpoint,
    settings: Settings,
    target: Target,
    evaluation: PeriodicEvaluation,
    report: Reporter,
) -> None:
    """Updates without an environment: the learner's half of a growing-batch round."""
    goal = checkpoint.content.updates + (settings.finetune.updates or 0)
    with report.phase("fine-tune", goal, "updates") as progress:
        training.update_to(goal, target.scratch, evaluation, report, progress)


def _commit(
    training: Training,
    checkpoint: Checkpoint,
    data: TrainingData,
    gained: Sequence[Dataset],
    target: Target,
    recipe: Recipe,
) -> None:
    everything = TrainingData(data.offline, (*data.online, *gained))
    write_checkpoint(
        target.payload,
        policy=training.policy(),
        trainer=training.tensors(),
        content=CheckpointContent(
            algo=recipe.settings["algo"],
            settings=recipe.settings,
            updates=training.updates,
            env_steps=training.env_steps,
            observation_dim=checkpoint.content.observation_dim,
            action_dim=checkpoint.content.action_dim,
            data=everything.references(),
        ),
        task=checkpoint.manifest.task,
        recipe=recipe,
        parents=_parents(checkpoint, everything),
        clock=training.clock,
        target=target.path,
    )
    target.commit()
