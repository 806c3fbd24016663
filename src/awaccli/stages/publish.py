"""``awac data export`` to a URL: a dataset as it is, file by file, or what another format makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory

from awaccli.artifacts import transport
from awaccli.artifacts.manifest import MANIFEST
from awaccli.artifacts.remote import RemoteFiles, fetch_all
from awaccli.artifacts.remote_file import sealed_copy
from awaccli.artifacts.urls import RemotePath
from awaccli.data.dataset import Dataset
from awaccli.errors import InputError, InterruptedRunError, OutputExistsError, UsageError
from awaccli.protocols import SILENT, Reporter
from awaccli.stages.export_data import ExportReport, export_data, export_report

AS_IS = "awac"
"""Name of the form in which a dataset stays what it is."""
_READ_ONLY = ("http", "https")
_ROOT = "zarr.json"
_AT_ONCE = 8


def publish(
    dataset: Dataset, form: str, url: RemotePath, *, overwrite: bool = False, report: Reporter = SILENT
) -> ExportReport:
    """Write a dataset to a URL, as it is or in a foreign format.

    As it is, it is the same artifact there: same id, same manifest. The manifest is removed first, where one
    is replaced, and written last, so that a reader never takes a half for a whole.

    Raises:
        UsageError: nothing can be written there, or the name does not end as that of the dataset.
        OutputExistsError: something is there.
        InputError: the server refuses or cannot be reached; the dataset is unfinished.
        InterruptedRunError: a signal came.
    """
    require_free_url(url, overwrite=overwrite)
    if form == AS_IS:
        _publish_artifact(dataset, url, report)
    else:
        with TemporaryDirectory(prefix="awac-export-") as folder:
            made = Path(folder) / url.name
            export_data(dataset, form, made, report=report)
            names = [file.relative_to(made).as_posix() for file in made.rglob("*") if file.is_file()]
            files = {name: (made / name, transport.below(url, name)) for name in names}
            _put_all(files or {url.name: (made, url)}, url, report)
    return publish_report(dataset, form, url)


def publish_report(dataset: Dataset, form: str, url: RemotePath | None = None) -> ExportReport:
    """Return what becomes of a dataset at a URL.

    Raises:
        UsageError: no such format.
    """
    if form != AS_IS:
        return export_report(dataset, form, url)
    return ExportReport(
        path=str(url) if url else None,
        format=form,
        dataset=dataset.id,
        n_episodes=dataset.n_episodes,
        n_steps=dataset.n_steps,
        losses=(),
    )


def require_free_url(url: RemotePath, *, overwrite: bool) -> None:
    """Stop where a URL cannot be written, or something is there.

    Raises:
        UsageError: its kind of server is only read.
        OutputExistsError: something is there.
        InputError: the server cannot be asked.
    """
    if url.scheme in _READ_ONLY:
        raise UsageError(f"`{url}` can only be read", hint="write to s3:// or gs://, or to this machine")
    if not overwrite and transport.exists(url):
        raise OutputExistsError(f"`{url}` already exists", hint="use --overwrite, or another -o/--output")


def _publish_artifact(dataset: Dataset, url: RemotePath, report: Reporter) -> None:
    dataset.sealed()
    if dataset.path.suffix != url.suffix:
        raise UsageError(
            f"`{url}` cannot be a copy of `{dataset.path}`: its name must end in {dataset.path.suffix}",
            hint="`awac data convert` makes the other container, here",
        )
    files = _stored(dataset)
    if MANIFEST not in files:
        _put_all({url.name: (next(iter(files.values())), url)}, url, report)
        return
    targets = {name: transport.below(url, name) for name in files}
    stale = _listed_at(url) - files.keys()
    if transport.exists(targets[MANIFEST]):
        transport.remove(targets[MANIFEST])
    last = (_ROOT, MANIFEST)
    _put_all({name: (files[name], targets[name]) for name in files if name not in last}, url, report)
    for name in last:
        transport.put(files[name], targets[name])
    for name in sorted(stale):
        if transport.exists(transport.below(url, name)):
            transport.remove(transport.below(url, name))


def _stored(dataset: Dataset) -> Mapping[str, Path]:
    """Return where the files of a dataset are on this disk, by name; an HDF5 dataset is a single one."""
    path = dataset.path
    if isinstance(path, RemotePath):
        fetch_all(path, SILENT)
        if path.suffix != ".zarr":
            return {path.name: sealed_copy(path)}
        remote = RemoteFiles(path)
        return {name: file for name in remote.names if (file := remote.find(name))}
    if path.is_file():
        return {path.name: path}
    return {name: path / name for name in (MANIFEST, *(entry.path for entry in dataset.sealed().files))}


def _listed_at(url: RemotePath) -> set[str]:
    """Return the files of a dataset that is about to be replaced, as far as its manifest can be read."""
    try:
        return set(RemoteFiles(url).names)
    except InputError:
        return set()


def _put_all(files: Mapping[str, tuple[Path, RemotePath]], url: RemotePath, report: Reporter) -> None:
    """Write files, several at a time."""
    pool, done = ThreadPoolExecutor(_AT_ONCE), 0
    sizes = {name: source.stat().st_size for name, (source, _) in files.items()}
    try:
        tasks = {pool.submit(transport.put, source, target): name for name, (source, target) in files.items()}
        with report.phase(f"write {url.name}", sum(sizes.values()), "bytes") as progress:
            for task in as_completed(tasks):
                task.result()
                done += sizes[tasks[task]]
                progress.update(done)
                if signal := report.interrupted():
                    raise InterruptedRunError(
                        signal,
                        f"stopped; what is at `{url}` is no dataset yet",
                        hint="repeat the command with --overwrite",
                    )
    finally:
        pool.shutdown(cancel_futures=True)
