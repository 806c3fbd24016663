"""NumPy arrays from a stranger's pickle, without running anything that the pickle asks for.

A pickle is a program. This reader looks at its instructions first, and allows those that make lists, dicts,
tuples, numbers, texts and NumPy arrays. The three constructors that arrays are pickled with are replaced by
stand-ins that check dtype, shape and size before they make an array.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np

from awaccli.errors import InputError

MAX_PICKLE_BYTES = 1 << 30
_OPCODES = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "NONE", "NEWTRUE", "NEWFALSE"),
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
        *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
    }
)
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_DTYPE = re.compile(r"(b1|[iu][1248]|f[248])")


def looks_pickled(path: Path) -> bool:
    """Return whether a file begins as pickles do: with a protocol, a list, a dict or a tuple."""
    with path.open("rb") as raw:
        return raw.read(1) in (b"\x80", b"(", b"]", b"}")


def unpickled(path: Path) -> Any:
    """Return what a pickle of lists, dicts and NumPy arrays holds.

    Raises:
        InputError: it is too large, damaged, or asks for anything else.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MAX_PICKLE_BYTES:
        raise InputError(
            f"`{path}` has {size_bytes} bytes: a pickle is read in one piece",
            hint=f"expected at most {MAX_PICKLE_BYTES}; take it apart, or convert it to npz",
        )
    text = path.read_bytes()
    try:
        _require_harmless(text)
        return _arrays_made(_Unpickler(io.BytesIO(text), encoding="latin1").load(), depth=0)
    except _RefusedError as error:
        raise InputError(
            f"`{path}` was not unpickled: {error}",
            hint="other pickles could run any code; NumPy's arrays alone are read, pickled with protocol 4",
        ) from error
    except (
        pickle.UnpicklingError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise InputError(
            f"`{path}` is no valid pickle: {error}", hint="it is damaged: get it again"
        ) from error


class _RefusedError(Exception):
    """The pickle asks for more than arrays; the text says what."""


def _require_harmless(text: bytes) -> None:
    """Check every instruction: its kind, and that it announces no more than there is."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(text)):
        if opcode.name not in _OPCODES:
            raise _RefusedError(f"it uses the instruction {opcode.name}")
        if opcode.name in _PUTS and int(str(argument)) > count:
            raise _RefusedError(f"it announces {argument} objects")
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).rpartition(" ")
            _stand_in(module, name)


def _stand_in(module: str, name: str) -> Any:
    """Return what takes the place of one of NumPy's three constructors."""
    match (module, name):
        case ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct"):
            return _Array
        case ("numpy", "ndarray"):
            return _NDARRAY
        case ("numpy", "dtype"):
            return _Dtype
    raise _RefusedError(f"it asks for {module[:80]}.{name[:80]}")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _stand_in(module, name)


class _Ndarray:
    """The class of arrays, named and never called."""

    __slots__ = ()


_NDARRAY = _Ndarray()


class _Dtype:
    """``numpy.dtype(text, align, copy)``, of numbers only."""

    def __init__(self, text: Any, *_: Any) -> None:
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            raise _RefusedError("it holds arrays of something else than numbers")
        self._text, self._order = text, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, fields = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or any(item is not None for item in fields):
            raise _RefusedError("it holds arrays of something else than numbers")
        self._order = order

    def made(self) -> np.dtype[Any]:
        return np.dtype(self._order + self._text)


class _Array:
    """``_reconstruct(ndarray, (0,), b"b")``, an empty array that its state fills."""

    def __init__(self, kind: Any, *_: Any) -> None:
        if kind is not _NDARRAY:
            raise _RefusedError("it holds arrays of a class of its own")
        self.made: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, content = state
        # A pickle of Python 2 has bytes as text, which encoding="latin1" maps one to one.
        content = content.encode("latin1") if isinstance(content, str) else content
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes) or not isinstance(shape, tuple):
            raise _RefusedError("it holds arrays of something else than numbers")
        if not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 8:
            raise _RefusedError("it holds an array with an impossible shape")
        if math.prod(shape) * dtype.made().itemsize != len(content):
            raise _RefusedError(f"it holds an array of shape {shape} with {len(content)} bytes")
        flat = np.frombuffer(content, dtype.made())
        self.made = flat.reshape(shape, order="F" if by_columns else "C")


def _arrays_made(value: Any, *, depth: int) -> Any:
    """Return lists and dicts with arrays in place of their stand-ins; three levels are all there is."""
    match value:
        case _Array(made=np.ndarray() as array):
            return array
        case None | bool() | int() | float() | str():
            return value
        case list() if depth < 3:
            return [_arrays_made(item, depth=depth + 1) for item in value]
        case dict() if depth < 3 and all(isinstance(key, str) for key in value):
            return {key: _arrays_made(item, depth=depth + 1) for key, item in value.items()}
    raise _RefusedError("it holds something else than lists, dicts and arrays of numbers")
