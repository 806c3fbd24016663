"""``awac pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import reporter
from awaccli.cli.makers import CHECKPOINT, announce, existing, open_all, output_path, plan
from awaccli.config.algorithms import ALGORITHMS, default_preset, flags_of, own_preset, section_of
from awaccli.config.resolve import resolve
from awaccli.config.settings import PretrainSettings


def pretrain(
    data: Annotated[list[Path], typer.Option("--data", help="Dataset, repeatable; or - for paths on stdin.")],
    output: opt.Output = None,
    held_out: Annotated[
        Path | None,
        typer.Option("--held-out", help="Dataset to measure and not train on; changes nothing that is made."),
    ] = None,
    algo: Annotated[str, typer.Option("--algo", help=f"Algorithm: {', '.join(ALGORITHMS)}.")] = "awac",
    updates: Annotated[int | None, opt.setting(PretrainSettings, "updates", "--updates")] = None,
    batch_size: Annotated[int | None, opt.setting(PretrainSettings, "batch_size", "--batch-size")] = None,
    lam: opt.Lam = None,
    discount: opt.Discount = None,
    n_step: opt.NStep = None,
    temperature: opt.Temperature = None,
    config: opt.Config = None,
    preset: opt.Preset = None,
    assign: opt.Assign = [],  # noqa: B006 - typer's way
    seed: opt.Seed = 0,
    workers: opt.Workers = "auto",
    threads: opt.Threads = "auto",
    device: opt.Device = "cpu",
    precision: opt.Precise = "float32",
    compilation: opt.Compiled = "auto",
    max_memory: opt.MaxMemory = None,
    eval_every: opt.EvalEvery = 0,
    eval_episodes: opt.EvalEpisodes = 20,
    save_every: opt.SaveEvery = 0,
    log: opt.Log = None,
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
    """Train on datasets, without stepping an environment.

    With --held-out, log likelihood and TD error on episodes that are not trained on are logged every
    --eval-every updates and at the end: all that can be measured where there is no simulator.

    Example: awac pretrain --data relocate.zarr -o pretrained.ckpt
    """
    report = reporter(quiet=quiet, verbose=verbose, time_limit_s=opt.time_limit_s(time_limit))
    opt.refuse_temperature(temperature)
    section_of(algo)
    watcher = None if dry_run else report
    datasets = open_all(opt.paths(data, "dataset"), watcher, max_memory=max_memory)
    held = (
        open_all([opt.one_path(held_out, "dataset")], report, max_memory=max_memory)[0] if held_out else None
    )
    section = "bc" if algo == "bc" else "pretrain"
    settings = resolve(
        default=default_preset(algo, datasets[0].task.reward_kind),
        inherited=own_preset(algo),
        preset=preset,
        file=config,
        assignments=assign,
        flags={
            f"{section}.updates": updates,
            f"{section}.batch_size": batch_size,
            **flags_of(algo, lam=lam, discount=discount, n_step=n_step),
        },
    ).settings
    ending = "-bc.ckpt" if algo == "bc" else "-pretrained.ckpt"
    out = output_path(output, CHECKPOINT, f"{datasets[0].task.spec.name}{ending}")
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    run = opt.execution(
        workers,
        threads,
        device,
        precision=precision,
        compilation=compilation,
        episode_timeout=episode_timeout,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        save_every=save_every,
        log=log,
        trust_env=trust_env,
        max_memory=max_memory,
    )
    from awaccli.stages import pretrain as stage
    from awaccli.stages.held_out import require_held_out

    if dry_run:
        stage.require_trusted_task(datasets, run)
        if held is not None:
            require_held_out(held, datasets)
        recipe = stage.pretrain_recipe(datasets, settings, algo=algo, seed=seed)
        cost = {
            "updates": getattr(settings, section).updates,
            "transitions": sum(d.n_steps for d in datasets),
        }
        plan(recipe, out, when, cost, as_json=as_json)
        return
    stage.pretrain(
        datasets,
        settings,
        out,
        algo=algo,
        seed=seed,
        execution=run,
        existing=when,
        held_out=held,
        report=report,
    )
    announce(out, as_json=as_json)
