"""A formula broken into lines where R breaks it."""

from __future__ import annotations

import re

_BREAKABLE = re.compile(r" (?:%\w+%|[-+*|~<>]|\|\||&&?|[=!<>]=) |, ")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_ANY = re.compile(r"(?s).")
_INDENT = "    "


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
