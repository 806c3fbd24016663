"""``awac data relabel``."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import reporter
from awaccli.cli.data.making import Input, default_output, make, opened
from awaccli.cli.makers import existing
from awaccli.errors import UsageError

if TYPE_CHECKING:
    from awaccli.config.task import TaskSpec
    from awaccli.data.dataset import Dataset
    from awaccli.data.hindsight import GoalRule
    from awaccli.data.relabel import SuccessRule


def relabel(
    dataset: Input,
    output: opt.Output = None,
    binary: Annotated[
        bool, typer.Option("--binary", help="Reward 0 where the goal is met after the action, -1 otherwise.")
    ] = False,
    reward_scale: Annotated[float, typer.Option("--reward-scale", help="Multiply rewards.")] = 1.0,
    reward_shift: Annotated[float, typer.Option("--reward-shift", help="Add to rewards, after that.")] = 0.0,
    success: Annotated[
        str | None,
        typer.Option("--success", help="Condition on a step: success is where it holds."),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Hand task whose success rule is applied.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option("--horizon", help="Cut episodes after so many steps.")
    ] = None,
    drop_before: Annotated[
        bool, typer.Option("--drop-before", help="Do not keep replaced rewards in infos/reward_before.")
    ] = False,
    hindsight: Annotated[
        str | None,
        typer.Option("--hindsight", help="future:K adds K passes with goals that were achieved later."),
    ] = None,
    achieved: Annotated[
        str, typer.Option("--achieved", help="Parts of the observation that say what is achieved.")
    ] = "achieved_goal",
    desired: Annotated[
        str, typer.Option("--desired", help="Parts of the observation that are the goal.")
    ] = "desired_goal",
    goal_threshold: Annotated[
        float | None, typer.Option("--goal-threshold", help="Distance below which a goal is met.")
    ] = None,
    goal_reward: Annotated[
        str | None,
        typer.Option(
            "--goal-reward",
            help="threshold: 0 if the goal is met, else -1; env: the environment's own, of --task if given.",
        ),
    ] = None,
    trust_env: opt.TrustEnv = False,
    seed: opt.Seed = 0,
    overwrite: opt.Overwrite = False,
    resume: opt.Resume = False,
    if_changed: opt.IfChanged = False,
    dry_run: opt.DryRun = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Give the same recordings other rewards, another success rule, a shorter horizon, or later goals.

    The horizon comes first, then success, then rewards. In --success, names are parts of the observation
    after the action, `observation`, `action`, `reward`, `step` and infos; there are also norm, abs, min, max
    and indices, as in observation[28] >= 1.35. --hindsight stands alone.

    Example: awac data relabel demos.zarr --horizon 200 --binary
    """
    report = reporter(quiet=quiet, verbose=False)
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    opt.choice("--goal-reward", goal_reward, ("threshold", "env"))
    from awaccli.data.hindsight import with_hindsight
    from awaccli.data.relabel import Relabelling, relabelled

    change = Relabelling(
        horizon=horizon, binary=binary, scale=reward_scale, shift=reward_shift, keep_before=not drop_before
    )
    found = opened(dataset, max_memory)
    if hindsight is None:
        if goal_threshold is not None or goal_reward is not None:
            raise UsageError("--goal-threshold and --goal-reward are for --hindsight", hint="add it")
        rule = _success_rule(found, success, task)
        derivation = relabelled(found, replace(change, success=rule))
    else:
        if success is not None or change != Relabelling():
            raise UsageError("--hindsight stands alone", hint="relabel twice: one change after the other")
        derivation = with_hindsight(
            found,
            _goal_rule(found, goal_reward, goal_threshold, task, trust_env=trust_env),
            passes=_passes(hindsight),
            achieved=achieved.split(","),
            desired=desired.split(","),
            seed=seed,
        )
    make(
        derivation,
        output,
        default_output(found, "hindsight" if hindsight else "relabelled"),
        when,
        dry_run=dry_run,
        as_json=as_json,
        report=report,
    )


def _success_rule(dataset: Dataset, condition: str | None, task: str | None) -> SuccessRule | None:
    if condition is not None and task is not None:
        raise UsageError("--success and --task are two rules", hint="give one of them")
    if condition is not None:
        from awaccli.data.relabel import success_where

        return success_where(condition, dataset.task)
    if task is not None:
        from awaccli.stages.relabel import hand_success

        return hand_success(dataset, _spec(task))
    return None


def _goal_rule(
    dataset: Dataset, reward: str | None, threshold: float | None, task: str | None, *, trust_env: bool
) -> GoalRule:
    if reward != "env":
        from awaccli.data.hindsight import goal_within

        if threshold is None or task is not None:
            raise UsageError("when is a goal met?", hint="give --goal-threshold 0.05, or --goal-reward env")
        return goal_within(threshold)
    from awaccli.stages.relabel import environment_goals

    spec = _spec(task) if task else None
    return environment_goals(dataset, task=spec, threshold=threshold, trust_env=trust_env)


def _spec(task: str) -> TaskSpec:
    from awaccli.envs.registry import resolve_task

    return resolve_task(task)


def _passes(text: str) -> int:
    match = re.fullmatch(r"future:(\d{1,4})", text)
    if match is None:
        raise UsageError(f"--hindsight {text} is unknown", hint="expected future:4, or another number")
    return int(match[1])
