"""Variances, standard deviations and correlations of the random effects, from theta and sigma."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.reml import term_factors
from mixedmodels.formula.design.design import RandomTerm


@dataclass(frozen=True, slots=True)
class TermCovariance:
    """Covariance of the random effects of one term.

    Attributes
    ----------
    label : str
        Name of the term as printed: ``"Subject"``, ``"Subject.1"``.
    columns : tuple of str
        Names of the S coefficients.
    covariance : ndarray, shape (S, S)
        On the scale of the linear predictor.
    structure : str
        Name of the covariance structure, ``"us"`` or ``"diag"`` and the like.
    """

    label: str
    columns: tuple[str, ...]
    covariance: FloatArray
    structure: str

    @property
    def stddev(self) -> FloatArray:
        """Standard deviations, shape (S,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> FloatArray:
        """Correlations, shape (S, S); NaN where a standard deviation is zero."""
        return covariance_to_correlation(self.covariance)


def covariance_to_correlation(covariance: FloatArray) -> FloatArray:
    """Return the correlation matrix of `covariance`, NaN beside a zero variance, 1 on the diagonal."""
    sd = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: FloatArray = covariance / np.outer(sd, sd)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def term_covariances(
    terms: Sequence[RandomTerm], theta: FloatArray, sigma: float
) -> tuple[TermCovariance, ...]:
    """Return ``sigma^2 T T'`` of each term (Bates et al. 2015, eq. 58).

    Parameters
    ----------
    terms : sequence of RandomTerm
        Random-effects terms.
    theta : ndarray, shape (k,)
        Covariance parameters of all terms.
    sigma : float
        Residual standard deviation; 1 for a generalized model, whose theta is absolute.
    """
    return tuple(
        TermCovariance(term.label, term.columns, sigma**2 * (T @ T.T), term.structure.name)
        for term, T in zip(terms, term_factors(terms, theta), strict=True)
    )
