"""``awac eval``: roll out a policy on its own seeds and count success three ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from awaccli.artifacts.checkpoint import Checkpoint
from awaccli.artifacts.commit import Existing, claimed
from awaccli.artifacts.identity import sha256_json
from awaccli.artifacts.json_file import json_artifact
from awaccli.artifacts.manifest import Clock, Manifest, Recipe
from awaccli.artifacts.tensors import write_policy
from awaccli.config.settings import EvaluateSettings, Execution
from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.config.versions import STAGE_VERSIONS
from awaccli.data.evaluation import Evaluation, open_evaluation, outcome
from awaccli.envs.acting import ActorSpec, load_actor
from awaccli.envs.rollout import Job, Rollouts
from awaccli.envs.simulation import describe
from awaccli.envs.trust import require_trusted
from awaccli.episode import Episode
from awaccli.errors import CheckpointError, InterruptedRunError
from awaccli.protocols import SILENT, Reporter
from awaccli.seeding import integer

if TYPE_CHECKING:  # acting needs no torch: `awac eval` starts in a fraction of the time
    from awaccli.stages.held_out import HeldOut
    from awaccli.stages.training import Training

_PHASE = "eval"


def evaluate(
    checkpoint: Checkpoint,
    settings: EvaluateSettings,
    out: Path | None = None,
    *,
    task: TaskSpec | None = None,
    seed: int = 0,
    execution: Execution | None = None,
    existing: Existing = Existing.REFUSE,
    report: Reporter = SILENT,
    seen: Callable[[list[Episode]], object] | None = None,
) -> Evaluation:
    """Roll out ``checkpoint`` and return the result; with ``out``, commit it as an artifact too.

    Args:
        checkpoint: whose policy acts.
        settings: how many episodes, and how it acts.
        out: a ``.json`` to keep the result in, or None.
        task: what to measure on (default: the checkpoint's own).
        seed: of all streams.
        execution: how to run.
        existing: what to do about an output that is there.
        report: whom to tell.
        seen: gets the episodes, in order; not called where the result is there already.

    Raises:
        AwacError: no simulator for the task, sizes that do not fit, an output that exists, a failed run.
    """
    execution = execution or Execution()
    facts = describe(task_of(checkpoint, task, execution))
    recipe = evaluate_recipe(checkpoint, settings, facts.spec, seed=seed)

    def measure() -> Evaluation:
        episodes = roll_out(checkpoint, settings, facts, seed=seed, execution=execution, report=report)
        if seen:
            seen(episodes)
        return _result(checkpoint, settings, facts, episodes, seed=seed)

    if out is None:
        return measure()
    with claimed(out, recipe, existing, ancestors=checkpoint.manifest.lineage()) as target:
        if not target.finished:
            clock = Clock(execution)
            target.payload.write_bytes(_record(measure(), recipe, checkpoint, clock, out))
            target.commit()
    return open_evaluation(out)


def evaluate_recipe(
    checkpoint: Checkpoint, settings: EvaluateSettings, task: TaskSpec, *, seed: int
) -> Recipe:
    """Return what ``evaluate`` would make, without making it."""
    return Recipe(
        stage="eval",
        version=STAGE_VERSIONS["eval"],
        settings={"evaluate": settings.model_dump(mode="json"), "task": task.model_dump(mode="json")},
        seed=seed,
        inputs=(checkpoint.manifest.reference("checkpoint"),),
    )


def planned(
    checkpoint: Checkpoint,
    settings: EvaluateSettings,
    task: TaskSpec | None,
    *,
    seed: int,
    execution: Execution,
) -> Recipe:
    """Return the recipe of a run, having checked that the policy fits the task; for dry runs."""
    facts = describe(task_of(checkpoint, task, execution))
    load_actor(_actor(checkpoint, settings), facts)
    return evaluate_recipe(checkpoint, settings, facts.spec, seed=seed)


def task_of(checkpoint: Checkpoint, task: TaskSpec | None, execution: Execution) -> TaskSpec:
    """Return the task to measure on: ``task``, or the checkpoint's own.

    Raises:
        CheckpointError: neither has a simulator.
        InputError: the checkpoint's own could run code, and ``execution`` does not trust it.
    """
    spec = task or checkpoint.manifest.task
    if task is None and spec is not None:
        require_trusted(spec, checkpoint.path, trust_env=execution.trust_env)
    if spec is None or spec.env_id is None:
        raise CheckpointError(
            f"`{checkpoint.path}` was trained on a task without a simulator", hint="name one with --task"
        )
    return spec


def roll_out(
    checkpoint: Checkpoint,
    settings: EvaluateSettings,
    facts: TaskFacts,
    *,
    seed: int,
    execution: Execution,
    report: Reporter,
) -> list[Episode]:
    """Return the episodes that an evaluation measures.

    Raises:
        AwacError: sizes that do not fit, a failed run, a signal.
    """
    actor = _actor(checkpoint, settings)
    with Rollouts(facts.spec, workers=execution.workers, timeout_s=execution.episode_timeout_s) as rollouts:
        return evaluation_episodes(rollouts, actor, episodes=settings.episodes, seed=seed, report=report)


def _result(
    checkpoint: Checkpoint,
    settings: EvaluateSettings,
    facts: TaskFacts,
    episodes: Sequence[Episode],
    *,
    seed: int,
) -> Evaluation:
    return Evaluation(
        checkpoint=checkpoint.id,
        task=facts.spec.name,
        algo=checkpoint.content.algo,
        updates=checkpoint.content.updates,
        env_steps=checkpoint.content.env_steps,
        seed=seed,
        seeds=tuple(integer(seed, _PHASE, index, "env") for index in range(settings.episodes)),
        deterministic=settings.actions == "mean",
        outcome=outcome(episodes, facts),
    )


def _actor(checkpoint: Checkpoint, settings: EvaluateSettings) -> ActorSpec:
    return ActorSpec(policy=f"file:{checkpoint.policy_path.absolute()}", actions=settings.actions)


def evaluation_episodes(
    rollouts: Rollouts, actor: ActorSpec, *, episodes: int, seed: int, report: Reporter
) -> list[Episode]:
    """Return what ``actor`` does on the evaluation seeds of ``seed``.

    Raises:
        InterruptedRunError: a signal came.
    """
    done: list[Episode] = []
    successes = 0
    with report.phase("evaluate", episodes, "episodes") as progress:
        for episode in rollouts.run([actor], (Job(index, seed, _PHASE) for index in range(episodes))):
            done.append(episode)
            successes += bool(episode.success[-1])
            progress.update(len(done), success=successes / len(done))
            if signal := report.interrupted():
                raise InterruptedRunError(
                    signal,
                    f"stopped after {len(done)} of {episodes} episodes",
                    hint="an evaluation keeps nothing: repeat the command",
                )
    return done


def _record(result: Evaluation, recipe: Recipe, checkpoint: Checkpoint, clock: Clock, out: Path) -> bytes:
    """Return the evaluation as JSON with its manifest inside."""
    body = result.model_dump(mode="json")
    manifest = Manifest(
        kind="evaluation",
        id=sha256_json(body),
        task=checkpoint.manifest.task,
        content={"deterministic": result.deterministic, "episodes": result.outcome.episodes},
        files=(),
        recipe=recipe,
        ancestors=checkpoint.manifest.lineage(),
        run=clock.run(out, {checkpoint.id: checkpoint.path}),
    )
    return json_artifact(body, manifest.to_bytes())


class PeriodicEvaluation:
    """Evaluations during training: own seeds, own log lines, no effect on what is learned."""

    def __init__(
        self,
        facts: TaskFacts,
        scratch: Path,
        execution: Execution,
        *,
        seed: int,
        report: Reporter,
        held_out: HeldOut | None = None,
    ) -> None:
        self._facts = facts
        self._scratch = scratch
        self._execution = execution
        self._seed = seed
        self._report = report
        self._held_out = held_out
        self._rollouts: Rollouts | None = None
        if execution.eval_every and facts.spec.env_id is None:
            report.note("no simulator for this task: rollouts during training are left out")
        elif execution.eval_every:
            self._rollouts = Rollouts(
                facts.spec, workers=execution.workers, timeout_s=execution.episode_timeout_s
            )

    def __enter__(self) -> Self:
        if self._rollouts:
            self._rollouts.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rollouts:
            self._rollouts.__exit__(kind, error, trace)

    def after_update(self, training: Training) -> None:
        """Evaluate if the interval says so, on held-out episodes too where there are any."""
        if self._held_out:
            self._held_out.after_update(training)
        if self._rollouts and training.updates % self._execution.eval_every == 0:
            self.now(training)

    def now(self, training: Training) -> None:
        """Evaluate the policy that acts, by its mean, and log the result, unless a resumed run has it."""
        at = {"updates": training.updates, "env_steps": training.env_steps}
        if not self._rollouts or training.metrics.has("eval/episodes", **at):
            return
        path = self._scratch / f"policy-{training.updates}-{training.env_steps}.safetensors"
        write_policy(path, training.policy())
        try:
            episodes = evaluation_episodes(
                self._rollouts,
                ActorSpec(policy=f"file:{path.absolute()}", actions="mean"),
                episodes=self._execution.eval_episodes,
                seed=self._seed,
                report=self._report,
            )
        except InterruptedRunError:
            training.stop_if_asked(self._report, self._scratch)
            raise
        finally:
            path.unlink()
        result = outcome(episodes, self._facts)
        success, gap = result.success, training.q_gap(episodes)
        training.write(
            {
                "eval/episodes": result.episodes,
                "eval/success_any": success.any.rate,
                "eval/success_final": success.final.rate,
                "eval/success_held": success.held.rate,
                "eval/return_mean": result.returns.mean,
            }
            | ({} if gap is None else {"q_gap": gap})
        )
        self._report.note(
            f"{training.updates} updates, {training.env_steps} steps: success {success.final.rate:.0%} "
            f"({result.episodes} episodes, mean actions, final step)"
        )
