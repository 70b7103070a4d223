"""Split a formula into tokens, each with its place in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mixedmodels.errors import FormulaError

TokenKind = Literal["name", "quoted", "number", "string", "operator", "end"]

# Far above any formula a person or a script writes; keeps malformed input from costing time.
MAX_LENGTH = 100_000

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)L?)
    | (?P<name>(?:[^\W\d_]|\.(?!\d))[\w.]*(?:::[^\W\d_][\w.]*(?=\s*\())?)
    | (?P<quoted>`[^`]+`)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<operator>%in%|%%|%/%|\*\*|\|\||&&|<=|>=|==|!=|[~+\-*/^:()|&!<>,=])
    """,
    re.VERBOSE | re.DOTALL,
)

_ADVICE = {
    "$": "name the column alone, without the data frame",
    "@": "slots and attributes cannot be used in a formula",
    "[": "indexing is not part of the formula language; make a new column first",
    "{": "write the expression without braces",
    "_": "a name that begins with an underscore needs backticks",
    "`": "a quoted name needs a closing backtick",
    '"': "the string is not closed",
    "'": "the string is not closed",
    "%": "the operators between percent signs are %in%, %% and %/%",
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Token:
    """One token: its kind, its text (a quoted name without backticks) and its offset."""

    kind: TokenKind
    text: str
    position: int


def tokenize(text: str) -> list[Token]:
    """Return the tokens of `text`, ending with one of kind ``"end"``.

    Raises
    ------
    FormulaError
        At the first character that no formula can hold there.
    """
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"the formula is longer than {MAX_LENGTH} characters")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unexpected(text, position)
        kind = match.lastgroup
        if kind != "space":
            tokens.append(_token(kind, match, text))
        position = match.end()
    tokens.append(Token("end", "", len(text)))
    return tokens


def _token(kind: str | None, match: re.Match[str], text: str) -> Token:
    """Return the token of one match of the grammar's pattern."""
    found = match.group()
    start = match.start()
    if kind == "number" and re.match(r"[\w.]", text[match.end() :]):
        raise FormulaError(f"a name cannot begin with a digit: {found!r}", text, start)
    if kind == "quoted":
        return Token("quoted", found[1:-1], start)
    if found == "**":
        found = "^"
    return Token(kind, found, start)  # type: ignore[arg-type]


def _unexpected(text: str, position: int) -> FormulaError:
    """Return the error for a character that begins no token."""
    character = text[position]
    advice = _ADVICE.get(character)
    message = f"unexpected character {character!r}"
    return FormulaError(message if advice is None else f"{message}: {advice}", text, position)
