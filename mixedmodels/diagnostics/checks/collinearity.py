"""Whether predictors say the same: variance inflation factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.checks.record import Check
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.hypotheses import term_columns

#: Factors from which correlation is moderate and high (James et al. 2013; performance).
MODERATE, HIGH = 5.0, 10.0
LEVEL = 0.95


@dataclass(frozen=True, slots=True, repr=False)
class CollinearityCheck(Check):
    """Variance inflation by term.

    Attributes
    ----------
    table : DataFrame
        Term (index), Df, VIF (generalized where Df > 1), VIF^(1/(2*Df)), the limits of an interval, the
        factor by which standard errors grow, and tolerance 1/VIF.
    note : str
        What to know of them; empty if nothing.
    """

    table: pd.DataFrame
    note: str = ""

    @property
    def is_fine(self) -> bool | None:
        """Whether no factor is moderate or high."""
        return bool((self.table["VIF"] < MODERATE).all())

    @property
    def sentence(self) -> str:
        """What was found."""
        found = ", ".join(f"{term} {value:.3g}" for term, value in self.table["VIF"].items())
        largest = float(self.table["VIF"].max())
        grade = "low" if largest < MODERATE else "moderate" if largest < HIGH else "high"
        text = f"Correlation between predictors is {grade}; variance inflation factors: {found}."
        return f"{text} {self.note}".strip()


@advises
def check_collinearity(model: Any) -> CollinearityCheck:
    """Check how far the standard errors of each term are inflated by the other terms.

    Parameters
    ----------
    model : fitted model
        With at least one predictor.

    Returns
    -------
    CollinearityCheck
        Variance inflation factors from the covariance of the fixed effects, the intercept left out; those of
        terms with several coefficients are generalized (Fox & Monette 1992), and ``VIF^(1/(2*Df))`` compares
        them with others.

    Raises
    ------
    NotAvailableError
        If there is no predictor, or the covariance of the fixed effects is singular.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("angle ~ recipe + temp + (1 | recipe:replicate)", mm.load_dataset("cake"))
    >>> mm.check_collinearity(m)
    Correlation between predictors is low; variance inflation factors: recipe 1, temp 1.
    """
    fit = a_fit(model, "check_collinearity")
    columns = _columns(fit)
    if not columns:
        raise NotAvailableError("check_collinearity() needs predictors; the model has none.")
    used = np.sort(np.concatenate(list(columns.values())))
    V = fit._fixed_covariance()[np.ix_(used, used)]
    sd = np.sqrt(np.diag(V))
    if not (np.isfinite(sd).all() and (sd > 0.0).all()):
        raise NotAvailableError("the fixed effects have no finite standard errors, so there is no inflation.")
    places = [np.searchsorted(used, own) for own in columns.values()]
    vif = inflation_factors(V / np.outer(sd, sd), places)
    return CollinearityCheck(_table(fit, columns, vif), _note(fit, vif))


def _columns(fit: Fit) -> dict[str, np.ndarray[Any, np.dtype[np.intp]]]:
    """Return the columns of each term in X, those without any and the intercept left out."""
    terms = term_columns(fit.design.recipe.fixed, fit.design.recipe.kept)
    pairs = zip(terms.labels, terms.columns, strict=True)
    return {label: own for label, own in pairs if len(own) and label != "(Intercept)"}


def inflation_factors(R: FloatArray, places: list[Any]) -> FloatArray:
    """Return ``det R_jj det R_-j-j / det R`` of each term (Fox & Monette 1992, eq. 10), shape (terms,).

    Parameters
    ----------
    R : ndarray, shape (k, k)
        Correlations of the coefficients.
    places : list of ndarray
        Where each term's coefficients are.
    """
    whole = np.linalg.slogdet(R)[1]
    logs = []
    for own in places:
        rest = np.setdiff1d(np.arange(len(R)), own)
        logs.append(sum(np.linalg.slogdet(R[np.ix_(part, part)])[1] for part in (own, rest)) - whole)
    # Determinants of correlations carry rounding; a factor below 1 does not exist.
    return np.asarray(np.maximum(np.exp(logs), 1.0))


def _table(fit: Fit, columns: dict[str, Any], vif: FloatArray) -> pd.DataFrame:
    df = np.array([len(own) for own in columns.values()])
    low, high = _limits(vif, fit.nobs(), len(fit.beta))
    return pd.DataFrame(
        {
            "Df": df,
            "VIF": vif,
            "VIF^(1/(2*Df))": vif ** (1.0 / (2.0 * df)),
            "VIF_CI_low": low,
            "VIF_CI_high": high,
            "SE_factor": np.sqrt(vif),
            "Tolerance": 1.0 / vif,
        },
        index=pd.Index(list(columns), name="Term"),
    )


def _limits(vif: FloatArray, n: int, p: int) -> tuple[FloatArray, FloatArray]:
    """Return 95% limits by the standard error of R^2 = 1 - 1/VIF on the logit scale (Olkin & Finn 1995).

    As R's performance; NaN for a factor of exactly 1, whose logit is infinite.
    """
    r2 = 1.0 - 1.0 / vif
    inner = (r2 > 0.0) & (n > p + 1)
    se = np.sqrt((1.0 - r2) ** 2 * (1.0 + r2) ** 2 * (n - p - 1.0) ** 2 / ((n**2 - 1.0) * (n + 3.0)))
    inside = np.where(inner, r2, 0.5)
    logit, width = np.log(inside / (1.0 - inside)), ndtri(0.5 + LEVEL / 2.0) * se / (inside * (1.0 - inside))
    limits = [1.0 / (1.0 - expit(np.minimum(logit + sign * width, 36.0))) for sign in (-1.0, 1.0)]
    low, high = (np.where(inner, limit, np.nan) for limit in limits)
    return low, high


def _note(fit: Fit, vif: FloatArray) -> str:
    recipe = fit.design.recipe.fixed
    notes = []
    if not recipe.intercept:
        notes.append("The model has no intercept, about which these factors are not defined.")
    if (vif >= HIGH).any() and any(len(term.factors) > 1 for term in recipe.terms):
        notes.append(
            "Interactions inflate the factors of their parts: centre the predictors, or look at the model "
            "without interactions."
        )
    return " ".join(notes)
