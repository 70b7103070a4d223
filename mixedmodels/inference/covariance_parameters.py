"""Standard deviations and correlations of random effects from theta and sigma, for many fits at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.triangle import lower_triangle
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.inference.profile.coordinates import scaled_parameters
from mixedmodels.inference.profile.parameters import covariance_parameters


def deviation_parts(terms: Sequence[RandomTerm]) -> tuple[tuple[str, str], ...]:
    """Return grouping factor and name, ``("Subject", "sd_Days")``, of every covariance parameter."""
    named = [(terms[p.index].group, p.name) for p in covariance_parameters(terms)]
    return tuple((group, name.removesuffix(f"|{group}")) for group, name in named)


def deviations(terms: Sequence[RandomTerm], theta: FloatArray, scale: FloatArray) -> FloatArray:
    """Return standard deviations and correlations as tables of parameters have them, in their order.

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
    parts = [
        _of_triangle(term, theta[:, part], scale)
        if term.structure.is_unstructured
        else _of_structure(term, theta[:, part], scale)
        for term, part in zip(terms, theta_slices(terms), strict=True)
    ]
    return np.column_stack([np.empty((len(theta), 0)), *parts])


def _of_triangle(term: RandomTerm, theta: FloatArray, scale: FloatArray) -> FloatArray:
    """Return the parameters of an unstructured term: by column its deviation, then its correlations."""
    T = np.array([term.structure.factor(own) for own in theta]).reshape(len(theta), term.size, term.size)
    covariance = np.einsum("rik,rjk->rij", T, T)
    sd = np.sqrt(np.einsum("rii->ri", covariance))
    columns = []
    for i, j in zip(*(places.tolist() for places in lower_triangle(term.size)), strict=True):
        if i == j:
            columns.append(scale * sd[:, i])
            continue
        product = sd[:, i] * sd[:, j]
        varies = product > 0.0
        correlation = covariance[:, i, j] / np.where(varies, product, 1.0)
        columns.append(np.where(varies, np.clip(correlation, -1.0, 1.0), np.nan))
    return np.column_stack(columns)


def _of_structure(term: RandomTerm, theta: FloatArray, scale: FloatArray) -> FloatArray:
    """Return the parameters of another structure: its theta, with deviations in absolute units."""
    scaled = scaled_parameters(term.structure)
    varies = theta[:, scaled].any(axis=1, keepdims=True)
    return np.where(scaled, scale[:, None] * theta, np.where(varies, theta, np.nan))


def variance_names(terms: Sequence[RandomTerm]) -> tuple[str, ...]:
    """Return the names ``var_(Intercept)|Subject`` and ``cov_Days.(Intercept)|Subject``."""
    return tuple(
        f"var_{term.columns[i]}|{term.group}"
        if i == j
        else f"cov_{term.columns[i]}.{term.columns[j]}|{term.group}"
        for term in terms
        for i, j in _places(term)
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
