"""Wald analysis of variance of marginal models: terms added one by one, and one model against another."""

from __future__ import annotations

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.gee.covariance import gee_scores
from mixedmodels.engines.gee.fit import solve_gee
from mixedmodels.errors import ControlError
from mixedmodels.fits.columns import column_terms
from mixedmodels.fits.gee import GeeFit
from mixedmodels.inference.gee.covariance import checked_type, covariance_matrix

COLUMNS = ("Df", "X2", "P(>|Chi|)")
#: A column of a model lies in the span of those of another if what is left of it is this share of it.
IN_SPAN = 1e-8


def wald(beta: FloatArray, covariance: FloatArray, L: FloatArray) -> list[float]:
    """Return degrees of freedom, chi-square and p-value of ``L beta = 0``."""
    b = L @ beta
    chisq = float(b @ np.linalg.solve(L @ covariance @ L.T, b))
    return [len(L), chisq, float(special.chdtrc(len(L), chisq))]


def sequential(fit: GeeFit) -> tuple[FloatArray, list[str]]:
    """Return the tests of terms, each in the model with it and those before it, and their names.

    Models with fewer terms are fitted with the same working correlation; all covariances are robust.
    """
    terms = [column_terms(fit.design.recipe.fixed)[k] for k in fit.design.recipe.kept]
    order = [label for label in dict.fromkeys(terms) if label != "(Intercept)"]
    rows, columns = [], [k for k, term in enumerate(terms) if term == "(Intercept)"]
    for label in order:
        own = [k for k, term in enumerate(terms) if term == label]
        columns += own
        rows.append(_last_term(fit, np.array(columns, dtype=np.intp), len(own)))
    return np.array(rows).reshape(-1, 3), order


def _last_term(fit: GeeFit, columns: IntArray, count: int) -> list[float]:
    """Return the test of the last columns of a model of some columns."""
    L = np.eye(len(columns))[-count:]
    if len(columns) == len(fit.beta):
        return wald(fit.beta[columns], fit.scores.robust()[np.ix_(columns, columns)], L)
    problem = fit.problem.with_columns(columns)
    found = solve_gee(problem, fit.correlation, fit.beta[columns], fit.fixed_scale, fit.solution.alpha)
    return wald(found.beta, gee_scores(problem, fit.correlation, found).robust(), L)


def between(larger: GeeFit, smaller: GeeFit, vcov: str | None) -> list[float]:
    """Return the test, in the larger model, of what the smaller one does not have.

    Raises
    ------
    ControlError
        If no model is nested in the other, or they are the same.
    """
    left = _outside(larger.problem.X, smaller.problem.X)
    if _outside(smaller.problem.X, larger.problem.X).any():
        raise ControlError(
            "the models are not nested: neither has all the columns of the other; qic(m1, m2) compares them."
        )
    if not left.any():
        raise ControlError("the models have the same columns, so that there is nothing to test.")
    values, vectors = np.linalg.eigh(left.T @ left)
    L = vectors[:, values > IN_SPAN * values[-1]].T
    kind = larger.cov_type if vcov is None else checked_type(vcov, "vcov")
    V = larger._fixed_covariance() if vcov is None else covariance_matrix(larger, kind)
    return wald(larger.beta, V, L)


def _outside(X: FloatArray, other: FloatArray) -> FloatArray:
    """Return the part of columns X outside the span of others, zero where it is rounding."""
    Q, _ = np.linalg.qr(other)
    left = X - Q @ (Q.T @ X)
    norms = np.sqrt(np.einsum("ij,ij->j", left, left) / np.einsum("ij,ij->j", X, X))
    return np.where(norms > IN_SPAN, left, 0.0)
