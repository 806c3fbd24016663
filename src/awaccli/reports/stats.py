"""The statistics of a dataset as rows of text."""

from __future__ import annotations

from awaccli.data.stats import Stats
from awaccli.reports.success import rate_text

SOURCE_HEADER = ("source", "episodes", "steps", "final success", "any step", "held", "return", "length")
DIMENSION_HEADER = ("step", "mean", "std", "min", "1 %", "99 %", "max", "at bound", "not finite")


def source_rows(found: Stats) -> list[list[str]]:
    """Return what each source achieved, in the order of ``SOURCE_HEADER``."""
    return [
        [
            source.source,
            str(source.episodes),
            str(source.steps),
            *(rate_text(rate) for rate in (source.success.final, source.success.any, source.success.held)),
            f"{source.returns.mean:.4g} ± {source.returns.std:.3g}",
            f"{source.lengths.mean:.4g} ({source.lengths.min:g} to {source.lengths.max:g})",
        ]
        for source in found.sources
    ]


def dimension_rows(found: Stats) -> list[list[str]]:
    """Return a row for every number of every field, in the order of ``DIMENSION_HEADER``."""
    rows = []
    for field in found.fields:
        for index, one in enumerate(field.dimensions):
            numbers = (one.mean, one.std, one.min, one.p01, one.p99, one.max)
            is_action = field.field == "steps/actions"
            share = f"{100 * found.saturation[index]:.1f} %" if is_action else ""
            rows.append(
                [one.name, *(f"{number:.4g}" for number in numbers), share, str(one.not_finite or "")]
            )
    return rows
