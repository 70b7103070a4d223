"""Find the random-effects terms of a formula and expand them, as lme4 does.

``(x | a/b)`` becomes ``x | b:a`` and ``x | a``; ``(x || g)`` becomes ``1 | g`` and ``0 + x | g``;
``us(...)``, ``cs(...)``, ``exp(...)`` and others around a bar name a covariance structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.syntax_tree import (
    Binary,
    Call,
    Constant,
    Name,
    Node,
    Number,
    Paren,
    Unary,
    binary,
    children,
    deparse,
    is_sum,
    paren,
    start_of,
    strip_parens,
    sum_operands,
)
from mixedmodels.formula.language.terms import expand_terms

#: Covariance structures around a bar, and the arguments that they take besides it.
STRUCTURES: Mapping[str, tuple[str, ...]] = {
    "us": (),
    "diag": ("hom",),
    "cs": ("hom",),
    "ar1": ("hom",),
    "toep": ("hom",),
    "exp": (),
    "gau": (),
    "mat": ("nu",),
}
#: Those over places: the left side of the bar holds coordinates.
SPATIAL = ("exp", "gau", "mat")
_ARGUMENTS = {"hom": "hom = TRUE or FALSE", "nu": "nu = a positive number"}
#: A smoothness of a Matern process above this is that of a Gaussian one.
MOST_SMOOTH = 100.0
MAX_BARS = 500
# Covariance structures of other packages; around a bar none of these is a function of numbers.
FOREIGN_STRUCTURES = ("rr", "gr", "hetar1", "homdiag", "homcs", "homtoep", "ou", "propto", "equalto",
                      "ar", "arma", "cosy", "car", "unstr", "nugget", "mm", "vm", "ped", "idh", "corh",
                      "idv")  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bar:
    """One random-effects term of a formula.

    Attributes
    ----------
    lhs : Node
        Left side of the bar, as lme4 would write this term: ``0 + x`` for a term split from ``||``.
    group : Node
        Grouping factor, expanded: a variable, a call or an interaction.
    structure : str
        Covariance structure, one of `STRUCTURES`.
    homogeneous : bool or None
        The ``hom=`` argument; None when it was not given.
    position : int
        Offset of the bar in the text.
    split_from : Node or None
        The whole left side of the ``||`` this term was split from; None for a plain bar.
    part : int
        Which term of `split_from` this is, as a bit pattern of its variables; 0 for the intercept.
    nu : float
        The ``nu=`` argument of ``mat()``; zero when it was not given.
    """

    lhs: Node
    group: Node
    structure: str
    homogeneous: bool | None
    position: int
    split_from: Node | None = None
    part: int = 0
    nu: float = 0.0

    def __str__(self) -> str:
        """Return the bar as R prints it."""
        return f"{deparse(self.lhs)} | {deparse(self.group)}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SplitFormula:
    """The right side of a formula: fixed part, bars, and readings to warn about."""

    fixed: Node
    bars: tuple[Bar, ...]
    warnings: tuple[str, ...]


def split_bars(right: Node, response: Node | None, text: str) -> SplitFormula:
    """Separate the fixed part of the right side of a formula from its random-effects terms."""
    if _is_bar(right):
        return _bare_bar(right, response, text)
    collector = _Collector(text)
    fixed = collector.without_bars(right)
    return SplitFormula(
        Number(1.0) if fixed is None else fixed, tuple(collector.bars), tuple(collector.warnings)
    )


def _is_bar(node: Node) -> bool:
    """Tell whether `node` is ``a | b`` or ``a || b``."""
    return isinstance(node, Binary) and node.operator in ("|", "||")


def _bare_bar(bar: Node, response: Node | None, text: str) -> SplitFormula:
    """Read a right side that is one bar without parentheses: the fixed part is the intercept."""
    assert isinstance(bar, Binary)
    left, group = deparse(bar.left), deparse(bar.right)
    if is_sum(bar.right):
        raise FormulaError(
            f"a bar without parentheses takes in everything after it: write ({left} | "
            f"{deparse(sum_operands(bar.right)[0][1])}) + ...",
            text,
            bar.position,
        )
    warnings: tuple[str, ...] = ()
    if is_sum(bar.left):
        lead = "" if response is None else f"{deparse(response)} "
        *fixed, (_, last, _) = sum_operands(bar.left)
        kept = " ".join(f"{sign} {deparse(operand)}" for sign, operand, _ in fixed).removeprefix("+ ")
        warnings = (
            f"'{deparse(bar)}' has a bar without parentheses and is read as "
            f"{lead}~ 1 + ({left} {bar.operator} {group}), as lme4 does; if the bar belongs to the last "
            f"term only, write {lead}~ {kept} + ({deparse(last)} {bar.operator} {group})",
        )
    collector = _Collector(text)
    collector.add_bar(bar, "us", None)
    return SplitFormula(Number(1.0), tuple(collector.bars), warnings)


class _Collector:
    """Walk a right side, taking the bars out of its sums."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.bars: list[Bar] = []
        self.warnings: list[str] = []

    def without_bars(self, node: Node) -> Node | None:
        """Return `node` without its random-effects terms; None when nothing else is left."""
        inner = strip_parens(node)
        if _is_bar(inner) and isinstance(node, Paren):
            self.add_bar(inner, "us", None)
            return None
        if _is_structured(inner):
            self.add_structured(inner)
            return None
        if is_sum(inner):
            kept = self.sum_without_bars(inner)
            return kept if kept is None or inner is node else paren(kept, node.position)
        if isinstance(inner, Unary) and inner.operator == "+":
            return self.without_bars(inner.operand)
        self.refuse_bars(inner)
        return node

    def sum_without_bars(self, node: Node) -> Node | None:
        """Return a chain of sums without its random-effects terms."""
        kept: Node | None = None
        for sign, operand, position in sum_operands(node):
            if sign == "-":
                self.refuse_bars(operand)
                rest: Node | None = operand
            else:
                rest = self.without_bars(operand)
            if rest is None:
                continue
            kept = self.first_kept(sign, rest) if kept is None else binary(sign, kept, rest, position)
        return kept

    def first_kept(self, sign: str, operand: Node) -> Node:
        """Return the first fixed operand of a sum that begins with random-effects terms.

        lme4 takes the bar out of ``(1 | g) - 1`` and is left with ``1``: the intercept stays.
        """
        if sign == "-":
            self.warnings.append(
                f"'- {deparse(operand)}' directly after the random-effects terms is read as "
                f"'{deparse(operand)}', as lme4 does; to remove it write '0 + ...' or "
                f"'-{deparse(operand)} + ...' before them"
            )
        return operand

    def refuse_bars(self, node: Node) -> None:
        """Raise when a random-effects term hides where none can stand."""
        if _is_bar(node) or _is_structured(node):
            raise FormulaError(
                "a random-effects term can only be added, in parentheses: ... + (x | g)",
                self.text,
                node.position,
            )
        if isinstance(node, Call):
            self.refuse_structure(node)
            return  # Inside a call a bar is the logical "or".
        for child in children(node):
            self.refuse_bars(child)

    def refuse_structure(self, node: Call) -> None:
        """Raise for a bar in a call that can only be meant as a covariance structure, as ``rr(x | g)``."""
        if node.function in FOREIGN_STRUCTURES and holds_bar(node):
            raise FormulaError(
                f"'{node.function}' is not among the covariance structures: they are "
                f"{', '.join(f'{name}()' for name in STRUCTURES)}, as in diag(x | g)"
                + _written_here(node.function),
                self.text,
                node.position,
            )

    def add_structured(self, node: Node) -> None:
        """Take up ``cs(x | g, hom = TRUE)``."""
        assert isinstance(node, Call)
        homogeneous: bool | None = None
        nu = 0.0
        allowed = STRUCTURES[node.function]
        for argument in node.arguments[1:]:
            value = argument.value
            if argument.name in allowed and argument.name == "hom" and _is_truth(value):
                homogeneous = deparse(value) == "TRUE"
            elif argument.name in allowed and isinstance(value, Number) and 0 < value.value < MOST_SMOOTH:
                nu = float(value.value)
            else:
                takes = "".join(f", and {_ARGUMENTS[name]}" for name in allowed)
                raise FormulaError(f"{node.function}() takes a bar{takes}", self.text, start_of(value))
        self.add_bar(strip_parens(node.arguments[0].value), node.function, homogeneous, nu)

    def add_bar(self, bar: Node, structure: str, homogeneous: bool | None, nu: float = 0.0) -> None:
        """Expand one bar into its terms."""
        assert isinstance(bar, Binary)
        for side in (bar.left, bar.right):
            self.refuse_bars(side)
        groups = expand_groups(bar.right, self.text)
        template = Bar(bar.left, bar.right, structure, homogeneous, bar.position, nu=nu)
        if bar.operator == "||" and structure != "us":
            raise FormulaError(f"'||' cannot stand inside {structure}(); use '|'", self.text, bar.position)
        parts = _split_double(template, self.text) if bar.operator == "||" else [template]
        self.bars += [replace(part, group=group) for part in parts for group in groups]
        if len(self.bars) > MAX_BARS:
            raise FormulaError(f"more than {MAX_BARS} random-effects terms", self.text, bar.position)


