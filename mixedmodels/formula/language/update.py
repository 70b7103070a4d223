"""A formula changed by another one, in which a dot stands for what was there: R's ``update.formula``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.bars import holds_bar
from mixedmodels.formula.language.parse import parse_formula, parse_tilde
from mixedmodels.formula.language.syntax_tree import (
    Binary,
    Call,
    Name,
    Node,
    Paren,
    binary,
    deparse,
    is_sum,
    names_in,
    paren,
    strip_parens,
    sum_operands,
)
from mixedmodels.formula.language.terms import Terms, expand_terms

#: An operand of a sum, and whether it is added rather than subtracted.
Signed = tuple[bool, Node]


def update_formula(old: str, change: str) -> str:
    """Return a formula with the change made to it.

    Parameters
    ----------
    old : str
        Two-sided formula.
    change : str
        Formula in which ``.`` stands for the left or the right side of `old`; without a left side the old
        one stays.

    Raises
    ------
    FormulaError
        If `change` is no formula, or takes out a random-effects term that is not there.

    Examples
    --------
    >>> update_formula("y ~ a * b + (1 | g)", ". ~ . - a:b + (1 | h)")
    'y ~ a + b + (1 | g) + (1 | h)'
    """
    response, right = parse_tilde(old)
    new_response, new_right = parse_tilde(change)
    left = response if new_response is None or _is_dot(new_response) else _with_dot(new_response, response)
    bars: list[str] = []
    fixed: list[Signed] = []
    for adds, operand in _operands(new_right, right, True):
        if not _is_random(operand):
            fixed.append((adds, operand))
            if any(name.name == "." for name in names_in(operand)):  # within products: fixed effects alone
                bars.extend(bar for bar in _random_part(right) if bar not in bars)
        elif adds:
            bars.extend([] if deparse(operand) in bars else [deparse(operand)])
        else:
            _take_out(bars, operand, change)
    terms = expand_terms(_joined([(a, _with_dot(n, _fixed_part(right))) for a, n in fixed]), change)
    parts = [*terms.labels, *(f"offset({deparse(o)})" for o in terms.offsets), *bars]
    return f"{'' if left is None else deparse(left) + ' '}~ {_right_side(terms, parts)}"


def _right_side(terms: Terms, parts: list[str]) -> str:
    """Return the right side; an intercept is written where nothing else of the fixed part is."""
    if not terms.intercept:
        return " + ".join(["0", *parts])
    return " + ".join(parts if terms.labels or terms.offsets else ["1", *parts])


def _operands(node: Node, old: Node, adds: bool) -> Iterator[Signed]:
    """Yield the operands of a sum, a dot among them by those of the old right side."""
    for operator, operand, _ in sum_operands(node):
        sign = adds == (operator == "+")
        if _is_dot(operand):
            yield from _operands(old, old, sign)
        elif isinstance(operand, Paren) and is_sum(operand.inner):
            yield from _operands(operand.inner, old, sign)
        else:
            yield sign, operand


def _is_dot(node: Node) -> bool:
    return isinstance(node, Name) and node.name == "."


def _is_random(node: Node) -> bool:
    inner = strip_parens(node)
    return (isinstance(inner, Binary) and inner.operator in ("|", "||")) or (
        isinstance(inner, Call) and holds_bar(inner)
    )


def _take_out(bars: list[str], operand: Node, change: str) -> None:
    """Remove a random-effects term, or one of those that ``||`` or a nested group stands for.

    Raises
    ------
    FormulaError
        If the model does not have it.
    """
    text = deparse(operand)
    if text in bars:
        bars.remove(text)
        return
    for place, bar in enumerate(bars):
        parts = _single_terms(bar)
        kept = [written for part, written in parts if text not in (part, written)]
        if 0 < len(kept) < len(parts):
            bars[place : place + 1] = kept
            return
    there = f"terms are {', '.join(bars)}" if bars else "it has no random-effects terms"
    raise FormulaError(f"the formula has no term {text} to take out; {there}", change, 0)


def _single_terms(bar: str) -> list[tuple[str, str]]:
    """Return the terms that a bar stands for, each with one bar and as it is written when others go.

    A factor split from ``||`` keeps it: its effects are uncorrelated.
    """
    terms = parse_formula(f"~ 1 + {bar}").bars
    if any(term.structure != "us" or term.homogeneous is not None for term in terms):
        return []
    found = []
    for term in terms:
        lhs, group = deparse(term.lhs), deparse(term.group)
        bars = "||" if term.split_from is not None and term.part else "|"
        found.append((f"({lhs} | {group})", f"({lhs} {bars} {group})"))
    return found


def _fixed_part(right: Node) -> Node:
    """Return the right side without its random-effects terms."""
    return _joined([(a, n) for a, n in _operands(right, right, True) if not _is_random(n)])


def _random_part(right: Node) -> list[str]:
    return [deparse(n) for a, n in _operands(right, right, True) if a and _is_random(n)]


def _joined(operands: list[Signed]) -> Node:
    """Return operands as one sum, the intercept first."""
    total: Node = parse_tilde("~ 1")[1]
    for adds, operand in operands:
        total = binary("+" if adds else "-", total, operand)
    return total


def _with_dot(node: Node, old: Node | None) -> Node:
    """Return an expression with the old one, in parentheses, in place of every dot."""
    if old is None:
        return node
    if _is_dot(node):
        return paren(old)
    if isinstance(node, Binary):
        return binary(node.operator, _with_dot(node.left, old), _with_dot(node.right, old))
    if isinstance(node, Call):
        values = [old if _is_dot(a.value) else _with_dot(a.value, old) for a in node.arguments]
        changed = [replace(a, value=v) for a, v in zip(node.arguments, values, strict=True)]
        return replace(node, arguments=tuple(changed))
    return paren(_with_dot(node.inner, old)) if isinstance(node, Paren) else node
