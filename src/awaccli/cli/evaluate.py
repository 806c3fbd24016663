"""``awac eval``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.cli.makers import EVALUATION, existing, open_all, output_path, plan, task_spec
from awaccli.config.resolve import resolve
from awaccli.config.settings import EvaluateSettings, Execution
from awaccli.errors import CheckError, UsageError

if TYPE_CHECKING:
    from awaccli.artifacts.checkpoint import Checkpoint
    from awaccli.config.task import TaskSpec
    from awaccli.data.dataset import Dataset
    from awaccli.data.evaluation import Evaluation
    from awaccli.episode import Episode
    from awaccli.protocols import Reporter
    from awaccli.stages.drawing import Film, VideoSettings

_MOST = 16


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint to measure, or - for its path on stdin.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Keep the result as a file.")] = None,
    episodes: Annotated[int | None, opt.setting(EvaluateSettings, "episodes", "-n", "--episodes")] = None,
    actions: Annotated[str | None, opt.setting(EvaluateSettings, "actions", "--actions")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Task to measure on [default: the checkpoint's].")
    ] = None,
    min_success: Annotated[
        float | None, typer.Option("--min-success", min=0, max=1, help="Exit 6 below this success rate.")
    ] = None,
    success: Annotated[
        str, typer.Option("--success", help="Which success --min-success means: any, final or held.")
    ] = "final",
    video: Annotated[
        Path | None,
        typer.Option("--video", help="Draw episodes into a .mp4 (needs the extra `video`) or .gif, too."),
    ] = None,
    video_episodes: Annotated[
        int | None,
        typer.Option(
            "--video-episodes",
            min=1,
            max=_MOST,
            help="How many: the first, and a success and a failure where there are both [default: 4].",
        ),
    ] = None,
    video_every: Annotated[
        int | None,
        typer.Option(
            "--video-every", min=1, help="Steps between pictures [default: about 25 pictures a second]."
        ),
    ] = None,
    video_width: Annotated[
        int | None,
        typer.Option(
            "--video-width",
            min=64,
            max=4096,
            help="Of each episode, in pixels [default: 640; 320 if several].",
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Measure on --data alone: likelihood, TD error, fitted Q.")
    ] = False,
    data: Annotated[list[Path], typer.Option("--data", help="Held-out dataset for --offline; repeats.")] = [],  # noqa: B006 - typer's way
    fqe_updates: Annotated[
        int, typer.Option("--fqe-updates", min=0, help="Updates of fitted Q evaluation; 0: leave it out.")
    ] = 5_000,
    env_kwargs: opt.EnvKwargs = None,
    horizon: opt.Horizon = None,
    obs_keys: opt.ObsKeys = None,
    success_key: opt.SuccessKey = None,
    config: opt.Config = None,
    preset: opt.Preset = None,
    assign: opt.Assign = [],  # noqa: B006 - typer's way
    seed: opt.Seed = 0,
    workers: opt.Workers = "auto",
    threads: opt.Threads = "auto",
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
    """Roll out a policy and count success at any step, at the last step, and held.

    Where there is no simulator, --offline says what held-out data can. What stops a --video costs no
    measurement: the result is printed, and kept with -o, before its error ends the command.

    Example: awac eval finetuned.ckpt -n 100 --min-success 0.9
    """
    report = reporter(quiet=quiet, verbose=verbose, time_limit_s=opt.time_limit_s(time_limit))
    opt.choice("--success", success, ("any", "final", "held"))
    out = output_path(output, EVALUATION, "") if output else None
    settings = resolve(
        preset=preset,
        file=config,
        assignments=assign,
        flags={"evaluate.episodes": episodes, "evaluate.actions": actions},
    ).settings.evaluate
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    run = opt.execution(workers, "1", episode_timeout=episode_timeout, trust_env=trust_env)
    from awaccli.artifacts.checkpoint import open_checkpoint
    from awaccli.stages import evaluate as stage

    look = _look(video, video_episodes, video_every, video_width, overwrite=overwrite)
    opened = open_checkpoint(opt.one_path(checkpoint, "checkpoint"))
    if offline or data:
        if not (offline and data) or output or task or min_success is not None or video or dry_run:
            raise UsageError(
                "--offline goes with --data, not with -o, --task, --min-success, --video or --dry-run",
                hint="awac eval CKPT --offline --data HELD.zarr --json",
            )
        run = opt.execution("1", threads, episode_timeout="0s", max_memory=max_memory)
        held = open_all(opt.paths(data, "dataset"), report, max_memory=max_memory)
        _offline(opened, held, fqe_updates, seed=seed, execution=run, as_json=as_json, report=report)
        return
    spec = _task(task, kwargs=env_kwargs, horizon=horizon, obs_keys=obs_keys, success_key=success_key)
    from awaccli.stages.evaluation_video import evaluation_video, require_drawable

    if dry_run:
        recipe = stage.planned(opened, settings, spec, seed=seed, execution=run)
        if video:
            require_drawable(opened, look, task=spec, execution=run)
        others = [video] if video else []
        plan(recipe, out, when, {"episodes": settings.episodes}, as_json=as_json, others=others)
        return
    seen: list[Episode] = []
    result = stage.evaluate(
        opened,
        settings,
        out,
        task=spec,
        seed=seed,
        execution=run,
        existing=when,
        report=report,
        seen=seen.extend,
    )
    draw = partial(
        evaluation_video,
        opened,
        settings,
        look=look,
        episodes=seen,
        task=spec,
        seed=seed,
        execution=run,
        overwrite=overwrite,
        report=report,
    )
    _say(result, partial(draw, video) if video else None, as_json=as_json, report=report)
    reached = getattr(result.outcome.success, success).rate
    if min_success is not None and reached < min_success:
        raise CheckError(f"success ({success}) is {reached:.2f}, below {min_success:.2f}")


def _task(
    task: str | None,
    *,
    kwargs: str | None,
    horizon: int | None,
    obs_keys: str | None,
    success_key: str | None,
) -> TaskSpec | None:
    """Return the task to measure on, or None: the checkpoint's own."""
    if task is not None:
        return task_spec(task, kwargs=kwargs, horizon=horizon, obs_keys=obs_keys, success_key=success_key)
    if kwargs or horizon or obs_keys or success_key:
        raise UsageError(
            "--env-kwargs, --horizon, --obs-keys and --success-key describe the --task, which is not given",
            hint="name the task too, or leave them out: the checkpoint knows its own",
        )
    return None


