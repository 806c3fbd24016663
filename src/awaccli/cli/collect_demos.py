"""``awac collect-demos``."""

from __future__ import annotations

from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import reporter
from awaccli.cli.makers import DATASET, announce, existing, output_path, plan, task_spec
from awaccli.config.resolve import resolve
from awaccli.config.settings import CollectSettings


def collect_demos(
    task: Annotated[str, typer.Argument(help="Short name from `awac tasks`, or any Gymnasium id.")],
    output: opt.Output = None,
    episodes: Annotated[int | None, opt.setting(CollectSettings, "episodes", "-n", "--episodes")] = None,
    policy: Annotated[str | None, opt.setting(CollectSettings, "policy", "--policy")] = None,
    actions: Annotated[str | None, opt.setting(CollectSettings, "actions", "--actions")] = None,
    noise: Annotated[float | None, opt.setting(CollectSettings, "noise", "--noise")] = None,
    noise_correlation: Annotated[
        float | None, opt.setting(CollectSettings, "noise_correlation", "--noise-correlation")
    ] = None,
    success_only: Annotated[
        bool | None, opt.setting(CollectSettings, "success_only", "--success-only/--all")
    ] = None,
    max_attempts: Annotated[
        int | None, opt.setting(CollectSettings, "max_attempts", "--max-attempts")
    ] = None,
    sim_state: Annotated[str | None, opt.setting(CollectSettings, "sim_state", "--sim-state")] = None,
    env_kwargs: opt.EnvKwargs = None,
    horizon: opt.Horizon = None,
    obs_keys: opt.ObsKeys = None,
    success_key: opt.SuccessKey = None,
    config: opt.Config = None,
    preset: opt.Preset = None,
    assign: opt.Assign = [],  # noqa: B006 - typer's way
    seed: opt.Seed = 0,
    workers: opt.Workers = "auto",
    overwrite: opt.Overwrite = False,
    resume: opt.Resume = False,
    if_changed: opt.IfChanged = False,
    dry_run: opt.DryRun = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    time_limit: opt.TimeLimit = None,
    episode_timeout: opt.EpisodeTimeout = "10m",
) -> None:
    """Record episodes of a policy as a dataset.

    Example: awac collect-demos relocate -n 25 --noise 0.1 -o demos.zarr
    """
    report = reporter(quiet=quiet, verbose=verbose, time_limit_s=opt.time_limit_s(time_limit))
    settings = resolve(
        preset=preset,
        file=config,
        assignments=assign,
        flags={
            "collect.episodes": episodes,
            "collect.policy": policy,
            "collect.actions": actions,
            "collect.noise": noise,
            "collect.noise_correlation": noise_correlation,
            "collect.success_only": success_only,
            "collect.max_attempts": max_attempts,
            "collect.sim_state": sim_state,
        },
    ).settings.collect
    spec = task_spec(task, kwargs=env_kwargs, horizon=horizon, obs_keys=obs_keys, success_key=success_key)
    out = output_path(output, DATASET, f"{spec.name}-demos.zarr")
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    run = opt.execution(workers, "1", episode_timeout=episode_timeout)
    from awaccli.stages import collect_demos as stage

    if dry_run:
        _, _, recipe = stage.prepare(spec, settings, seed=seed)
        plan(recipe, out, when, {"episodes": settings.episodes}, as_json=as_json)
        return
    stage.collect_demos(spec, settings, out, seed=seed, execution=run, existing=when, report=report)
    announce(out, as_json=as_json)