def _written_here(foreign: str) -> str:
    """Return how a structure that glmmTMB has under a name of its own is written."""
    hom = {"hom": "TRUE", "het": "FALSE"}.get(foreign[:3])
    plain = foreign[3:]
    return f"; write {plain}(x | g, hom = {hom})" if hom and plain in STRUCTURES else ""


def holds_bar(node: Call) -> bool:
    """Tell whether the first argument of a call is ``a | b``."""
    return bool(node.arguments) and _is_bar(strip_parens(node.arguments[0].value))


def _is_truth(node: Node) -> bool:
    """Tell whether a node is ``TRUE`` or ``FALSE``."""
    return isinstance(node, Constant) and node.value is not None


def _is_structured(node: Node) -> bool:
    """Tell whether `node` is a covariance structure around a bar."""
    return isinstance(node, Call) and node.function in STRUCTURES and holds_bar(node)


def _split_double(bar: Bar, text: str) -> list[Bar]:
    """Return the terms of ``(x || g)``: the intercept, then each term without it."""
    terms = expand_terms(bar.lhs, text)
    parts = [replace(bar, lhs=Number(1.0), split_from=bar.lhs)] if terms.intercept else []
    for part in terms.patterns:
        lhs = binary("+", Number(0.0), terms.expression(part))
        parts.append(replace(bar, lhs=lhs, split_from=bar.lhs, part=part))
    if not parts:
        raise FormulaError("there is nothing left of '||'", text, bar.position)
    return parts


