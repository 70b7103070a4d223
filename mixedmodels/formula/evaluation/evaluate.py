"""Evaluate an expression of a formula over columns of data.

The tree is walked; nothing is ever compiled or executed. What can be computed is the fixed table of
`functions`, arithmetic, comparisons, and what the caller passes in `env`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.errors import DataError, FormulaError, listed
from mixedmodels.formula.evaluation.columns import (
    Column,
    Factor,
    Logical,
    Matrix,
    Numeric,
    Value,
    as_factor,
    interaction,
    numeric,
)
from mixedmodels.formula.evaluation.conversions import converted, factor_among, kind_of, with_levels
from mixedmodels.formula.evaluation.input_frames import InputFrame
from mixedmodels.formula.evaluation.read_column import DATE_ADVICE, column_of
from mixedmodels.formula.language.number_format import number_name
from mixedmodels.formula.language.syntax_tree import (
    Binary,
    Call,
    Constant,
    Name,
    Node,
    Number,
    Paren,
    Text,
    Unary,
    deparse,
    distinct_names,
    quote_name,
    start_of,
    sum_operands,
)

_MAX_SEQUENCE = 100_000
# R's constants, where no column and no name in `env` takes their place.
CONSTANTS: dict[str, Value] = {"pi": math.pi, "T": True, "F": False}

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": np.true_divide,
    "^": np.power,
    "%%": np.mod,
    "%/%": np.floor_divide,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(slots=True, eq=False, repr=False)
class States:
    """What evaluation on the training data leaves behind for new data.

    Attributes
    ----------
    transforms : dict
        Printed call -> its state (centre and scale, knots, recurrence coefficients, breaks).
    levels : dict
        Column name -> levels it had, for columns that are factors.
    kinds : dict
        Column name -> kind of column, so that a change of type is noticed.
    """

    transforms: dict[str, Any] = field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False, repr=False)
class Evaluator:
    """Evaluation of expressions over one table.

    Attributes
    ----------
    frame : InputFrame
        The columns.
    text : str
        The source text, for messages.
    env : mapping
        Names from the caller: numbers, strings, arrays or functions of arrays.
    states : States
        Filled while `training`, read otherwise.
    call_function : callable
        Applies a function of the formula language; see `functions`.
    training : bool
        Whether the data are those the model is fitted to.
    """

    frame: InputFrame
    text: str
    env: Mapping[str, Any]
    states: States
    call_function: Callable[[Call, Evaluator], Value]
    training: bool = True

    def column(self, node: Node) -> Column:
        """Return the value of `node` with one entry a row, scalars repeated."""
        value = self.value(node)
        if isinstance(value, (Numeric, Matrix, Logical, Factor)):
            if len(value) != self.frame.n_rows:
                raise DataError(
                    f"{deparse(node)} has length {len(value)}, the data have {self.frame.n_rows} rows"
                )
            return value
        if isinstance(value, bool):
            return Logical(np.full(self.frame.n_rows, value))
        if isinstance(value, (float, int)):
            return Numeric(np.full(self.frame.n_rows, float(value)))
        self.fail(node, f"'{deparse(node)}' is not a variable{self.as_column(value)}")

    def as_column(self, value: Value) -> str:
        """Return how a column is written whose name was given as a string; empty when there is none."""
        if not isinstance(value, str) or value not in self.frame:
            return ""
        way = "without quotes" if quote_name(value) == value else "in backticks"
        return f" but a string; put the name of the column {way}: {quote_name(value)}"

    def value(self, node: Node) -> Value:
        """Return the value of any expression."""
        if isinstance(node, Name):
            return self.variable(node)
        if isinstance(node, (Number, Text, Constant)):
            return node.value
        if isinstance(node, Paren):
            return self.value(node.inner)
        if isinstance(node, Call):
            return self.call_function(node, self)
        if isinstance(node, Unary):
            return self.prefix(node)
        if node.operator in ("+", "-"):
            return self.sum(node)
        return self.operation(node)

    def require(self, expressions: Iterable[Node]) -> None:
        """Raise one error that names every variable of `expressions` that is nowhere to be found."""
        names = (name for node in expressions for name in distinct_names(node))
        try:
            self.frame.require((n for n in names if n not in CONSTANTS), self.env)
        except DataError as error:
            advice = self.frame.wants_backticks(self.text)
            raise DataError(f"{error}. {advice}") if advice else error from None

    def fail(self, node: Node, message: str) -> NoReturn:
        """Raise a FormulaError that points at `node`."""
        raise FormulaError(message, self.text, start_of(node))

    def variable(self, node: Name) -> Value:
        """Return a column of the data, or a value from `env`."""
        name = node.name
        if name in self.frame:
            column = self.frame.column(name)
            return self.remember(name, column) if self.training else self.conform(name, column)
        if name in self.env:
            return self.from_env(node)
        if name in CONSTANTS:
            return CONSTANTS[name]
        self.require([node])
        raise AssertionError("require() raises")  # pragma: no cover

    def remember(self, name: str, column: Column) -> Column:
        """Note the kind and the levels of a training column."""
        self.states.kinds[name] = kind_of(column)
        if isinstance(column, Factor):
            self.states.levels[name] = column.levels
        return column

    def conform(self, name: str, column: Column) -> Column:
        """Return a column of new data as the training data had it, unknown levels after the known ones.

        Raises
        ------
        DataError
            When the type of the column changed and something would be lost.
        """
        kind = self.states.kinds.get(name, kind_of(column))
        column = self.alike(name, column)
        if isinstance(column, Factor) and name in self.states.levels:
            return with_levels(column, self.states.levels[name])
        if type(column).__name__ == ("Numeric" if kind == "Integer" else kind):
            return column
        missing = column.missing()
        if missing is not None and missing.all():
            n = self.frame.n_rows
            return (
                Logical(np.zeros(n, dtype=bool), missing)
                if kind == "Logical"
                else Numeric(np.full(n, np.nan))
            )
        raise DataError(f"{name!r} was {_KINDS[kind]} in the fit and {_found(column)} in the new data")

    def alike(self, name: str, column: Column) -> Column:
        """Return a column of new data in the type it had in the training data, where that loses nothing."""
        kind = self.states.kinds.get(name)
        if kind == "Factor" and isinstance(column, (Numeric, Logical)):
            return factor_among(column, self.states.levels[name])
        return column if kind is None else converted(column, kind)

    def from_env(self, node: Name) -> Value:
        """Return a value the caller passed by name."""
        given = self.env[node.name]
        if given is None or isinstance(given, (bool, str)):
            return given
        if isinstance(given, (int, float, np.number)):
            return float(given)
        if callable(given):
            self.fail(node, f"'{node.name}' is a function; call it with its arguments")
        return column_of(given, node.name)

    def prefix(self, node: Unary) -> Value:
        """Return ``-a``, ``+a`` or ``!a``."""
        value = self.value(node.operand)
        if node.operator == "!":
            logical = self.logical(value, node.operand)
            return Logical(~logical.values, logical.absent)
        number = self.operand(value, node.operand)
        return self.wrap(-number if node.operator == "-" else number)

    def sum(self, node: Node) -> Value:
        """Return a chain of sums, in a loop because it may be thousands long."""
        (_, first, _), *rest = sum_operands(node)
        total = self.operand(self.value(first), first)
        with np.errstate(all="ignore"):
            for sign, operand, _ in rest:
                total = self.arithmetic(sign, total, self.operand(self.value(operand), operand), operand)
        return self.wrap(total)

    def operation(self, node: Binary) -> Value:
        """Return the value of an infix operation."""
        if node.operator == ":":
            return self.colon(node)
        left, right = self.value(node.left), self.value(node.right)
        if node.operator in _COMPARISONS:
            return self.comparison(node, left, right)
        if node.operator in ("&", "&&", "|", "||"):
            return self.connective(node, left, right)
        if node.operator == "%in%":
            return self.membership(node, left, right)
        read = self.number if node.operator == "^" else self.operand
        a, b = read(left, node.left), read(right, node.right)
        with np.errstate(all="ignore"):
            return self.wrap(self.arithmetic(node.operator, a, b, node))

    def arithmetic(self, symbol: str, a: Any, b: Any, node: Node) -> Any:
        """Return an operation on numbers; a vector beside a matrix stands for each of its columns."""
        if np.ndim(a) == 1 and np.ndim(b) == 2:
            a = a[:, None]
        elif np.ndim(a) == 2 and np.ndim(b) == 1:
            b = b[:, None]
        if _is_exact(a) or _is_exact(b):
            a, b = _exactly(a), _exactly(b)
        try:
            return _ARITHMETIC[symbol](a, b)
        except ValueError:
            self.fail(node, f"'{symbol}' joins matrices with different numbers of columns")
        except (ArithmeticError, TypeError):  # Python's numbers, where floats give Inf or NaN
            return _ARITHMETIC[symbol](np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))

    def colon(self, node: Binary) -> Value:
        """Return ``a:b``: an interaction of factors, or a sequence of whole numbers."""
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(left, float) and isinstance(right, float):
            if abs(right - left) > _MAX_SEQUENCE or not np.isfinite(left + right):
                raise FormulaError("the sequence is too long", self.text, node.position)
            step = 1 if right >= left else -1
            count = int(abs(right - left)) + 1
            return tuple(left + step * k for k in range(count))
        return interaction(self.factor(left, node.left), self.factor(right, node.right))

    def factor(self, value: Value, node: Node) -> Factor:
        """Return `value` as a factor."""
        if isinstance(value, (Factor, Numeric, Logical)):
            return as_factor(value)
        self.fail(node, f"'{deparse(node)}' cannot be made a factor")

    def number(self, value: Value, node: Node) -> Any:
        """Return `value` as floats: an array or a single one."""
        if isinstance(value, Numeric):
            return value.as_float()
        if isinstance(value, Logical):
            return value.as_float()
        if isinstance(value, Matrix):
            return value.values
        if isinstance(value, (bool, float, int)):
            # A NumPy scalar, so that 1/0 is Inf as in R and not a ZeroDivisionError.
            return np.float64(value)
        if isinstance(value, Factor) and value.is_date:
            raise DataError(DATE_ADVICE.format(name=deparse(node)))
        what = "a factor" if isinstance(value, Factor) else f"not a number{self.as_column(value)}"
        self.fail(node, f"arithmetic needs numbers; '{deparse(node)}' is {what}")

    def operand(self, value: Value, node: Node) -> Any:
        """Return `value` for arithmetic: floats, or Python's numbers where floats would lose digits."""
        if isinstance(value, Numeric) and value.loses_digits:
            return value.as_objects()
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return self.number(value, node)

    def wrap(self, number: Any) -> Value:
        """Return the result of arithmetic as a value."""
        if isinstance(number, int) and not isinstance(number, bool):
            return number
        if isinstance(number, np.ndarray) and number.dtype.kind == "O":
            return numeric(number)
        array = np.asarray(number, dtype=np.float64)
        if array.ndim == 0:
            return float(array)
        if array.ndim == 1:
            return Numeric(array)
        return Matrix(array, tuple(str(k + 1) for k in range(array.shape[1])))

    def logical(self, value: Value, node: Node) -> Logical:
        """Return `value` as truth values; numbers are true when not zero."""
        if isinstance(value, Logical):
            return value
        if isinstance(value, bool):
            return Logical(np.full(self.frame.n_rows, value))
        if isinstance(value, Numeric):
            return Logical(value.values != 0, value.missing())
        self.fail(node, f"'{deparse(node)}' is not true or false")

    def connective(self, node: Binary, left: Value, right: Value) -> Logical:
        """Return ``a & b`` or ``a | b``; where the known side decides, a missing one does not matter."""
        a, b = self.logical(left, node.left), self.logical(right, node.right)
        either = node.operator in ("|", "||")
        values = (a.values | b.values) if either else (a.values & b.values)
        if a.absent is None and b.absent is None:
            return Logical(values)
        none = np.zeros(self.frame.n_rows, dtype=bool)
        gone_a = none if a.absent is None else a.absent
        gone_b = none if b.absent is None else b.absent
        decided = ((a.values == either) & ~gone_a) | ((b.values == either) & ~gone_b)
        return Logical(np.where(decided, either, values), (gone_a | gone_b) & ~decided)

    def comparison(self, node: Binary, left: Value, right: Value) -> Value:
        """Return ``a < b`` and its like; a factor is compared with level names."""
        if isinstance(left, Factor) or isinstance(right, Factor):
            return self.factor_comparison(node, left, right)
        if isinstance(left, str) and isinstance(right, str):
            return bool(_COMPARISONS[node.operator](left, right))
        a, b = self.operand(left, node.left), self.operand(right, node.right)
        if np.ndim(a) == 2 or np.ndim(b) == 2:
            self.fail(node, "a matrix cannot be compared")
        if isinstance(a, int) or isinstance(b, int):  # NumPy would round a long whole number first
            a, b = (np.asarray(side, dtype=object) for side in (a, b))
        result = _COMPARISONS[node.operator](a, b)
        if np.ndim(result) == 0:
            return bool(result)
        absent: BoolArray = np.asarray(pd.isna(a)) | np.asarray(pd.isna(b))
        return Logical(np.asarray(result, dtype=bool), absent if absent.any() else None)

    def factor_comparison(self, node: Binary, left: Value, right: Value) -> Logical:
        """Compare a factor with a level, or two factors by their names."""
        if not isinstance(left, Factor):
            mirrored = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(node.operator, node.operator)
            return self.factor_comparison(
                Binary(mirrored, node.right, node.left, node.position, node.depth), right, left
            )
        compare = _COMPARISONS[node.operator]
        by_order = node.operator not in ("==", "!=")
        has_text_order = left.is_text or left.is_date
        if by_order and not left.ordered and not has_text_order:
            self.fail(
                node, f"'{node.operator}' needs an ordered factor; '{deparse(node.left)}' is not ordered"
            )
        absent = left.codes < 0
        if isinstance(right, Factor):
            names = {level: i for i, level in enumerate(dict.fromkeys(left.levels + right.levels))}
            other = np.array([names[level] for level in right.levels] + [-1])[right.codes]
            absent = absent | (right.codes < 0)
            return Logical(compare(left.codes, other), absent if absent.any() else None)
        level = _as_level(right)
        if level is None:
            self.fail(node.right, f"'{deparse(node.left)}' is a factor; compare it with one of its levels")
        if has_text_order and by_order:
            wanted = np.array([compare(name, level) for name in left.levels] + [False])
            return Logical(wanted[left.codes], absent if absent.any() else None)
        position = left.levels.index(level) if level in left.levels else -2
        return Logical(compare(left.codes, position), absent if absent.any() else None)

    def membership(self, node: Binary, left: Value, right: Value) -> Logical:
        """Return ``x %in% c(...)``."""
        wanted = right if isinstance(right, tuple) else (right,)
        if any(not isinstance(item, (float, int, str)) for item in wanted):
            self.fail(node.right, "the right side of %in% is a list of values such as c(1, 2)")
        if isinstance(left, Factor):
            names = {_as_level(item) for item in wanted}
            table = np.array([level in names for level in left.levels] + [False])
            return Logical(table[left.codes])
        numbers = [item for item in wanted if not isinstance(item, str)]
        given = self.operand(left, node.left)
        if given.dtype == object or any(type(item) is int for item in numbers):
            known = set(numbers)
            return Logical(np.array([item in known for item in np.atleast_1d(given).tolist()], dtype=bool))
        return Logical(np.isin(given, np.array(numbers, dtype=np.float64)))


