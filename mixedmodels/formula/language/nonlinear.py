"""Read what a nonlinear model is asked for: lme4's three-part formula, and nlme's parts.

``y ~ f(x, A, B) ~ A | g`` has response, mean and random effects in one text; else ``y ~ f(x, A, B)`` goes
with ``fixed="A ~ treatment; B ~ 1"`` and ``random="A + B ~ 1 | g"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.bars import SPATIAL, STRUCTURES, Bar, expand_groups, split_bars
from mixedmodels.formula.language.parse import parse_expression, parse_tree
from mixedmodels.formula.language.syntax_tree import (
    Binary,
    Call,
    Constant,
    Name,
    Node,
    Number,
    Unary,
    binary,
    deparse,
    start_of,
    strip_parens,
    sum_operands,
)

_FOREIGN = {"pdDiag": "diag", "pdSymm": "us", "pdLogChol": "us", "pdNatural": "us", "pdCompSymm": "cs"}


@dataclass(frozen=True, slots=True, eq=False)
class ParameterFormula:
    """What some parameters depend on: ``Asym + xmid ~ treatment``.

    Attributes
    ----------
    parameters : tuple of str
        The parameters.
    right : Node
        The terms, ``1`` for a constant.
    text : str
        The source, for messages.
    """

    parameters: tuple[str, ...]
    right: Node
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class RandomFormula:
    """One random-effects term.

    Attributes
    ----------
    bar : Bar
        The term as it is printed, with its grouping factor, structure and place. In lme4's form its left side
        names parameters, ``Asym + Asym:x``.
    parts : tuple of ParameterFormula
        nlme's form: parameters and what their effects depend on; empty in lme4's form.
    split : bool
        Whether all effects are independent: ``||``.
    text : str
        The source, for messages.
    """

    bar: Bar
    parts: tuple[ParameterFormula, ...]
    split: bool
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class NonlinearFormula:
    """A nonlinear model taken apart.

    Attributes
    ----------
    text : str
        The formula as typed.
    tree : Node
        All of it.
    response, mean : Node
        Left side and mean.
    added : Node or None
        Terms of fixed effects in the third part of lme4's form, ``Asym:treatment``; None without any.
    fixed : tuple of ParameterFormula
        nlme's ``fixed=``; empty where it was not given.
    random : tuple of RandomFormula
        Random-effects terms, nested factors expanded.
    """

    text: str
    tree: Node
    response: Node
    mean: Node
    added: Node | None
    fixed: tuple[ParameterFormula, ...]
    random: tuple[RandomFormula, ...]


def parse_nonlinear(
    formula: str, fixed: Any = None, random: Any = None, groups: Any = None
) -> NonlinearFormula:
    """Read the formula of a nonlinear model and the arguments that go with it.

    Parameters
    ----------
    formula : str
        ``"y ~ f(x, A, B) ~ A | g"``, or ``"y ~ f(x, A, B)"`` with `random`.
    fixed : str, list of str, or mapping of parameters to terms, optional
        ``"A + B ~ 1"``, ``"A ~ x; B ~ 1"``, ``["A ~ x", "B ~ 1"]``, ``{"A": "~ x"}``.
    random : str, list of str, or mapping, optional
        ``"A + B ~ 1 | g"``, with ``||`` or inside ``diag()`` for independent effects; ``{"g": "A + B ~ 1"}``,
        ``{"A": "~ 1 | g"}``.
    groups : str, optional
        The grouping factor of a `random` that has no bar.

    Raises
    ------
    FormulaError
        With a caret under the offending place.

    Examples
    --------
    >>> read = parse_nonlinear("y ~ SSlogis(x, A, B, C) ~ A + B | g")
    >>> [str(term.bar) for term in read.random]
    ['A + B | g']
    """
    if not isinstance(formula, str):
        raise FormulaError(
            f"a formula is a string such as 'y ~ SSlogis(x, A, B, C) ~ A | g', not {type(formula).__name__}; "
            "it comes first, the data second"
        )
    tree = parse_tree(formula)
    left, right = _two_sides(tree, formula)
    last: Node | None = None
    if isinstance(left, Binary) and left.operator == "~":
        inner, last = left, right
        left, right = inner.left, inner.right
    _refuse_tildes((left, right), formula)
    added, from_formula = (None, ()) if last is None else _third_part(last, left, formula)
    terms = (*from_formula, *_random_argument(random, groups))
    return NonlinearFormula(formula, tree, left, right, added, _fixed_argument(fixed), terms)


def _two_sides(tree: Node, text: str) -> tuple[Node, Node]:
    """Return what stands left and right of the last tilde."""
    if isinstance(tree, Binary) and tree.operator == "~":
        return tree.left, tree.right
    if isinstance(tree, Unary) and tree.operator == "~":
        raise _without_response(text)
    raise FormulaError(
        "a nonlinear model is written y ~ f(x, A, B) ~ A | g: response, mean, random effects", text, 0
    )


def _without_response(text: str) -> FormulaError:
    return FormulaError("the formula has no response: write y ~ f(x, A, B) ~ A | g", text, 0)


def _refuse_tildes(sides: tuple[Node, Node], text: str) -> None:
    """Raise where a tilde is left in the response or the mean."""
    for side in sides:
        if isinstance(side, Unary) and side.operator == "~":
            raise _without_response(text)
        if isinstance(side, Binary) and side.operator == "~":
            raise FormulaError(
                "a nonlinear formula has at most two '~': y ~ f(x, A, B) ~ A | g", text, side.position
            )


def _third_part(node: Node, response: Node, text: str) -> tuple[Node | None, tuple[RandomFormula, ...]]:
    """Return the fixed terms and the random effects of the last part of lme4's form."""
    # What a lone bar takes in is what is meant here, so that nothing is to be warned about.
    split = split_bars(node, response, text)
    # Without a parameter there is nothing left of the intercept that '||' splits off.
    bars = [bar for bar in split.bars if bar.split_from is None or bar.part]
    if not bars:
        raise FormulaError(
            "the last part of a nonlinear formula holds the random effects of its parameters: "
            "y ~ f(x, A, B) ~ A | g",
            text,
            start_of(node),
        )
    lone = isinstance(split.fixed, Number)
    terms = tuple(RandomFormula(bar, (), bar.split_from is not None, text) for bar in bars)
    return None if lone else split.fixed, terms


