"""Expressions of a formula in SQL.

Missing is NULL throughout: NaN of the table is made NULL where a column is read, and what R would make NaN,
such as the logarithm of a negative number, is NULL, so that the row is dropped as R drops it. What R would
make infinite is noted as a fault of the row, which :meth:`Moments.from_sql` refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mixedmodels.errors import FormulaError, listed
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
    sum_operands,
)
from mixedmodels.sql.dialects import Dialect

#: Powers up to this are written as products, which SQL computes as NumPy does.
LARGEST_PRODUCT = 4
COMPARISONS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
#: Functions of R and of SQL that are defined everywhere.
PLAIN = {"exp": "exp({})", "abs": "abs({})", "floor": "floor({})", "ceiling": "ceil({})"}
LOGARITHMS = {"log": 1.0, "log2": np.log(2.0), "log10": np.log(10.0)}
TRANSLATED = ("I", "log", "log2", "log10", "exp", "sqrt", "abs", "floor", "ceiling", "ifelse")


@dataclass(slots=True)
class Expressions:
    """Expressions in a dialect, and what they read and cannot have.

    Attributes
    ----------
    dialect : Dialect
        The dialect.
    formula : str
        The formula, for messages.
    values : dict
        Columns that are read as numbers, in order; no value has a meaning.
    raws : dict
        Columns that are read as they are.
    faults : dict
        Message -> condition of a row that has no finite value.
    """

    dialect: Dialect
    formula: str
    values: dict[str, None] = field(default_factory=dict)
    raws: dict[str, None] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """Return a column as a number."""
        self.values[name] = None
        return self.dialect.identifier(f"{name}_value")

    def raw(self, name: str) -> str:
        """Return a column as it is."""
        self.raws[name] = None
        return self.dialect.identifier(f"{name}_raw")

    def number(self, node: Node) -> str:
        """Return a numeric expression.

        Raises
        ------
        FormulaError
            If it has no counterpart in SQL.
        """
        if isinstance(node, Paren):
            return self.number(node.inner)
        if isinstance(node, Name):
            return self.value(node.name)
        if isinstance(node, Number):
            return self.dialect.number(node.value)
        if isinstance(node, Unary) and node.operator in "+-":
            return f"({node.operator} {self.number(node.operand)})"
        if isinstance(node, Binary) and node.operator in ("+", "-"):
            return self._sum(node)
        if isinstance(node, Binary) and node.operator in ARITHMETIC:
            return ARITHMETIC[node.operator](self, node)
        if isinstance(node, Call) and all(a.name is None for a in node.arguments):
            return self._call(node)
        raise self._untranslated(node)

    def _sum(self, node: Node) -> str:
        (_, first, _), *others = sum_operands(node)
        return "(" + "".join([self.number(first), *(f" {s} {self.number(o)}" for s, o, _ in others)]) + ")"

    def _product(self, node: Binary) -> str:
        return f"({self.number(node.left)} * {self.number(node.right)})"

    def _ratio(self, node: Binary) -> str:
        top, below = self.number(node.left), self.number(node.right)
        self.faults[f"{deparse(node)} is infinite"] = f"{below} = 0 AND {top} <> 0"
        return f"CASE WHEN {below} <> 0 THEN {top} / {below} WHEN {top} <> 0 THEN 0 END"

    def _power(self, node: Binary) -> str:
        base, exponent = self.number(node.left), node.right
        negative = isinstance(exponent, Unary) and exponent.operator == "-"
        inner = exponent.operand if isinstance(exponent, Unary) and negative else exponent
        if not isinstance(inner, Number):
            raise self._untranslated(node)
        p = -float(inner.value) if negative else float(inner.value)
        if p in range(1, LARGEST_PRODUCT + 1):
            return "(" + " * ".join([base] * int(p)) + ")"
        power = f"power({base}, {self.dialect.number(p)})"
        if p < 0:
            self.faults[f"{deparse(node)} is infinite"] = f"{base} = 0"
            power = f"CASE WHEN {base} = 0 THEN 0 ELSE {power} END"
        return power if p.is_integer() else f"CASE WHEN {base} >= 0 THEN {power} END"

    def _call(self, node: Call) -> str:
        name, arguments = node.function, [argument.value for argument in node.arguments]
        count = len(arguments)
        if name in ("I", "identity") and count == 1:
            return self.number(arguments[0])
        if name in PLAIN and count == 1:
            return PLAIN[name].format(self.number(arguments[0]))
        if name in LOGARITHMS and count == 1:
            return self._log(node, self.number(arguments[0]), float(LOGARITHMS[name]))
        if name == "sqrt" and count == 1:
            x = self.number(arguments[0])
            return f"CASE WHEN {x} >= 0 THEN sqrt({x}) END"
        if name == "ifelse" and count == 3:
            test, yes, no = self.condition(arguments[0]), self.number(arguments[1]), self.number(arguments[2])
            return f"CASE WHEN {test} THEN {yes} WHEN NOT ({test}) THEN {no} END"
        raise self._untranslated(node)

    def _log(self, node: Call, x: str, divisor: float) -> str:
        self.faults[f"{deparse(node)} is infinite"] = f"{x} = 0"
        found = f"ln({x})" if divisor == 1.0 else f"ln({x}) / {self.dialect.number(divisor)}"
        return f"CASE WHEN {x} > 0 THEN {found} WHEN {x} = 0 THEN 0 END"

    def condition(self, node: Node) -> str:
        """Return a condition.

        Raises
        ------
        FormulaError
            If it has no counterpart in SQL.
        """
        if isinstance(node, Paren) or (isinstance(node, Call) and node.function == "I"):
            return self.condition(node.inner if isinstance(node, Paren) else node.arguments[0].value)
        if isinstance(node, Name):
            return self.raw(node.name)
        if isinstance(node, Constant) and node.value is not None:
            return "TRUE" if node.value else "FALSE"
        if isinstance(node, Unary) and node.operator == "!":
            return f"(NOT {self.condition(node.operand)})"
        if isinstance(node, Binary) and node.operator in ("&", "|"):
            word = "AND" if node.operator == "&" else "OR"
            return f"({self.condition(node.left)} {word} {self.condition(node.right)})"
        if isinstance(node, Binary) and node.operator in COMPARISONS:
            left, right = self._sides(node.left, node.right)
            return f"({left} {COMPARISONS[node.operator]} {right})"
        if isinstance(node, Binary) and node.operator == "%in%":
            return self._membership(node)
        raise self._untranslated(node)

    def _membership(self, node: Binary) -> str:
        choices = node.right
        if not (isinstance(choices, Call) and choices.function == "c" and choices.arguments):
            raise self._untranslated(node)
        pairs = [self._sides(node.left, argument.value) for argument in choices.arguments]
        left, choices_text = pairs[0][0], ", ".join(right for _, right in pairs)
        return f"({left} IS NOT NULL AND {left} IN ({choices_text}))"

    def _sides(self, left: Node, right: Node) -> tuple[str, str]:
        """Return both sides of a comparison, as text where one of them is."""
        if isinstance(left, Text) or isinstance(right, Text):
            return self._as_is(left), self._as_is(right)
        return self.number(left), self.number(right)

    def _as_is(self, node: Node) -> str:
        if isinstance(node, Text):
            return self.dialect.text(node.value)
        if isinstance(node, Name):
            return self.raw(node.name)
        raise self._untranslated(node)

    def _untranslated(self, node: Node) -> FormulaError:
        return FormulaError(
            f"{deparse(node)} has no counterpart in SQL here, which knows + - * / ^, comparisons and "
            f"{listed(TRANSLATED)}: compute it as a column of the table.",
            self.formula,
            node.position,
        )


ARITHMETIC: dict[str, Callable[[Expressions, Binary], str]] = {
    "*": Expressions._product,
    "/": Expressions._ratio,
    "^": Expressions._power,
}
