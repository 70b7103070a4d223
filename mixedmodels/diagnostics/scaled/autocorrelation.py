"""Whether residuals close in time or space are alike: Durbin and Watson's and Moran's statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from mixedmodels.arrays import FloatArray, IntArray

#: Residuals up to which the distribution of Durbin and Watson's statistic is computed and not approximated,
#: as in R's lmtest.
MOST_EXACT = 100
#: Nodes of the integral that inverts its characteristic function, and where the integrand is negligible.
NODES, NEGLIGIBLE = 4000, 1e-12
#: Distances held at once.
DISTANCES_AT_ONCE = 2**22


def durbin_watson(U: FloatArray, series: IntArray) -> FloatArray:
    """Return the sum of squared differences of neighbours over that of deviations, of each column.

    Parameters
    ----------
    U : ndarray, shape (m, ...)
        Residuals in order of time within each series, one series after the other.
    series : ndarray of int, shape (m,)
        Which series each row belongs to.
    """
    steps = np.diff(U, axis=0)[np.diff(series) == 0]
    return np.asarray((steps**2).sum(axis=0) / ((U - U.mean(axis=0)) ** 2).sum(axis=0))


def durbin_watson_p_values(dw: float, series: IntArray) -> tuple[float, float]:
    """Return the probabilities of a statistic below, and above: positive, and negative, correlation.

    Those of normal residuals about one mean; exact up to 100 of them (Imhof 1961, Biometrika 48), from the
    normal distribution beyond, as R's lmtest.
    """
    eigenvalues = _eigenvalues(series)
    m = len(series)
    if m < MOST_EXACT:
        below = _probability_negative(eigenvalues - dw)
        return below, 1.0 - below
    mean, square = eigenvalues.sum() / (m - 1.0), (eigenvalues**2).sum()
    variance = 2.0 * (square - eigenvalues.sum() * mean) / ((m - 1.0) * (m + 1.0))
    z = float((dw - mean) / np.sqrt(variance))
    return float(ndtr(z)), float(ndtr(-z))


def _eigenvalues(series: IntArray) -> FloatArray:
    """Return the eigenvalues of the numerator on residuals whose sum is zero, shape (m - 1,)."""
    sizes = np.bincount(series)
    values = [2.0 - 2.0 * np.cos(np.pi * np.arange(size) / size) for size in sizes]
    # One of the zeros, each of the mean of a series, is the mean of all.
    return np.sort(np.concatenate(values))[1:]


def _probability_negative(weights: FloatArray) -> float:
    """Return the probability that ``sum w_j z_j^2`` of normal z is negative, by Imhof's integral."""
    # The integrand falls at least as the product of the roots: find where it is negligible.
    scale = np.abs(weights).max()
    end = 1.0 / scale
    while (
        np.exp(-0.25 * np.log1p((weights * end) ** 2).sum()) / end > NEGLIGIBLE * scale and end < 1e12 / scale
    ):
        end *= 2.0
    # Nodes even in the logarithm of 1 + t serve slow tails and a smooth start alike.
    nodes, node_weights = np.polynomial.legendre.leggauss(NODES // 20)
    s = 0.5 * np.log1p(end * scale) * (nodes + 1.0)
    t = np.expm1(s) / scale
    angle = 0.5 * np.arctan(t[:, None] * weights).sum(axis=1)
    root = np.exp(0.25 * np.log1p((t[:, None] * weights) ** 2).sum(axis=1))
    integrand = np.sin(angle) / (t * root) * (np.exp(s) / scale)
    integral = 0.5 * np.log1p(end * scale) * float(node_weights @ integrand)
    return float(np.clip(0.5 - integral / np.pi, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Weights of all pairs of points: the inverse of their distance over the sum of those from one point.

    Attributes
    ----------
    points : ndarray, shape (m, d)
        Coordinates; empty where `distances` are given.
    distances : ndarray, shape (m, m)
        Distances given.
    totals : ndarray, shape (m,)
        Sum of the inverse distances from each point.
    """

    points: FloatArray
    distances: FloatArray
    totals: FloatArray

    def inverse_distances(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield the inverse distances of some points from all."""
        yield from inverse_distances(self.points, self.distances)


def inverse_distances(points: FloatArray, distances: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Yield rows of the matrix of inverse distances, zero from a point to itself."""
    m = max(len(points), len(distances))
    rows = max(1, DISTANCES_AT_ONCE // m)
    for first in range(0, m, rows):
        part = slice(first, min(first + rows, m))
        if len(distances):
            D = distances[part].copy()
        else:
            D = np.sqrt(((points[part, None, :] - points[None, :, :]) ** 2).sum(axis=2))
        here = np.arange(part.start, part.stop)
        D[here - first, here] = np.inf
        with np.errstate(divide="ignore"):
            yield part, 1.0 / D


def neighbours(points: FloatArray, distances: FloatArray) -> Neighbours:
    """Return the weights of all pairs of points."""
    parts = [inverse.sum(axis=1) for _, inverse in inverse_distances(points, distances)]
    return Neighbours(points, distances, np.concatenate(parts))


def morans_i(U: FloatArray, near: Neighbours) -> FloatArray:
    """Return Moran's I of each column, shape (m, ...): the mean product of deviations of neighbours."""
    deviations = U - U.mean(axis=0)
    product = np.zeros(U.shape[1:])
    for part, inverse in near.inverse_distances():
        lag = ((inverse @ deviations).T / near.totals[part]).T
        product = product + (deviations[part] * lag).sum(axis=0)
    return np.asarray(product / (deviations**2).sum(axis=0))


def moran_moments(U: FloatArray, near: Neighbours) -> tuple[float, float]:
    """Return mean and standard deviation of Moran's I of m residuals in random order (Cliff & Ord 1981)."""
    m = len(U)
    S1, columns = 0.0, np.zeros(m)
    for part, inverse in near.inverse_distances():
        W = inverse / near.totals[part, None]
        S1 += 0.5 * float(((W + inverse / near.totals) ** 2).sum())
        columns += W.sum(axis=0)
    S2 = float(((1.0 + columns) ** 2).sum())
    deviations = U - U.mean()
    kurtosis = float((deviations**4).mean() / (deviations**2).mean() ** 2)
    first = m * ((m**2 - 3 * m + 3) * S1 - m * S2 + 3 * m**2)
    second = kurtosis * ((m**2 - m) * S1 - 2 * m * S2 + 6 * m**2)
    mean = -1.0 / (m - 1)
    return mean, float(np.sqrt((first - second) / ((m - 1) * (m - 2) * (m - 3) * m**2) - mean**2))
