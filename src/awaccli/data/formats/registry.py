"""The foreign formats by name; each is imported when it is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from awaccli.config.resolve import did_you_mean
from awaccli.data.formats import Export, Foreign
from awaccli.errors import InputError, UsageError
from awaccli.protocols import SILENT, Reporter

READ = ("dapg", "d4rl", "minari", "robomimic", "lerobot", "npz", "map")
"""Formats that are read; ``map`` is anyone's own, described by a file."""
WRITTEN = READ[:-1]
"""Formats that are written."""


def read_foreign(
    path: Path,
    form: str = "auto",
    *,
    horizon: int | None = None,
    described_by: Path | None = None,
    max_memory: int | None = None,
    report: Reporter = SILENT,
) -> Foreign:
    """Open a foreign file or folder.

    Args:
        path: the file or folder.
        form: a name in ``READ``, or ``auto``: found out by looking into it.
        horizon: length of episodes that only the clock ended, where the file does not say where they end.
        described_by: a TOML file that says which of its arrays is what; see `mapped.py`.
        max_memory: bytes that work on it may take; see `Dataset.max_memory`.
        report: whom to tell how far a first look is.

    Raises:
        UsageError: no such format, or a description without its format.
        InputError: missing, damaged, or of no known format.
    """
    if not path.exists():
        raise InputError(f"`{path}` does not exist", hint="known public sets: awac data download --list")
    if described_by is not None:
        if form not in ("auto", "map"):
            raise UsageError(
                f"--map describes a file that --format {form} knows", hint="leave out one of them"
            )
        from awaccli.data.formats.mapped import read_mapped

        return replace(read_mapped(path, described_by), max_memory=max_memory)
    if form == "auto":
        from awaccli.data.formats.detect import detect

        form = detect(path)
    return replace(_read(path, form, horizon, max_memory, report), max_memory=max_memory)


def _read(path: Path, form: str, horizon: int | None, max_memory: int | None, report: Reporter) -> Foreign:
    match form:
        case "dapg":
            from awaccli.data.formats.dapg import read_dapg

            return read_dapg(path, max_memory=max_memory)
        case "d4rl":
            from awaccli.data.formats.d4rl import read_d4rl

            return read_d4rl(path, horizon=horizon)
        case "npz":
            from awaccli.data.formats.npz import read_npz

            return read_npz(path, horizon=horizon)
        case "minari":
            from awaccli.data.formats.minari import read_minari

            return read_minari(path, report)
        case "robomimic":
            from awaccli.data.formats.robomimic import read_robomimic

            return read_robomimic(path, report)
        case "lerobot":
            from awaccli.data.formats.lerobot import read_lerobot

            return read_lerobot(path, report)
        case "map":
            raise UsageError("--format map needs a description", hint="--map robot.toml: which array is what")
        case _:
            raise UsageError(f"unknown format `{form}`", hint=did_you_mean(form, READ))


def export_of(form: str) -> Export:
    """Return how datasets are written in a format.

    Raises:
        UsageError: no such format.
    """
    match form:
        case "dapg":
            from awaccli.data.formats import dapg

            return dapg.EXPORT
        case "d4rl":
            from awaccli.data.formats import d4rl

            return d4rl.EXPORT
        case "npz":
            from awaccli.data.formats import npz

            return npz.EXPORT
        case "minari":
            from awaccli.data.formats import minari

            return minari.EXPORT
        case "robomimic":
            from awaccli.data.formats import robomimic

            return robomimic.EXPORT
        case "lerobot":
            from awaccli.data.formats import lerobot

            return lerobot.EXPORT
        case _:
            raise UsageError(f"unknown format `{form}`", hint=did_you_mean(form, WRITTEN))
