"""Read a formula: text to response, fixed part and random-effects terms.

The grammar is R's, by precedence climbing over R's table of operators. Nothing is evaluated here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.bars import Bar, split_bars
from mixedmodels.formula.language.number_format import LARGEST_EXACT
from mixedmodels.formula.language.numpy_names import name_in_the_language
from mixedmodels.formula.language.syntax_tree import (
    Argument,
    Binary,
    Constant,
    Name,
    Node,
    Number,
    Text,
    Unary,
    binary,
    call,
    deparse,
    paren,
    unary,
)
from mixedmodels.formula.language.tokens import Token, tokenize

# Deeper nesting than this is an attack or an accident, and every walk over the tree is recursive.
MAX_DEPTH = 80

_PRECEDENCE = {
    "~": 1, "|": 2, "||": 2, "&": 3, "&&": 3,
    "<": 5, ">": 5, "<=": 5, ">=": 5, "==": 5, "!=": 5,
    "+": 6, "-": 6, "*": 7, "/": 7, "%in%": 8, "%%": 8, "%/%": 8, ":": 9, "^": 11,
}  # fmt: skip
_NOT_PRECEDENCE = 4
_COMPARISON_PRECEDENCE = 5
_SIGN_PRECEDENCE = 10
_PREFIXES = ("-", "+", "!", "(", "~")
_CONSTANTS = {"TRUE": True, "True": True, "FALSE": False, "False": False, "NULL": None, "None": None}
# Longer whole numbers than this are beyond float64, hence infinite.
MOST_DIGITS = 308
_NUMBERS = {"Inf": float("inf"), "NaN": float("nan"), "NA": float("nan")}
# Words an argument such as subset="x > 1 and y < 2" may use; in a formula they are column names.
_PYTHON_WORDS = {"and": "&", "or": "|"}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ParsedFormula:
    """A formula taken apart.

    Attributes
    ----------
    text : str
        The formula as typed.
    tree : Node
        The whole formula; `str()` of this object prints it as R does.
    response : Node or None
        Left side; None for a one-sided formula.
    fixed : Node
        What is left of the right side without the random-effects terms, ``1`` when nothing is.
    bars : tuple of Bar
        The random-effects terms in the order of their expansion: ``(1 | a/b)`` gives ``b:a``, ``a``;
        ``(x || g)`` gives ``1 | g``, ``0 + x | g``.
    warnings : tuple of str
        Second readings that the caller should be warned about.
    """

    text: str
    tree: Node
    response: Node | None
    fixed: Node
    bars: tuple[Bar, ...]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the formula as R prints it."""
        return deparse(self.tree)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the text alone: the tree of a thousand terms is deeper than a pickle can be."""
        return parse_formula, (self.text,)


def parse_formula(text: str) -> ParsedFormula:
    """Parse a two-sided or one-sided formula.

    Raises
    ------
    FormulaError
        With a caret under the offending place.

    Examples
    --------
    >>> parsed = parse_formula("y ~ x + (x || g)")
    >>> [str(bar) for bar in parsed.bars]
    ['1 | g', '0 + x | g']
    """
    if not isinstance(text, str):
        raise FormulaError(
            f"a formula is a string such as 'y ~ x + (1 | g)', not {type(text).__name__}; it comes first, "
            "the data second"
        )
    return _parse(text)


@lru_cache(maxsize=256)
def _parse(text: str) -> ParsedFormula:
    """Parse a formula; the same text gives the same object."""
    tree = _Parser(text).whole()
    response, right = _sides(tree, text)
    split = split_bars(right, response, text)
    return ParsedFormula(text, tree, response, split.fixed, split.bars, split.warnings)


def parse_tilde(text: str) -> tuple[Node | None, Node]:
    """Return both sides of a formula as they are written, the left one None where there is none.

    Raises
    ------
    FormulaError
        With a caret under the offending place.
    """
    return _sides(_Parser(text).whole(), text)


def parse_tree(text: str) -> Node:
    """Return an expression as it is written, whatever tildes and bars stand in it.

    Raises
    ------
    FormulaError
        With a caret under the offending place.
    """
    return _Parser(text).whole()


def _sides(tree: Node, text: str) -> tuple[Node | None, Node]:
    """Return left and right side of the tree of a formula."""
    response: Node | None
    if isinstance(tree, Binary) and tree.operator == "~":
        response, right = tree.left, tree.right
    elif isinstance(tree, Unary) and tree.operator == "~":
        response, right = None, tree.operand
    else:
        raise FormulaError("a formula needs a '~' between response and predictors", text, 0)
    if isinstance(response, Binary) and response.operator == "~":
        raise FormulaError(
            "a formula has only one '~'; a nonlinear mean, y ~ f(x, A, B) ~ A | g, is for nlmer()",
            text,
            tree.position,
        )
    for side in (response, right):
        if side is not None:
            _refuse_tilde(side, text)
    return response, right


@lru_cache(maxsize=256)
def parse_expression(text: str) -> Node:
    """Parse an expression such as the `subset` or `weights` argument.

    ``and``, ``or`` and ``not`` are understood as R's ``&``, ``|`` and ``!``.
    """
    tree = _Parser(text, python_words=True).whole()
    _refuse_tilde(tree, text)
    return tree


def _refuse_tilde(node: Node, text: str) -> None:
    """Raise when a ``~`` stands inside a side of a formula."""
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, Binary):
            if current.operator == "~":
                raise FormulaError("a formula has only one '~'", text, current.position)
            pending += [current.left, current.right]
        elif isinstance(current, Unary):
            if current.operator == "~":
                raise FormulaError("a '~' cannot stand inside an expression", text, current.position)
            pending.append(current.operand)
        elif hasattr(current, "inner"):
            pending.append(current.inner)
        elif hasattr(current, "arguments"):
            pending += [argument.value for argument in current.arguments]


class _Parser:
    """Precedence climbing over a list of tokens."""

    def __init__(self, text: str, python_words: bool = False) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.nesting = 0
        self.python_words = python_words

    @property
    def token(self) -> Token:
        """The token to be read next."""
        return self.tokens[self.at]

    def error(self, message: str, position: int | None = None) -> FormulaError:
        """Return an error that points at `position`, the next token by default."""
        return FormulaError(message, self.text, self.token.position if position is None else position)

    def advance(self) -> Token:
        """Return the next token and step past it."""
        token = self.token
        self.at += 1
        return token

    def is_operator(self, *texts: str) -> bool:
        """Tell whether the next token is one of these operators."""
        return self.token.kind == "operator" and self.token.text in texts

    def whole(self) -> Node:
        """Parse all tokens as one expression."""
        if self.token.kind == "end":
            raise self.error("the formula is empty")
        tree = self.expression(0)
        if self.at < len(self.tokens) - 1:
            raise self._trailing()
        return tree

    def _trailing(self) -> FormulaError:
        """Return the error for what stands after a complete expression."""
        if self.is_operator(")"):
            return self.error("unmatched ')'")
        if self.is_operator("="):
            return self.error("unexpected '=': write '~' between response and predictors, '==' to compare")
        return self.error(f"expected an operator before {self.token.text!r}")

    def expression(self, minimum: int) -> Node:
        """Parse an expression whose operators bind at least as tightly as `minimum`."""
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            raise self.error("the formula is nested too deeply")
        left = self.prefix()
        while True:
            operator = self.infix_operator()
            precedence = _PRECEDENCE.get(operator, -1)
            if precedence < minimum:
                break
            position = self.advance().position
            right = self.right_operand(operator, precedence)
            if precedence == _COMPARISON_PRECEDENCE and self.infix_precedence() == precedence:
                raise self.error("comparisons cannot be chained; join two of them with '&'")
            left = self._bounded(binary(operator, left, right, position), position)
        self.nesting -= 1
        return left

    def infix_operator(self) -> str:
        """Return the operator that the next token is, or an empty string."""
        token = self.token
        if token.kind == "operator":
            return token.text
        if self.python_words and token.kind == "name":
            return _PYTHON_WORDS.get(token.text, "")
        return ""

    def infix_precedence(self) -> int:
        """Return the precedence of the next token, -1 when it is no infix operator."""
        return _PRECEDENCE.get(self.infix_operator(), -1)

    def right_operand(self, operator: str, precedence: int) -> Node:
        """Parse what follows an infix operator; only ``^`` groups from the right."""
        self.require_operand(f"after '{operator}'")
        if operator == "^":
            return self.expression(_SIGN_PRECEDENCE if self.is_operator("-", "+") else precedence)
        return self.expression(precedence + 1)

    def require_operand(self, where: str) -> None:
        """Raise when no operand can begin at the next token."""
        token = self.token
        if token.kind not in ("operator", "end") or token.text in _PREFIXES:
            return
        if where in ("after '|'", "after '||'"):
            raise self.error(f"the grouping factor is missing {where}")
        what = "the formula ends" if token.kind == "end" else f"unexpected {token.text!r}"
        raise self.error(f"{what} {where}, where a name, a number or a parenthesis was expected")

    def _bounded(self, node: Node, position: int) -> Node:
        """Return `node` unless it is nested too deeply for the walks over the tree."""
        if node.depth > MAX_DEPTH:
            raise self.error("the formula is nested too deeply", position)
        return node

    def prefix(self) -> Node:
        """Parse a sign, a negation, a parenthesis, a call or a single operand."""
        self.require_operand("here" if self.at else "at its beginning")
        token = self.advance()
        if token.kind == "operator":
            return self.prefix_operator(token)
        if token.kind == "number":
            return _number(token)
        if token.kind == "string":
            return Text(_unescape(token.text), token.position)
        if self.is_operator("(") and not (self.python_words and token.text == "not"):
            return self.call(token)
        return self.word(token)

    def prefix_operator(self, token: Token) -> Node:
        """Parse what a prefix operator or an opening parenthesis applies to."""
        if token.text == "(":
            inner = self.parenthesized(token)
            return self._bounded(paren(inner, token.position), token.position)
        precedence = {"!": _NOT_PRECEDENCE, "~": 1}.get(token.text, _SIGN_PRECEDENCE)
        self.require_operand(f"after '{token.text}'")
        operand = self.expression(precedence + (token.text == "~"))
        return self._bounded(unary(token.text, operand, token.position), token.position)

    def parenthesized(self, opening: Token) -> Node:
        """Parse the inside of a parenthesis up to its end."""
        self.require_operand("after '('")
        inner = self.expression(0)
        if not self.is_operator(")"):
            if self.token.kind == "end":
                raise self.error("missing ')' for this '('", opening.position)
            raise self._trailing()
        self.advance()
        return inner

    def word(self, token: Token) -> Node:
        """Return the node of a bare word: a constant, ``not``, or a variable."""
        if token.kind == "name":
            if self.python_words and token.text == "not":
                return unary("!", self.expression(_NOT_PRECEDENCE), token.position)
            if token.text in _CONSTANTS:
                return Constant(_CONSTANTS[token.text], token.position)
            if token.text in _NUMBERS:
                return Number(_NUMBERS[token.text], token.position)
        return Name(token.text, token.position)

    def call(self, token: Token) -> Node:
        """Parse the arguments of a call of the function named by `token`."""
        opening = self.advance()
        arguments: list[Argument] = []
        while not self.is_operator(")"):
            arguments.append(self.argument())
            if self.is_operator(","):
                self.advance()
                if self.is_operator(")"):
                    raise self.error("an argument is missing after ','")
            elif self.token.kind == "end":
                raise self.error("missing ')' for this '('", opening.position)
            elif not self.is_operator(")"):
                raise self._trailing()
        self.advance()
        name = name_in_the_language(token.text)
        return self._bounded(call(name, tuple(arguments), token.position), token.position)

    def argument(self) -> Argument:
        """Parse one argument, ``value`` or ``name = value``."""
        self.require_operand("among the arguments")
        following = self.tokens[self.at + 1]
        named = following.kind == "operator" and following.text == "="
        if not named or self.token.kind not in ("name", "quoted"):
            return Argument(None, self.expression(0))
        name = self.advance().text
        self.advance()
        self.require_operand(f"after '{name} ='")
        return Argument(name, self.expression(0))


def _number(token: Token) -> Number:
    """Return the node of a number."""
    text = token.text.removesuffix("L")
    whole: int | None = None
    if text[:2] in ("0x", "0X"):
        whole = int(text[: MOST_DIGITS // 2], 16)
    elif text.isdecimal() and len(text) <= MOST_DIGITS:
        whole = int(text)  # an id, say, to be compared by its last digit too
    value = float(text) if whole is None else float(whole) if whole <= LARGEST_EXACT else whole
    return Number(value, token.position, is_integer=token.text.endswith("L"))


def _unescape(quoted: str) -> str:
    """Return the content of a quoted string."""
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    content, result, position = quoted[1:-1], [], 0
    while position < len(content):
        character = content[position]
        if character == "\\":
            position += 1
            character = escapes.get(content[position], content[position])
        result.append(character)
        position += 1
    return "".join(result)
