"""Which format a file or folder has, told by looking into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from awaccli.artifacts.hdf5 import is_sealed
from awaccli.artifacts.manifest import MANIFEST
from awaccli.data.formats import hdf5
from awaccli.data.formats.arrays_in_pickles import looks_pickled
from awaccli.data.formats.npz_arrays import is_npz
from awaccli.errors import InputError


def detect(path: Path) -> str:
    """Return the name of the format that a file or folder has.

    Raises:
        InputError: none that awac knows; the message says what was looked for, and what was missing.
    """
    if (path / MANIFEST).is_file() or (path.is_file() and is_sealed(path)):
        raise InputError(f"`{path}` is a dataset of awac already", hint="there is nothing to import: use it")
    misses = []
    for form, missing in _PROBES.items():
        miss = missing(path)
        if miss is None:
            return form
        misses.append(f"{form}: {miss}")
    raise InputError(
        f"`{path}` has no format that awac knows ({'; '.join(misses)})",
        hint="name it with --format, or describe your own file with --map robot.toml",
    )


def _no_lerobot(path: Path) -> str | None:
    return None if (path / "meta" / "info.json").is_file() else "no meta/info.json in it"


def _no_minari(path: Path) -> str | None:
    for folder in (path / "data", path):
        if (folder / "metadata.json").is_file():
            return None
    return "no data/metadata.json in it"


def _no_hdf5(path: Path) -> str | None:
    return None if path.is_file() and hdf5.is_hdf5(path) else "no HDF5 file"


def _no_robomimic(path: Path) -> str | None:
    if miss := _no_hdf5(path):
        return miss
    with hdf5.opened(path) as file:
        demos = [name for name in file.members("data") if file.is_group(f"data/{name}")]
        return (
            None if any(f"data/{name}/actions" in file for name in demos) else "no data/demo_*/actions in it"
        )


def _no_d4rl(path: Path) -> str | None:
    if miss := _no_hdf5(path):
        return miss
    with hdf5.opened(path) as file:
        wanted = ("observations", "actions", "rewards", "terminals")
        missing = [name for name in wanted if name not in file]
        return f"no {', '.join(missing)} in it" if missing else None


def _no_npz(path: Path) -> str | None:
    return None if is_npz(path) else "no zip archive of arrays"


def _no_dapg(path: Path) -> str | None:
    return None if path.is_file() and looks_pickled(path) else "no pickle"


_PROBES: dict[str, Callable[[Path], str | None]] = {
    "lerobot": _no_lerobot,
    "minari": _no_minari,
    "robomimic": _no_robomimic,
    "d4rl": _no_d4rl,
    "npz": _no_npz,
    "dapg": _no_dapg,
}
"""By format: looks into a path, and says what is missing."""
