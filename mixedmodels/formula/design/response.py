"""The left side of a formula as arrays."""

from __future__ import annotations

import numpy as np

from mixedmodels.deferred import on_first_use
from mixedmodels.errors import DataError, listed
from mixedmodels.formula.design.design import Response, ResponseKind
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Matrix
from mixedmodels.formula.evaluation.read_column import DATE_ADVICE
from mixedmodels.formula.language.syntax_tree import Call, Node, deparse, strip_parens

with on_first_use():
    from mixedmodels.formula.evaluation import spelled_numbers


def is_cbind(node: Node) -> bool:
    """Tell whether a response is written ``cbind(a, b)``."""
    inner = strip_parens(node)
    return isinstance(inner, Call) and inner.function == "cbind"


def response(node: Node, column: Column) -> Response:
    """Return the response of a model on the rows used.

    Raises
    ------
    DataError
        For strings and for a matrix that is not ``cbind(successes, failures)``.
    """
    text = deparse(node)
    if isinstance(column, Matrix):
        if is_cbind(node) and column.values.shape[1] == 2:
            successes, failures = np.ascontiguousarray(column.values.T)
            return Response(text, "cbind", successes, failures)
        raise DataError(
            f"response must be one-dimensional: {text} is matrix-valued ({column.values.shape[1]} columns); "
            "fit one column and refit() the model to the others (cbind() takes successes and failures)"
        )
    if isinstance(column, Factor):
        return _factor_response(text, column)
    kind: ResponseKind = "logical" if isinstance(column, Logical) else "numeric"
    # A copy: what the caller does to the data later must not change the fitted model.
    return Response(text, kind, np.array(column.as_float()))


def _factor_response(text: str, column: Factor) -> Response:
    """Return a factor response coded 0 for the first level, 1 for the next."""
    if column.is_date:
        raise DataError(DATE_ADVICE.format(name=text))
    if column.is_text and spelled_numbers.spells_numbers(column.levels):
        others = spelled_numbers.not_numbers(column.levels)
        errors = f" {listed(map(repr, others), 3)} in it is no number: add errors='coerce'." if others else ""
        shown = listed(map(repr, column.levels), 3)
        raise DataError(
            f"response must be numeric or factor: {text} holds strings that spell numbers ({shown}). "
            f"Make it numeric with pd.to_numeric(data[{text!r}]).{errors}"
        )
    if column.is_text:
        raise DataError(
            f"response must be numeric or factor: {text} holds strings, {len(column.levels)} different ones; "
            f"for a binomial model write factor({text}) or use a categorical column"
        )
    factor = column.drop_unused()
    codes = factor.codes.astype(np.float64)
    return Response(text, "factor", codes, levels=factor.levels, is_ordered=factor.ordered)
