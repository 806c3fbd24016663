"""Episodes that are there twice, in one dataset or in two."""

from __future__ import annotations

from awaccli.data.dataset import Dataset
from awaccli.data.validation.findings import Findings
from awaccli.data.validation.recordings import Recording


class Copies:
    """Recomputes the hashes of episodes and compares them, and their seeds, with all before."""

    def __init__(self, dataset: Dataset, other: Dataset | None) -> None:
        self._recorded = dataset.column("episodes/sha256")
        self._table = dataset.episodes
        self._hashes: dict[bytes, int] = {}
        self._seeds: dict[int, int] = {}
        self._other_hashes = {} if other is None else _hashes(other)
        self._other_seeds = {} if other is None else _seeds(other)
        self._other_path = None if other is None else other.path

    def see(self, recording: Recording, findings: Findings) -> None:
        """Take an episode."""
        index = recording.index
        if not recording.whole:
            return
        found = recording.sha256()
        if found != self._recorded[index].tobytes():
            findings.add(
                "hash-mismatch",
                "its content is not what its recorded hash was taken of",
                field="episodes/sha256",
                episode=index,
            )
        seed = int(self._table.seed[index]) if self._table.has_seed[index] else None
        self._compare_within(index, found, seed, findings)
        self._compare_with_other(index, found, seed, findings)

    def _compare_within(self, index: int, found: bytes, seed: int | None, findings: Findings) -> None:
        first = self._hashes.setdefault(found, index)
        same_seed = index if seed is None else self._seeds.setdefault(seed, index)
        if first != index:
            findings.add(
                "duplicate-episode",
                f"it is the same as episode {first}",
                field="episodes/sha256",
                episode=index,
            )
        elif same_seed != index:
            findings.add(
                "same-seed",
                f"it starts from seed {seed} as episode {same_seed} does, and goes on otherwise",
                field="episodes/seed",
                episode=index,
            )

    def _compare_with_other(self, index: int, found: bytes, seed: int | None, findings: Findings) -> None:
        if found in self._other_hashes:
            findings.add(
                "leak",
                f"it is the same as episode {self._other_hashes[found]} of `{self._other_path}`",
                field="episodes/sha256",
                episode=index,
            )
        elif seed in self._other_seeds:
            findings.add(
                "shared-seed",
                f"it starts from seed {seed}, as episode {self._other_seeds[seed]} of `{self._other_path}`",
                field="episodes/seed",
                episode=index,
            )


def _hashes(dataset: Dataset) -> dict[bytes, int]:
    recorded = dataset.column("episodes/sha256")
    return {recorded[index].tobytes(): index for index in reversed(range(len(dataset)))}


def _seeds(dataset: Dataset) -> dict[int | None, int]:
    table = dataset.episodes
    return {int(table.seed[index]): index for index in reversed(range(len(dataset))) if table.has_seed[index]}
