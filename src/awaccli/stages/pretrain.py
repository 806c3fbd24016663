"""``awac pretrain``: gradient updates on datasets, no environment needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from awaccli.artifacts.checkpoint import (
    METRICS,
    Checkpoint,
    CheckpointContent,
    DataRef,
    open_checkpoint,
    write_checkpoint,
)
from awaccli.artifacts.commit import Existing, Target, claimed
from awaccli.artifacts.event_file import log_as_asked
from awaccli.artifacts.manifest import Clock, Recipe, ancestors_of
from awaccli.artifacts.metrics import MetricsLog
from awaccli.config.settings import Execution
from awaccli.config.tree import Settings
from awaccli.config.versions import STAGE_VERSIONS
from awaccli.data.buffer import common_task
from awaccli.data.dataset import Dataset
from awaccli.envs.trust import require_trusted
from awaccli.protocols import SILENT, Reporter
from awaccli.stages.compute import memory_of, prepare
from awaccli.stages.evaluate import PeriodicEvaluation
from awaccli.stages.held_out import HeldOut, require_held_out
from awaccli.stages.learners import build_buffer, build_learner, require_successes, used_settings
from awaccli.stages.remarks import Remarks
from awaccli.stages.training import Training

_HOLD_OUT = (
    "no simulator for this task, so no rollout tells how good the policy gets: "
    "keep episodes back with `awac data split`, and give them with --held-out"
)
_NO_UPDATES = "{algo} makes no offline updates: the checkpoint holds what `awac finetune` starts from"


def pretrain(
    data: Sequence[Dataset],
    settings: Settings,
    out: Path,
    *,
    algo: str = "awac",
    seed: int = 0,
    execution: Execution | None = None,
    existing: Existing = Existing.REFUSE,
    held_out: Dataset | None = None,
    report: Reporter = SILENT,
) -> Checkpoint:
    """Train ``algo`` on ``data`` and commit a checkpoint at ``out``.

    Args:
        data: datasets of one task.
        settings: of the algorithm and of the stage.
        out: a ``.ckpt`` folder.
        algo: its name, see ``config.algorithms``.
        seed: of all streams.
        execution: how to run; changes nothing of what comes out.
        existing: what to do about an output that is there.
        held_out: a dataset that is only measured, every ``execution.eval_every`` updates and after the last:
            ``held_out/`` in the metrics. Neither the recipe nor the checkpoint's id depends on it.
        report: whom to tell.

    Raises:
        AwacError: datasets that do not fit, an output that exists, a loss that is not finite, an interrupt.
    """
    execution = execution or Execution()
    recipe = pretrain_recipe(data, settings, algo=algo, seed=seed)
    require_trusted_task(data, execution)
    if held_out is not None:
        require_held_out(held_out, data)
    ancestors = ancestors_of(dataset.sealed() for dataset in data)
    with claimed(out, recipe, existing, ancestors=ancestors) as target:
        if not target.finished:
            _train(
                data,
                settings,
                target,
                algo=algo,
                recipe=recipe,
                execution=execution,
                held_out=held_out,
                report=report,
            )
    return open_checkpoint(out)


def pretrain_recipe(data: Sequence[Dataset], settings: Settings, *, algo: str, seed: int) -> Recipe:
    """Return what ``pretrain`` would make, without making it.

    Raises:
        DatasetError: the datasets do not fit each other, or lack the successes that are asked for.
    """
    common_task(data)
    if algo != "bc":
        require_successes(data, settings.pretrain.success_ratio, "pretrain.success_ratio")
    sections = () if algo == "bc" else ("pretrain",)
    return Recipe(
        stage="pretrain",
        version=STAGE_VERSIONS["pretrain"],
        settings=used_settings(algo, settings, *sections),
        seed=seed,
        inputs=tuple(dataset.sealed().reference("data") for dataset in data),
    )


def require_trusted_task(data: Sequence[Dataset], execution: Execution) -> None:
    """Check the environment that evaluations during training make, if there are any.

    Raises:
        InputError: it could run code, and ``execution`` does not trust it.
    """
    if execution.eval_every:
        require_trusted(data[0].task.spec, data[0].path, trust_env=execution.trust_env)


def _train(
    data: Sequence[Dataset],
    settings: Settings,
    target: Target,
    *,
    algo: str,
    recipe: Recipe,
    execution: Execution,
    held_out: Dataset | None,
    report: Reporter,
) -> None:
    schedule = settings.bc if algo == "bc" else settings.pretrain
    machine = prepare(execution, rows=schedule.updates * schedule.batch_size)
    device = machine.device
    training = Training(
        learner=build_learner(
            algo, settings, data, seed=recipe.seed, device=device, compiled=machine.compiled
        ),
        buffer=build_buffer(algo, settings, data, capacity=1, device=device, memory=memory_of(execution)),
        phase="offline",
        seed=recipe.seed,
        batch_size=schedule.batch_size,
        offline_ratio=None,
        success_ratio=0.0 if algo == "bc" else settings.pretrain.success_ratio,
        execution=execution,
        machine=machine,
        metrics=MetricsLog(target.payload / METRICS),
        clock=Clock(execution, precision=machine.precision, mode=machine.mode),
        remarks=Remarks(settings.awac, report) if algo == "awac" else None,
    )
    training.restore(target.scratch)
    log_as_asked(training.metrics, training.clock, target.path, recipe.settings, report)
    facts = common_task(data)
    if not schedule.updates:
        report.note(_NO_UPDATES.format(algo=algo))
    elif facts.spec.env_id is None and held_out is None:
        report.note(_HOLD_OUT)
    measured = None
    if held_out is not None:
        measured = HeldOut(
            held_out,
            algo,
            settings,
            target.scratch,
            seed=recipe.seed,
            execution=execution,
            device=device,
            report=report,
        )
    with (
        PeriodicEvaluation(
            facts, target.scratch, execution, seed=recipe.seed, report=report, held_out=measured
        ) as evaluation,
        report.phase(f"pretrain {algo}", schedule.updates, "updates") as progress,
    ):
        if training.updates:  # a run that was stopped in the middle of an evaluation
            evaluation.after_update(training)
        training.update_to(schedule.updates, target.scratch, evaluation, report, progress)
        if measured:
            measured.now(training)
    _commit(training, target, data, algo=algo, recipe=recipe)


def _commit(
    training: Training, target: Target, data: Sequence[Dataset], *, algo: str, recipe: Recipe
) -> None:
    facts = common_task(data)
    write_checkpoint(
        target.payload,
        policy=training.policy(),
        trainer=training.tensors(),
        content=CheckpointContent(
            algo=algo,
            settings=recipe.settings,
            updates=training.updates,
            env_steps=0,
            observation_dim=facts.observation_dim,
            action_dim=facts.action_dim,
            data=tuple(DataRef(id=dataset.id, role="offline") for dataset in data),
        ),
        task=facts.spec,
        recipe=recipe,
        parents=[(dataset.path, dataset.sealed()) for dataset in data],
        clock=training.clock,
        target=target.path,
    )
    target.commit()
