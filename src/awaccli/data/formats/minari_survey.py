"""What the episodes of a dataset of Minari have in common, found before any of them is imported."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from awaccli.data.formats.minari_storage import Columns, Storage
from awaccli.data.formats.notes import NOTE
from awaccli.data.schema import field_name
from awaccli.errors import InputError

_SUCCESS = ("success", "is_success")
SIM = ("qpos", "qvel")
_MAX_EPISODE_BYTES = 4 << 30


class Survey:
    """Which episodes there are, and which further columns all of them have, in one shape and dtype."""

    def __init__(self, folder: Path, horizon: int | None, observed: Sequence[str]) -> None:
        """Look for the observations at these paths of their space."""
        self.numbers: list[int] = []
        self.horizon = horizon
        self._folder = folder
        self._observed = [f"observations/{path}".rstrip("/") for path in observed]
        self._infos: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        """Shape of a row, and dtype."""
        self._after_reset: Counter[str] = Counter()
        """In how many episodes a column begins with a row for the reset."""
        self._left_out: set[str] = set()
        self._found: Counter[str] = Counter()

    @property
    def unnoted(self) -> int:
        """Episodes without a note of awac."""
        return self._found["unnoted"]

    @property
    def success(self) -> str | None:
        """The further column that says whether the goal is met."""
        return next((name for name in _SUCCESS if name in self._infos and not self._infos[name][0]), None)

    @property
    def sim(self) -> list[str]:
        """Further columns that are simulator states: before the first action, and after each."""
        return [
            name
            for name in SIM
            if name in self._infos
            and len(self._infos[name][0]) == 1
            and self._infos[name][1].kind == "f"
            and self._after_reset[name] == len(self.numbers)
        ]

    @property
    def infos(self) -> list[str]:
        """All other further columns."""
        taken = {self.success, *self.sim}
        return [name for name in self._infos if name not in taken]

    def add(self, storage: Storage, number: int) -> None:
        """Look at an episode.

        Raises:
            InputError: something is missing, of the wrong length, or too large.
        """
        columns, facts = storage.columns(number), storage.facts(number)
        steps = self._steps(columns, number)
        if not steps:
            self._found["empty"] += 1
            return
        self._add_infos(columns, steps)
        self.numbers.append(number)
        terminations, truncations = (storage.read(number, name) for name in ("terminations", "truncations"))
        self._found["unended"] += not (terminations[-1] or truncations[-1])
        self._found["early"] += bool(terminations[:-1].any() or truncations[:-1].any())
        self._found["cut"] += bool(truncations[-1]) and steps != self.horizon
        self._found["unnoted"] += NOTE not in facts
        self._found["options"] += any(name.split("/")[0] == "options" for name in facts)

    def _steps(self, columns: Columns, number: int) -> int:
        """Return the length of an episode, having seen that its columns fit each other."""
        needed = ["rewards", "actions", "terminations", "truncations", *self._observed]
        for name in needed:
            if name not in columns:
                raise InputError(
                    f"`{self._folder}`: episode {number} has no {name}", hint=f"it has {', '.join(columns)}"
                )
        steps = columns["rewards"][0][0]
        for name in needed:
            found = columns[name][0][0]
            if found != steps and not (name in self._observed and found == steps + 1):
                raise InputError(
                    f"`{self._folder}`: episode {number} has {found} rows of {name} and {steps} rewards",
                    hint=f"expected {steps}, and {steps + 1} observations",
                )
        size_bytes = sum(
            math.prod(shape) * dtype.itemsize for shape, dtype in columns.values() if len(shape) < 3
        )
        if size_bytes > _MAX_EPISODE_BYTES:
            raise InputError(
                f"`{self._folder}`: episode {number} has {size_bytes} bytes",
                hint="more than awac reads at once",
            )
        return steps

    def _add_infos(self, columns: Columns, steps: int) -> None:
        """Keep the further columns that this episode and all before it have, in the same form."""
        here = {}
        for path, (shape, dtype) in columns.items():
            group, _, name = path.partition("/")
            if group == "infos" and len(shape) < 3 and shape[0] in (steps, steps + 1) and _is_storable(name):
                here[name] = (shape[1:], dtype)
                self._after_reset[name] += shape[0] == steps + 1
            elif group == "infos":
                self._left_out.add(name)
        if not self.numbers:
            self._infos = here
        self._left_out |= {
            name for name in {**here, **self._infos} if here.get(name) != self._infos.get(name)
        }
        self._infos = {name: form for name, form in self._infos.items() if name not in self._left_out}

    def losses(self) -> Iterator[str]:
        """Yield what cannot be taken over, in sentences."""
        found, episodes = self._found, len(self.numbers)
        if self._left_out:
            yield (
                "Infos that are images, differ between episodes, or have names that no field can have are "
                f"left out: {', '.join(sorted(self._left_out))}."
            )
        if self.unnoted and any(self._after_reset[name] for name in self.infos):
            yield "What infos say of the reset, before the first action, is left out."
        if found["empty"]:
            yield f"{found['empty']} episodes without a step are left out."
        if found["early"]:
            yield f"{found['early']} of {episodes} episodes go on after they ended: their last flags count."
        if found["unended"]:
            yield f"{found['unended']} of {episodes} episodes end neither terminated nor truncated."
        if found["cut"] and self.unnoted:
            yield f"Why {found['cut']} of {episodes} episodes were truncated is unknown: no horizon says so."
        if found["options"]:
            yield f"The options of {found['options']} resets are left out."


def _is_storable(name: str) -> bool:
    try:
        field_name(f"steps/infos/{name}")
    except ValueError:
        return False
    return True
