"""A replay certificate as lines that a person reads."""

from __future__ import annotations

from pathlib import Path

from awaccli.data.certificate import Certificate, Verdict

_MOST_SHOWN = 20


def replay_text(certificate: Certificate, path: Path) -> str:
    """Return other versions first, then what is not bit-exact, and the verdict last."""
    lines = certificate.recorded.differences(certificate.installed)
    odd = [verdict for verdict in certificate.episodes if verdict.verdict != "bit-exact"]
    lines += [_verdict_text(verdict) for verdict in odd[:_MOST_SHOWN]]
    if len(odd) > _MOST_SHOWN:
        lines.append(f"... and {len(odd) - _MOST_SHOWN} more, all of them in `{path}`")
    counts = ", ".join(
        f"{count} {name.replace('_', '-')}" for name, count in certificate.summary.model_dump().items()
    )
    total = len(certificate.episodes)
    lines.append(f"{certificate.path}: {total} {'episode' if total == 1 else 'episodes'}: {counts} ({path})")
    return "\n".join(lines)


def _verdict_text(verdict: Verdict) -> str:
    if verdict.reason is not None:
        return f"episode {verdict.episode}: {verdict.verdict}: {verdict.reason}"
    where = verdict.field if verdict.dimension is None else f"{verdict.field}[{verdict.dimension}]"
    place = f"{verdict.verdict} at step {verdict.step}" if verdict.verdict == "diverged" else verdict.verdict
    error, largest = (_error_text(error) for error in (verdict.error, verdict.largest_error))
    return f"episode {verdict.episode}: {place}: {where} is off by {error}, at most {largest} in the episode"


def _error_text(error: float | None) -> str:
    return "an infinite amount" if error is None else f"{error:.2g}"
