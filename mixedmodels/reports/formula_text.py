"""The formula of a model as lme4 shows it, broken into lines where R breaks it."""

from __future__ import annotations

import re
from functools import reduce

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
    """Return a formula as lme4 shows it: ``(x || g)`` is written out as ``((1 | g) + (0 + x | g))``."""
    if "||" not in parsed.text or not isinstance(parsed.tree, Binary):
        return str(parsed)
    right = _write_out(parsed.tree.right, parsed.text)
    return deparse(binary("~", parsed.tree.left, right))


def _write_out(node: Node, text: str) -> Node:
    """Return `node` with every double bar written out."""
    if is_sum(node):
        (_, written, _), *others = sum_operands(node)
        written = _write_out(written, text)
        for sign, operand, _ in others:
            written = binary(sign, written, _write_out(operand, text))
        return written
    if not isinstance(node, Paren):
        return node
    bar = strip_parens(node)
    if not isinstance(bar, Binary) or bar.operator != "||":
        return paren(_write_out(node.inner, text))
    terms = expand_terms(bar.left, text)
    sides: list[Node] = [Number(1.0)] if terms.intercept else []
    parts = [*sides, *(binary("+", Number(0.0), terms.expression(p)) for p in terms.patterns)]
    bars: list[Node] = [paren(binary("|", part, bar.right)) for part in parts]
    return paren(reduce(_plus, bars))


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
