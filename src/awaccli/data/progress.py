"""Going through something long: how far it is, and stopping when asked to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from awaccli.errors import InterruptedRunError
from awaccli.protocols import Reporter

_Item = TypeVar("_Item")


def watched(
    items: Iterable[_Item], report: Reporter, title: str, total: int, unit: str = "episodes"
) -> Iterator[_Item]:
    """Yield items and say how far it is; for work that keeps nothing until it is done.

    Raises:
        InterruptedRunError: a signal came.
    """
    with report.phase(title, total, unit) as progress:
        for done, item in enumerate(items, start=1):
            if signal := report.interrupted():
                raise InterruptedRunError(signal, hint="repeat the command: nothing of this step is kept")
            yield item
            progress.update(done)
