"""The description of somebody's recordings, ``robot.toml``: which array is what.

docs/import-export.md shows every key in use.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from awaccli.config.json_value import first_problem
from awaccli.config.resolve import did_you_mean
from awaccli.data.expression import Condition
from awaccli.data.schema import Credits
from awaccli.errors import InputError, UsageError

_EXAMPLE = "docs/import-export.md has an example"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Signal(_Section):
    """An array, and what turns its numbers into the wanted unit."""

    path: str = Field(min_length=1, description="of the array: group/name in HDF5, its name in npz")
    scale: float = Field(default=1.0, description="numbers are multiplied by this")
    unit: str = Field(default="", description="of the numbers after that, e.g. rad or N")


class FieldSignal(_Section):
    """An array for rules, kept as a further column."""

    path: str = Field(min_length=1, description="of the array: group/name in HDF5, its name in npz")
    at: Literal["before", "after"] = Field(
        default="after", description="row t was recorded before action t, as observations are, or after it"
    )


class EpisodeIndex(_Section):
    """How episodes are told apart: one of these; none where terminations or truncations end them."""

    groups: str | None = Field(default=None, description="pattern of groups, one per episode: data/demo_*")
    files: str | None = Field(
        default=None, description="pattern of files in a folder, one per episode: *.npz"
    )
    lengths: str | None = Field(default=None, description="array of the episodes' lengths")
    starts: str | None = Field(default=None, description="array of the episodes' first rows")
    ends: str | None = Field(default=None, description="array of the rows after the episodes' last")
    dones: str | None = Field(default=None, description="array of flags that end an episode, for any reason")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) > 1:
            raise ValueError(
                f"episodes are told apart in one way, not by {' and '.join(self.model_fields_set)}"
            )
        return self


class Acted(_Section):
    """Who acted."""

    kind: Literal["human", "scripted", "policy", "imported"] = "imported"
    name: str = Field(default="unknown", min_length=1)


def _as_table(value: object) -> object:
    """Accept a path in place of a table."""
    return {"path": value} if isinstance(value, str) else value


def _as_tables(value: object) -> object:
    """Accept one path, or a list of paths, in place of a table of named ones."""
    if isinstance(value, str):
        return {"observation": value}
    if isinstance(value, list) and all(isinstance(path, str) for path in value):
        return {path.rpartition("/")[2]: path for path in value}
    return value


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _readable(text: str) -> str:
    try:
        Condition(text)
    except UsageError as error:
        raise ValueError(f"{error}; {error.hint}") from error
    return text


_Signal = Annotated[Signal, BeforeValidator(_as_table)]
_Bounds = Annotated[list[float], BeforeValidator(_as_list), Field(min_length=1)]


class RobotMap(_Section):
    """A description of somebody's recordings."""

    name: str = Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$", description="of the task, used in file names")
    observations: Annotated[dict[str, _Signal], BeforeValidator(_as_tables), Field(min_length=1)] = Field(
        description="array or arrays that together are the observation, in this order"
    )
    actions: Annotated[list[_Signal], BeforeValidator(_as_list), Field(min_length=1)] = Field(
        description="array or arrays that together are the action, in this order"
    )
    rewards: str | None = Field(default=None, description="array of the rewards after each action")
    reward_range: tuple[float, float] | None = Field(default=None, description="smallest and largest reward")
    success: Annotated[str, AfterValidator(_readable)] | None = Field(
        default=None, description="when the goal is met, e.g. distance < 0.02: over fields and observations"
    )
    success_rule: str | None = Field(default=None, description="the same in words [default: the rule]")
    held_steps: int | None = Field(default=None, ge=0, description="held: more successful steps than this")
    terminations: str | None = Field(
        default=None, description="array of flags: the task ended after the action"
    )
    truncations: str | None = Field(default=None, description="array of flags: the clock did")
    action_low: _Bounds | None = Field(default=None, description="lower bounds of actions: one, or one each")
    action_high: _Bounds | None = Field(default=None, description="upper bounds of actions: one, or one each")
    horizon: int | None = Field(default=None, ge=1, description="steps after which the clock ends an episode")
    control_dt: float | None = Field(default=None, gt=0, description="seconds per step")
    fields: dict[str, Annotated[FieldSignal, BeforeValidator(_as_table)]] = Field(
        default_factory=dict, description="further arrays by name: for the rule, and kept as columns"
    )
    episodes: EpisodeIndex = EpisodeIndex()
    source: Acted = Acted()
    credits: Credits | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.rewards is None and self.success is None:
            raise ValueError(
                "name the array of rewards, or the rule of success, which makes rewards of 0 and -1"
            )
        if (self.action_low is None) != (self.action_high is None):
            raise ValueError("give both action_low and action_high, or neither")
        if not self.episodes.model_fields_set and self.terminations is None and self.truncations is None:
            raise ValueError(
                "[episodes] does not say how they are told apart: groups, files, lengths, dones ..."
            )
        return self


def load_map(path: Path) -> RobotMap:
    """Read a description.

    Raises:
        InputError: it is missing, or not TOML.
        UsageError: a key is unknown, missing, or has a value that it cannot have.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"`{path}` does not exist", hint=_EXAMPLE) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"`{path}` cannot be read as TOML: {error}", hint=_EXAMPLE) from error
    try:
        return RobotMap.model_validate(tree)
    except ValidationError as error:
        raise UsageError(f"`{path}`: {first_problem(error)}", hint=_hint(error)) from error


_TABLES: dict[str, type[BaseModel]] = {
    "observations": Signal,
    "actions": Signal,
    "fields": FieldSignal,
    "episodes": EpisodeIndex,
    "source": Acted,
    "credits": Credits,
}


def _hint(error: ValidationError) -> str:
    """Return what was meant, or what the key is for."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    model = _TABLES[where[0]] if len(where) > 1 else RobotMap
    if not where:
        return _EXAMPLE
    if first["type"] == "extra_forbidden":
        return did_you_mean(where[-1], list(model.model_fields))
    field = model.model_fields.get(where[-1])
    return f"{where[-1]}: {field.description}" if field and field.description else _EXAMPLE