def _look(
    video: Path | None, episodes: int | None, every: int | None, width: int | None, *, overwrite: bool
) -> VideoSettings:
    """Return how the film is to be, having checked that it can be written."""
    from awaccli.stages.drawing import VideoSettings, require_film

    if video:
        require_film(video, overwrite=overwrite)
    elif episodes or every or width:
        raise UsageError(
            "--video-episodes, --video-every and --video-width go with --video",
            hint="name the film, e.g. --video out.mp4",
        )
    return VideoSettings(count=episodes or 4, every=every, width=width)


def _say(result: Evaluation, draw: Callable[[], Film] | None, *, as_json: bool, report: Reporter) -> None:
    """Print what was measured, whatever becomes of the film: in JSON, one that could not be made is null."""
    if not as_json:
        from awaccli.reports.success import evaluation_text

        emit(evaluation_text(result))
    film = None
    try:
        if draw:
            film = draw()
            report.note(f"made {film.path}")
    finally:
        if as_json:
            filmed = {"video": film.model_dump(mode="json") if film else None} if draw else {}
            emit_json(result.for_readers() | filmed)


def _offline(
    checkpoint: Checkpoint,
    data: Sequence[Dataset],
    fqe_updates: int,
    *,
    seed: int,
    execution: Execution,
    as_json: bool,
    report: Reporter,
) -> None:
    from awaccli.reports.success import offline_text
    from awaccli.stages.offline_evaluation import evaluate_offline

    found = evaluate_offline(
        checkpoint,
        data,
        fqe_updates=fqe_updates,
        seed=seed,
        execution=execution,
        report=report,
    )
    if found.seen:
        report.warn("the checkpoint was trained on some of these datasets: nothing here is held out")
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(offline_text(found))