def _fixed_argument(given: Any) -> tuple[ParameterFormula, ...]:
    """Return what ``fixed=`` says."""
    if given is None:
        return ()
    given = _unlisted(given)
    if isinstance(given, Mapping):
        return tuple(_keyed(name, terms, "fixed") for name, terms in given.items())
    found = [_parameter_formula(parse_tree(text), text) for text in _texts(given, "fixed")]
    for part in found:
        if _is_bar(strip_parens(part.right)):
            raise FormulaError("fixed= has no grouping factor; random effects go into random=", part.text, 0)
    return tuple(found)


def _unlisted(given: Any) -> Any:
    """Return ``"list(A ~ x, B ~ 1)"``, as it is written in R, as a list, or a mapping where it has names."""
    tree = parse_tree(given) if isinstance(given, str) and given.strip().startswith("list(") else None
    if not isinstance(tree, Call):
        return given
    if all(argument.name is None for argument in tree.arguments):
        return [deparse(argument.value) for argument in tree.arguments]
    return {argument.name: _unlisted(deparse(argument.value)) for argument in tree.arguments}


def _texts(given: Any, argument: str) -> list[str]:
    """Return the formulas of an argument, given in one text or as a list."""
    example = "'A + B ~ 1'" if argument == "fixed" else "'A + B ~ 1 | g'"
    parts = given.split(";") if isinstance(given, str) else given
    if not isinstance(parts, Iterable):
        raise FormulaError(f"{argument}= is a formula such as {example}, not {type(given).__name__}")
    texts = list(parts)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise FormulaError(f"{argument}= holds formulas such as {example}; {text!r} is none")
    return [text.strip() for text in texts]


