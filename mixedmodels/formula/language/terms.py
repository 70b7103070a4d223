"""The algebra of model terms, as R's ``terms()``: which products of variables a formula stands for.

A term is a set of variables, kept as a bit pattern over the variables in the order in which the
formula names them; that order, not the order inside a term, decides how a term is printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.syntax_tree import (
    Binary,
    Call,
    Name,
    Node,
    Number,
    Paren,
    Text,
    Unary,
    binary,
    deparse,
    names_in,
    start_of,
    sum_operands,
)

# More terms than this come only from a slip such as (a + b + ... + z)^20.
MAX_TERMS = 10_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Terms:
    """The terms of an expression.

    Attributes
    ----------
    variables : tuple of Node
        Variables in the order of their appearance, ``offset(...)`` calls left out.
    names : tuple of str
        Their printed texts.
    patterns : tuple of int
        The terms by increasing degree, each a bit pattern over `variables`.
    intercept : bool
        Whether the intercept is among them.
    offsets : tuple of Node
        What stands inside the ``offset(...)`` calls.
    response_dropped : bool
        Whether the response stood among the terms and was taken out.
    by_dot : tuple of str
        Variables that only a dot brought in.
    collapsed : tuple of (str, str)
        Products and powers of one term with itself, and the term that is all they are: ``("x^2", "x")``.
    """

    variables: tuple[Node, ...]
    names: tuple[str, ...]
    patterns: tuple[int, ...]
    intercept: bool
    offsets: tuple[Node, ...]
    response_dropped: bool = False
    by_dot: tuple[str, ...] = ()
    collapsed: tuple[tuple[str, str], ...] = ()

    def members(self, pattern: int) -> tuple[int, ...]:
        """Return the indices of the variables of a term."""
        members = []
        while pattern:
            members.append((pattern & -pattern).bit_length() - 1)
            pattern &= pattern - 1
        return tuple(members)

    def label(self, pattern: int) -> str:
        """Return a term as R prints it, ``"a:b"``."""
        return ":".join(self.names[i] for i in self.members(pattern))

    def expression(self, pattern: int) -> Node:
        """Return a term as an expression, ``a:b``."""
        return reduce(lambda a, b: binary(":", a, b), (self.variables[i] for i in self.members(pattern)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The printed terms."""
        return tuple(self.label(pattern) for pattern in self.patterns)


def expand_terms(
    node: Node, text: str, dot_columns: Sequence[str] | None = None, response: Node | None = None
) -> Terms:
    """Expand the right side of a formula into its terms.

    Parameters
    ----------
    node : Node
        The expression, without bars.
    text : str
        The formula, for error messages.
    dot_columns : sequence of str, optional
        The columns that ``.`` stands for; without them a dot is an error.
    response : Node, optional
        Left side; its variables are not part of a dot, and a term equal to it is dropped.
    """
    expansion = _Expansion(text, dot_columns, response)
    found = expansion.encode(node, adding=True)
    own = None if response is None else expansion.index.get(deparse(response))
    kept = [pattern for pattern in found if own is None or pattern != 1 << own]
    used = reduce(int.__or__, kept, 0)
    return Terms(
        tuple(expansion.variables),
        tuple(expansion.index),
        tuple(sorted(kept, key=int.bit_count)),
        expansion.intercept,
        tuple(expansion.offsets),
        response_dropped=len(kept) < len(found),
        by_dot=tuple(n for i, n in enumerate(expansion.index) if used >> i & 1 and n not in expansion.typed),
        collapsed=tuple(dict.fromkeys(expansion.collapsed)),
    )


def _unique(patterns: Iterable[int]) -> list[int]:
    """Return `patterns` without repetitions, in order."""
    return list(dict.fromkeys(patterns))


