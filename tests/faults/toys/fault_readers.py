"""What a reader finds while an artifact is being made."""

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.commit import part_of
from awaccli.artifacts.manifest import read_manifest
from awaccli.data.dataset import open_dataset
from awaccli.data.evaluation import open_evaluation

_OPEN = {".zarr": open_dataset, ".h5": open_dataset, ".ckpt": open_checkpoint, ".json": open_evaluation}


def read(path):
    """Open an artifact, which checks all of it."""
    return _OPEN[path.suffix](path)


def id_of(path):
    """Return the id of an artifact that must be whole, or None where there is none."""
    if not path.exists():
        return None
    read(path)
    return read_manifest(path).id


def committed(path):
    """Return the dataset that a reader finds, finished or not, or None before the first commit."""
    header = part_of(path) / "payload" / "zarr.json"
    if path.exists():
        dataset = open_dataset(path)
    elif header.is_file() and '"awac"' in header.read_text():
        dataset = open_dataset(part_of(path), unfinished=True)
    else:
        return None
    assert dataset.altered_episodes() == []
    return dataset


def episodes_in(path):
    """Return how many episodes a reader finds."""
    return len(committed(path) or ())


def hashes_in(path):
    """Return the hashes of the episodes that a reader finds."""
    dataset = committed(path)
    return [row.tobytes() for row in dataset.column("episodes/sha256")] if dataset else []
