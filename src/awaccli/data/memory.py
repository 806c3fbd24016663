"""How much memory work on datasets may take: one amount, in equal shares for everything that buffers."""

from __future__ import annotations

from awaccli.errors import UsageError

SHARES = 8
"""Of the amount, in as many buffers: episodes that are read, copies of them, what is to be written."""

_COPIES = 4


def buffer_bytes(usual: int, max_memory: int | None) -> int:
    """Return how large a buffer may be: ``usual``, or a share of what is allowed where that is less."""
    return usual if max_memory is None else min(usual, max_memory // SHARES)


def require_buffer(what: str, size_bytes: int, max_memory: int | None) -> None:
    """Refuse what has to be in memory at once and is larger than a share of what is allowed.

    Args:
        what: has to be in memory, e.g. "episode 3 of `x.zarr`".
        size_bytes: how much of it.
        max_memory: what is allowed, in bytes; None: as much as there is.

    Raises:
        UsageError: says how much would do.
    """
    require_memory(f"{what} ({amount(size_bytes)} in one piece)", SHARES * size_bytes, max_memory)


def require_pieces(what: str, piece_bytes: int, max_memory: int | None) -> None:
    """Refuse pieces that are larger than is allowed; one at a time is unpacked, changed and packed.

    Args:
        what: such a piece.
        piece_bytes: how large it is.
        max_memory: what is allowed, in bytes; None: as much as there is.

    Raises:
        UsageError: says how much would do.
    """
    require_memory(f"{what} ({amount(piece_bytes)})", _COPIES * piece_bytes, max_memory)


def require_memory(what: str, needed_bytes: int, max_memory: int | None) -> None:
    """Refuse what needs more memory than is allowed.

    Raises:
        UsageError: says how much would do.
    """
    if max_memory is not None and needed_bytes > max_memory:
        raise UsageError(
            f"{what} needs about {amount(needed_bytes)}, --max-memory says {amount(max_memory)}",
            hint=f"--max-memory {amount(needed_bytes).replace(' ', '')}, if there is as much",
        )


def amount(size_bytes: int) -> str:
    """Return an amount of memory as a person writes it, rounded up."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if size_bytes >= 4 * factor:
            return f"{-(-size_bytes // factor)} {unit}"
    return f"{-(-size_bytes // 1024)} KiB"
