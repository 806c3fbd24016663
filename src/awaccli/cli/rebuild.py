"""``awac rebuild``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import PlainReporter, Signals, emit, emit_json
from awaccli.errors import CheckError, InputError

if TYPE_CHECKING:
    from pydantic import BaseModel

_TRUST = "if you trust who made it, repeat the command with --trust-env"


def rebuild(
    artifact: Annotated[Path, typer.Argument(help="Dataset, checkpoint or evaluation; or - for stdin.")],
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Folder for what is made [default: <stem>-rebuild].")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Run the commands, and compare what they make.")] = False,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Use ancestors that are on disk as they are.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Exit 6 where a recipe is equal, but the content differs.")
    ] = False,
    episodes: Annotated[
        int, typer.Option("-n", "--episodes", min=1, help="Episodes to measure checkpoints that differ.")
    ] = 100,
    parents: opt.Parents = None,
    workers: opt.Workers = "auto",
    episode_timeout: opt.EpisodeTimeout = "10m",
    trust_env: opt.TrustEnv = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Print the commands that make an artifact again from its roots, or run them.

    With --run, an interrupted rebuild goes on when it is repeated, and every artifact must come out with the
    id that was recorded. Where only its recipe is the same, as on other hardware, both are measured.

    Example: awac rebuild finetuned.ckpt --run
    """
    from awaccli.reports.rebuild import plan as prepare

    report = PlainReporter(Signals(), quiet=quiet)  # bars on stderr are those of the commands
    path = opt.one_path(artifact, "artifact")
    execution = opt.execution(workers, "1", episode_timeout=episode_timeout, trust_env=trust_env)
    target = folder or Path(f"{path.stem}-rebuild")
    plan = prepare(path, target, parents=parents, reuse=reuse, trust_env=trust_env)
    for note in plan.notes:
        report.note(note)
    for doubt in plan.doubts if not trust_env else ():
        if run:
            raise InputError(doubt, hint=_TRUST)
        report.warn(f"{doubt}; {_TRUST}")
    if run:
        from awaccli.reports.rebuilt import confirm, rebuilt_text
        from awaccli.stages.rebuild import measure, run_commands

        run_commands(
            [command.arguments for command in plan.commands],
            Path(plan.folder),
            files={Path(file.path): file.text for file in plan.files},
            options=["--workers", workers, "--episode-timeout", episode_timeout],
            quiet=quiet,
            report=report,
        )
        found = confirm(plan, partial(measure, episodes=episodes, execution=execution, report=report))
        _print(found, rebuilt_text(found), as_json=as_json)
        if not found.recipes_equal or (exact and not found.same):
            what = "content" if found.recipes_equal else "recipe"
            raise CheckError(f"what was made of `{path}` has another {what} than recorded")
    else:
        _print(plan, "\n".join(plan.lines()), as_json=as_json)


def _print(found: BaseModel, text: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit(text)
