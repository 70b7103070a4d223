"""Which parameters the covariance of the responses has, and where each stands in the optimiser's vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.by_group import ByGroup
from mixedmodels.covariance.residual.structure import Positions, VarianceColumns, VarianceFunction
from mixedmodels.engines.column_basis import ColumnBasis, moved_theta
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ResidualRows:
    """Where each row stands in the residual correlation and in the variance functions.

    Attributes
    ----------
    structure : ByGroup or None
        Correlation structure; None for independent residuals.
    codes : ndarray of int, shape (n,)
        Residual group of each row, in ``range(G)``.
    positions : ndarray, shape (n,) or (n, d)
        Place of each row within its group: a level or a step, or coordinates.
    arms : ndarray of int, shape (n,)
        Which parameters the group of each row has.
    variances : tuple of VarianceFunction
        Functions whose product is the relative standard deviation.
    columns : tuple of VarianceColumns
        What each is a function of, at the n rows.
    """

    structure: ByGroup | None
    codes: IntArray
    positions: Positions
    arms: IntArray
    variances: tuple[VarianceFunction, ...] = ()
    columns: tuple[VarianceColumns, ...] = ()

    def take(self, rows: IntArray) -> ResidualRows:
        """Return those of some rows."""
        columns = tuple(column.take(rows) for column in self.columns)
        return ResidualRows(
            self.structure, self.codes[rows], self.positions[rows], self.arms[rows], self.variances, columns
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Parameters:
    """Covariance parameters on their natural scale.

    Attributes
    ----------
    theta : ndarray, shape (n_theta,)
        Of the random effects, relative to sigma.
    rho : ndarray, shape (n_rho,)
        Of the residual correlation, stacked by arm.
    delta : tuple of ndarray
        Of each variance function.
    """

    theta: FloatArray
    rho: FloatArray
    delta: tuple[FloatArray, ...]

    @property
    def stacked(self) -> FloatArray:
        """All of them: theta, rho, delta."""
        return np.concatenate([self.theta, self.rho, *self.delta])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CovarianceModel:
    """The parameters of the covariance of the responses over sigma^2.

    Attributes
    ----------
    terms : tuple of RandomTerm
        Random-effects terms, each on orthogonal columns.
    bases : tuple of ColumnBasis
        The way from the columns as they were.
    structure : ByGroup or None
        Residual correlation.
    variances : tuple of VarianceFunction
        Residual standard deviations.
    scales : ndarray, shape (n_theta,)
        Size of each element of theta for an effect of the size of the residual.
    """

    terms: tuple[RandomTerm, ...]
    bases: tuple[ColumnBasis, ...]
    structure: ByGroup | None
    variances: tuple[VarianceFunction, ...]
    scales: FloatArray

    @property
    def theta_parts(self) -> tuple[slice, ...]:
        """Part of each random-effects term in the vector."""
        return theta_slices(self.terms)

    @property
    def n_theta(self) -> int:
        """Number of covariance parameters of the random effects."""
        return sum(term.structure.n_theta for term in self.terms)

    @property
    def n_rho(self) -> int:
        """Number of correlation parameters."""
        return 0 if self.structure is None else self.structure.n_parameters

    @property
    def n_parameters(self) -> int:
        """Number of parameters, sigma left out."""
        return self.n_theta + self.n_rho + sum(f.n_parameters for f in self.variances)

    @property
    def rho_part(self) -> slice:
        """Part of the residual correlation in the vector."""
        return slice(self.n_theta, self.n_theta + self.n_rho)

    @property
    def delta_parts(self) -> list[slice]:
        """Part of each variance function in the vector."""
        parts, at = [], self.n_theta + self.n_rho
        for function in self.variances:
            parts.append(slice(at, at + function.n_parameters))
            at += function.n_parameters
        return parts

    def split(self, stacked: FloatArray) -> Parameters:
        """Return natural parameters by kind from one vector of them."""
        delta = tuple(stacked[part] for part in self.delta_parts)
        return Parameters(stacked[: self.n_theta], stacked[self.rho_part], delta)

    def natural(self, free: FloatArray) -> Parameters:
        """Return natural parameters from optimiser coordinates; theta is that of the columns as they were."""
        theta = [
            moved_theta(term.structure, basis.inverse, free[part])
            if term.structure.is_unstructured
            else term.structure.from_free(free[part])
            for term, basis, part in zip(self.terms, self.bases, self.theta_parts, strict=True)
        ]
        rho = np.empty(0) if self.structure is None else self.structure.from_free(free[self.rho_part])
        pairs = zip(self.variances, self.delta_parts, strict=True)
        return Parameters(_joined(theta), rho, tuple(f.from_free(free[part]) for f, part in pairs))

    def free(self, at: Parameters) -> FloatArray:
        """Return optimiser coordinates of natural parameters."""
        theta = [
            moved_theta(term.structure, basis.C, at.theta[part])
            if term.structure.is_unstructured
            else term.structure.to_free(at.theta[part])
            for term, basis, part in zip(self.terms, self.bases, self.theta_parts, strict=True)
        ]
        rho = np.empty(0) if self.structure is None else self.structure.to_free(at.rho)
        delta = [f.to_free(own) for f, own in zip(self.variances, at.delta, strict=True)]
        return np.concatenate([*theta, rho, *delta])

    def factors(self, theta: FloatArray) -> list[FloatArray]:
        """Return ``C T`` of every term, the factor on its orthogonal columns."""
        parts = zip(self.terms, self.bases, self.theta_parts, strict=True)
        return [basis.C @ term.structure.factor(theta[part]) for term, basis, part in parts]

    def free_gradient(self, free: FloatArray, at: Parameters, slopes: Slopes) -> FloatArray:
        """Return the gradient in optimiser coordinates from that in factors and natural parameters."""
        gradient = np.empty(self.n_parameters)
        for k, (term, part) in enumerate(zip(self.terms, self.theta_parts, strict=True)):
            structure, own = term.structure, free[part]
            if structure.is_unstructured:
                gradient[part] = structure.pullback(own, slopes.factors[k])
            else:
                along = structure.pullback(at.theta[part], self.bases[k].C.T @ slopes.factors[k])
                gradient[part] = structure.free_pullback(own, along)
        if self.structure is not None:
            part = self.rho_part
            gradient[part] = self.structure.free_pullback(free[part], slopes.rho)
        for f, part, own in zip(self.variances, self.delta_parts, slopes.delta, strict=True):
            gradient[part] = f.free_pullback(free[part], own)
        return gradient


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Slopes:
    """Derivatives of a function of the covariance.

    Attributes
    ----------
    factors : tuple of ndarray, each (S, S)
        In the factor ``C T`` of each random-effects term.
    rho : ndarray, shape (n_rho,)
        In the correlation parameters.
    delta : tuple of ndarray
        In those of each variance function.
    """

    factors: tuple[FloatArray, ...]
    rho: FloatArray
    delta: tuple[FloatArray, ...]

    def plus(self, rho: FloatArray, delta: tuple[FloatArray, ...]) -> Slopes:
        """Return the derivatives of the sum with another function of the residual parameters."""
        both = tuple(own + other for own, other in zip(self.delta, delta, strict=True))
        return Slopes(self.factors, self.rho + rho, both)


def _joined(pieces: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([np.empty(0), *pieces])
