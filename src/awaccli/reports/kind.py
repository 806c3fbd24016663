"""What kind of artifact a path is."""

from __future__ import annotations

from pathlib import Path

from awaccli.artifacts.manifest import Kind, read_manifest


def kind_of(path: Path) -> Kind:
    """Return the kind of the artifact at ``path``.

    A Zarr store counts as a dataset even without a manifest: opening it tells best what is wrong with it.

    Raises:
        InputError: nothing there, or not an artifact.
    """
    return "dataset" if (path / "zarr.json").is_file() else read_manifest(path).kind
