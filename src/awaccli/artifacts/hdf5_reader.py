"""Reading HDF5 files as awac writes them, without the HDF5 library.

The library does what a file says, and hostile files crash or hang it. This reader knows the few structures
that ``h5py`` makes for awac (bounds ``v110``: superblock 3, object headers 2, hard links, fixed shapes, one
piece or a list of chunks, shuffle and deflate), checks every address and size against the file before it
reads, and refuses everything else. Checksums inside the file are left alone: the seal covers all bytes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from awaccli.artifacts.hdf5_pieces import (
    DTYPES,
    UNDEFINED,
    Bytes,
    ForeignError,
    add_link,
    little,
    require_filters,
    shape_of,
)

USER_BLOCK_BYTES = 512
_MAX_MESSAGES_BYTES = 16 << 20
_MAX_PIECES = 1 << 20
_OVERHEAD_BYTES = 1024
_NIL, _DATASPACE, _LINK_INFO, _DATATYPE, _FILL, _LINK, _EXTERNAL = 0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07
_LAYOUT, _GROUP_INFO, _FILTERS, _CONTINUATION = 0x08, 0x0A, 0x0B, 0x10
_IN_GROUP = {_NIL, _LINK_INFO, _LINK, _GROUP_INFO}
_IN_DATASET = {_NIL, _DATASPACE, _DATATYPE, _FILL, _LAYOUT, _FILTERS}
_CONTIGUOUS, _CHUNKED = 1, 2
_HAS_TIMES = 0x20


@dataclass(frozen=True, slots=True)
class StoredArray:
    """A dataset of the file, and where its values lie."""

    dtype: str
    """NumPy's name: ``<f4``."""
    shape: tuple[int, ...]
    chunks: tuple[int, ...] | None
    """Shape of the pieces, or None: in one piece, uncompressed. Pieces are cut along the first axis only."""
    pieces: tuple[tuple[int, int], ...]
    """Address and size of each, in order of their rows."""


