"""``awac data video``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.cli.data.making import Input, opened
from awaccli.cli.data.replay import episode_spans

_MOST = 16


def video(
    dataset: Input,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A .mp4 (needs the extra `video`) or .gif to make.")
    ],
    episodes: Annotated[
        str | None, typer.Option("--episodes", help="Which: numbers from 0 such as 0,3,10-12.")
    ] = None,
    count: Annotated[
        int, typer.Option("-n", min=1, max=_MOST, help="How many of the first, where none are named.")
    ] = 4,
    every: Annotated[
        int | None,
        typer.Option("--every", min=1, help="Steps between pictures [default: about 25 pictures a second]."),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", min=0.1, max=240, help="Pictures a second [default: as fast as it was]."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            "--width", min=64, max=4096, help="Of each episode, in pixels [default: 640; 320 if several]."
        ),
    ] = None,
    height: Annotated[
        int | None, typer.Option("--height", min=48, max=4096, help="The same [default: 3/4 of the width].")
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option("--camera", help="Name or number of a camera in the model [default: suits the task]."),
    ] = None,
    overwrite: opt.Overwrite = False,
    trust_env: opt.TrustEnv = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Draw episodes of a dataset side by side into a film.

    Each is drawn from its stored states (`--sim-state full`), or else by executing its actions again from
    where it started. Its frame and its words say which one it is, and whether it succeeds.

    Example: awac data video relocate.zarr --episodes 0,3,7 -o relocate.mp4
    """
    report = reporter(quiet=quiet, verbose=False)
    from awaccli.config.settings import Execution
    from awaccli.stages.drawing import VideoSettings, require_film
    from awaccli.stages.video import video as draw

    require_film(output, overwrite=overwrite)
    found = opened(dataset)
    chosen = None
    if episodes is not None:  # numbers far beyond the last episode count as the one after it
        end = len(found)
        spans = ((min(first, end), min(last, end)) for first, last in episode_spans(episodes))
        chosen = tuple(index for first, last in spans for index in range(first, last + 1))
    settings = VideoSettings(chosen, count, every, fps, width, height, camera)
    made = draw(
        found,
        settings,
        output,
        overwrite=overwrite,
        execution=Execution(trust_env=trust_env),
        report=report,
    )
    if as_json:
        emit_json(made.model_dump(mode="json"))
    else:
        emit(str(output))
