"""Whether a dataset is what its header and manifest say; nothing is taken for granted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from awaccli.artifacts import hdf5
from awaccli.artifacts.commit import PART, payload_of
from awaccli.artifacts.manifest import MANIFEST, Manifest, damaged_files
from awaccli.data.dataset import Dataset
from awaccli.data.schema import Header
from awaccli.data.stores import HDF5_SUFFIXES, Store, open_store
from awaccli.data.validation.findings import Findings
from awaccli.errors import DatasetError, InputError


def open_raw(
    path: Path, findings: Findings, *, max_memory: int | None = None
) -> tuple[Dataset, Store] | None:
    """Open a dataset whatever its state; None, with a finding, where too little of it can be read.

    Raises:
        InputError: nothing there, or something that is no dataset of awac.
    """
    unfinished = path.suffix == PART and path.is_dir()
    inner = payload_of(path) if unfinished else path
    try:
        store = open_store(inner)
        header = Header.from_json(store.attributes(), origin=str(path))
    except DatasetError as error:
        if not unfinished and not _is_ours(path):
            raise
        findings.add("unreadable", str(error))
        return None
    manifest = _manifest(path, store, findings)
    if manifest is not None and path.is_dir():
        for problem in damaged_files(path, manifest):
            findings.add("file-changed", problem)
    return Dataset(path, store, header, manifest, max_memory=max_memory), store


def _is_ours(path: Path) -> bool:
    """Return whether awac made it: what cannot be read is then damaged, not something else."""
    if path.is_dir():
        return (path / MANIFEST).is_file() and (path / "zarr.json").is_file()
    return path.suffix in HDF5_SUFFIXES and hdf5.is_sealed(path)


def _manifest(path: Path, store: Store, findings: Findings) -> Manifest | None:
    try:
        text = store.manifest()
        if text is not None:
            return Manifest.from_bytes(text, origin=str(path))
        findings.add("unfinished", "it was never finished: --resume its command, or `awac data repair`")
    except InputError as error:
        findings.add("manifest-damaged", str(error))
    return None


def check_structure(dataset: Dataset, findings: Findings) -> bool:
    """Check fields and index; return whether episodes can be told apart."""
    for problem in _words(dataset.field_problems()):
        findings.add("schema", problem)
    if findings.counts["schema"]:
        return False
    if dataset.n_episodes == 0:
        findings.add("index", "it holds no episode")
        return False
    try:
        table = dataset.episodes
        dataset.column("episodes/sha256")
    except InputError as error:
        findings.add("damaged-data", str(error), field="episodes")
        return False
    starts = np.cumsum(table.length, dtype=np.int64) - table.length
    odd = np.flatnonzero((table.length < 1) | (table.start != starts))
    if len(odd) or table.length.sum() != dataset.n_steps:
        findings.add(
            "index",
            f"episodes of {table.length.sum()} steps in all do not cover the {dataset.n_steps} that are "
            "stored, one after the other",
            field="episodes/start",
            episode=int(odd[0]) if len(odd) else len(table) - 1,
        )
        return False
    return True


def check_index(dataset: Dataset, findings: Findings) -> None:
    """Make sure that what a reader refuses is an error here, though no check has told where it is."""
    if not findings.has_errors():
        for problem in _words(dataset.index_problems()):
            findings.add("index", problem)


def check_counts(dataset: Dataset, findings: Findings) -> None:
    """Compare what header and manifest say of the whole with its parts; the index must be sound."""
    header, table, manifest = dataset.header, dataset.episodes, dataset.manifest
    if header.clipped != table.clipped.sum():
        findings.add(
            "statistics-mismatch",
            f"the header counts {header.clipped} clipped action entries, its episodes {table.clipped.sum()}",
            field="episodes/clipped",
        )
    counts = {"n_episodes": dataset.n_episodes, "n_steps": dataset.n_steps}
    if manifest is not None and manifest.content != counts:
        findings.add("statistics-mismatch", f"the manifest counts {manifest.content}, the header {counts}")
    if manifest is not None and manifest.id != dataset.id:
        findings.add(
            "id-mismatch",
            f"header and hashes make the id {dataset.id[:12]}, the manifest says {manifest.id[:12]}",
        )
    for name, indices in header.splits.items():
        beyond = [index for index in indices if index >= len(table)]
        if beyond or len(set(indices)) < len(indices):
            what = f"episode {beyond[0]} of {len(table)}" if beyond else "an episode twice"
            findings.add("split-out-of-range", f"the split `{name}` names {what}")


def _words(problems: Iterator[str]) -> Iterator[str]:
    """Yield problems; one that ends the search is the last."""
    try:
        yield from problems
    except InputError as error:
        yield str(error)
