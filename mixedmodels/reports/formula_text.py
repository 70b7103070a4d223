"""The formula of a model as lme4 shows it, broken into lines where R breaks it."""

from __future__ import annotations

import re
from functools import reduce
from typing import TypeGuard

from mixedmodels.formula.language.parse import ParsedFormula
from mixedmodels.formula.language.syntax_tree import (
    Binary,
    Node,
    Number,
    Paren,
    binary,
    deparse,
    is_sum,
    paren,
    strip_parens,
    sum_operands,
)
from mixedmodels.formula.language.terms import expand_terms

_BREAKABLE = re.compile(r" (?:%\w+%|[-+*|~<>]|\|\||&&?|[=!<>]=) |, ")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_ANY = re.compile(r"(?s).")
_INDENT = "    "


def shown_formula(parsed: ParsedFormula) -> str:
    """Return a formula as lme4 shows it: ``(x || g)`` is written out as ``((1 | g) + (0 + x | g))``.

    Parameters of a curve have no intercept beside them: ``(A + B || g)`` is ``((A | g) + (B | g))``.
    """
    if "||" not in parsed.text or not isinstance(parsed.tree, Binary):
        return str(parsed)
    left, right = parsed.tree.left, parsed.tree.right
    is_curve = isinstance(left, Binary) and left.operator == "~"
    if is_curve and _is_double(right):
        right = paren(right)
    return deparse(binary("~", left, _write_out(right, parsed.text, is_curve)))


def _is_double(node: Node) -> TypeGuard[Binary]:
    return isinstance(node, Binary) and node.operator == "||"


def _write_out(node: Node, text: str, is_curve: bool) -> Node:
    """Return `node` with every double bar written out."""
    if is_sum(node):
        (_, written, _), *others = sum_operands(node)
        written = _write_out(written, text, is_curve)
        for sign, operand, _ in others:
            written = binary(sign, written, _write_out(operand, text, is_curve))
        return written
    if not isinstance(node, Paren):
        return node
    bar = strip_parens(node)
    if not _is_double(bar):
        return paren(_write_out(node.inner, text, is_curve))
    terms = expand_terms(bar.left, text)
    columns = [terms.expression(p) for p in terms.patterns]
    if is_curve:
        parts = columns
    else:
        sides: list[Node] = [Number(1.0)] if terms.intercept else []
        parts = [*sides, *(binary("+", Number(0.0), column) for column in columns)]
    bars: list[Node] = [paren(binary("|", part, bar.right)) for part in parts]
    return bars[0] if len(bars) == 1 and is_curve else paren(reduce(_plus, bars))


def _plus(left: Node, right: Node) -> Node:
    return binary("+", left, right)


def break_formula(text: str, cutoff: int = 60) -> list[str]:
    """Break a formula after the first operator or comma past `cutoff` characters of a line.

    Later lines are indented by four blanks, and by four more inside parentheses that are opened on such
    a line and broken themselves.

    Examples
    --------
    >>> break_formula("count ~ offset(log(weeks)) + followup * group + (1 + followup | id)")
    ['count ~ offset(log(weeks)) + followup * group + (1 + followup | ', '    id)']
    """
    lines, line, position = [], "", 0
    broken = [False]
    while position < len(text):
        quoted = _QUOTED.match(text, position)
        operator = _BREAKABLE.match(text, position)
        piece = next(m[0] for m in (quoted, operator, _ANY.match(text, position)) if m)
        position += len(piece)
        line += piece
        if piece in ("(", "["):
            broken.append(False)
        elif piece in (")", "]") and len(broken) > 1:
            broken.pop()
        if operator and len(line) > cutoff:
            broken[-1] = True
            lines.append(line)
            line = _INDENT * sum(broken)
    return [*lines, line] if line.strip() else lines