def _keyed(name: Any, terms: Any, argument: str) -> ParameterFormula:
    """Return ``{"Asym": "~ treatment"}`` as a formula."""
    if isinstance(terms, (int, float)) and terms == 1:
        terms = "1"
    if not isinstance(terms, str) or not isinstance(name, str):
        raise FormulaError(
            f"{argument}= maps parameters to terms, {{'Asym': '~ treatment'}}, not to {terms!r}"
        )
    right = terms.partition("~")[2] if "~" in terms else terms
    text = f"{name} ~ {right.strip()}"
    return _parameter_formula(parse_tree(text), text)


def _parameter_formula(tree: Node, text: str) -> ParameterFormula:
    """Return ``A + B ~ terms`` taken apart."""
    if not (isinstance(tree, Binary) and tree.operator == "~"):
        raise FormulaError("what a parameter depends on is written A ~ x, or A + B ~ 1", text, start_of(tree))
    names = []
    for sign, operand, position in sum_operands(strip_parens(tree.left)):
        inner = strip_parens(operand)
        if sign != "+" or not isinstance(inner, Name):
            raise FormulaError("left of '~' stand names of parameters, A + B ~ 1", text, position)
        names.append(inner.name)
    return ParameterFormula(tuple(names), tree.right, text)


def _is_bar(node: Node) -> TypeGuard[Binary]:
    return isinstance(node, Binary) and node.operator in ("|", "||")


def _random_argument(given: Any, groups: Any) -> tuple[RandomFormula, ...]:
    """Return what ``random=`` and ``groups=`` say."""
    default = _groups_argument(groups)
    if given is None:
        if default is not None:
            raise FormulaError("groups= goes with random=, random='A ~ 1', groups='g'")
        return ()
    given = _unlisted(given)
    if isinstance(given, Mapping):
        return tuple(term for key, value in given.items() for term in _keyed_random(key, value, default))
    texts = _texts(given, "random")
    trees = [parse_tree(text) for text in texts]
    if default is not None and len(texts) > 1 and not any(map(_has_bar, trees)):
        return _block(trees, texts, default)
    return tuple(
        term for tree, text in zip(trees, texts, strict=True) for term in _random_formula(tree, text, default)
    )


def _has_bar(node: Node) -> bool:
    """Tell whether the right side of a formula, or of one in a structure, ends in a bar."""
    inner = strip_parens(node)
    if isinstance(inner, Call) and inner.arguments:
        return _has_bar(inner.arguments[0].value)
    return isinstance(inner, Binary) and inner.operator == "~" and _is_bar(inner.right)


def _groups_argument(groups: Any) -> Node | None:
    if groups is None:
        return None
    if not isinstance(groups, str):
        raise FormulaError(f"groups= is the name of a grouping factor, not {type(groups).__name__}")
    return parse_expression(groups.strip().removeprefix("~").strip())


def _keyed_random(key: Any, value: Any, default: Node | None) -> tuple[RandomFormula, ...]:
    """Return ``{"g": "A + B ~ 1"}``, ``{"g": ["A ~ x", "B ~ 1"]}`` or ``{"A": "~ 1 | g"}``."""
    if not isinstance(key, str):
        raise FormulaError(f"random= maps grouping factors to formulas, {{'g': 'A + B ~ 1'}}, not {key!r}")
    by_parameter = isinstance(value, str) and "|" in value
    if by_parameter:
        text = value if "~" in value.strip()[1:] else f"{key} ~ {value.strip().removeprefix('~')}"
        return _random_formula(parse_tree(text), text, default)
    texts = _texts(value, "random")
    return _block([parse_tree(text) for text in texts], texts, parse_expression(key))


