"""A checkpoint's datasets, found again: by the caller's paths, or by hint and content id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from awaccli.artifacts.checkpoint import Checkpoint, DataRef
from awaccli.artifacts.manifest import read_manifest
from awaccli.artifacts.urls import RemotePath, as_path
from awaccli.data.dataset import open_dataset
from awaccli.errors import InputError
from awaccli.stages.finetune import TrainingData


def find_training_data(
    checkpoint: Checkpoint,
    given: Sequence[Path],
    *,
    data_dir: Path | None,
    added: Sequence[Path],
    max_memory: int | None = None,
) -> TrainingData:
    """Open the datasets to fine-tune on.

    Args:
        checkpoint: its own datasets are used where none are ``given``, checked by id.
        given: offline datasets that replace the checkpoint's own.
        data_dir: folder to look into for the checkpoint's own.
        added: further online experience.
        max_memory: see `Dataset.max_memory`.

    Raises:
        InputError: a dataset is not where the checkpoint remembers it.
    """
    opened = partial(open_dataset, max_memory=max_memory)
    online = [opened(path) for path in added]
    if given:
        return TrainingData(tuple(opened(path) for path in given), tuple(online))
    own = {"offline": [], "online": online}
    for reference in checkpoint.content.data:
        place = _find(checkpoint, reference, data_dir)
        own[reference.role].insert(len(own[reference.role]), opened(place))
    return TrainingData(tuple(own["offline"]), tuple(own["online"]))


def _find(checkpoint: Checkpoint, reference: DataRef, data_dir: Path | None) -> Path:
    hint = checkpoint.manifest.run.paths.get(reference.id)
    place = as_path(hint) if hint else None
    is_remote = isinstance(place, RemotePath)
    remembered = [checkpoint.path.parent / hint] if hint and not is_remote else []
    for candidate in [*remembered, *_artifacts_in(data_dir or checkpoint.path.parent)]:
        if _has_id(candidate, reference.id):
            return candidate
    if is_remote:
        raise InputError(
            f"the {reference.role} dataset {reference.id[:12]} of `{checkpoint.path}` was at `{place}`",
            hint=f"where you trust that address: --data {place}",
        )
    where = f"`{remembered[0]}`" if remembered else "an unknown place"
    raise InputError(
        f"the {reference.role} dataset {reference.id[:12]} of `{checkpoint.path}` is gone; it was at {where}",
        hint="name it with --data, or its folder with --data-dir",
    )


def _artifacts_in(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in {".zarr", ".h5", ".hdf5"})


def _has_id(path: Path, wanted: str) -> bool:
    try:
        return read_manifest(path).id == wanted
    except InputError:
        return False
