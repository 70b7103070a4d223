"""Tests of linear hypotheses about the fixed effects, stated in words or as a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.anova import AnovaTable, check_models
from mixedmodels.inference.contrasts import (
    FixedEffects,
    HypothesisTest,
    asymptotic,
    contrast_tests,
    hypothesis_test,
    independent_rows,
    untested_note,
)
from mixedmodels.inference.fixed_effects import Ddf, fixed_effects, refuse_ddf_of_chi_square
from mixedmodels.inference.hypothesis_text import has_equals_sign, hypothesis_label, read_hypotheses

CHI_SQUARE_COLUMNS = ("Df", "Chisq", "Pr(>Chisq)")
F_COLUMNS = ("Res.Df", "Df", "F", "Pr(>F)")
# What a dependent hypothesis may differ from the combination of others it equals, beside their size.
CONSISTENT = 1e-8


class LinearHypothesis(AnovaTable):
    """The test of a linear hypothesis: a DataFrame that prints as R's car prints it.

    Attributes
    ----------
    estimates : DataFrame
        Estimate, standard error, df, statistic and p-value of each hypothesis by itself.
    matrix : DataFrame
        L of ``L beta = rhs``, one row a hypothesis.
    rhs : Series
        The values on the right side.
    """

    _metadata = ["heading", "estimates", "matrix", "rhs"]  # noqa: RUF012 (pandas reads this class attribute)
    estimates: pd.DataFrame
    matrix: pd.DataFrame
    rhs: pd.Series


@advises
def linear_hypothesis(
    model: Fit,
    hypotheses: Any,
    *,
    rhs: Any = None,
    test: Literal["F", "Chisq"] | None = None,
    ddf: Ddf = "default",
    vcov: Any = None,
) -> LinearHypothesis:
    """Test ``L beta = rhs``.

    Parameters
    ----------
    model : fitted model
        The model.
    hypotheses : str, sequence of str, mapping, DataFrame or array_like
        Equations in the names of the coefficients, ``["x1 = x2", "2 * x3 - (Intercept) = 1"]``; weights by
        name, ``{"x1": 1, "x2": -1}``, one such mapping or several; or L, shape (rows, p), one column for each
        coefficient (a DataFrame may leave out columns of zeros).
    rhs : float or array_like, optional
        Values on the right side where the hypotheses have no equals sign; by default zero.
    test : {"F", "Chisq"}, optional
        By default F where the degrees of freedom are finite, as for linear models.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Denominator degrees of freedom, Satterthwaite's by default for a linear mixed model.
    vcov : optional
        Another covariance of the fixed effects.

    Returns
    -------
    LinearHypothesis
        Prints as R's car prints it; ``.estimates`` has each hypothesis by itself.

    Raises
    ------
    FormulaError
        If a text cannot be read or names no coefficient of the model, with a caret under the place.
    ControlError
        If the matrix does not fit the coefficients, or a hypothesis follows from others or contradicts them.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("effort ~ Type + (1 | Subject)", mm.load_dataset("ergoStool"))
    >>> print(mm.linear_hypothesis(m, "TypeT2 = TypeT3", test="Chisq"))  # doctest: +NORMALIZE_WHITESPACE
    Linear hypothesis test
    <BLANKLINE>
    Hypothesis:
    TypeT2 - TypeT3 = 0
    <BLANKLINE>
    Model 1: restricted model
    Model 2: effort ~ Type + (1 | Subject)
    <BLANKLINE>
      Df  Chisq Pr(>Chisq)
    1
    2  1 10.325   0.001312 **
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    """
    check_models([model], "linear_hypothesis")
    one_of("test", test, (None, "F", "Chisq"))
    stated = stated_hypotheses(hypotheses, rhs, model.design.x_names, model.design.dropped)
    if test == "Chisq":
        refuse_ddf_of_chi_square(ddf)
    fixed = fixed_effects(model, "z" if test == "Chisq" else ddf, vcov)
    fixed = asymptotic(fixed) if test == "Chisq" else fixed
    check_independent(stated, np.sqrt(np.diag(fixed.covariance)))
    found = hypothesis_test(fixed, stated.L, stated.rhs)
    if test == "F" and np.isinf(found.df):
        raise ControlError(
            "an F test needs degrees of freedom, which this model has none of; write test='Chisq'."
        )
    table = _table(found)
    table.heading = _heading(model, stated, fixed, found, vcov is not None)
    table.estimates = _estimates(fixed, stated)
    table.matrix = pd.DataFrame(stated.L, index=list(stated.labels), columns=list(fixed.names))
    table.rhs = pd.Series(stated.rhs, index=list(stated.labels), name="rhs")
    return table


@dataclass(frozen=True, slots=True)
class Stated:
    """Hypotheses ``L beta = rhs``: shapes (m, p) and (m,), and how each prints."""

    L: FloatArray
    rhs: FloatArray
    labels: tuple[str, ...]


def stated_hypotheses(hypotheses: Any, rhs: Any, names: Sequence[str], dropped: Sequence[str] = ()) -> Stated:
    """Return the hypotheses that a caller stated in any of the ways of :func:`linear_hypothesis`."""
    items = _items(hypotheses)
    rows: list[FloatArray] = []
    values: list[float] = []
    stated_value = False
    for item in items:
        if isinstance(item, str):
            stated_value |= has_equals_sign(item, names, dropped)
            for weights, value in read_hypotheses(item, names, dropped):
                rows.append(weights)
                values.append(value)
        else:
            rows.append(_weights(item, names, dropped))
            values.append(0.0)
    if not rows:
        raise ControlError("there is no hypothesis to test; write one such as 'x1 = x2'.")
    if rhs is not None:
        if stated_value:
            raise ControlError("rhs goes with hypotheses without an equals sign; these have one.")
        values = (np.asarray(values) + _right_side(rhs, len(rows))).tolist()
    L, right = np.array(rows), np.array(values)
    if not (np.isfinite(L).all() and np.isfinite(right).all()):
        raise ControlError("hypotheses are made of finite numbers; one of these is not.")
    labels = tuple(hypothesis_label(row, value, names) for row, value in zip(L, right, strict=True))
    return Stated(L, right, labels)


def _items(hypotheses: Any) -> list[Any]:
    """Return the hypotheses one by one: texts, mappings or rows of a matrix."""
    if isinstance(hypotheses, (str, Mapping)):
        return [hypotheses]
    if isinstance(hypotheses, pd.DataFrame):
        return [dict(row) for _, row in hypotheses.iterrows()]
    if isinstance(hypotheses, pd.Series):
        return [hypotheses.to_dict()]
    if isinstance(hypotheses, Sequence) and any(isinstance(h, (str, Mapping)) for h in hypotheses):
        return list(hypotheses)
    try:
        matrix = np.asarray(hypotheses, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.ndim not in (1, 2) or not matrix.size:
        raise ControlError(
            "hypotheses are equations such as 'x1 = x2', weights by name or a matrix with a column for each "
            f"coefficient, not {shown(hypotheses)}."
        )
    return list(np.atleast_2d(matrix))


def _weights(item: Any, names: Sequence[str], dropped: Sequence[str]) -> FloatArray:
    """Return the weights of one hypothesis, shape (p,)."""
    if isinstance(item, Mapping):
        return _weights_by_name(item, names, dropped)
    try:
        row = np.asarray(item, dtype=np.float64)
    except (TypeError, ValueError):
        row = np.empty(0)
    if row.shape != (len(names),):
        raise ControlError(
            f"a hypothesis has one number for each of the {len(names)} coefficients ({listed(names)}), not "
            f"{shown(item) if row.size == 0 else row.size}."
        )
    return row


def _weights_by_name(item: Mapping[Any, Any], names: Sequence[str], dropped: Sequence[str]) -> FloatArray:
    row = np.zeros(len(names))
    for name, weight in item.items():
        if name in dropped:
            raise ControlError(f"{name} has no estimate: its column depends linearly on others of the model.")
        if name not in names:
            raise ControlError(f"{name} is no coefficient of the model; they are {listed(names)}.")
        try:
            row[list(names).index(name)] = float(weight)
        except (TypeError, ValueError):
            raise ControlError(f"the weight of {name} must be a number, not {shown(weight)}.") from None
    return row


def _right_side(rhs: Any, m: int) -> FloatArray:
    """Return the values on the right side, shape (m,)."""
    try:
        values = np.asarray(rhs, dtype=np.float64)
    except (TypeError, ValueError):
        raise ControlError(f"rhs must be a number or one for each hypothesis, not {shown(rhs)}.") from None
    if values.shape not in ((), (1,), (m,)):
        raise ControlError(f"rhs has {values.size} numbers for {m} hypotheses; give one for each, or one.")
    return np.broadcast_to(values, (m,))


def check_independent(stated: Stated, scale: FloatArray) -> None:
    """Raise unless the hypotheses are linearly independent.

    Parameters
    ----------
    stated : Stated
        The hypotheses.
    scale : ndarray, shape (p,)
        Standard errors of the coefficients, in whose units rows are compared.
    """
    rows = stated.L * scale
    kept = independent_rows(rows)
    if len(kept) == len(rows):
        return
    first = next(i for i in range(len(rows)) if i not in kept)
    before = [i for i in kept if i < first]
    share = np.linalg.lstsq(rows[before].T, rows[first], rcond=None)[0] if before else np.empty(0)
    implied = float(share @ stated.rhs[before])
    size = float(np.abs(share) @ np.abs(stated.rhs[before]) + abs(stated.rhs[first]))
    agrees = abs(implied - stated.rhs[first]) <= CONSISTENT * size
    name = stated.labels[first]
    if not rows[first].any():
        raise ControlError(f"hypothesis {first + 1}, {name}, says nothing about any coefficient.")
    if agrees:
        raise ControlError(f"hypothesis {first + 1}, {name}, follows from those before it; leave it out.")
    raise ControlError(
        f"hypothesis {first + 1}, {name}, contradicts those before it, from which it follows that the left "
        f"side is {implied:.15g}."
    )


def _table(found: HypothesisTest) -> LinearHypothesis:
    """Return the test as a table of two models, the restricted one first."""
    q = float(found.numerator_df)
    if np.isinf(found.df):
        values = [[np.nan] * 3, [q, found.statistic * q, found.p_value]]
        return LinearHypothesis(values, index=["1", "2"], columns=list(CHI_SQUARE_COLUMNS))
    values = [
        [found.df + q, np.nan, np.nan, np.nan],
        [found.df, q, found.statistic, found.p_value],
    ]
    return LinearHypothesis(values, index=["1", "2"], columns=list(F_COLUMNS))


def _heading(
    model: Fit, stated: Stated, fixed: FixedEffects, found: HypothesisTest, supplied: bool
) -> tuple[str, ...]:
    lines = ["Linear hypothesis test", "", "Hypothesis:", *stated.labels, "", "Model 1: restricted model"]
    lines += [f"Model 2: {model.formula()}", ""]
    if fixed.degrees.method and np.isfinite(found.df):
        lines += [f"Note: F test with {fixed.degrees.method}.", ""]
    if untested := untested_note(["all together"], [found.numerator_df], [found.df]):
        lines += [*untested, ""]
    if supplied:
        lines += ["Note: Coefficient covariance matrix supplied.", ""]
    return tuple(lines)


def _estimates(fixed: FixedEffects, stated: Stated) -> pd.DataFrame:
    """Return the t or z test of each hypothesis."""
    tests = contrast_tests(fixed, stated.L, stated.rhs)
    letter = "z" if np.isinf(tests.df).all() else "t"
    return pd.DataFrame(
        {
            "Estimate": tests.estimate,
            "Std. Error": tests.se,
            "df": tests.df,
            f"{letter} value": tests.statistic,
            f"Pr(>|{letter}|)": tests.p_value,
        },
        index=list(stated.labels),
    )
