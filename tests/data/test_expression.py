"""Conditions: what they mean, and that nothing else is understood."""

import ast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaccli.data.expression import Condition
from awaccli.data.expression_values import Labels
from awaccli.errors import UsageError

COLUMNS = {
    "success": np.array([True, True, False, False]),
    "return": np.array([-10.0, -70.0, -5.0, 0.0]),
    "length": np.array([10, 300, 20, 5], np.int32),
    "seed": np.array([3, np.nan, 2**63 + 1, 5], object),
    "source": Labels(
        {"a": np.array([True, True, False, False]), "return of": np.array([False, False, True, True])}
    ),
    "end_reason": Labels(
        {"terminated": np.array([True, False, False, False]), "stopped": np.zeros(4, bool)}, complete=True
    ),
    "split": Labels({}, complete=True),
    "tip": np.arange(12.0).reshape(4, 3),
    "goal": np.ones((4, 3)),
    "wide": np.ones((4, 4)),
    "observation.state": np.eye(4),
}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("success", "1100"),
        ("not success", "0011"),
        ("success and return > -60 and length < 200", "1000"),
        ("success or return == 0", "1101"),
        ("0 < length <= 20", "1011"),
        ("length in [5, 10]", "1001"),
        ("length not in (5, 10)", "0110"),
        ("length / 2 + 1 > 10", "0110"),
        ("-return < 20 and return % 2 == 0", "1001"),
        ("abs(length - 12) < 5", "1000"),
        ("success == True", "1100"),
        ("source == 'a'", "1100"),
        ('"a" != source', "0011"),
        ("source in ['return of', 'b']", "0011"),
        ("source == 'nobody'", "0000"),
        ("end_reason != 'terminated'", "0111"),
        ("seed == 9223372036854775809", "0010"),
        ("seed % 2 == 1", "1011"),
        ("seed >= 4 and seed < 6", "0001"),
        ("norm(tip - goal) < 3", "1000"),
        ("tip[0] > 3 and tip[-1] < 11", "0010"),
        ("max(tip[0:2]) >= 4", "0111"),
        ("min(tip * length) < 20", "1000"),
        ("observation.state[2] == 1", "0010"),
        ("length\n  > 10", "0110"),
        ("length < 1e400 and length < 1" + "0" * 400, "1111"),
        ("return / 0 < 1", "1110"),
    ],
)
def test_what_conditions_mean(text, rows):
    assert Condition(text).holds(COLUMNS).tolist() == [row == "1" for row in rows]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("retturn > 3", "`retturn` is not known here, at character 1", "did you mean return?"),
        ("success and Return > 3", "`RETURN` is not known here, at character 13", "return"),
        ("source == 'é' and lengith > 3", "at character 19", "did you mean length"),
        ("end_reason == 'terminate'", "there is no 'terminate', at character 15", "'terminated'"),
        ("split == 'train'", "there is no 'train'", "there are none"),
        ("length = 5", "no condition", "=="),
        ("success & (length > 3)", "not used, at character 1", "write and, or, not"),
        ("length is 5", "`is` is not used", "=="),
        ("length", "neither true nor false", ""),
        ("True", "does not depend on any column", ""),
        ("success == 1", "compared with another kind", ""),
        ("success + 1 > 2", "no number", ""),
        ("source > 'a'", "no number, at character 1", ""),
        ("source == 5", "a word in quotes", "'a', 'return of'"),
        ("length == [5]", "a list stands alone", "in"),
        ("length in 5", "`in` needs a list", ""),
        ("tip > 3", "3 values per row", "norm"),
        ("norm(tip - wide) < 1", "3 and 4 values per row do not fit", ""),
        ("norm(length) < 1", "needs a vector", "abs"),
        ("tip[3] > 1", "no such entry", "there are 3"),
        ("tip[True] > 1", "no index", ""),
        ("tip[::2] > 1", "no index", ""),
        ("length[0] > 1", "one number per row", ""),
        ("seed // 0 == 1", "divides by zero", ""),
        ("length << 2 > 1", "operator is not known", ""),
        ("None == seed", "constant is not used", ""),
        ("(length", "no condition", ""),
        ("'abc", "no condition", ""),
        ("", "no condition", ""),
        ("length > 1\0", "no condition", ""),
        ("9 ** 9 ** 9 > length", "operator is not known", ""),
        ("seed * 1.5 > 1 and return * 1" + "0" * 400 + " > 1", "divides by zero, or is too large", ""),
        ("length > " + "9" * 5000, "5009 characters", ""),
        ("not " * 200 + "success", "nested too deep", ""),
        ("(" * 500 + "1" + ")" * 500, "no condition", ""),
    ],
)
def test_what_is_no_condition_says_why_and_where(text, message, hint):
    with pytest.raises(UsageError) as error:
        Condition(text).holds(COLUMNS)
    assert message in str(error.value)
    assert hint in error.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "[x for x in (1,)]",
        "(lambda: True)()",
        "success if True else success",
        "f'{success}' == 'x'",
        "(y := success)",
        "open('file')",
        "norm(tip, tip) < 1",
        "norm(*[tip]) < 1",
        "norm(vectors=tip) < 1",
        "length.real > 1",
        "{1: 2} == 3",
        "tip[0, 1] > 2",
        "await success",
    ],
)
def test_nothing_runs(text):
    with pytest.raises(UsageError):
        Condition(text).holds(COLUMNS)


@given(
    st.text(st.sampled_from("success length return tip()[]<>=!'\"0123456789.,+-*/% andornt\n\\"), max_size=40)
)
@settings(deadline=None, max_examples=300)
def test_any_text_is_a_condition_or_a_usage_error(text):
    try:
        rows = Condition(text).holds(COLUMNS)
    except UsageError:
        return
    assert rows.dtype == bool
    assert rows.shape == (4,)


_LEAVES = st.sampled_from(
    ["success", "length > 10", "return < -6", "source == 'a'", "end_reason == 'stopped'"]
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda a: f"not ({a})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=8,
)


@given(_TREES)
@settings(deadline=None, max_examples=100)
def test_logic_is_that_of_python_row_by_row(text):
    rows = Condition(text).holds(COLUMNS)
    for index, found in enumerate(rows):
        leaf = {
            name: bool(Condition(name).holds(COLUMNS)[index])
            for name in ("success", "length > 10", "return < -6", "source == 'a'", "end_reason == 'stopped'")
        }
        plain = text
        for name, value in leaf.items():
            plain = plain.replace(name, str(value))
        assert found == _logic(ast.parse(plain, mode="eval").body)


def _logic(node):
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(operand=operand):
            return not _logic(operand)
        case ast.BoolOp(op=op, values=values):
            return (all if isinstance(op, ast.And) else any)(map(_logic, values))


def test_parts_are_what_and_joins():
    parts = Condition("success and return > -60 and (length < 200 or length > 3)").parts()
    assert [part.text for part in parts] == ["success", "return > -60", "length < 200 or length > 3"]
    assert [part.text for part in Condition("success or length > 3").parts()] == ["success or length > 3"]
