"""The covariance matrix of the random effects of one term, its standard deviations and correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray


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
    process : tuple of (str, float)
        Parameters of the correlation of a process over places, by which it is printed; empty elsewhere.
    """

    label: str
    columns: tuple[str, ...]
    covariance: FloatArray
    structure: str
    process: tuple[tuple[str, float], ...] = ()

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
