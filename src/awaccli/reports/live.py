"""Words and small pictures for the numbers of a training that is going on. Nothing heavy is imported here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TextIO

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.:-=+*#"
"""From low to high: characters of sparklines."""
_WIDTH = 20
Shown = Mapping[str, float | Sequence[float]]
"""Diagnostics by their names in ``metrics.jsonl``; of evaluations all that there were, the latest last."""
_WORDS = {
    "success": "success {:.0%}",
    "online/success": "online {:.0%}",
    "weights/ess": "ESS {:.2f}",
    "loss/policy": "policy loss {:.2f}",
}


def levels_for(stream: TextIO) -> str:
    """Return the characters of sparklines that ``stream`` can print."""
    try:
        BLOCKS.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return ASCII
    return BLOCKS


def sparkline(
    values: Sequence[float], levels: str = BLOCKS, *, low: float | None = None, high: float | None = None
) -> str:
    """Return a small picture of values over time; where there are many, each character is a mean of some.

    Args:
        values: finite numbers.
        levels: characters, from low to high.
        low: what is drawn lowest [default: the least value].
        high: what is drawn highest [default: the largest value].
    """
    width = min(len(values), _WIDTH)
    ends = [len(values) * part // width for part in range(1, width + 1)] if width else []
    means = [math.fsum(values[a:b]) / (b - a) for a, b in zip([0, *ends], ends, strict=False)]
    low = min(means, default=0.0) if low is None else low
    high = max(means, default=0.0) if high is None else high
    scale = len(levels) / (high - low) if high > low else 0.0
    return "".join(levels[max(0, min(len(levels) - 1, int((mean - low) * scale)))] for mean in means)


def details(shown: Shown, levels: str | None = None) -> list[str]:
    """Return what matters of a running training, in words; with ``levels``, a picture of its evaluations."""
    numbers = {name: value for name, value in shown.items() if isinstance(value, int | float)}
    found = []
    rates = shown.get("eval/success_final")
    if isinstance(rates, Sequence) and rates:
        picture = f" {sparkline(rates, levels, low=0, high=1)}" if levels else ""
        found.append(f"success {rates[-1]:.0%}{picture}")
    if "q/mean" in numbers:
        share = f" ({numbers['q/range_share']:.0%} of its range)" if "q/range_share" in numbers else ""
        found.append(f"Q {numbers['q/mean']:.1f}{share}")
    return found + [text.format(numbers[name]) for name, text in _WORDS.items() if name in numbers]


def rate(per_second: float) -> str:
    """Return a speed in words."""
    return f"{per_second:.0f}/s" if per_second >= 10 else f"{per_second:.2g}/s"


def duration(seconds: float | None) -> str:
    """Return a time in words; ``?`` where it is not known."""
    if seconds is None or not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
