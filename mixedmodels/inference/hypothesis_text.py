"""Linear hypotheses in words: ``"x1 = x2"``, ``"2 * x3 - (Intercept) = 1"``, read into coefficients.

A text is split into numbers, operators and names of coefficients, the longest name that fits first, so that
names with brackets, colons, commas and operators of their own need no quotes; it is read by recursive descent
into a linear function and is never executed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from mixedmodels.advice import SIMILAR
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import FormulaError, listed

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_OPERATOR = re.compile(r"==|[-+*/=(),]")
_WORD = re.compile(r"[\w.]+")
_QUOTED = re.compile(r"`([^`]*)`")
# Deeper nesting than this is no hypothesis, and the reader is recursive.
MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a text: the index of a coefficient, a number, or an operator, and where it stands."""

    kind: str
    value: float
    position: int


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear function of the coefficients: weights, shape (p,), and a constant."""

    weights: FloatArray
    constant: float

    @property
    def is_constant(self) -> bool:
        """Whether no coefficient enters."""
        return not self.weights.any()

    def plus(self, other: Linear, sign: float) -> Linear:
        """Return the sum with `sign` times another function."""
        return Linear(self.weights + sign * other.weights, self.constant + sign * other.constant)

    def times(self, factor: float) -> Linear:
        """Return the function multiplied by a number."""
        return Linear(self.weights * factor, self.constant * factor)


def read_hypotheses(
    text: str, names: Sequence[str], dropped: Sequence[str] = ()
) -> list[tuple[FloatArray, float]]:
    """Return the hypotheses that a text states, each as weights of the coefficients and their value.

    Parameters
    ----------
    text : str
        Hypotheses separated by commas; one without an equals sign says that the left side is zero.
    names, dropped : sequence of str
        Coefficients of the model, and those that it could not estimate.

    Raises
    ------
    FormulaError
        With a caret under the offending place.

    Examples
    --------
    >>> read_hypotheses("2 * (a - b:c) = 1", ["(Intercept)", "a", "b:c"])
    [(array([ 0.,  2., -2.]), 1.0)]
    """
    reader = _Reader(text, _tokens(text, names, dropped), len(names))
    found = [reader.equation()]
    while reader.take(","):
        found.append(reader.equation())
    reader.expect_end()
    return found


def has_equals_sign(text: str, names: Sequence[str], dropped: Sequence[str] = ()) -> bool:
    """Tell whether a text has an equals sign outside the names of coefficients."""
    return any(token.kind == "=" for token in _tokens(text, names, dropped))


def hypothesis_label(weights: FloatArray, value: float, names: Sequence[str]) -> str:
    """Return a hypothesis as R's car prints it: ``"TypeT2 - 2 TypeT3 = 0"``."""
    pieces: list[str] = []
    for weight, name in zip(weights.tolist(), names, strict=True):
        if weight == 0.0:
            continue
        size = "" if abs(weight) == 1.0 else f"{abs(weight):.15g} "
        sign = ("-" if weight < 0 else "") if not pieces else (" - " if weight < 0 else " + ")
        pieces.append(f"{sign}{size}{name}")
    return f"{''.join(pieces) or '0'} = {value:.15g}"


def _tokens(text: str, names: Sequence[str], dropped: Sequence[str]) -> list[Token]:
    """Return the pieces of a text."""
    patterns = [(_pattern(name), k) for k, name in enumerate(names)]
    patterns += [(_pattern(name), -1) for name in dropped]
    patterns.sort(key=lambda pair: -len(pair[0].pattern))
    found: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _token(text, at, patterns, names)
        found.append(token)
    return found


def _token(
    text: str, at: int, patterns: Sequence[tuple[re.Pattern[str], int]], names: Sequence[str]
) -> tuple[Token, int]:
    """Return the piece that stands at a place and the place after it."""
    for pattern, k in patterns:
        if match := pattern.match(text, at):
            if k < 0:
                raise FormulaError(
                    f"{match[0]} has no estimate: its column depends linearly on others of the model",
                    text,
                    at,
                )
            return Token("name", k, at), match.end()
    if match := _NUMBER.match(text, at):
        return Token("number", float(match[0]), at), match.end()
    if match := _OPERATOR.match(text, at):
        return Token("=" if match[0] == "==" else match[0], 0.0, at), match.end()
    match = _QUOTED.match(text, at) or _WORD.match(text, at)
    unknown = match[match.lastindex or 0] if match else text[at]
    if not match and not unknown.isalnum():
        raise FormulaError(f"{unknown!r} has no meaning in a linear hypothesis", text, at)
    raise FormulaError(_unknown(unknown, names), text, at)


