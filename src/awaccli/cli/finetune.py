"""``awac finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import reporter
from awaccli.cli.makers import CHECKPOINT, DATASET, announce, existing, fetch_whole, output_path, plan
from awaccli.config.algorithms import default_preset, flags_of, inherited_settings, section_of
from awaccli.config.resolve import resolve
from awaccli.config.settings import FinetuneSettings


def finetune(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint to go on from, or - for its path on stdin.")],
    output: opt.Output = None,
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Offline dataset, repeatable [default: the checkpoint's own]."),
    ] = [],  # noqa: B006 - typer's way
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Where to look for the checkpoint's own datasets.")
    ] = None,
    add_data: Annotated[
        list[Path],
        typer.Option("--add-data", help="Further online experience, e.g. of a real robot; repeatable."),
    ] = [],  # noqa: B006 - typer's way
    save_online: Annotated[
        Path | None, typer.Option("--save-online", help="Online episodes [default: <stem>-online.zarr].")
    ] = None,
    algo: Annotated[
        str | None, typer.Option("--algo", help="Algorithm that goes on [default: the checkpoint's].")
    ] = None,
    env_steps: Annotated[int | None, opt.setting(FinetuneSettings, "env_steps", "--env-steps")] = None,
    updates: Annotated[int | None, opt.setting(FinetuneSettings, "updates", "--updates")] = None,
    batch_size: Annotated[int | None, opt.setting(FinetuneSettings, "batch_size", "--batch-size")] = None,
    utd: Annotated[float | None, opt.setting(FinetuneSettings, "utd", "--utd")] = None,
    warmup_steps: Annotated[
        int | None, opt.setting(FinetuneSettings, "warmup_steps", "--warmup-steps")
    ] = None,
    offline_ratio: opt.OfflineRatio = None,
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
    """Go on from a checkpoint online; every new episode is kept as a dataset.

    Example: awac finetune pretrained.ckpt --env-steps 20000 -o finetuned.ckpt

    On a robot without a simulator, in rounds of new data:

    Example: awac finetune p.ckpt --add-data x.zarr --env-steps 0 --updates 500
    """
    report = reporter(quiet=quiet, verbose=verbose, time_limit_s=opt.time_limit_s(time_limit))
    opt.refuse_temperature(temperature)
    from awaccli.artifacts.checkpoint import open_checkpoint
    from awaccli.stages.finding import find_training_data

    start = open_checkpoint(opt.one_path(checkpoint, "checkpoint"))
    given, added = opt.paths(data, "dataset"), opt.paths(add_data, "dataset")
    for path in () if dry_run else (*given, *added):
        fetch_whole(path, report)
    limit = opt.memory_bytes(max_memory)
    found = find_training_data(start, given, data_dir=data_dir, added=added, max_memory=limit)
    first = found.all[0].task
    algo = algo or start.content.algo
    section_of(algo)
    before = start.settings().model_dump(mode="json")[start.content.section]
    settings = resolve(
        default=default_preset(algo, first.reward_kind),
        inherited=inherited_settings(algo, start.content.algo, before),
        preset=preset,
        file=config,
        assignments=assign,
        flags={
            "finetune.env_steps": env_steps,
            "finetune.updates": updates,
            "finetune.batch_size": batch_size,
            "finetune.utd": utd,
            "finetune.warmup_steps": warmup_steps,
            "finetune.offline_ratio": offline_ratio,
            **flags_of(algo, lam=lam, discount=discount, n_step=n_step),
        },
    ).settings
    out = output_path(output, CHECKPOINT, f"{first.spec.name}-finetuned.ckpt")
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
    from awaccli.stages import finetune as stage

    online = output_path(save_online or stage.default_online_path(out), DATASET, "")
    if dry_run:
        recipe = stage.planned(
            start, found, settings, out, online, algo=algo, seed=seed, execution=run, existing=when
        )
        others = [online] if settings.finetune.env_steps else []
        plan(recipe, out, when, stage.cost(settings.finetune), as_json=as_json, others=others)
        return
    stage.finetune(
        start,
        found,
        settings,
        out,
        algo=algo,
        online_out=online,
        seed=seed,
        execution=run,
        existing=when,
        report=report,
    )
    announce(out, as_json=as_json)
