"""What a dataset says of itself, and its identity."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from awaccli.artifacts.identity import canonical_json, sha256_arrays
from awaccli.config.json_value import first_problem
from awaccli.config.task import TaskFacts
from awaccli.data.columns import content_columns
from awaccli.episode import Episode
from awaccli.errors import DatasetError

FORMAT: Literal["awac-dataset/1"] = "awac-dataset/1"
_MAX_FIELD_NAME = 200
_FIELD_NAME = re.compile(r"(steps|final|episodes)(/[A-Za-z0-9][A-Za-z0-9_.-]*)+")
_MAX_ROW_AXES = 7
_DTYPE = r"^(\|b1|\|[iu]1|<[iu][248]|<f[248])$"
_START_FIELDS = ("episodes/sim_init", "episodes/model/")


def field_name(name: str) -> str:
    """Return ``name`` if it stays inside the dataset when used as a path.

    Raises:
        ValueError: it does not.
    """
    if not _FIELD_NAME.fullmatch(name) or len(name) > _MAX_FIELD_NAME:
        raise ValueError(f"`{name}` is no field name: expected steps/..., final/... or episodes/...")
    return name


FieldName = Annotated[str, AfterValidator(field_name)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldSpec(_Record):
    """One array of the dataset: a row per step (``steps/``) or per episode (``final/``, ``episodes/``)."""

    dtype: str = Field(pattern=_DTYPE)
    """NumPy's name, little endian: ``<f4``, ``|b1``."""
    shape: tuple[Annotated[int, Field(ge=1, lt=1 << 40)], ...] = Field(default=(), max_length=_MAX_ROW_AXES)
    """Of one row."""
    unit: str = ""
    doc: str = ""

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape)


class Source(_Record):
    """Who acted in an episode."""

    kind: Literal["human", "scripted", "policy", "imported"]
    name: str
    id: str | None = None
    """Content id of the checkpoint, or id of the expert."""
    actions: Literal["mean", "sample"] | None = None
    noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Standard deviation added to actions; the action box is 2 wide."""
    noise_correlation: float = Field(default=0.0, ge=0, lt=1)


class Credits(_Record):
    """Whom to thank for recorded data, and on what terms."""

    authors: str
    licence: str
    citation: str = ""


class Import(_Record):
    """Where imported episodes come from, and what could not be taken over."""

    format: str
    file: str
    """Its name, without the folder."""
    sha256: str
    """Of the file, or of the list of a folder's files."""
    size_bytes: int | None = None
    """Of the file, or of all files in the folder."""
    losses: tuple[str, ...] = ()
    """What was guessed, changed or is missing, in words."""


class Commit(_Record):
    """How much of the arrays is valid: written last, trusted by every reader."""

    n_episodes: int = Field(default=0, ge=0, lt=1 << 40)
    n_steps: int = Field(default=0, ge=0, lt=1 << 40)
    seq: int = Field(default=0, ge=0)
    """Number of commits so far."""
    sealed: bool = False


class Header(_Record):
    """The ``awac`` attribute of a dataset."""

    format: Literal["awac-dataset/1"] = FORMAT
    task: TaskFacts
    sources: tuple[Source, ...]
    """Episodes point here by index."""
    credits: tuple[Credits, ...] = ()
    imports: tuple[Import, ...] = ()
    splits: dict[str, tuple[Annotated[int, Field(ge=0)], ...]] = Field(default_factory=dict)
    """Named subsets: indices of episodes."""
    fields: dict[FieldName, FieldSpec] = Field(default_factory=dict)
    clipped: int = Field(default=0, ge=0)
    """Action entries, in all committed episodes, that were outside the box before execution."""
    commit: Commit = Commit()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; infinite bounds become ``"inf"`` and ``"-inf"``, which pydantic reads."""
        plain: dict[str, Any] = _portable(self.model_dump(mode="json"))
        return plain

    @classmethod
    def from_json(cls, value: object, *, origin: str) -> Self:
        """Read ``to_json`` back.

        Raises:
            DatasetError: not a header, or of another format; ``origin`` names the file.
        """
        found = value.get("format") if isinstance(value, Mapping) else None
        if found != FORMAT:
            raise DatasetError(
                f"`{origin}` has format {found!r}",
                hint=f"this version of awac reads `{FORMAT}` and nothing else",
            )
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise DatasetError(f"the header of `{origin}` is not valid: {first_problem(error)}") from error


def _portable(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {key: _portable(item) for key, item in value.items()}
        case list() | tuple():
            return [_portable(item) for item in value]
        case _:
            return value


def episode_sha256(episode: Episode) -> bytes:
    """Return the content hash of an episode, 32 bytes.

    It covers every per-step field and the final observation, seed, end reason, simulator state at the start
    and model changes; not who acted, nor what follows from these. Container, chunks and codec cannot enter.
    """
    columns = content_columns(episode)
    steps = {name: column for name, column in columns.items() if name.startswith("steps/")}
    final = {name: column for name, column in columns.items() if name.startswith("final/")}
    start = {name: column for name, column in columns.items() if name.startswith("episodes/")}
    return sha256_arrays(steps, extra=sha256_arrays(final, extra=sha256_arrays(start)))


def dataset_id(header: Header, hashes: Iterable[bytes]) -> str:
    """Return the content id: schema, task and the episodes' hashes in order; hexadecimal.

    Sources, credits, imports, splits, field documentation and the state of the commit are outside.
    """
    plain = header.to_json()
    fields = {
        name: [spec["dtype"], spec["shape"], spec["unit"]]
        for name, spec in plain["fields"].items()
        if not name.startswith("episodes/") or name.startswith(_START_FIELDS)
    }
    digest = hashlib.sha256(canonical_json({"format": FORMAT, "fields": fields, "task": plain["task"]}))
    for episode_hash in hashes:
        digest.update(episode_hash)
    return digest.hexdigest()
