"""Read ``dispersion="~ sex"`` or ``"power(age) * ident(sex)"``: what residual variances depend on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.parse import parse_expression, parse_tilde
from mixedmodels.formula.language.syntax_tree import (
    Binary,
    Call,
    Name,
    Node,
    Number,
    binary,
    deparse,
    paren,
    start_of,
    strip_parens,
)
from mixedmodels.formula.language.terms import Terms, expand_terms

#: Variance functions, and whether they are functions of a number.
FUNCTIONS = {"ident": False, "power": True, "exp": True, "constpower": True, "fixed": True}
#: The word that stands for the fitted values.
FITTED = "fitted"
_FOREIGN = {"varIdent": "ident", "varPower": "power", "varExp": "exp", "varConstPower": "constpower",
            "varFixed": "fixed", "varConstProp": "constpower"}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class VarianceCall:
    """One factor of the residual standard deviations, as it was asked for.

    Attributes
    ----------
    text : str
        As R would print it.
    function : str
        ``"ident"``, ``"power"``, ``"exp"``, ``"constpower"``, ``"fixed"``, ``"loglinear"``, or
        ``"dispersion"`` for a log-linear model of a family's parameter, its intercept included.
    covariate : Node or None
        What it is a function of; None for the fitted values, and where there is none.
    strata : Node or None
        Each level of which has its own parameters.
    terms : Terms or None
        Terms of a log-linear model, ``~ sex``.
    """

    text: str
    function: str
    covariate: Node | None = None
    strata: Node | None = None
    terms: Terms | None = None

    @property
    def uses_fitted(self) -> bool:
        """Whether it is a function of the fitted values."""
        return FUNCTIONS.get(self.function, False) and self.covariate is None

    @property
    def formula(self) -> str:
        """The formula as nlme prints it."""
        if self.terms is not None:
            return self.text
        left = "fitted(.)" if self.uses_fitted else "1" if self.covariate is None else deparse(self.covariate)
        right = "" if self.strata is None else f" | {deparse(self.strata).replace(':', ' * ')}"
        return f"~{left}{right}"

    def variables(self) -> dict[str, Node]:
        """Return printed expression -> expression of everything that has to be evaluated."""
        if self.terms is not None:
            return dict(zip(self.terms.names, self.terms.variables, strict=True))
        return {deparse(node): node for node in (self.covariate, self.strata) if node is not None}


@lru_cache(maxsize=256)
def parse_dispersion(text: str) -> tuple[VarianceCall, ...]:
    """Return the factors of which ``dispersion=`` makes standard deviations.

    Raises
    ------
    FormulaError
        With a caret under the place.

    Examples
    --------
    >>> [call.formula for call in parse_dispersion("power(age) * ident(sex)")]
    ['~age', '~1 | sex']
    """
    if not isinstance(text, str):
        raise FormulaError(
            f"dispersion= is a string such as '~ sex' or 'power(x)', not {type(text).__name__}"
        )
    if text.lstrip().startswith("~"):
        return _log_linear(text)
    factors: list[Node] = []
    node = strip_parens(parse_expression(text))
    while isinstance(node, Binary) and node.operator == "*":
        factors.append(strip_parens(node.right))
        node = strip_parens(node.left)
    return tuple(_variance_call(factor, text) for factor in [node, *reversed(factors)])


@lru_cache(maxsize=256)
def parse_family_dispersion(text: str) -> tuple[VarianceCall, ...]:
    """Return the terms of a linear model of a family's log dispersion; nothing for ``~ 1``.

    Raises
    ------
    FormulaError
        With a caret under the place.

    Examples
    --------
    >>> [call.text for call in parse_family_dispersion("~ age + sex")]
    ['~age + sex']
    """
    if not isinstance(text, str) or not text.lstrip().startswith("~"):
        shown = f"'{text}'" if isinstance(text, str) else type(text).__name__
        raise FormulaError(
            "dispersion= of a generalized model is a formula such as '~ sex', linear in the logarithm of the "
            f"family's dispersion parameter, not {shown}; variance functions are for lmer() and gls()"
        )
    calls = _log_linear(text)
    if not calls and not expand_terms(parse_tilde(text)[1], text).intercept:
        raise FormulaError("the dispersion has no coefficient left; '~ 1' is one for all rows", text, 0)
    return tuple(replace(call, function="dispersion") for call in calls)


def _log_linear(text: str) -> tuple[VarianceCall, ...]:
    """Return the terms of ``~ sex``; nothing for ``~ 1``."""
    _, right = parse_tilde(text)
    whole = strip_parens(right)
    if isinstance(whole, Binary) and whole.operator in ("|", "||"):
        raise FormulaError("the dispersion cannot have random effects", text, start_of(right))
    terms = expand_terms(right, text)
    if terms.offsets:
        raise FormulaError(
            "the dispersion cannot have an offset; in lmer() and gls() fixed(x) is a known variance", text, 0
        )
    patterns = tuple(pattern for pattern in terms.patterns if pattern)
    return (VarianceCall(f"~{deparse(right)}", "loglinear", terms=terms),) if patterns else ()


def _variance_call(node: Node, text: str) -> VarianceCall:
    """Return one factor of a product of variance functions."""
    if not isinstance(node, Call) or node.function not in FUNCTIONS:
        raise FormulaError(_unknown(node), text, start_of(node))
    if len(node.arguments) != 1 or node.arguments[0].name is not None:
        raise FormulaError(
            f"{node.function}() takes one variable, and strata after a bar: {node.function}(x | g)",
            text,
            node.position,
        )
    argument = strip_parens(node.arguments[0].value)
    inner, strata = argument, None
    if isinstance(argument, Binary) and argument.operator == "|":
        inner, strata = strip_parens(argument.left), argument.right
    if not FUNCTIONS[node.function]:
        return _by_level(node, inner, strata, text)
    covariate = None if _is_fitted(inner) else inner
    if isinstance(covariate, Number):
        raise FormulaError(f"{node.function}() is a function of a variable", text, start_of(inner))
    if node.function == "fixed" and (covariate is None or strata is not None):
        raise FormulaError(
            "fixed() takes a variable that is proportional to the variance", text, start_of(inner)
        )
    return VarianceCall(deparse(node), node.function, covariate, _strata(strata, text))


def _by_level(node: Call, inner: Node, strata: Node | None, text: str) -> VarianceCall:
    """Return ``ident(sex)``, written ``ident(1 | sex)`` too."""
    if strata is not None and not isinstance(inner, Number):
        raise FormulaError(f"write ident({deparse(strata)})", text, start_of(inner))
    return VarianceCall(deparse(node), "ident", None, _strata(strata or inner, text))


def _strata(node: Node | None, text: str) -> Node | None:
    """Return a factor, the interaction of several for ``a * b``."""
    if node is None:
        return None
    inner = strip_parens(node)
    if isinstance(inner, Binary) and inner.operator in ("*", ":"):
        left, right = _strata(inner.left, text), _strata(inner.right, text)
        assert left is not None and right is not None
        return binary(":", left, paren(right) if isinstance(right, Binary) else right, inner.position)
    if isinstance(inner, (Name, Call)):
        return inner
    raise FormulaError(
        f"'{deparse(node)}' is not a factor, nor a product of factors such as a * b", text, start_of(node)
    )


def _is_fitted(node: Node) -> bool:
    """Tell whether a node stands for the fitted values: ``fitted``, ``fitted(.)``."""
    name = node.function if isinstance(node, Call) else node.name if isinstance(node, Name) else ""
    return name == FITTED


def _unknown(node: Node) -> str:
    if isinstance(node, Call) and node.function in _FOREIGN:
        return f"'{node.function}' is written {_FOREIGN[node.function]}() here"
    return (
        f"'{deparse(node)}' is no variance function; they are "
        f"{', '.join(f'{name}()' for name in FUNCTIONS)}, their products, and formulas such as "
        "'~ sex' for the logarithm of the standard deviation"
    )
