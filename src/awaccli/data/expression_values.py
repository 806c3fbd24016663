"""What a condition's syntax tree is worth on columns: NumPy on whole columns, and what fits to what."""

from __future__ import annotations

import ast
import difflib
import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from awaccli.errors import UsageError

LANGUAGE = "there are comparisons, and, or, not, + - * /, and `in` with a list: success and length < 200"
ARITHMETIC: Mapping[type[ast.operator], Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
FUNCTIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs,
    "norm": lambda vectors: np.sqrt(np.sum(vectors * vectors, axis=-1)),
    "min": lambda vectors: vectors.min(axis=-1),
    "max": lambda vectors: vectors.max(axis=-1),
}
"""All but `abs` turn a vector per row into a number per row."""
_Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]
_ORDER: Mapping[type[ast.cmpop], _Compare] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Labels:
    """A column of words. A row may have several of them, or none."""

    rows: Mapping[str, np.ndarray]
    """Where each word applies, bool [N]."""
    complete: bool = False
    """True: a word that is not among them is a slip of the pen. False: there is at least one."""


Column = np.ndarray | Labels
"""Numbers or truth values [N], vectors [N, k], or words."""
_Value = np.ndarray | Labels | str
"""Constants are arrays without a dimension."""


def fault(text: str, node: ast.AST, what: str, hint: str) -> UsageError:
    """Return the error that says what is wrong with a part of a condition, and where."""
    offset: int = getattr(node, "col_offset", 0)
    place = len(text.encode()[:offset].decode()) + 1
    return UsageError(f"`{text}`: {what}, at character {place}", hint=hint)