class _Expansion:
    """One expansion: the variables met so far and whether the intercept is in."""

    def __init__(self, text: str, dot_columns: Sequence[str] | None, response: Node | None) -> None:
        self.text = text
        self.intercept = True
        self.index: dict[str, int] = {}
        self.variables: list[Node] = []
        self.offsets: list[Node] = []
        self.typed: set[str] = set()
        self.collapsed: list[tuple[str, str]] = []
        used = set() if response is None else {name.name for name in names_in(response)}
        self.dot = None if dot_columns is None else [c for c in dot_columns if c not in used]

    def encode(self, node: Node, adding: bool) -> list[int]:
        """Return the terms of `node`; `adding` is False under a minus sign, which flips 0 and 1."""
        if isinstance(node, Paren):
            return self.encode(node.inner, adding)
        if isinstance(node, Number):
            return self.constant(node, adding)
        if isinstance(node, Unary):
            return self.signed(node, adding)
        if isinstance(node, Binary):
            return self.operation(node, adding)
        if isinstance(node, Name) and node.name == ".":
            return self.dot_terms(node)
        if isinstance(node, Call) and node.function == "offset":
            return self.offset(node)
        if isinstance(node, (Name, Call)):
            self.typed.add(deparse(node))
            return [self.install(node)]
        what = "; a string is no variable: write the name of the column without quotes, or in backticks"
        raise FormulaError(
            f"'{deparse(node)}' cannot be a term of a model{what if isinstance(node, Text) else ''}",
            self.text,
            start_of(node),
        )

    def install(self, node: Node) -> int:
        """Return the pattern of a single variable, numbering it if it is new."""
        name = deparse(node)
        position = self.index.setdefault(name, len(self.variables))
        if position == len(self.variables):
            self.variables.append(node)
        return 1 << position

    def constant(self, node: Number, adding: bool) -> list[int]:
        """Switch the intercept for ``1`` and ``0``."""
        if node.value not in (0.0, 1.0):
            raise FormulaError(
                f"only 0 and 1 can stand alone in a model; for arithmetic write I({deparse(node)} ...)",
                self.text,
                node.position,
            )
        self.intercept = (node.value == 1.0) == adding
        return []

    def signed(self, node: Unary, adding: bool) -> list[int]:
        """Return the terms of ``+a``; ``-a`` only removes, so that only ``-1`` and ``-0`` mean something."""
        if node.operator == "-":
            self.encode(node.operand, not adding)
            return []
        if node.operator == "+":
            return self.encode(node.operand, adding)
        return [self.install(node)]

    def operation(self, node: Binary, adding: bool) -> list[int]:
        """Return the terms of an operator's two sides combined."""
        if node.operator in ("+", "-"):
            return self.sum(node, adding)
        if node.operator == "^":
            return self.power(node, adding)
        combine = {":": self.cross, "*": self.star, "/": self.nest, "%in%": self.within}.get(node.operator)
        if combine is None or (isinstance(node.right, Call) and node.right.function == "c"):
            return [self.install(node)]  # a comparison, or membership in a list of values
        left, right = self.encode(node.left, adding), self.encode(node.right, adding)
        if len(left) == 1 and left == right and node.operator in ("*", ":"):
            self.note_collapse(node, left[0])
        return self.limited(combine(left, right), node)

    def note_collapse(self, node: Node, pattern: int) -> None:
        """Note that a product or power of one variable is that variable alone."""
        if pattern.bit_count() == 1:
            self.collapsed.append((deparse(node), tuple(self.index)[pattern.bit_length() - 1]))

    def limited(self, patterns: list[int], node: Node) -> list[int]:
        """Return `patterns` unless they are too many."""
        if len(patterns) > MAX_TERMS:
            raise FormulaError(
                f"this expands to more than {MAX_TERMS} terms", self.text, getattr(node, "position", 0)
            )
        return patterns

    def sum(self, node: Node, adding: bool) -> list[int]:
        """Return the terms of a chain of additions and removals."""
        found: dict[int, None] = {}
        for sign, operand, _ in sum_operands(node):
            if sign == "+":
                found.update(dict.fromkeys(self.encode(operand, adding)))
            else:
                for pattern in self.encode(operand, not adding):
                    found.pop(pattern, None)
        return self.limited(list(found), node)

    def cross(self, left: list[int], right: list[int]) -> list[int]:
        """Return ``left:right``."""
        if len(left) * len(right) > MAX_TERMS * 100:
            raise FormulaError(f"this expands to more than {MAX_TERMS} terms", self.text, 0)
        return _unique(a | b for a in left for b in right)

    def star(self, left: list[int], right: list[int]) -> list[int]:
        """Return ``left + right + left:right``; nothing when nothing is on the left, as R (``1 * a``)."""
        if not left:
            return []
        return _unique(left + right + self.cross(left, right))

    def nest(self, left: list[int], right: list[int]) -> list[int]:
        """Return ``left + right %in% left``; nothing when nothing is on the left, as R (``1 / a``)."""
        if not left:
            return []
        outer = reduce(int.__or__, left, 0)
        return _unique(left + [outer | b for b in right])

    def within(self, left: list[int], right: list[int]) -> list[int]:
        """Return ``left %in% right``."""
        outer = reduce(int.__or__, right, 0)
        return _unique(a | outer for a in left)

    def power(self, node: Binary, adding: bool) -> list[int]:
        """Return ``base^degree``: all products of up to `degree` terms of the base."""
        degree = node.right
        if not isinstance(degree, Number) or degree.value < 1 or degree.value % 1:
            raise FormulaError(
                "the power of a term is a whole number from 1; for arithmetic write I(x^2)",
                self.text,
                node.position,
            )
        base = self.encode(node.left, adding)
        if len(base) == 1 and degree.value > 1:
            self.note_collapse(node, base[0])
        found = base
        for _ in range(int(min(degree.value, len(base) or 1)) - 1):
            found = self.limited(self.cross(found, base), node)
        return found

    def dot_terms(self, node: Name) -> list[int]:
        """Return the columns that ``.`` stands for."""
        if self.dot is None:
            raise FormulaError("'.' cannot be used here: name the variables", self.text, node.position)
        return [self.install(Name(column, node.position)) for column in self.dot]

    def offset(self, node: Call) -> list[int]:
        """Set an ``offset(...)`` aside."""
        if len(node.arguments) != 1:
            raise FormulaError("offset() takes one argument", self.text, node.position)
        self.offsets.append(node.arguments[0].value)
        return []
