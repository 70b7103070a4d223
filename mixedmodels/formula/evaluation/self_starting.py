"""R's self-starting models: their definitions in the formula language, from which derivatives come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mixedmodels.errors import FormulaError, listed
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import (
    Argument,
    Binary,
    Call,
    Name,
    Node,
    Paren,
    Unary,
    binary,
    call,
    deparse,
    paren,
    strip_parens,
    unary,
)


@dataclass(frozen=True, slots=True)
class SelfStartingModel:
    """A mean function whose starting values can be found from data.

    Attributes
    ----------
    inputs : tuple of str
        Its variables.
    parameters : tuple of str
        Its parameters.
    expression : str
        Its definition.
    """

    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    expression: str

    @property
    def formals(self) -> tuple[str, ...]:
        """All arguments in R's order."""
        return (*self.inputs, *self.parameters)


#: Definitions as in R's package stats; the logistic ones by plogis(), which does not overflow.
SELF_STARTING: Mapping[str, SelfStartingModel] = {
    "SSasymp": SelfStartingModel(
        ("input",), ("Asym", "R0", "lrc"), "Asym + (R0 - Asym) * exp(-exp(lrc) * input)"
    ),
    "SSasympOff": SelfStartingModel(
        ("input",), ("Asym", "lrc", "c0"), "Asym * (1 - exp(-exp(lrc) * (input - c0)))"
    ),
    "SSasympOrig": SelfStartingModel(("input",), ("Asym", "lrc"), "Asym * (1 - exp(-exp(lrc) * input))"),
    "SSbiexp": SelfStartingModel(
        ("input",),
        ("A1", "lrc1", "A2", "lrc2"),
        "A1 * exp(-exp(lrc1) * input) + A2 * exp(-exp(lrc2) * input)",
    ),
    "SSfol": SelfStartingModel(
        ("Dose", "input"),
        ("lKe", "lKa", "lCl"),
        "Dose * exp(lKe + lKa - lCl) * (exp(-exp(lKe) * input) - exp(-exp(lKa) * input)) "
        "/ (exp(lKa) - exp(lKe))",
    ),
    "SSfpl": SelfStartingModel(
        ("input",), ("A", "B", "xmid", "scal"), "A + (B - A) * plogis((input - xmid) / scal)"
    ),
    "SSgompertz": SelfStartingModel(("x",), ("Asym", "b2", "b3"), "Asym * exp(-b2 * b3^x)"),
    "SSlogis": SelfStartingModel(
        ("input",), ("Asym", "xmid", "scal"), "Asym * plogis((input - xmid) / scal)"
    ),
    "SSmicmen": SelfStartingModel(("input",), ("Vm", "K"), "Vm * input / (K + input)"),
    "SSweibull": SelfStartingModel(
        ("x",), ("Asym", "Drop", "lrc", "pwr"), "Asym - Drop * exp(-exp(lrc) * x^pwr)"
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class SelfStart:
    """A mean that is a self-starting model of variables and parameters: its starting values can be found.

    Attributes
    ----------
    name : str
        The model, ``"SSlogis"``.
    inputs : tuple of Node
        What its variables are.
    parameters : tuple of str
        What its parameters are called here.
    """

    name: str
    inputs: tuple[Node, ...]
    parameters: tuple[str, ...]


def as_self_start(mean: Node, parameters: tuple[str, ...]) -> SelfStart | None:
    """Return the self-starting model that a whole mean is; None where it is another expression."""
    inner = strip_parens(mean)
    if not isinstance(inner, Call) or _bare(inner.function) not in SELF_STARTING:
        return None
    model = SELF_STARTING[_bare(inner.function)]
    given = matched(inner, model.formals, deparse(inner))
    names = [strip_parens(given[name]) for name in model.parameters]
    own = tuple(node.name for node in names if isinstance(node, Name) and node.name in parameters)
    if len(set(own)) < len(model.parameters) or set(own) != set(parameters):
        return None
    return SelfStart(_bare(inner.function), tuple(given[name] for name in model.inputs), own)


def is_self_starting(function: str) -> bool:
    """Tell whether a function is a self-starting model."""
    return _bare(function) in SELF_STARTING


def inputs_of(node: Call) -> tuple[Node, ...]:
    """Return the arguments of a call that are variables of a self-starting model; none of another call."""
    if not is_self_starting(node.function):
        return ()
    model = SELF_STARTING[_bare(node.function)]
    given = matched(node, model.formals, deparse(node))
    return tuple(given[name] for name in model.inputs)


def expand_self_starting(node: Call, text: str) -> Node:
    """Return the definition of a call such as ``SSlogis(age, Asym, xmid, scal)``, its arguments put in."""
    model = SELF_STARTING[_bare(node.function)]
    given = matched(node, model.formals, text)
    return substitute(parse_expression(model.expression), given)


def _bare(function: str) -> str:
    return function.removeprefix("stats::")


def matched(node: Call, formals: tuple[str, ...], text: str) -> dict[str, Node]:
    """Return the arguments of a call by the names of its parameters.

    Raises
    ------
    FormulaError
        If an argument is unknown, given twice or missing.
    """
    usage = f"{node.function}({', '.join(formals)})"
    named = {a.name: a.value for a in node.arguments if a.name is not None}
    unknown = [name for name in named if name not in formals]
    free = [name for name in formals if name not in named]
    places = [a.value for a in node.arguments if a.name is None]
    if unknown:
        raise FormulaError(f"there is no argument {listed(unknown)} in {usage}", text, node.position)
    if len(places) != len(free) or len(named) + len(places) != len(node.arguments):
        raise FormulaError(
            f"{usage} has {len(formals)} arguments, not {len(node.arguments)}", text, node.position
        )
    return {**named, **dict(zip(free, places, strict=True))}


def substitute(node: Node, values: Mapping[str, Node]) -> Node:
    """Return an expression with names replaced by other expressions, in parentheses where need be."""
    if isinstance(node, Name) and node.name in values:
        value = values[node.name]
        return value if isinstance(value, (Name, Call, Paren)) else paren(value)
    if isinstance(node, Binary):
        left, right = substitute(node.left, values), substitute(node.right, values)
        return binary(node.operator, left, right, node.position)
    if isinstance(node, Unary):
        return unary(node.operator, substitute(node.operand, values), node.position)
    if isinstance(node, Paren):
        return paren(substitute(node.inner, values), node.position)
    if isinstance(node, Call):
        arguments = tuple(Argument(a.name, substitute(a.value, values)) for a in node.arguments)
        return call(node.function, arguments, node.position)
    return node
