"""Checks of where data come from: who acted, from which seeds, with which versions, on what terms."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import numpy as np

from awaccli.data.dataset import Dataset
from awaccli.data.validation.findings import Findings, counted

_NAMELESS = ("", "unknown")


def check_provenance(dataset: Dataset, findings: Findings) -> None:
    """Check all of it; the index must be sound."""
    _check_sources(dataset, findings)
    _check_seeds(dataset, findings)
    _check_terms(dataset, findings)
    _check_versions(dataset, findings)


def _check_sources(dataset: Dataset, findings: Findings) -> None:
    table, sources = dataset.episodes, dataset.header.sources
    for index in np.flatnonzero((table.source < 0) | (table.source >= len(sources))).tolist():
        findings.add(
            "source-out-of-range",
            f"it points to source {table.source[index]} of {len(sources)}",
            field="episodes/source",
            episode=index,
        )
    for number, source in enumerate(sources):
        acted = np.flatnonzero(table.source == number)
        if not len(acted):
            findings.add("source-unused", f"no episode is by source {number}, `{source.name}`")
        elif source.name.lower() in _NAMELESS:
            findings.add(
                "source-unnamed",
                f"nobody knows who acted in {counted(len(acted), 'episode')}: source {number} has no name",
                field="episodes/source",
                episode=int(acted[0]),
            )


def _check_seeds(dataset: Dataset, findings: Findings) -> None:
    missing = np.flatnonzero(~dataset.episodes.has_seed)
    if len(missing):
        findings.add(
            "seed-missing",
            f"{len(missing)} of {counted(len(dataset), 'episode')} have no seed",
            field="episodes/has_seed",
            episode=int(missing[0]),
        )


def _check_terms(dataset: Dataset, findings: Findings) -> None:
    credits_ = dataset.header.credits
    if not credits_:
        findings.add("credits-missing", "it names neither authors nor a licence")
    for credit in credits_:
        if credit.licence.lower() in _NAMELESS:
            findings.add("credits-missing", f"no licence is named for the work of {credit.authors}")
    for source in dataset.header.imports:
        for loss in source.losses:
            findings.add("import-loss", f"{source.file}: {loss}")


def _check_versions(dataset: Dataset, findings: Findings) -> None:
    for package, recorded in dataset.task.versions.items():
        try:
            installed = version(package)
        except PackageNotFoundError:
            findings.add("version-differs", f"recorded with {package} {recorded}, which is not installed")
            continue
        if installed != recorded:
            findings.add("version-differs", f"recorded with {package} {recorded}, installed is {installed}")
