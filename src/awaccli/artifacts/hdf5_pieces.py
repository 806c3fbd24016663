"""The pieces that HDF5 files of awac are made of: what is known of each, and nothing else.

Source: HDF5 File Format Specification, version 3.0.
"""

from __future__ import annotations

UNDEFINED = (1 << 64) - 1
"""An address that leads nowhere."""
_MAX_RANK = 8
_HAS_TYPE, _HAS_CHARSET = 0x08, 0x10


class ForeignError(ValueError):
    """The file holds what awac does not write; the text says what."""


class Bytes:
    """A piece of the file, read from front to back."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._what, self._at = data, what, 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        if size > self.left:
            raise ForeignError(f"{self._what} ends early")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        """Return the next whole number, of ``size`` bytes."""
        return int.from_bytes(self.take(size), "little")

    def expect(self, expected: bytes) -> None:
        """Skip bytes that must be there."""
        if self.take(len(expected)) != expected:
            raise ForeignError(f"{self._what} is not one that awac writes")


def little(value: int, size: int) -> bytes:
    """Return a whole number as HDF5 stores it."""
    return value.to_bytes(size, "little")


def _whole_type(size: int, *, signed: bool) -> bytes:
    return bytes([0x10, 8 * signed, 0, 0]) + little(size, 4) + little(0, 2) + little(8 * size, 2)


def _float_type(size: int, exponent: int, mantissa: int) -> bytes:
    bits = bytes([0x11, 0x20, 8 * size - 1, 0]) + little(size, 4) + little(0, 2) + little(8 * size, 2)
    return bits + bytes([mantissa, exponent, 0, mantissa]) + little((1 << (exponent - 1)) - 1, 4)


DTYPES = {
    **{_whole_type(1, signed=signed): name for signed, name in ((True, "|i1"), (False, "|u1"))},
    **{_whole_type(size, signed=True): f"<i{size}" for size in (2, 4, 8)},
    **{_whole_type(size, signed=False): f"<u{size}" for size in (2, 4, 8)},
    _float_type(2, 5, 10): "<f2",
    _float_type(4, 8, 23): "<f4",
    _float_type(8, 11, 52): "<f8",
    # An enumeration over int8: how h5py stores booleans.
    b"\x38\x02\0\0" + little(1, 4) + _whole_type(1, signed=True) + b"FALSE\0TRUE\0" + b"\0\x01": "|b1",
}
"""Encoded datatypes that awac writes."""


def add_link(found: dict[str, int], body: Bytes) -> bool:
    """Add a link, with no address if it is not a hard one; return False where there is none."""
    if body.number(1) == 0:
        return False
    flags = body.number(1)
    is_hard = not flags & _HAS_TYPE or body.number(1) == 0
    if flags & ~(_HAS_TYPE | _HAS_CHARSET):
        raise ForeignError("a link is not one that awac writes")
    body.take(bool(flags & _HAS_CHARSET))
    name = body.take(body.number(1)).decode("ascii", "replace")
    if name in found:
        raise ForeignError(f"`{name}` is there twice")
    found[name] = body.number(8) if is_hard else UNDEFINED
    return True


def shape_of(dataspace: Bytes) -> tuple[int, ...]:
    """Return the shape of an array that cannot grow."""
    dataspace.expect(b"\x02")
    rank, flags = dataspace.number(1), dataspace.number(1)
    dataspace.expect(b"\x01")
    if not 1 <= rank <= _MAX_RANK or flags > 1:
        raise ForeignError(f"it has {rank} axes")
    shape = tuple(dataspace.number(8) for _ in range(rank))
    if flags:
        dataspace.expect(b"".join(little(size, 8) for size in shape))
    return shape


def require_filters(message: Bytes | None, item_bytes: int) -> None:
    """Accept shuffle and then deflate, once each: deflated twice, a small file unpacks to any size."""
    if message is None:
        raise ForeignError("its chunks are not compressed by the filters shuffle and deflate")
    stored = message.take(message.left)
    shuffle = b"\x02\0\x01\0\x01\0" + little(item_bytes, 4)
    deflate = b"\x01\0\x01\0\x01\0"
    if stored[:-4] != b"\x02\x02" + shuffle + deflate:
        raise ForeignError("it uses other filters than shuffle and deflate")