def _block(trees: list[Node], texts: list[str], groups: Node) -> tuple[RandomFormula, ...]:
    """Return the term of several formulas that share a grouping factor: all their effects are correlated."""
    if len(trees) == 1:
        return _random_formula(trees[0], texts[0], groups)
    parts = tuple(_parameter_formula(tree, text) for tree, text in zip(trees, texts, strict=True))
    return _terms(parts, groups, _Kind("us", None, False), "; ".join(texts), 0)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the effects of a term go together."""

    structure: str
    homogeneous: bool | None
    split: bool


def _random_formula(tree: Node, text: str, default: Node | None) -> tuple[RandomFormula, ...]:
    """Return the terms of ``A + B ~ 1 | g``, ``A ~ x || g`` or ``diag(A + B ~ 1 | g)``."""
    inner = strip_parens(tree)
    structure, homogeneous = "us", None
    if isinstance(inner, Call):
        structure, homogeneous = _structure(inner, text)
        inner = strip_parens(inner.arguments[0].value)
    if not (isinstance(inner, Binary) and inner.operator == "~"):
        return _lme4_terms(tree, text)
    right = strip_parens(inner.right)
    group, split = default, False
    if isinstance(right, Binary) and right.operator in ("|", "||"):
        group, split = right.right, right.operator == "||"
        right = right.left
    if group is None:
        raise FormulaError(
            "the grouping factor is missing: write A ~ 1 | g, or give groups='g'", text, len(text)
        )
    if split and structure != "us":
        raise FormulaError(f"'||' cannot stand inside {structure}(); use '|'", text, inner.position)
    part = _parameter_formula(binary("~", inner.left, right, inner.position), text)
    return _terms((part,), group, _Kind(structure, homogeneous, split), text, inner.position)


def _lme4_terms(tree: Node, text: str) -> tuple[RandomFormula, ...]:
    """Return random effects written as in lme4's form, ``A | g``."""
    inner = strip_parens(tree)
    if not (_is_bar(inner) or isinstance(inner, (Binary, Call))):
        raise FormulaError("random effects of parameters are written A + B ~ 1 | g", text, start_of(tree))
    return _third_part(tree, Name("y"), text)[1]


def _structure(node: Call, text: str) -> tuple[str, bool | None]:
    """Return the covariance structure around a formula, and its ``hom=``."""
    if node.function in _FOREIGN:
        meant = _FOREIGN[node.function]
        raise FormulaError(f"'{node.function}' is written {meant}(A + B ~ 1 | g) here", text, node.position)
    if node.function not in STRUCTURES or node.function in SPATIAL or not node.arguments:
        known = ", ".join(f"{name}()" for name in STRUCTURES if name not in SPATIAL)
        raise FormulaError(
            f"'{node.function}' is no covariance structure of parameters; they are {known}",
            text,
            node.position,
        )
    homogeneous: bool | None = None
    for argument in node.arguments[1:]:
        truth = isinstance(argument.value, Constant) and argument.value.value is not None
        if argument.name != "hom" or "hom" not in STRUCTURES[node.function] or not truth:
            raise FormulaError(
                f"{node.function}() takes a formula, and hom = TRUE or FALSE", text, start_of(argument.value)
            )
        homogeneous = deparse(argument.value) == "TRUE"
    return node.function, homogeneous


def _terms(
    parts: tuple[ParameterFormula, ...], group: Node, kind: _Kind, text: str, position: int
) -> tuple[RandomFormula, ...]:
    """Return one term for each of the grouping factors that a right side stands for."""
    names = [_sum([Name(name) for name in part.parameters]) for part in parts]
    constant = all(isinstance(part.right, Number) and part.right.value == 1 for part in parts)
    if constant:
        shown = _sum(names)
    else:
        shown = _sum([binary("~", left, part.right) for left, part in zip(names, parts, strict=True)])
    bar = Bar(shown, group, kind.structure, kind.homogeneous, position)
    expanded = [replace(bar, group=one) for one in expand_groups(group, text)]
    return tuple(RandomFormula(one, parts, kind.split, text) for one in expanded)


def _sum(nodes: list[Node]) -> Node:
    total, *rest = nodes
    for node in rest:
        total = binary("+", total, node)
    return total