@dataclass(frozen=True)
class Values:
    """Computes trees on columns.

    Raises:
        UsageError: from every method; values that cannot be combined as the tree says.
    """

    text: str
    """Of the condition, for messages."""
    columns: Mapping[int, Column]
    """By the identity of the node that names it."""

    def rows(self, tree: ast.expr) -> np.ndarray:
        """Return where the tree is true, bool [N]."""
        with np.errstate(all="ignore"):
            result = self._truth(tree)
        if result.ndim == 0:
            raise self._fault(tree, "this does not depend on any column", LANGUAGE)
        return result

    def _value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Name() | ast.Attribute():
                return self.columns[id(node)]
            case ast.Constant(value=str() as word):
                return word
            case ast.Constant(value=bool() | int() | float() as value):
                return np.asarray(value)
            case ast.BoolOp() | ast.Compare() | ast.UnaryOp(op=ast.Not()):
                return self._logic(node)
            case ast.List() | ast.Tuple():
                raise self._fault(node, "a list stands alone", "lists come after `in`")
            case _:
                return self._arithmetic(node)

    def _logic(self, node: ast.BoolOp | ast.Compare | ast.UnaryOp) -> np.ndarray:
        match node:
            case ast.UnaryOp(operand=operand):
                return ~self._truth(operand)
            case ast.BoolOp(op=op, values=parts):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return functools.reduce(join, [self._truth(part) for part in parts])
            case ast.Compare(left=first, ops=ops, comparators=others):
                pairs = zip([first, *others], ops, others, strict=False)
                return functools.reduce(
                    lambda a, b: self._both(node, np.logical_and, a, b),
                    [self._compared(left, op, right) for left, op, right in pairs],
                )

    def _arithmetic(self, node: ast.expr) -> np.ndarray:
        match node:
            case ast.UnaryOp(op=op, operand=operand):
                (numbers,) = _alike(self._numbers(operand))
                return np.asarray(-numbers if isinstance(op, ast.USub) else numbers)
            case ast.BinOp(left=left, op=op, right=right):
                return self._both(node, ARITHMETIC[type(op)], self._numbers(left), self._numbers(right))
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return self._applied(node, name, argument)
            case ast.Subscript(value=value, slice=index):
                return self._entry(node, value, index)
            case _:
                raise self._fault(node, "this is not used here", LANGUAGE)

    def _truth(self, node: ast.expr) -> np.ndarray:
        value = self._value(node)
        if not isinstance(value, np.ndarray) or value.dtype != bool:
            raise self._fault(node, "this is neither true nor false", "compare it with something")
        if value.ndim == 2:
            raise self._fault(
                node,
                f"this has {value.shape[1]} values per row",
                "take one by its index, as in position[0], or norm(...), min(...) or max(...)",
            )
        return value

    def _numbers(self, node: ast.expr) -> np.ndarray:
        value = self._value(node)
        if not isinstance(value, np.ndarray) or value.dtype == bool:
            raise self._fault(node, "this is no number", "only == and != are for words, True and False")
        return value

    def _both(self, node: ast.expr, combine: _Compare, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Combine two values row by row; a number per row goes with every entry of a vector per row."""
        if {a.ndim, b.ndim} == {1, 2}:
            a, b = (values[:, None] if values.ndim == 1 else values for values in (a, b))
        a, b = _alike(a, b)
        try:
            return np.asarray(combine(a, b))
        except (ZeroDivisionError, OverflowError) as error:
            raise self._fault(node, "this divides by zero, or is too large", LANGUAGE) from error
        except ValueError as error:
            what = f"{a.shape[-1]} and {b.shape[-1]} values per row do not fit"
            raise self._fault(node, what, "vectors must be equally long") from error

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> np.ndarray:
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple):
                raise self._fault(right, "`in` needs a list", "as in: source in ['a', 'b']")
            equal = [self._equal(left, item) for item in right.elts]
            found = functools.reduce(np.logical_or, equal, np.asarray(False))
            return np.asarray(found if isinstance(op, ast.In) else ~found)
        if isinstance(op, ast.Eq | ast.NotEq):
            equal_rows = self._equal(left, right)
            return equal_rows if isinstance(op, ast.Eq) else ~equal_rows
        compared = self._both(left, _ORDER[type(op)], self._numbers(left), self._numbers(right))
        return compared.astype(bool)

    def _equal(self, left: ast.expr, right: ast.expr) -> np.ndarray:
        a, b = self._value(left), self._value(right)
        if isinstance(a, Labels):
            return self._labelled(a, b, right)
        if isinstance(b, Labels):
            return self._labelled(b, a, left)
        if isinstance(a, str) or isinstance(b, str) or (a.dtype == bool) != (b.dtype == bool):
            raise self._fault(left, "this is compared with another kind", "numbers, words and truths differ")
        return self._both(left, operator.eq, a, b).astype(bool)

    def _labelled(self, labels: Labels, word: _Value, node: ast.expr) -> np.ndarray:
        known = ", ".join(f"'{name}'" for name in labels.rows) or "none"
        if not isinstance(word, str):
            raise self._fault(node, "a word in quotes is expected", f"there are {known}")
        if word in labels.rows:
            return labels.rows[word]
        if labels.complete:
            near = difflib.get_close_matches(word, labels.rows, n=1)
            raise self._fault(
                node, f"there is no '{word}'", f"did you mean '{near[0]}'?" if near else f"there are {known}"
            )
        return np.zeros_like(next(iter(labels.rows.values())))

    def _applied(self, node: ast.expr, name: str, argument: ast.expr) -> np.ndarray:
        (numbers,) = _alike(self._numbers(argument))
        if name != "abs" and numbers.ndim != 2:
            raise self._fault(node, f"`{name}` needs a vector per row", "of a number there is abs(...)")
        return np.asarray(FUNCTIONS[name](numbers))

    def _entry(self, node: ast.expr, value: ast.expr, index: ast.expr) -> np.ndarray:
        vectors = self._numbers(value)
        if vectors.ndim != 2:
            raise self._fault(node, "this is one number per row", "it is used without an index")
        width = vectors.shape[1]
        match index:
            case ast.Slice(lower=lower, upper=upper, step=None):
                part = vectors[:, slice(*(None if at is None else self._place(at) for at in (lower, upper)))]
            case _:
                place = self._place(index)
                part = vectors[:, place] if -width <= place < width else vectors[:, :0]
        if not part.size:
            raise self._fault(node, "there is no such entry", f"there are {width}, from 0")
        return part

    def _place(self, node: ast.expr) -> int:
        match node:
            case ast.Constant(value=int() as place) if not isinstance(place, bool):
                return place
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as place)):
                return -place
            case _:
                raise self._fault(node, "this is no index", "expected a whole number")

    def _fault(self, node: ast.AST, what: str, hint: str) -> UsageError:
        return fault(self.text, node, what, hint)


def _alike(*values: np.ndarray) -> list[np.ndarray]:
    """Return numbers as float64; seeds (object: whole, or unknown), and what meets them, stay exact."""
    dtypes = {value.dtype for value in values}
    if dtypes == {np.dtype(bool)}:
        return list(values)
    return [value.astype(object if np.dtype(object) in dtypes else np.float64) for value in values]
