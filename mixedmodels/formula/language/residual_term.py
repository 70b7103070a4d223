"""A residual structure among the terms of a formula, as R's mmrm: ``y ~ arm + us(visit | subject)``."""

from __future__ import annotations

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.bars import holds_bar
from mixedmodels.formula.language.parse import ParsedFormula, parse_formula, parse_tilde
from mixedmodels.formula.language.residual import STRUCTURES, ResidualCall, residual_call
from mixedmodels.formula.language.syntax_tree import Call, Node, deparse, strip_parens, sum_operands


def split_residual(text: str) -> tuple[ParsedFormula, ResidualCall]:
    """Return the formula of the mean and the residual structure.

    Raises
    ------
    FormulaError
        If there is no structure among the terms, or more than one.

    Examples
    --------
    >>> mean, call = split_residual("y ~ arm * visit + us(visit | subject)")
    >>> str(mean), call.text
    ('y ~ arm * visit', 'us(visit | subject)')
    """
    response, right = parse_tilde(text)
    operands = sum_operands(right)
    found = [(operand, at) for sign, operand, at in operands if sign == "+" and _is_structure(operand)]
    if len(found) != 1:
        what = "has no covariance structure" if not found else "has more than one covariance structure"
        raise FormulaError(
            f"the formula {what}: add one term such as us(visit | subject); structures are "
            f"{', '.join(STRUCTURES)}",
            text,
            len(text) if not found else found[1][1],
        )
    kept = [(sign, operand) for sign, operand, _ in operands if operand is not found[0][0]]
    terms = " ".join(f"{sign} {deparse(operand)}" for sign, operand in kept).removeprefix("+ ")
    left = "" if response is None else f"{deparse(response)} "
    return parse_formula(f"{left}~ {terms or '1'}"), residual_call(found[0][0], text)


def _is_structure(node: Node) -> bool:
    """Tell whether a term is a call of a residual structure around a bar."""
    inner = strip_parens(node)
    return isinstance(inner, Call) and inner.function in STRUCTURES and holds_bar(inner)
