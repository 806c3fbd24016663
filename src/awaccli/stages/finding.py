"""A checkpoint's datasets, found again: by the caller's paths, or by hint and content id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from awaccli.artifacts.checkpoint import Checkpoint, DataRef
from awaccli.artifacts.manifest import read_manifest
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.errors import InputError
from awaccli.stages.finetune import TrainingData


def find_training_data(
    checkpoint: Checkpoint, given: Sequence[Path], *, data_dir: Path | None, added: Sequence[Path]
) -> TrainingData:
    """Open the datasets to fine-tune on.

    Args:
        checkpoint: its own datasets are used where none are ``given``, checked by id.
        given: offline datasets that replace the checkpoint's own.
        data_dir: folder to look into for the checkpoint's own.
        added: further online experience.

    Raises:
        InputError: a dataset is not where the checkpoint remembers it.
    """
    online = [open_dataset(path) for path in added]
    if given:
        return TrainingData(tuple(open_dataset(path) for path in given), tuple(online))
    own = {"offline": [], "online": online}
    for reference in checkpoint.content.data:
        own[reference.role].insert(len(own[reference.role]), _find(checkpoint, reference, data_dir))
    return TrainingData(tuple(own["offline"]), tuple(own["online"]))


def _find(checkpoint: Checkpoint, reference: DataRef, data_dir: Path | None) -> Dataset:
    hint = checkpoint.manifest.run.paths.get(reference.id)
    remembered = [checkpoint.path.parent / hint] if hint else []
    for candidate in [*remembered, *_artifacts_in(data_dir or checkpoint.path.parent)]:
        if _has_id(candidate, reference.id):
            return open_dataset(candidate)
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
