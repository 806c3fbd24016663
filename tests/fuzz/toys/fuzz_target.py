"""An artifact that is corrupted and read, whatever its kind."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import specimens
from mutations import changed_bytes, changed_json

from awaccli.artifacts.manifest import read_manifest
from awaccli.reports.info import info, info_text
from awaccli.reports.lineage import dot_text, lineage, tree_text
from awaccli.reports.verify import Verifier

RAW, FILES, FULL = "raw", "files", "full"
"""How far a stranger goes: nothing is resealed; checksums of files are; content ids are too."""


_LONG_AGO = 1_000_000_000
"""Modification time of what is as it was; everything that is written gets another."""


class Target:
    """A sound artifact, its working copy that is corrupted, and what is to be restored afterwards."""

    name: str
    suffix: str

    def __init__(self, folder: Path) -> None:
        self.sound = self.make(folder / f"sound{self.suffix}")
        self.path = folder / f"specimen{self.suffix}"
        files = [file for file in [*self.sound.rglob("*"), self.sound] if file.is_file()]
        self._folders = {self.path / f.relative_to(self.sound) for f in self.sound.rglob("*") if f.is_dir()}
        self._folders.add(self.path)
        self._content = {self.path / file.relative_to(self.sound): file.read_bytes() for file in files}

    def make(self, path: Path) -> Path:
        """Make the sound artifact."""
        raise NotImplementedError

    def corrupt(self, rng: random.Random) -> str:
        """Change the working copy; return in words what was changed."""
        raise NotImplementedError

    def readers(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield every way in which commands read such an artifact."""
        yield "manifest", lambda: read_manifest(self.path)
        yield "info", lambda: info_text(info(self.path))
        yield "verify", lambda: Verifier(deep=True).verify(self.path)
        yield "lineage", lambda: (tree_text(found := lineage(self.path)), dot_text(found))

    def fresh(self) -> None:
        """Make the working copy sound again: what was changed, removed or added since."""
        for place in [*self.path.rglob("*"), self.path][::-1]:
            if place.is_dir() and not place.is_symlink() and place not in self._folders:
                place.rmdir()
                continue
            known = place in self._content and not place.is_symlink()
            if place.is_symlink() or (place.is_file() and not (known and _is_untouched(place))):
                place.unlink()
        for place, content in self._content.items():
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
                os.utime(place, ns=(_LONG_AGO, _LONG_AGO))

    def _changed_file(self, rng: random.Random, file: Path) -> str:
        """Change a file as bytes, or as JSON where it is JSON."""
        data = file.read_bytes()
        if file.suffix == ".json" and rng.random() < 0.8:
            with contextlib.suppress(ValueError, RecursionError):
                file.write_text(changed_json(rng, json.loads(data)))
                return f"{file.name} as JSON"
        file.write_bytes(changed_bytes(rng, data))
        return f"{file.name} as bytes"

    def _changed_manifest(self, rng: random.Random, record: dict) -> bytes:
        """Return a manifest with changed values and the right checksum, or with changed bytes."""
        if rng.random() < 0.1:
            return changed_bytes(rng, specimens.sealed_manifest(record))
        return specimens.sealed_text(changed_json(rng, record).encode())


def odd_values(rng: random.Random, values: np.ndarray) -> np.ndarray:
    """Put some values in that may make no sense."""
    flat = values.reshape(-1)
    pool = (0, 1, -1, 2, 3, 255, 2**31 - 1, -(2**31), 1e30, -1e30, float("nan"), float("inf"), 10**18)
    for _ in range(rng.choice((1, 1, 3))):
        with np.errstate(all="ignore"):
            odd = np.array([rng.choice(pool)], np.float64).astype(values.dtype)
        flat[rng.randrange(min(len(flat), 40)) if len(flat) else slice(0)] = odd[0]
    return values


def _is_untouched(file: Path) -> bool:
    return file.stat().st_mtime_ns == _LONG_AGO