def _unknown(word: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, names, n=1, cutoff=SIMILAR)
    hint = f"did you mean {near[0]}?" if near else f"they are {listed(names)}"
    return f"{word} is no coefficient of the model; {hint}"


def _pattern(name: str) -> re.Pattern[str]:
    """Return what finds a name, in backticks or not, with white space wherever it separates no words."""
    bare = name[1:-1] if len(name) > 2 and name[0] == name[-1] == "`" else name
    pieces = [re.escape(p) for p in re.findall(r"[\w.]+|[^\w.\s]", bare)]
    flexible = r"\s*".join(pieces)
    ends = r"(?![\w.])" if re.search(r"[\w.]$", bare) else ""
    return re.compile(f"`{re.escape(bare)}`|{flexible}{ends}")


class _Reader:
    """Recursive descent over the pieces of a text."""

    def __init__(self, text: str, tokens: Sequence[Token], p: int) -> None:
        self._text, self._tokens, self._p = text, tokens, p
        self._next = 0
        self._depth = 0

    def equation(self) -> tuple[FloatArray, float]:
        """Read ``expression [= expression]``."""
        left = self._sum()
        right = self._sum() if self.take("=") else Linear(np.zeros(self._p), 0.0)
        if self._peek() == "=":
            self._fail("one hypothesis has one equals sign; write 'a = b' and 'b = c' as two")
        difference = left.plus(right, -1.0)
        return difference.weights, -difference.constant + 0.0

    def take(self, kind: str) -> bool:
        """Move on if the next piece is of this kind, and tell whether it is."""
        found = self._peek() == kind
        self._next += found
        return found

    def expect_end(self) -> None:
        """Raise unless nothing is left."""
        if self._next < len(self._tokens):
            self._fail("here an operator is missing, or there is one name too many")

    def _sum(self) -> Linear:
        total = self._product()
        while (sign := self._peek()) in ("+", "-"):
            self._next += 1
            total = total.plus(self._product(), 1.0 if sign == "+" else -1.0)
        return total

    def _product(self) -> Linear:
        value = self._factor()
        while True:
            kind = self._peek()
            written_beside = kind in ("name", "(") and self._tokens[self._next - 1].kind == "number"
            if kind in ("*", "/"):
                self._next += 1
            elif not written_beside:
                return value
            value = self._combined(value, self._factor(), divided=kind == "/")

    def _combined(self, left: Linear, right: Linear, divided: bool) -> Linear:
        if divided:
            if not right.is_constant or right.constant == 0.0:
                self._fail("a hypothesis divides by numbers other than zero only")
            return left.times(1.0 / right.constant)
        if left.is_constant:
            return right.times(left.constant)
        if right.is_constant:
            return left.times(right.constant)
        return self._fail("a hypothesis is linear: coefficients are not multiplied with each other")

    def _factor(self) -> Linear:
        kind = self._peek()
        if kind is None or self._depth > MAX_DEPTH:
            self._fail("here a coefficient or a number is missing")
        token = self._tokens[self._next]
        self._next += 1
        if kind == "name":
            weights = np.zeros(self._p)
            weights[int(token.value)] = 1.0
            return Linear(weights, 0.0)
        if kind == "number":
            return Linear(np.zeros(self._p), token.value)
        if kind in ("+", "-"):
            return self._nested(self._factor).times(1.0 if kind == "+" else -1.0)
        if kind == "(":
            inner = self._nested(self._sum)
            if not self.take(")"):
                self._fail("here a closing bracket is missing")
            return inner
        self._next -= 1
        return self._fail("here a coefficient or a number is missing")

    def _nested(self, read: Callable[[], Linear]) -> Linear:
        self._depth += 1
        inner = read()
        self._depth -= 1
        return inner

    def _peek(self) -> str | None:
        return self._tokens[self._next].kind if self._next < len(self._tokens) else None

    def _fail(self, message: str) -> NoReturn:
        at = self._tokens[self._next].position if self._next < len(self._tokens) else len(self._text)
        raise FormulaError(message, self._text, at)