def _is_exact(number: Any) -> bool:
    """Tell whether a number or an array is of Python's numbers, not of NumPy's."""
    return type(number) is int or getattr(number, "dtype", None) == np.dtype(object)


def _exactly(number: Any) -> Any:
    """Return numbers as Python's own, whole ones as int, so that they do not round their partners."""
    if _is_exact(number):
        return number
    if np.ndim(number) == 0:
        return int(number) if float(number).is_integer() else float(number)
    objects = number.astype(object)
    whole = np.isfinite(number) & (number == np.trunc(number))
    objects[whole] = [int(value) for value in number[whole]]
    return objects


_KINDS = {
    "Numeric": "numeric",
    "Integer": "numeric",
    "Logical": "logical",
    "Factor": "a factor",
    "Matrix": "a matrix",
}


def _found(column: Column) -> str:
    """Return what a column of new data is, in words."""
    if isinstance(column, Factor) and column.is_text:
        return f"holds strings ({listed(map(repr, column.levels), 3)})"
    return f"is {_KINDS[kind_of(column)]}"


def _as_level(value: Value) -> str | None:
    """Return a scalar as the name of a level."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (float, int)):
        return number_name(value)
    return value if isinstance(value, str) else None


def as_numbers(column: Column, what: str) -> FloatArray:
    """Return a column that must hold one number a row.

    Raises
    ------
    DataError
        Naming `what` it was meant for.
    """
    if isinstance(column, (Numeric, Logical)):
        return column.as_float()
    kind = "a factor" if isinstance(column, Factor) else "a matrix"
    raise DataError(f"{what} must be one number a row; this is {kind}")
