"""``awac data download``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from awaccli.cli import options as opt
from awaccli.cli.console import emit, emit_json, reporter
from awaccli.errors import UsageError

if TYPE_CHECKING:
    from awaccli.data.public_sets import PublicSet


def download(
    name: Annotated[str | None, typer.Argument(help="Name of a public set; --list shows them.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the public sets that awac knows.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where to put it [default: the user's cache folder].")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option("--mirror", help="Address below which its files are, instead of the published one."),
    ] = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Get a public dataset, check it, and print where it is.

    Repeated, it goes on where it stopped, or only checks what is there.

    Example: awac data download dapg-door
    """
    report = reporter(quiet=quiet, verbose=verbose)
    from awaccli.data import download as downloads
    from awaccli.data.public_sets import PUBLIC_SETS

    if list_:
        _show(list(PUBLIC_SETS.values()), as_json=as_json)
        return
    if name is None:
        raise UsageError("which public set?", hint="awac data download --list")
    chosen = downloads.find_public_set(name)
    found = downloads.download(chosen, folder or _cache_folder(), mirror=mirror, report=report)
    for file in found:
        if not file.pinned:
            report.note(
                f"{file.path.name}: {file.size_bytes} bytes, SHA-256 {file.sha256} (not known before)"
            )
    path = found[0].path if len(found) == 1 else (folder or _cache_folder()) / chosen.name
    report.note(f"import it: awac data import {path} --format {chosen.format} --task {chosen.task}")
    if as_json:
        files = [
            {"path": str(f.path), "size_bytes": f.size_bytes, "sha256": f.sha256, "pinned": f.pinned}
            for f in found
        ]
        emit_json({"schema_version": 1, "name": chosen.name, "path": str(path), "files": files})
    else:
        emit(str(path))


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "awac" / "downloads"


def _show(known: list[PublicSet], *, as_json: bool) -> None:
    facts = [
        {
            "name": found.name,
            "about": found.about,
            "format": found.format,
            "task": found.task,
            "licence": found.credits.licence,
            "pinned": all(file.sha256 for file in found.files),
            "urls": [file.url for file in found.files],
        }
        for found in known
    ]
    if as_json:
        emit_json({"schema_version": 1, "sets": facts})
        return
    emit("hash known  licence     name                       what")
    for fact in facts:
        pinned = "yes" if fact["pinned"] else "no"
        emit(f"{pinned:10}  {fact['licence']:10}  {fact['name']:25}  {fact['about']}")