class Hdf5File:
    """The arrays of a file, by name.

    Raises:
        ForeignError: from every method, where the file holds what awac does not write.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._groups: dict[int, dict[str, int]] = {}
        block = self._bytes(0, 48, "the superblock")
        block.expect(b"\x89HDF\r\n\x1a\n\x03\x08\x08\0" + little(USER_BLOCK_BYTES, 8) + little(UNDEFINED, 8))
        block.number(8)  # end of the file, as the library sees it
        self._root = block.number(8)

    def find(self, name: str) -> StoredArray | None:
        """Return the array that is called ``name``, with slashes between groups; None where there is none."""
        address = self._root
        for part in name.split("/"):
            links = self._links(address)
            if part not in links:
                return None
            address = links[part]
            if address == UNDEFINED:
                raise ForeignError(f"`{part}` is a link to elsewhere")
        return self._array(address)

    def read(self, array: StoredArray, start: int, stop: int) -> np.ndarray:
        """Return rows ``start`` to ``stop``; the caller has checked that they fit into memory."""
        rows = array.chunks[0] if array.chunks else max(1, array.shape[0])
        out = np.empty((stop - start, *array.shape[1:]), array.dtype)
        for piece in range(start // rows, math.ceil(stop / rows)):
            first, last = max(start, piece * rows), min(stop, (piece + 1) * rows)
            values = self._values(array, piece)
            out[first - start : last - start] = values[first - piece * rows : last - piece * rows]
        return out

    def _values(self, array: StoredArray, piece: int) -> np.ndarray:
        """Return one piece, decompressed, of exactly the size that it declares."""
        size_bytes = math.prod(array.chunks or array.shape) * np.dtype(array.dtype).itemsize
        address, stored_bytes = array.pieces[piece]
        if stored_bytes > 2 * size_bytes + _OVERHEAD_BYTES:
            raise ForeignError(f"piece {piece} is larger than what it holds")
        stored = self._raw(address, stored_bytes, f"piece {piece}")
        if array.chunks is None:
            return np.frombuffer(stored, array.dtype).reshape(array.shape)
        inflater = zlib.decompressobj()
        try:
            plain = inflater.decompress(stored, size_bytes + 1)
        except zlib.error as error:
            raise ForeignError(f"piece {piece} does not decompress: {error}") from error
        if len(plain) != size_bytes or not inflater.eof:
            raise ForeignError(f"piece {piece} does not decompress to {size_bytes} bytes")
        shuffled = np.frombuffer(plain, np.uint8).reshape(np.dtype(array.dtype).itemsize, -1)
        return np.ascontiguousarray(shuffled.T).view(array.dtype).reshape(array.chunks)

    def _raw(self, address: int, size: int, what: str) -> bytes:
        """Return bytes of the file; addresses count from the end of the user block."""
        if address + size > self._size - USER_BLOCK_BYTES:
            raise ForeignError(f"{what} lies beyond the end of the file")
        with self._path.open("rb") as file:
            file.seek(USER_BLOCK_BYTES + address)
            return file.read(size)

    def _bytes(self, address: int, size: int, what: str) -> Bytes:
        return Bytes(self._raw(address, size, what), what)

    def _messages(self, address: int, known: set[int]) -> Iterator[tuple[int, Bytes]]:
        """Yield kind and body of each message in an object header and its continuations."""
        head = self._bytes(address, 6, "an object header")
        head.expect(b"OHDR\x02")
        flags = head.number(1)
        if flags & ~(_HAS_TIMES | 3):
            raise ForeignError("an object header is laid out in another way")
        start, width = address + 6 + (16 if flags & _HAS_TIMES else 0), 1 << (flags & 3)
        size = self._bytes(start, width, "an object header").number(width)
        blocks = [(start + width, size)]
        total = 0
        while blocks:
            block_address, block_size = blocks.pop(0)
            total += block_size + 1
            if total > _MAX_MESSAGES_BYTES:
                raise ForeignError("an object header is too large")
            block = self._bytes(block_address, block_size, "an object header")
            while block.left >= 4:
                kind, length, message_flags = block.number(1), block.number(2), block.number(1)
                body = Bytes(block.take(length), f"a message of kind {kind}")
                if kind == _EXTERNAL:
                    raise ForeignError("its values are in another file")
                if message_flags > 1 or kind not in known | {_CONTINUATION}:
                    raise ForeignError(f"an object header has a message of kind {kind}")
                if kind == _CONTINUATION:
                    blocks.append(self._continuation(body))
                else:
                    yield kind, body

    def _continuation(self, message: Bytes) -> tuple[int, int]:
        """Return where the messages of a continuation are, between its signature and its checksum."""
        address, size = message.number(8), message.number(8)
        self._bytes(address, 4, "an object header").expect(b"OCHK")
        if size < 8:
            raise ForeignError("an object header ends early")
        return address + 4, size - 8

    def _links(self, address: int) -> dict[str, int]:
        """Return addresses by name in a group."""
        if address not in self._groups:
            found: dict[str, int] = {}
            for kind, body in self._messages(address, _IN_GROUP):
                if kind == _LINK:
                    add_link(found, body)
                elif kind == _LINK_INFO:
                    body.expect(b"\0\0")
                    heap = body.number(8)
                    if heap != UNDEFINED:
                        self._add_links_in_heap(found, heap)
            self._groups[address] = found
        return self._groups[address]

    def _add_links_in_heap(self, found: dict[str, int], address: int) -> None:
        """Add the links of a group that has more of them than fit into its header."""
        heap = self._bytes(address, 144, "a list of links")
        heap.expect(b"FRHP\0\x07\0\0\0")
        has_checksums = bool(heap.number(1) & 2)
        heap.take(60)
        count = heap.number(8)
        heap.take(32)
        width, first_bytes, largest_bytes = heap.number(2), heap.number(8), heap.number(8)
        offset_bytes = math.ceil(heap.number(2) / 8)
        heap.take(2)
        root, rows = heap.number(8), heap.number(2)
        if not 0 < first_bytes <= largest_bytes <= 1 << 20 or not 0 < width <= 64 or rows > 32:
            raise ForeignError("a list of links is laid out in another way")
        head_bytes = 13 + offset_bytes
        sizes = [first_bytes << max(0, row - 1) for row in range(rows) for _ in range(width)]
        if rows == 0:
            blocks = [(root, first_bytes)]
        else:
            entries = self._bytes(root, head_bytes + 8 * len(sizes), "a list of links")
            entries.expect(b"FHIB\0")
            entries.take(head_bytes - 5)
            blocks = [(entries.number(8), size) for size in sizes]
        before = len(found)
        for block_address, size in blocks:
            if block_address == UNDEFINED:
                continue
            if size > largest_bytes:
                raise ForeignError("a list of links is too long")
            block = self._bytes(block_address, size, "a list of links")
            block.expect(b"FHDB\0")
            block.take(head_bytes - 5 + 4 * has_checksums)
            while block.left and add_link(found, block):
                if UNDEFINED in found.values():
                    raise ForeignError("a list of links has one to elsewhere")
        if len(found) - before != count:
            raise ForeignError("a list of links has gaps")

    def _array(self, address: int) -> StoredArray:
        parts: dict[int, Bytes] = {}
        for kind, body in self._messages(address, _IN_DATASET):
            if kind in parts and kind != _NIL:
                raise ForeignError(f"an object header has two messages of kind {kind}")
            parts[kind] = body
        if not {_DATASPACE, _DATATYPE, _LAYOUT} <= parts.keys():
            raise ForeignError("it is no array")
        shape = shape_of(parts[_DATASPACE])
        encoded = parts[_DATATYPE]
        dtype = DTYPES.get(encoded.take(encoded.left))
        if dtype is None:
            raise ForeignError("its datatype is not one that awac writes")
        return self._laid_out(dtype, shape, parts[_LAYOUT], parts.get(_FILTERS))

    def _laid_out(
        self, dtype: str, shape: tuple[int, ...], layout: Bytes, filters: Bytes | None
    ) -> StoredArray:
        version, kind = layout.number(1), layout.number(1)
        item_bytes = np.dtype(dtype).itemsize
        if kind == _CONTIGUOUS and version in (3, 4) and filters is None:
            address, size = layout.number(8), layout.number(8)
            if address == UNDEFINED or size != math.prod(shape) * item_bytes:
                raise ForeignError("a part of it is missing")
            return StoredArray(dtype, shape, None, ((address, size),))
        if kind != _CHUNKED or version != 4:
            raise ForeignError("its values are in another file, or laid out in another way")
        require_filters(filters, item_bytes)
        flags = layout.number(1)
        rank, width = layout.number(1), layout.number(1)
        sizes = tuple(layout.number(width) for _ in range(rank))
        if rank != len(shape) + 1 or sizes[1:] != (*shape[1:], item_bytes) or sizes[0] < 1:
            raise ForeignError(f"it is stored in chunks of {sizes[:-1]}")
        chunks, count = sizes[:-1], math.ceil(shape[0] / sizes[0])
        match flags, layout.number(1):
            case 2, 1 if count == 1:  # one chunk
                size = layout.number(8)
                layout.expect(b"\0\0\0\0")
                pieces = [(layout.number(8), size)]
            case 0, 3:  # a fixed array
                page_bits = layout.number(1)
                pieces = self._fixed_array(layout.number(8), count, page_bits)
            case _:
                raise ForeignError("its chunks are listed in another way")
        if any(address == UNDEFINED for address, _ in pieces):
            raise ForeignError("a part of it is missing")
        return StoredArray(dtype, shape, chunks, tuple(pieces))

    def _fixed_array(self, address: int, count: int, page_bits: int) -> list[tuple[int, int]]:
        """Return address and size of each chunk."""
        if address == UNDEFINED:
            raise ForeignError("a part of it is missing")
        head = self._bytes(address, 28, "a list of chunks")
        head.expect(b"FAHD\0\x01")
        entry_bytes = head.number(1)
        head.expect(bytes([page_bits]) + little(count, 8))
        block_address = head.number(8)
        if block_address == UNDEFINED:
            raise ForeignError("a part of it is missing")
        size_bytes = entry_bytes - 12
        if not 1 <= size_bytes <= 8 or page_bits > 32 or count > _MAX_PIECES:
            raise ForeignError("its chunks are listed in another way")
        per_page = 1 << page_bits
        pages = math.ceil(count / per_page) if count > per_page else 0
        bitmap_bytes = math.ceil(pages / 8)
        total = 14 + bitmap_bytes + count * entry_bytes + 4 * (pages + 1)
        block = self._bytes(block_address, total, "a list of chunks")
        block.expect(b"FADB\0\x01" + little(address, 8))
        initialised = int.from_bytes(block.take(bitmap_bytes), "big").bit_count()
        if initialised != pages:
            raise ForeignError("a part of it is missing")
        if pages:
            block.take(4)
        pieces = []
        for index in range(count):
            if pages and index and index % per_page == 0:
                block.take(4)
            pieces.append((block.number(8), block.number(size_bytes)))
            block.expect(b"\0\0\0\0")  # no filter was left out
        return pieces
