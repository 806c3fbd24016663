"""``awac data replay``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from awaccli.artifacts.urls import here
from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.cli.makers import EVALUATION, output_path
from awaccli.errors import CheckError, UsageError

_MODES = ("auto", "start", "seed")
_SPAN = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


def replay(
    dataset: Annotated[Path, typer.Argument(help="Dataset to replay, or - for its path on stdin.")],
    episodes: Annotated[
        str, typer.Option("--episodes", help="Which: all, or numbers from 0 such as 0,3,10-19.")
    ] = "all",
    mode: Annotated[
        str,
        typer.Option("--mode", help="From stored start states, or from seeds; auto: states where stored."),
    ] = "auto",
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            min=0,
            max=0.5,
            help="Error that still counts as equal; relative for numbers above 1.",
        ),
    ] = 1e-5,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The certificate [default: X.replay.json beside X.zarr]."),
    ] = None,
    overwrite: opt.Overwrite = False,
    workers: opt.Workers = "auto",
    episode_timeout: opt.EpisodeTimeout = "10m",
    trust_env: opt.TrustEnv = False,
    max_memory: opt.MaxMemory = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Execute recorded actions again, and certify how far the simulator does what it did; exit 6 if not.

    Every episode is bit-exact, within the tolerance, or diverged at a step. The dataset is only read.

    Example: awac data replay relocate.zarr --episodes 0-4
    """
    report = reporter(quiet=quiet, verbose=False)
    start_from = opt.choice("--mode", mode, _MODES)
    spans = [] if episodes == "all" else episode_spans(episodes)
    run = opt.execution(workers, "1", episode_timeout=episode_timeout, trust_env=trust_env)
    path = opt.one_path(dataset, "dataset")
    from awaccli.data.certificate import certificate_path
    from awaccli.data.dataset import open_dataset
    from awaccli.reports.replay import replay_text
    from awaccli.stages.replay import ReplaySettings
    from awaccli.stages.replay import replay as execute

    out = output_path(output or certificate_path(here(path)), EVALUATION, "")
    opened = open_dataset(path, max_memory=opt.memory_bytes(max_memory))
    # numbers far beyond the last episode count as the one after it: that one is missed, too
    chosen = [n for first, last in spans for n in range(min(first, len(opened)), min(last, len(opened)) + 1)]
    settings = ReplaySettings(start_from, tolerance, tuple(chosen) or None)
    found = execute(opened, settings, out, overwrite=overwrite, execution=run, report=report)
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(replay_text(found, out))
    if not found.ok:
        first = next(verdict for verdict in found.episodes if verdict.verdict == "diverged")
        raise CheckError(
            f"`{path}`: {found.summary.diverged} of {len(found.episodes)} episodes diverged, "
            f"first episode {first.episode} at step {first.step}",
            hint="docs/replay.md says what that can mean; --mode seed and --mode start tell different things",
        )


def episode_spans(text: str) -> list[tuple[int, int]]:
    """Return the first and last numbers of the spans that `0,3,10-19` names."""
    spans = []
    for part in text.split(","):
        match = _SPAN.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise UsageError(
                f"--episodes {text}: `{part}` names no episode", hint="expected e.g. 0,3,10-19, or all"
            )
        spans.append((first, last))
    return spans
