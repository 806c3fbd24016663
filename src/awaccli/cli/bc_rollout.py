"""``awac bc-rollout``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import reporter
from awaccli.cli.makers import DATASET, announce, existing, open_all, output_path, plan
from awaccli.config.algorithms import default_preset
from awaccli.config.resolve import resolve
from awaccli.config.settings import BcSettings, RolloutSettings


def bc_rollout(
    demos: Annotated[
        Path, typer.Option("--demos", "--data", help="Dataset of demonstrations, or - for its path on stdin.")
    ],
    output: opt.Output = None,
    episodes: Annotated[int | None, opt.setting(RolloutSettings, "episodes", "-n", "--episodes")] = None,
    actions: Annotated[str | None, opt.setting(RolloutSettings, "actions", "--actions")] = None,
    updates: Annotated[int | None, opt.setting(BcSettings, "updates", "--updates")] = None,
    batch_size: Annotated[int | None, opt.setting(BcSettings, "batch_size", "--batch-size")] = None,
    bc_seeds: Annotated[int | None, opt.setting(RolloutSettings, "bc_seeds", "--bc-seeds")] = None,
    include_demos: Annotated[
        bool | None, opt.setting(RolloutSettings, "include_demos", "--include-demos/--no-include-demos")
    ] = None,
    config: opt.Config = None,
    preset: opt.Preset = None,
    assign: opt.Assign = [],  # noqa: B006 - typer's way
    seed: opt.Seed = 0,
    workers: opt.Workers = "auto",
    threads: opt.Threads = "auto",
    device: opt.Device = "cpu",
    max_memory: opt.MaxMemory = None,
    overwrite: opt.Overwrite = False,
    resume: opt.Resume = False,
    if_changed: opt.IfChanged = False,
    dry_run: opt.DryRun = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    time_limit: opt.TimeLimit = None,
    episode_timeout: opt.EpisodeTimeout = "10m",
    trust_env: opt.TrustEnv = False,
) -> None:
    """Clone demonstrations and roll the clone out.

    Commits the trajectories (with the demonstrations), and the clone beside them as <stem>-bc.ckpt.

    Example: awac bc-rollout --demos demos.zarr -n 500 -o relocate.zarr
    """
    report = reporter(quiet=quiet, verbose=verbose, time_limit_s=opt.time_limit_s(time_limit))
    watcher = None if dry_run else report
    (dataset,) = open_all([opt.one_path(demos, "dataset")], watcher, max_memory=max_memory)
    settings = resolve(
        default=default_preset("bc", dataset.task.reward_kind),
        preset=preset,
        file=config,
        assignments=assign,
        flags={
            "rollout.episodes": episodes,
            "rollout.actions": actions,
            "rollout.bc_seeds": bc_seeds,
            "rollout.include_demos": include_demos,
            "bc.updates": updates,
            "bc.batch_size": batch_size,
        },
    ).settings
    out = output_path(output, DATASET, f"{dataset.task.spec.name}.zarr")
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    run = opt.execution(
        workers, threads, device, episode_timeout=episode_timeout, trust_env=trust_env, max_memory=max_memory
    )
    if dry_run:
        from awaccli.stages.bc_rollout import clone_outputs, planned

        clones = clone_outputs(dataset, settings, out, seed=seed, existing=when)
        recipe = planned(dataset, settings, seed=seed, execution=run)
        cost = {"updates": settings.bc.updates * len(clones), "episodes": settings.rollout.episodes}
        plan(recipe, out, when, cost, as_json=as_json, others=[path for path, _ in clones])
        return
    from awaccli.stages.bc_rollout import bc_rollout as stage

    stage(dataset, settings, out, seed=seed, execution=run, existing=when, report=report)
    announce(out, as_json=as_json)
