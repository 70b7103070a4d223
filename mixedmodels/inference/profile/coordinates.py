"""Coordinates of the covariance of one random-effects term in which one parameter can be held.

A term is described by its absolute covariance factor T, ``Cov(b_l) = T T'``. Row i of T has the standard
deviation of coefficient i as its length, and the cosine between two rows is their correlation. Holding one of
these is a map of all coordinates onto the surface where it has its value, followed by the usual factor; the
gradient goes back through the same map. Values at the bounds (a deviation of 0, a correlation of -1 or 1) are
legal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.covariance.deviations import deviations_in_theta
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.errors import NotAvailableError
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.inference.profile.scales import Scale

#: Part of a row, relative to it, that is rounding: what is left when a correlation of 1 is taken out.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class HeldFactor:
    """The factor of a term at some coordinates, one parameter being held.

    Attributes
    ----------
    T : ndarray, shape (S, S)
        Absolute factor, lower triangular.
    free : ndarray, shape (n_theta,)
        Coordinates at which the term has this factor when nothing is held.
    pullback : callable
        Maps the derivative of a function in T to those in the coordinates and in the value held.
    """

    T: FloatArray
    free: FloatArray
    pullback: Callable[[FloatArray], tuple[FloatArray, float]]


#: Maps coordinates and the place at which the parameter is held to the factor.
Hold: TypeAlias = Callable[[FloatArray, float], HeldFactor]


def scaled_parameters(structure: CovarianceStructure) -> BoolArray:
    """Return which elements of theta are in units of the residual deviation, shape (n_theta,).

    Raises
    ------
    NotAvailableError
        If T is not in proportion to them: the structure has no absolute parameters.
    """
    scaled = deviations_in_theta(structure)
    if scaled is None:
        raise NotAvailableError(
            f"The covariance structure {structure.name!r} has parameters that do not scale with the standard "
            "deviations; intervals are available for the fixed effects only, with parm='beta_'."
        )
    return scaled


def free_factor(structure: CovarianceStructure, free: FloatArray) -> HeldFactor:
    """Return the factor of a term of which nothing is held."""
    theta = structure.from_free(free)

    def pullback(dT: FloatArray) -> tuple[FloatArray, float]:
        return structure.free_pullback(free, structure.pullback(theta, dT)), 0.0

    return HeldFactor(structure.factor(theta), free, pullback)


def hold_parameter(structure: CovarianceStructure, k: int, scale: Scale) -> Hold:
    """Return the hold of one element of theta at a place on its scale, where theta is plain parameters."""

    def hold(free: FloatArray, place: float) -> HeldFactor:
        theta = structure.from_free(free).copy()
        theta[k] = scale.value(place)

        def pullback(dT: FloatArray) -> tuple[FloatArray, float]:
            gradient = structure.pullback(theta, dT)
            along, gradient[k] = float(gradient[k]) * scale.rate(place), 0.0
            return structure.free_pullback(free, gradient), along

        return HeldFactor(structure.factor(theta), structure.to_free(theta), pullback)

    return hold


def hold_deviation(structure: CovarianceStructure, i: int) -> Hold:
    """Return the hold of the standard deviation of coefficient i: row i of T is scaled to that length."""

    def hold(free: FloatArray, value: float) -> HeldFactor:
        T = structure.factor(free).copy()
        direction, length = _direction(T[i], i)
        T[i] = value * direction

        def pullback(dT: FloatArray) -> tuple[FloatArray, float]:
            through = np.tril(dT)
            along = float(direction @ through[i])
            through[i] = (value / length) * (through[i] - along * direction)
            return structure.pullback(free, through), along

        return HeldFactor(T, structure.pullback(free, T), pullback)

    return hold


def hold_correlation(structure: CovarianceStructure, i: int, j: int) -> Hold:
    """Return the hold of the angle whose sine is the correlation of coefficients i < j.

    Row j of T becomes ``s (r t + sqrt(1 - r^2) n)``: s its length, t the direction of row i and n that of
    the part of row j that is orthogonal to t.
    """

    def hold(free: FloatArray, angle: float) -> HeldFactor:
        T = structure.factor(free).copy()
        r, q = np.sin(angle), np.cos(angle)
        t, length_i = _direction(T[i], i)
        y, s = T[j].copy(), float(np.linalg.norm(T[j]))
        s = s or 1.0
        d = float(y @ t)
        n, m = _direction(y - d * t, j, ROUNDING * s)
        new = s * (r * t + q * n)
        T[j] = new

        def pullback(dT: FloatArray) -> tuple[FloatArray, float]:
            through = np.tril(dT)
            g = through[j].copy()
            along = s * float(g @ (q * t - r * n))
            # Back through n, through the orthogonal part p = y - (y't) t, and through t.
            by_p = (s * q / m) * (g - n * float(n @ g))
            by_d = -float(by_p @ t)
            by_t = s * r * g - d * by_p + by_d * y
            through[j] = by_p + by_d * t + (float(g @ new) / s**2) * y
            through[i] += (by_t - t * float(t @ by_t)) / length_i
            return structure.pullback(free, through), along

        return HeldFactor(T, structure.pullback(free, T), pullback)

    return hold


def _direction(row: FloatArray, i: int, least: float = 0.0) -> tuple[FloatArray, float]:
    """Return the direction and length of a row; that of the diagonal, and 1, for a row of zeros."""
    length = float(np.linalg.norm(row))
    if length > least:
        return row / length, length
    unit = np.zeros_like(row)
    unit[i] = 1.0
    return unit, 1.0


def deviation(structure: CovarianceStructure, i: int, free: FloatArray) -> float:
    """Return the standard deviation of coefficient i of an unstructured term."""
    return float(np.linalg.norm(structure.factor(free)[i]))


def correlation_angle(structure: CovarianceStructure, i: int, j: int, free: FloatArray) -> float:
    """Return the angle whose sine is the correlation of coefficients i and j; 0 beside a deviation of 0."""
    T = structure.factor(free)
    size = float(np.linalg.norm(T[i]) * np.linalg.norm(T[j]))
    return float(np.arcsin(np.clip(T[i] @ T[j] / size, -1.0, 1.0))) if size > 0.0 else 0.0


def absolute_free(term: RandomTerm, theta: FloatArray, sigma: float) -> FloatArray:
    """Return the coordinates of a term from its theta relative to sigma, shape (n_theta,)."""
    scaled = scaled_parameters(term.structure)
    return term.structure.to_free(np.where(scaled, sigma * theta, theta))
