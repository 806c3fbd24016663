"""``awac data import``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from awaccli.artifacts.urls import RemotePath, as_path
from awaccli.cli import options as opt
from awaccli.cli.console import PlainReporter, emit, emit_json, reporter
from awaccli.cli.makers import DATASET, existing, output_path, plan, task_spec
from awaccli.errors import UsageError

if TYPE_CHECKING:
    from awaccli.data.formats import Foreign
    from awaccli.data.schema import Credits, Source
    from awaccli.stages.import_data import ImportReport

Kind = Literal["human", "scripted", "policy"]
_KINDS = ("human", "scripted", "policy")


def import_(
    file: Annotated[Path, typer.Argument(help="File or folder of another format, or the URL of a file.")],
    output: opt.Output = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", help="auto, dapg, d4rl, minari, robomimic, lerobot, npz or map [default: auto]."
        ),
    ] = "auto",
    described_by: Annotated[
        Path | None, typer.Option("--map", help="TOML file that says which array of your own file is what.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", help="Task whose reward, success rule and action box the episodes get."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the task, where it has no environment here.")
    ] = None,
    keep_reward: Annotated[
        bool, typer.Option("--keep-reward", help="Keep the recorded reward, also where the task has its own.")
    ] = False,
    success_at_end: Annotated[
        bool,
        typer.Option("--success-at-end", help="Take every episode to end in success, if nothing says it."),
    ] = False,
    source_kind: Annotated[
        str | None, typer.Option("--source-kind", help="Who acted: human, scripted or policy.")
    ] = None,
    source_name: Annotated[str | None, typer.Option("--source-name", help="Their name.")] = None,
    authors: Annotated[str | None, typer.Option("--authors", help="Whom to thank for the data.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="On what terms it may be used.")] = None,
    citation: Annotated[str | None, typer.Option("--citation", help="How to cite it.")] = None,
    env_kwargs: opt.EnvKwargs = None,
    horizon: opt.Horizon = None,
    obs_keys: opt.ObsKeys = None,
    success_key: opt.SuccessKey = None,
    overwrite: opt.Overwrite = False,
    resume: opt.Resume = False,
    if_changed: opt.IfChanged = False,
    dry_run: opt.DryRun = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Make a dataset of a file of another format; say what had to be guessed, changed or left out.

    Example: awac data import door-v0_demos.pickle --task door -o demos.zarr
    """
    report = reporter(quiet=quiet, verbose=verbose)
    out = output_path(output, DATASET, f"{file.stem or 'imported'}.zarr")
    when = existing(overwrite=overwrite, resume=resume, if_changed=if_changed)
    spec = None
    if task is not None:
        if name is not None:
            raise UsageError("--name names what has no --task", hint="leave out one of them")
        spec = task_spec(task, kwargs=env_kwargs, horizon=horizon, obs_keys=obs_keys, success_key=success_key)
    from awaccli.stages.import_data import ImportSettings, prepare_import, write_import

    settings = ImportSettings(
        task=spec,
        name=name,
        horizon=None if spec else horizon,
        obs_keys=tuple(obs_keys.split(",")) if obs_keys and not spec else None,
        keep_reward=keep_reward,
        success_at_end=success_at_end,
        source=_source(source_kind, source_name),
        credits=_credits(authors, licence, citation),
    )
    limit = opt.memory_bytes(max_memory)
    foreign = _opened(as_path(file), form, horizon, described_by, limit, report)
    prepared = prepare_import(foreign, settings, report=report)
    found = prepared.report()
    _tell(found, report)
    if dry_run:
        cost = {"format": found.format, "episodes": found.n_episodes, "steps": found.n_steps}
        more = {"losses": found.losses, "success": found.model_dump(mode="json")["success"]}
        plan(prepared.recipe, out, when, cost | (more if as_json else {}), as_json=as_json)
        return
    dataset = write_import(prepared, out, existing=when, report=report)
    if as_json:
        emit_json(prepared.report(out, dataset.id).model_dump(mode="json"))
    else:
        emit(str(out))


def _opened(
    file: Path,
    form: str,
    horizon: int | None,
    described_by: Path | None,
    max_memory: int | None,
    report: PlainReporter,
) -> Foreign:
    """Open a foreign file; one behind a URL is fetched first."""
    from awaccli.data.formats.registry import read_foreign

    read = partial(
        read_foreign,
        form=form,
        horizon=horizon,
        described_by=described_by,
        max_memory=max_memory,
        report=report,
    )
    if not isinstance(file, RemotePath):
        return read(file)
    from awaccli.artifacts.remote_file import file_copy

    copy = file_copy(file, report)
    return replace(read(copy), origin=file)


def _source(kind: str | None, name: str | None) -> Source | None:
    if kind is None and name is None:
        return None
    from awaccli.data.schema import Source

    chosen: Kind | None = opt.choice("--source-kind", kind, _KINDS)
    return Source(kind=chosen or "imported", name=name or "unknown")


def _credits(authors: str | None, licence: str | None, citation: str | None) -> Credits | None:
    if authors is None and licence is None and citation is None:
        return None
    if authors is None or licence is None:
        raise UsageError(
            "credits need --authors and --licence", hint="e.g. --authors 'our lab' --licence MIT"
        )
    from awaccli.data.schema import Credits

    return Credits(authors=authors, licence=licence, citation=citation or "")


def _tell(found: ImportReport, report: PlainReporter) -> None:
    """Say on stderr what the file lost, and what succeeded."""
    from awaccli.reports.success import rate_text

    known = f", the public set {found.public_set}" if found.public_set else ""
    report.note(f"{found.format}{known}: {found.n_episodes} episodes, {found.n_steps} steps")
    for sentence in found.losses:
        report.note(f"- {sentence}")
    if found.success is None:
        return
    lengths = {"at full length": found.success.full_length}
    if found.success.within_horizon:
        lengths = {f"within {found.success.horizon} steps": found.success.within_horizon} | lengths
    for length, rates in lengths.items():
        shown = ", ".join(f"{rule} {rate_text(getattr(rates, rule))}" for rule in ("final", "any", "held"))
        report.note(f"success {length}: {shown}")
