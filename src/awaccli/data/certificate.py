"""Replay certificates: what came of executing a dataset's actions again. One sealed JSON file each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from awaccli.artifacts.identity import sha256_json
from awaccli.artifacts.json_file import read_json_bytes
from awaccli.artifacts.manifest import Run
from awaccli.config.json_value import first_problem, parse_json
from awaccli.config.task import TaskSpec
from awaccli.errors import InputError

Mode = Literal["start", "seed"]
Outcome = Literal["bit-exact", "within-tolerance", "diverged", "not-replayed"]
_SEAL = "sha256"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Verdict(_Record):
    """What came of one episode."""

    episode: int
    verdict: Outcome
    mode: Mode | None = None
    """From where it started: the stored state of the simulator, or the seed."""
    step: int | None = None
    """After how many actions: the first time beyond the tolerance, or else the largest error; from 0."""
    field: str | None = None
    """What differs there most: observations, rewards, success or terminations."""
    dimension: int | None = None
    """Of the observation."""
    error: float | None = None
    """How much it differs there; None where a number is not finite."""
    largest_error: float | None = None
    """In the whole episode."""
    reason: str | None = None
    """Why it was not replayed."""


class Summary(_Record):
    """How many episodes ended how."""

    bit_exact: int
    within_tolerance: int
    diverged: int
    not_replayed: int


class Simulator(_Record):
    """What decides the numbers of an environment."""

    versions: dict[str, str]
    """Of its packages."""
    mjcf_sha256: str | None
    """Hash of the compiled MuJoCo model."""

    def differences(self, other: Simulator) -> list[str]:
        """Return how the simulator that recorded (self) differs from the ``other`` that replays, in words."""
        packages = sorted(self.versions.keys() | other.versions.keys())
        pairs = [(name, self.versions.get(name), other.versions.get(name)) for name in packages]
        found = [
            f"recorded with {name} {old or 'of unknown version'}, replayed with {new or 'none'}"
            for name, old, new in pairs
            if old != new
        ]
        if self.mjcf_sha256 != other.mjcf_sha256:
            found.append("the compiled MuJoCo model is not the recorded one")
        return found


class Certificate(_Record):
    """What came of replaying a dataset, and under which conditions."""

    schema_version: Literal[1] = 1
    kind: Literal["replay"] = "replay"
    dataset: str
    """Content id."""
    path: str
    """Name of the dataset, without its folder."""
    task: TaskSpec
    mode: Literal["auto", "start", "seed"]
    tolerance: float = Field(ge=0, allow_inf_nan=False)
    """Largest error that counts as equal: absolute up to 1, relative to the recorded number beyond."""
    recorded: Simulator
    installed: Simulator
    summary: Summary
    episodes: tuple[Verdict, ...]
    """In rising order."""
    run: Run

    @property
    def ok(self) -> bool:
        """No replayed episode diverged."""
        return self.summary.diverged == 0

    def to_bytes(self) -> bytes:
        """Return the text of the file; it ends in the SHA-256 of its values."""
        body = self.model_dump(mode="json")
        return json.dumps({**body, _SEAL: sha256_json(body)}, indent=1).encode() + b"\n"


def certificate_path(dataset: Path) -> Path:
    """Return where the certificate of a dataset is, unless told otherwise: ``X.replay.json`` beside it."""
    return dataset.with_name(f"{dataset.stem}.replay.json")


def open_certificate(path: Path) -> Certificate:
    """Open a certificate.

    Raises:
        InputError: missing, changed since, or another kind of file.
    """
    if not path.is_file():
        raise InputError(f"`{path}` does not exist", hint="`awac data replay` makes it")
    text = read_json_bytes(path)
    try:
        record = parse_json(text)
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.pop(_SEAL, None) is None:
        raise InputError(f"`{path}` is no replay certificate", hint="`awac data replay` makes one")
    try:
        certificate = Certificate.model_validate(record)
    except ValidationError as error:
        raise InputError(f"`{path}` is no replay certificate: {first_problem(error)}") from error
    if certificate.to_bytes() != text:
        raise InputError(f"`{path}` is damaged: its bytes are not those that awac wrote", hint="replay again")
    return certificate
