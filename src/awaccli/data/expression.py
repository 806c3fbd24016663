"""Conditions in a small, safe language: comparisons, `and`, `or`, `not`, arithmetic; never `eval`.

A condition is parsed once into Python's syntax tree, of which only the kinds of nodes below are understood,
and then computed on whole columns.
"""

from __future__ import annotations

import ast
import difflib
import io
import re
import tokenize
import warnings
from collections.abc import Iterator, Mapping

import numpy as np

from awaccli.data.expression_values import ARITHMETIC, FUNCTIONS, LANGUAGE, Column, Values, fault
from awaccli.errors import UsageError

_MAX_CHARACTERS = 4000
_MAX_DEPTH = 100
_RETURN = "Return"
"""Stands for the column `return`, which Python takes for a word of its own; as long as that."""
_KNOWN = (
    ast.BoolOp,
    ast.UnaryOp,
    ast.Compare,
    ast.BinOp,
    ast.Name,
    ast.Attribute,
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Call,
    ast.Subscript,
    ast.Slice,
)


class Condition:
    """A parsed condition on the rows of some columns.

    Raises:
        UsageError: not an expression of this language; says at which character.
    """

    def __init__(self, text: str) -> None:
        self.text = re.sub(r"\s*[\r\n]+\s*", " ", text.strip())
        self._tree = _parse(self.text)
        if _is_deep(self._tree):
            raise UsageError("the condition is nested too deep", hint=LANGUAGE)
        for node in ast.walk(self._tree):
            _require_known(self.text, node)

    def parts(self) -> list[Condition]:
        """Return the conditions that ``and`` joins, or the condition itself."""
        if isinstance(self._tree, ast.BoolOp) and isinstance(self._tree.op, ast.And):
            return [
                Condition(ast.get_source_segment(self.text, node) or self.text) for node in self._tree.values
            ]
        return [self]

    def holds(self, columns: Mapping[str, Column]) -> np.ndarray:
        """Return where the condition is true, bool [N].

        Raises:
            UsageError: an unknown column, or values that cannot be combined so; says at which character.
        """
        for name, node in _columns(self._tree):
            if name not in columns:
                raise fault(self.text, node, f"`{name}` is not known here", _did_you_mean(name, columns))
        named = {id(node): columns[name] for name, node in _columns(self._tree)}
        return Values(self.text, named).rows(self._tree)


def _parse(text: str) -> ast.expr:
    if len(text) > _MAX_CHARACTERS:
        raise UsageError(f"a condition of {len(text)} characters", hint=f"expected at most {_MAX_CHARACTERS}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about code that is no code here
            return ast.parse(_without_return(text), mode="eval").body
    except SyntaxError as error:
        hint = "equality is written ==" if re.search(r"(?<![=!<>])=(?!=)", text) else LANGUAGE
        where = f", at character {error.offset}" if error.offset else ""
        raise UsageError(f"`{text}` is no condition: {error.msg.split('. ')[0]}{where}", hint=hint) from error
    except (RecursionError, MemoryError) as error:
        raise UsageError("the condition is nested too deep", hint=LANGUAGE) from error
    except (ValueError, tokenize.TokenError) as error:
        raise UsageError(f"`{text}` is no condition: {error.args[0]}", hint=LANGUAGE) from error


def _is_deep(tree: ast.expr) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return bool(level)


def _without_return(text: str) -> str:
    """Give the column `return` another name, everywhere but inside quotes."""
    changed = list(text)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string in ("return", _RETURN):
            word = _RETURN if token.string == "return" else _RETURN.upper()
            changed[token.start[1] : token.end[1]] = word
    return "".join(changed)


def _require_known(text: str, node: ast.AST) -> None:
    match node:
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr() | ast.BitXor()) | ast.UnaryOp(op=ast.Invert()):
            raise fault(text, node, "`&`, `|`, `^` and `~` are not used", "write and, or, not")
        case ast.BinOp(op=op) if type(op) not in ARITHMETIC:
            raise fault(text, node, "this operator is not known", "there are + - * / // %")
        case ast.Compare(ops=ops) if any(isinstance(op, ast.Is | ast.IsNot) for op in ops):
            raise fault(text, node, "`is` is not used", "write == or !=")
        case ast.Call(func=ast.Name(id=name), args=[_], keywords=[]) if name in FUNCTIONS:
            return
        case ast.Call():
            raise fault(text, node, "this cannot be called", f"there are {', '.join(FUNCTIONS)} of one value")
        case ast.Constant(value=value) if not isinstance(value, bool | int | float | str):
            raise fault(text, node, "this constant is not used", "there are numbers, 'words', True, False")
        case ast.expr() if not isinstance(node, _KNOWN):
            raise fault(text, node, "this is not part of the language", LANGUAGE)


def _columns(tree: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield every mention of a column."""
    match tree:
        case ast.Name(id=name):
            yield "return" if name == _RETURN else name, tree
        case ast.Attribute():
            yield _dotted(tree), tree
        case ast.Call(args=arguments):
            for argument in arguments:
                yield from _columns(argument)
        case _:
            for child in ast.iter_child_nodes(tree):
                if isinstance(child, ast.expr):
                    yield from _columns(child)


def _dotted(node: ast.expr) -> str:
    """Return a name with dots: imported fields have such."""
    match node:
        case ast.Attribute(value=value, attr=attribute):
            return f"{_dotted(value)}.{attribute}"
        case ast.Name(id=name):
            return name
        case _:
            return "?"


def _did_you_mean(name: str, known: Mapping[str, Column]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