def expand_groups(node: Node, text: str) -> list[Node]:
    """Return the grouping factors that the right side of a bar stands for.

    ``a/b`` gives ``b:a`` and ``a``; ``a + b`` gives both; ``a * b`` gives ``a``, ``b`` and ``a:b``.
    """
    inner = strip_parens(node)
    if isinstance(inner, Binary) and inner.operator in ("+", "*", "/", ":"):
        return _expand_operator(inner, text)
    if isinstance(inner, (Name, Call)):
        return [inner]
    raise FormulaError(f"'{deparse(node)}' is not a grouping factor", text, start_of(node))


def _expand_operator(node: Binary, text: str) -> list[Node]:
    """Return the grouping factors of ``a + b``, ``a * b``, ``a / b`` or ``a:b``."""
    left, right = expand_groups(node.left, text), expand_groups(node.right, text)
    if len(left) * len(right) > MAX_BARS:
        raise FormulaError(f"more than {MAX_BARS} grouping factors", text, node.position)
    if node.operator == "+":
        return left + right
    if node.operator == "/":
        # lme4 puts the inner factor first, within the finest of the outer ones: b:a.
        return [_interaction(inner, left[0]) for inner in right] + left
    crossed = [_interaction(a, b) for a in left for b in right]
    return crossed if node.operator == ":" else left + right + crossed


def _interaction(left: Node, right: Node) -> Node:
    """Return ``left:right``, the right side in parentheses when it is an interaction (R's ``c:(b:a)``)."""
    return binary(":", left, paren(right) if isinstance(right, Binary) else right)
