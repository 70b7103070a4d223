"""From standard deviations and correlations, as people state them, to theta of a covariance structure."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.covariance.triangle import lower_triangle, on_diagonal

#: Eigenvalue of a correlation matrix below which it is none; correlations are stated with some digits.
NEGATIVE = 1e-6


def deviations_in_theta(structure: CovarianceStructure) -> BoolArray | None:
    """Return which elements of theta are deviations, relative to sigma, shape (n_theta,).

    None where T is not in proportion to them: the structure has no deviations.
    """
    at = structure.parameter_at()
    scaled = np.array(structure.is_lower_bound())
    scaled[at[at >= 0]] = True
    theta = structure.start()
    doubled = structure.factor(np.where(scaled, 2.0 * theta, theta))
    return scaled if np.allclose(doubled, 2.0 * structure.factor(theta)) else None


def deviation_places(structure: CovarianceStructure) -> BoolArray | None:
    """Return which parameters are deviations, the others being correlations, shape (n_theta,).

    Those of an unstructured term stand in the place of the elements of T: by column its deviation, then its
    correlations. None where the structure has no deviations.
    """
    if structure.is_unstructured:
        return np.array(on_diagonal(structure.size))
    return deviations_in_theta(structure)


def theta_of_deviations(
    structure: CovarianceStructure, values: FloatArray, sigma: float
) -> FloatArray | None:
    """Return theta of a term from its deviations and correlations.

    Parameters
    ----------
    structure : CovarianceStructure
        Structure of the term, with deviations.
    values : ndarray, shape (n_theta,)
        Deviations and correlations, in the order of `deviation_places`.
    sigma : float
        What theta is relative to.

    Returns
    -------
    ndarray, shape (n_theta,), or None
        None where the correlations contradict each other: no effects have them.

    Examples
    --------
    >>> from mixedmodels.covariance.unstructured import Unstructured
    >>> theta_of_deviations(Unstructured(2), np.array([2.0, 0.6, 1.0]), sigma=2.0)
    array([1. , 0.3, 0.4])
    """
    if not structure.is_unstructured:
        scaled = deviations_in_theta(structure)
        return values if scaled is None else np.where(scaled, values / sigma, values)
    rows, columns = lower_triangle(structure.size)
    R = np.zeros((structure.size, structure.size))
    R[rows, columns] = R[columns, rows] = values
    sd = R.diagonal().copy()
    np.fill_diagonal(R, 1.0)
    eigenvalues, vectors = np.linalg.eigh(R)
    if eigenvalues[0] < -NEGATIVE:
        return None
    # The triangle of QR is the Cholesky factor, which exists for singular correlations too.
    _, upper = np.linalg.qr((vectors * np.sqrt(np.maximum(eigenvalues, 0.0))).T)
    T = (sd / sigma)[:, None] * upper.T
    return structure.canonical(T[rows, columns])
