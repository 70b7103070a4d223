"""Standard deviations and correlations of random effects from theta and sigma, for many fits at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.triangle import lower_triangle
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices


def deviation_names(terms: Sequence[RandomTerm]) -> tuple[str, ...]:
    """Return lme4's names, ``sd_(Intercept)|Subject`` and ``cor_Days.(Intercept)|Subject``."""
    return tuple(f"{name}|{group}" for group, name in deviation_parts(terms))


def deviation_parts(terms: Sequence[RandomTerm]) -> tuple[tuple[str, str], ...]:
    """Return grouping factor and name of every standard deviation and correlation."""
    return tuple(
        (term.group, f"sd_{term.columns[i]}" if i == j else f"cor_{term.columns[i]}.{term.columns[j]}")
        for term in terms
        for i, j in _places(term)
    )


def deviations(terms: Sequence[RandomTerm], theta: FloatArray, scale: FloatArray) -> FloatArray:
    """Return standard deviations and correlations, in the order of the names.

    Parameters
    ----------
    terms : sequence of RandomTerm
        Random-effects terms.
    theta : ndarray, shape (R, k)
        Covariance parameters of R fits.
    scale : ndarray, shape (R,)
        What theta is relative to.

    Returns
    -------
    ndarray, shape (R, m)
        A correlation with an effect that does not vary is NaN.
    """
    columns = []
    for term, part in zip(terms, theta_slices(terms), strict=True):
        T = np.array([term.structure.factor(own) for own in theta[:, part]])
        T = T.reshape(len(theta), term.size, term.size)
        covariance = np.einsum("rik,rjk->rij", T, T)
        sd = np.sqrt(np.einsum("rii->ri", covariance))
        for i, j in _places(term):
            if i == j:
                columns.append(scale * sd[:, i])
                continue
            product = sd[:, i] * sd[:, j]
            varies = product > 0.0
            correlation = covariance[:, i, j] / np.where(varies, product, 1.0)
            columns.append(np.where(varies, np.clip(correlation, -1.0, 1.0), np.nan))
    return np.column_stack([np.empty((len(theta), 0)), *columns])


def variance_names(terms: Sequence[RandomTerm]) -> tuple[str, ...]:
    """Return the names ``var_(Intercept)|Subject`` and ``cov_Days.(Intercept)|Subject``."""
    return tuple(
        name.replace("sd_", "var_", 1) if name.startswith("sd_") else name.replace("cor_", "cov_", 1)
        for name in deviation_names(terms)
    )


def variances(terms: Sequence[RandomTerm], theta: FloatArray, scale: FloatArray) -> FloatArray:
    """Return variances and covariances, in the order of the names; parameters as for `deviations`."""
    columns = []
    for term, part in zip(terms, theta_slices(terms), strict=True):
        T = np.array([term.structure.factor(own) for own in theta[:, part]])
        T = T.reshape(len(theta), term.size, term.size)
        covariance = np.einsum("r,rik,rjk->rij", scale**2, T, T)
        columns += [covariance[:, i, j] for i, j in _places(term)]
    return np.column_stack([np.empty((len(theta), 0)), *columns])


def _places(term: RandomTerm) -> list[tuple[int, int]]:
    """Return the elements of the covariance matrix that are named: a diagonal one has no correlations."""
    if term.structure.name == "diag":
        return [(i, i) for i in range(term.size)]
    rows, columns = lower_triangle(term.size)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True)]
