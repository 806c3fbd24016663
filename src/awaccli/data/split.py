"""Parts of a dataset that share no episode: by a seeded ratio, by who acted, or as its splits say.

Episodes with equal content hashes always go to the same part, so nothing that is trained on is tested on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from awaccli.data.dataset import Dataset
from awaccli.data.dedupe import duplicates
from awaccli.data.derivation import Derivation, selection
from awaccli.errors import DatasetError, UsageError
from awaccli.seeding import stream

Parts = dict[str, Derivation]
"""By name, in order."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_USUAL = {2: ("train", "val"), 3: ("train", "val", "test")}


def split_by_ratio(
    dataset: Dataset, ratios: Sequence[float], *, names: Sequence[str] = (), seed: int = 0
) -> Parts:
    """Share the episodes out at random.

    Which part an episode comes to depends on the seed and the set of distinct episodes, not on their order.

    Args:
        dataset: what to split.
        ratios: share of the distinct episodes in each part; the last may be left out: (0.8,) is (0.8, 0.2).
        names: of the parts; default: train and val, or train, val and test.
        seed: of the shuffle.

    Raises:
        UsageError: ratios that are no shares, or not as many names.
        DatasetError: fewer distinct episodes than parts.
    """
    shares = _shares(ratios)
    names = _checked_names(names or _USUAL.get(len(shares), ()), len(shares))
    hashes = dataset.column("episodes/sha256")
    distinct, which = np.unique(hashes, axis=0, return_inverse=True)
    if len(distinct) < len(shares):
        raise DatasetError(
            f"`{dataset.path}` has {len(distinct)} distinct episodes, too few for {len(shares)} parts"
        )
    order = stream(seed, "split").permutation(len(distinct))
    part_of_distinct = np.empty(len(distinct), int)
    part_of_distinct[order] = np.repeat(range(len(shares)), _sizes(shares, len(distinct)))
    settings = {"by": "ratio", "ratio": list(shares), "names": list(names)}
    return _parts(dataset, part_of_distinct[which.ravel()], names, settings, seed=seed)


def split_by_source(dataset: Dataset) -> Parts:
    """Give everyone who acted a part, named after the source.

    An episode that two sources share goes to the part where it occurs first.
    """
    present = np.unique(dataset.episodes.source)
    names = _distinct_names([dataset.header.sources[source].name for source in present])
    part = np.searchsorted(present, dataset.episodes.source)
    return _parts(dataset, _together(dataset, part), names, {"by": "source"})


def split_as_stored(dataset: Dataset, *, names: Sequence[str] = ()) -> Parts:
    """Make a part of each of the dataset's stored splits, or of those that are named.

    An episode of two splits goes to the first of them; one of none is left out.

    Raises:
        UsageError: there is no such split.
        DatasetError: the dataset stores no splits, or nothing is left for one of them.
    """
    stored = dataset.header.splits
    if not stored:
        raise DatasetError(f"`{dataset.path}` stores no splits", hint="make some: --ratio 0.8")
    names = tuple(names or stored)
    for name in names:
        if name not in stored:
            raise UsageError(f"`{dataset.path}` has no split `{name}`", hint=f"it has {', '.join(stored)}")
    part = np.full(len(dataset), -1)
    for number, name in reversed(list(enumerate(names))):
        part[list(stored[name])] = number
    placed = [_distinct_names([name])[0] for name in names]
    return _parts(dataset, _together(dataset, part), placed, {"by": "split", "names": list(names)})


def _parts(
    dataset: Dataset, part: np.ndarray, names: Sequence[str], settings: Mapping[str, Any], *, seed: int = 0
) -> Parts:
    """Return the parts, given the number of each episode's part, int [E], or -1."""
    copies = len(duplicates(dataset))
    said = (
        f"{copies} episodes are copies of others: each is in the part of the first like it"
        if copies
        else "no two episodes are equal, so no part holds an episode of another"
    )
    found = {}
    for number, name in enumerate(names):
        indices = np.flatnonzero(part == number)
        if not len(indices):
            raise DatasetError(
                f"`{dataset.path}`: nothing is left for the part `{name}`",
                hint="all its episodes are in the parts before it",
            )
        notes = (f"{name}: {len(indices)} of {len(dataset)} episodes", *([said] if number == 0 else []))
        found[name] = selection("split", dataset, indices, {**settings, "part": name}, seed=seed, notes=notes)
    return found


def _together(dataset: Dataset, part: np.ndarray) -> np.ndarray:
    """Move copies of an episode to the part of the first of them that is in one."""
    moved = part.copy()
    of_first: dict[int, int] = {}
    again = duplicates(dataset)
    for index, number in enumerate(part):
        first = again.get(index, index)
        if number >= 0:
            moved[index] = of_first.setdefault(first, number)
    return moved


def _shares(ratios: Sequence[float]) -> tuple[float, ...]:
    rest = 1 - sum(ratios)
    shares = (*ratios, round(rest, 12)) if rest > 1e-9 else tuple(ratios)
    if len(shares) < 2 or rest < -1e-9 or not all(0 < share < 1 for share in shares):
        raise UsageError(
            f"--ratio {','.join(map(str, ratios))}", hint="expected shares such as 0.8 or 0.7,0.2,0.1"
        )
    return shares


def _sizes(shares: Sequence[float], total: int) -> list[int]:
    """Return how many of ``total`` each part gets, at least one."""
    n = len(shares)
    bounds = [0]
    for number, end in enumerate(np.cumsum(shares), start=1):
        bounds.append(min(max(round(end * total), bounds[-1] + 1), total - (n - number)))
    return np.diff(bounds).tolist()


def _checked_names(names: Sequence[str], count: int) -> tuple[str, ...]:
    if len(names) != count or len(set(names)) != count or not all(_NAME.fullmatch(name) for name in names):
        raise UsageError(
            f"{count} parts are named {','.join(names) or 'nothing'}",
            hint="give each a name of its own, of letters and digits: --names train,val",
        )
    return tuple(names)


def _distinct_names(texts: Sequence[str]) -> tuple[str, ...]:
    """Return texts as they can stand in file names, no two alike."""
    names: list[str] = []
    for text in texts:
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "part"
        taken = sum(
            name == plain or re.fullmatch(rf"{re.escape(plain)}-\d+", name) is not None for name in names
        )
        names.append(f"{plain}-{taken + 1}" if taken else plain)
    return tuple(names)
