"""The syntax tree of a formula, and its text as R prints it.

Nodes know where they stand in the source, so that every complaint can point at its place. Two
expressions are the same when their printed texts are: `deparse` is the identity used everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from mixedmodels.formula.language.number_format import number_name

_SYNTACTIC_NAME = re.compile(r"(?:[^\W\d_]|\.(?!\d))[\w.]*(?:::[^\W\d_][\w.]*)?\Z")
_RESERVED = frozenset(
    (
        *("if", "else", "repeat", "while", "function", "for", "next", "break", "in", "TRUE", "FALSE"),
        *("NULL", "Inf", "NaN", "NA", "NA_integer_", "NA_real_", "NA_character_", "NA_complex_"),
    )
)
_TIGHT = frozenset({":", "^", "/", "%%", "%/%"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Name:
    """A variable."""

    name: str
    position: int = 0
    depth: int = 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Number:
    """A number, an int where float64 would not hold it; `is_integer` for ``2L``."""

    value: float | int
    position: int = 0
    is_integer: bool = False
    depth: int = 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Text:
    """A quoted string."""

    value: str
    position: int = 0
    depth: int = 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Constant:
    """``TRUE``, ``FALSE`` or ``NULL`` (None)."""

    value: bool | None
    position: int = 0
    depth: int = 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Unary:
    """A prefix operator: ``-``, ``+``, ``!`` or ``~``."""

    operator: str
    operand: Node
    position: int
    depth: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Binary:
    """An operator between two operands; `position` is the operator's."""

    operator: str
    left: Node
    right: Node
    position: int
    depth: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Paren:
    """An expression in parentheses."""

    inner: Node
    position: int
    depth: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Argument:
    """One argument of a call; `name` is None when it is positional."""

    name: str | None
    value: Node


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Call:
    """A function applied to arguments."""

    function: str
    arguments: tuple[Argument, ...]
    position: int
    depth: int


Node: TypeAlias = Name | Number | Text | Constant | Unary | Binary | Paren | Call


def unary(operator: str, operand: Node, position: int = 0) -> Unary:
    """Return a prefix operation."""
    return Unary(operator, operand, position, operand.depth + 1)


def binary(operator: str, left: Node, right: Node, position: int = 0) -> Binary:
    """Return an infix operation.

    A chain of sums does not deepen the tree: every walk takes it in a loop (`sum_operands`), so that
    a formula may have thousands of terms.
    """
    depth = max(left.depth + (0 if is_sum(left) and operator in "+-" else 1), right.depth + 1)
    return Binary(operator, left, right, position, depth)


def paren(inner: Node, position: int = 0) -> Paren:
    """Return `inner` in parentheses."""
    return Paren(inner, position, inner.depth + 1)


def call(function: str, arguments: tuple[Argument, ...], position: int = 0) -> Call:
    """Return a function call."""
    return Call(function, arguments, position, 1 + max((a.value.depth for a in arguments), default=0))


def is_sum(node: Node) -> bool:
    """Tell whether `node` adds or subtracts two operands."""
    return isinstance(node, Binary) and node.operator in ("+", "-")


def sum_operands(node: Node) -> list[tuple[str, Node, int]]:
    """Return the operands of a chain of sums: (operator before it, operand, the operator's position)."""
    operands: list[tuple[str, Node, int]] = []
    while isinstance(node, Binary) and node.operator in ("+", "-"):
        operands.append((node.operator, node.right, node.position))
        node = node.left
    operands.append(("+", node, start_of(node)))
    operands.reverse()
    return operands


def start_of(node: Node) -> int:
    """Return the offset where the text of `node` begins."""
    while isinstance(node, Binary):
        node = node.left
    return node.position


def strip_parens(node: Node) -> Node:
    """Return `node` without the parentheses around it."""
    while isinstance(node, Paren):
        node = node.inner
    return node


def children(node: Node) -> tuple[Node, ...]:
    """Return the operands or arguments of `node`."""
    if isinstance(node, Binary):
        if node.operator in ("+", "-"):
            return tuple(operand for _, operand, _ in sum_operands(node))
        return node.left, node.right
    if isinstance(node, Unary):
        return (node.operand,)
    if isinstance(node, Paren):
        return (node.inner,)
    if isinstance(node, Call):
        return tuple(argument.value for argument in node.arguments)
    return ()


def names_in(node: Node) -> Iterator[Name]:
    """Yield the variables of `node` from left to right; the contrast in ``C(f, contr.sum)`` is none."""
    if isinstance(node, Name):
        yield node
    below = children(node)
    if isinstance(node, Call) and node.function == "C":
        below = below[:1] + tuple(n for n in below[1:] if not isinstance(n, Name) or not _is_contrast(n.name))
    for child in below:
        yield from names_in(child)


def _is_contrast(name: str) -> bool:
    """Tell whether a name is that of a contrast, in R or in patsy."""
    return name.startswith("contr.") or name in ("Treatment", "Sum", "Helmert", "Poly", "Diff")


@lru_cache(maxsize=2048)
def distinct_names(node: Node) -> tuple[str, ...]:
    """Return the names in `node`, each once, in their order."""
    return tuple(dict.fromkeys(name.name for name in names_in(node)))


@lru_cache(maxsize=2048)
def deparse(node: Node) -> str:
    """Return the text of `node` as R prints it.

    Examples
    --------
    >>> from mixedmodels.formula.language.parse import parse_expression
    >>> deparse(parse_expression("poly(x,2,raw=True)"))
    'poly(x, 2, raw = TRUE)'
    """
    if isinstance(node, Name):
        return quote_name(node.name)
    if isinstance(node, Number):
        return number_name(node.value) + ("L" if node.is_integer else "")
    if isinstance(node, Text):
        return '"' + "".join(_ESCAPES.get(c, c) for c in node.value) + '"'
    if isinstance(node, Constant):
        return {True: "TRUE", False: "FALSE", None: "NULL"}[node.value]
    if isinstance(node, Paren):
        return f"({deparse(node.inner)})"
    if isinstance(node, Unary):
        return f"{node.operator}{deparse(node.operand)}"
    if isinstance(node, Call):
        return f"{quote_name(node.function)}({', '.join(map(_deparse_argument, node.arguments))})"
    return _deparse_binary(node)


def quote_name(name: str) -> str:
    """Return `name`, in backticks when it is not a name by R's rules."""
    if _SYNTACTIC_NAME.match(name) and name not in _RESERVED:
        return name
    return f"`{name}`"


def _deparse_argument(argument: Argument) -> str:
    """Return one argument of a call as R prints it."""
    value = deparse(argument.value)
    return value if argument.name is None else f"{quote_name(argument.name)} = {value}"


def _deparse_binary(node: Binary) -> str:
    """Return an operation as R prints it: tight around ``:``, ``^`` and ``/``."""
    if node.operator in ("+", "-"):
        first, *rest = sum_operands(node)
        return deparse(first[1]) + "".join(f" {sign} {deparse(operand)}" for sign, operand, _ in rest)
    space = "" if node.operator in _TIGHT else " "
    return f"{deparse(node.left)}{space}{node.operator}{space}{deparse(node.right)}"
