"""The likelihood of a mixed model as a function of absolute covariance factors and what else it has.

Coordinates x are those of every term (:mod:`mixedmodels.inference.profile.coordinates`), followed by what the
model has besides: the logarithm of sigma for a linear model, whose fixed effects are profiled out in closed
form; fixed effects on orthonormal columns and the free parameters of the family for a generalized one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.triangle import lower_triangle
from mixedmodels.covariance.unstructured import Unstructured
from mixedmodels.engines.generalized.by_level import level_rows
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.problem import EffectsSystem, GeneralizedProblem
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import LinearSolution, evaluation, solve
from mixedmodels.engines.linear.step_sizes import RESIDUAL_ROUNDING
from mixedmodels.factorization.blocks import term_slices
from mixedmodels.factorization.constant.cross_products import RightHandSide
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.inference.profile.coordinates import HeldFactor, free_factor, scaled_parameters

#: Rounding of the objective above which a point is not looked at: what a limit can stand.
LARGEST_ROUNDING = 1e-5
#: -2 log-likelihood with its derivatives in the factor of every term and in what follows them.
Value: TypeAlias = tuple[float, list[FloatArray], FloatArray]


class Surface(Protocol):
    """-2 log-likelihood, or the REML criterion, of a model."""

    @property
    def terms(self) -> tuple[RandomTerm, ...]:
        """Random-effects terms."""

    def evaluate(self, factors: Sequence[FloatArray], tail: FloatArray) -> Value:
        """Return the objective and its derivatives at absolute factors and the rest of x."""


def term_parts(surface: Surface) -> tuple[slice, ...]:
    """Return the part of x that belongs to each term."""
    return theta_slices(surface.terms)


def n_covariance(surface: Surface) -> int:
    """Return how many coordinates the terms have together."""
    return sum(term.structure.n_theta for term in surface.terms)


def with_term_held(
    surface: Surface, x: FloatArray, held: HeldFactor | None = None, which: int = -1
) -> tuple[float, FloatArray, float]:
    """Return objective, gradient in x and in the value held, the factor of term `which` being `held`.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where they are not finite.
    """
    parts = term_parts(surface)
    factors = [
        held if held is not None and k == which else free_factor(term.structure, x[part])
        for k, (term, part) in enumerate(zip(surface.terms, parts, strict=True))
    ]
    gradient, along = np.empty(len(x)), 0.0
    # A trial point may lie where sigma vanishes or a mean overflows.
    with np.errstate(all="ignore"):
        objective, dT, tail = surface.evaluate([f.T for f in factors], x[n_covariance(surface) :])
        for k, (f, part, d) in enumerate(zip(factors, parts, dT, strict=True)):
            gradient[part], by_value = f.pullback(d)
            along = by_value if k == which else along
    gradient[n_covariance(surface) :] = tail
    if not (math.isfinite(objective) and np.isfinite(gradient).all()):
        raise np.linalg.LinAlgError("the objective is not finite")
    return objective, gradient, along


@dataclass(frozen=True, slots=True)
class LinearSurface:
    """A linear mixed model, its fixed effects profiled out.

    Attributes
    ----------
    problem : LinearProblem
        The model.
    REML : bool
        Which criterion.
    """

    problem: LinearProblem
    REML: bool

    @property
    def terms(self) -> tuple[RandomTerm, ...]:
        """Random-effects terms."""
        return self.problem.terms

    def evaluate(self, factors: Sequence[FloatArray], tail: FloatArray) -> Value:
        """Return the objective and its derivatives at absolute factors and log sigma.

        Raises
        ------
        numpy.linalg.LinAlgError
            Where sigma is too small for cross-products.
        """
        problem, sigma = self.problem, float(np.exp(tail[0]))
        relative = [T / sigma for T in factors]
        engine = [basis.C @ T for basis, T in zip(problem.column_bases, relative, strict=True)]
        if RESIDUAL_ROUNDING * problem.equations.rss > LARGEST_ROUNDING * sigma**2:
            raise np.linalg.LinAlgError("the residual is lost in the rounding of the cross-products")
        at = evaluation(problem, engine, self.REML, sigma)
        df = problem.n - problem.p if self.REML else problem.n
        by_log_sigma = 2.0 * (df - at.system.pwrss / sigma**2)
        dT: list[FloatArray] = [np.empty(0)] * len(factors)
        gradients = [moments.gradient for moments in at.system.moments()]
        for block, by_block in zip(problem.equations.blocks, gradients, strict=True):
            for k, rows in term_slices(block):
                d = np.tril(problem.column_bases[k].C.T @ by_block[rows, rows])
                by_log_sigma -= float(np.vdot(d, relative[k]))
                dT[k] = d / sigma
        return at.objective, dT, np.array([by_log_sigma])

    def solution(self, x: FloatArray) -> LinearSolution:
        """Return the fixed effects at x, and the residual deviation."""
        sigma = math.exp(x[-1])
        return solve(self.problem, relative_theta(self.terms, x, sigma), self.REML, sigma)


def relative_theta(terms: Sequence[RandomTerm], x: FloatArray, sigma: float) -> FloatArray:
    """Return theta at coordinates of the terms, relative to sigma."""
    thetas = []
    for term, part in zip(terms, theta_slices(terms), strict=True):
        theta = term.structure.from_free(x[part])
        thetas.append(np.where(scaled_parameters(term.structure), theta / sigma, theta))
    return np.concatenate(thetas)


@dataclass(frozen=True, slots=True)
class ShiftedResponse:
    """A linear model without one column of X, the response being ``y - (v - v0) x``, for any v.

    Attributes
    ----------
    problem : LinearProblem
        The model without the column, the response being ``y - v0 x``.
    column : RightHandSide
        Cross-products of what the other columns leave of the column.
    products : tuple of float
        Product of that with the residual of the response, and with itself.
    projection : ndarray, shape (p - 1,)
        The column on the orthonormal other columns: what moving it takes out of their coefficients.
    """

    problem: LinearProblem
    column: RightHandSide
    products: tuple[float, float]
    projection: FloatArray

    def at(self, change: float) -> LinearProblem:
        """Return the problem at ``v = v0 + change``; nothing as long as the data is touched."""
        equations = self.problem.equations
        with_y, square = self.products
        rhs = RightHandSide(
            tuple(y - change * x for y, x in zip(equations.rhs.Z, self.column.Z, strict=True)),
            equations.rhs.X - change * self.column.X,
        )
        rss = equations.rss - 2.0 * change * with_y + change**2 * square
        return replace(
            self.problem,
            equations=replace(equations, rhs=rhs, rss=rss),
            projection=self.problem.projection - change * self.projection,
        )


@dataclass(frozen=True, slots=True)
class GeneralizedSurface:
    """A generalized linear mixed model; what follows the terms in x is gamma and the free phi.

    Attributes
    ----------
    evaluator : Evaluator
        Of the model on the user's columns, the factor of every term any lower triangle.
    terms : tuple of RandomTerm
        The terms with the structures they have.
    """

    evaluator: Evaluator
    terms: tuple[RandomTerm, ...]

    def evaluate(self, factors: Sequence[FloatArray], tail: FloatArray) -> Value:
        """Return the objective and its derivatives at absolute factors, gamma and free phi."""
        triangles = [T[lower_triangle(len(T))] for T in factors]
        objective, gradient = self.evaluator(np.concatenate([*triangles, tail]))
        dT, start = [], 0
        for T, triangle in zip(factors, triangles, strict=True):
            d = np.zeros_like(T)
            d[lower_triangle(len(T))] = gradient[start : start + len(triangle)]
            dT.append(d)
            start += len(triangle)
        return objective, dT, gradient[start:]


def generalized_surface(
    problem: GeneralizedProblem, terms: tuple[RandomTerm, ...], nAGQ: int
) -> GeneralizedSurface:
    """Return the surface of a generalized model: its problem on the user's own columns."""
    arranged = []
    for term, basis in zip(problem.terms, problem.column_bases, strict=True):
        Z = term.Z if basis is None else term.Z @ basis.C
        arranged.append(replace(term, Z=Z, structure=Unstructured(term.size)))
    own = replace(problem, terms=tuple(arranged), column_bases=(None,) * len(arranged))
    if any(basis is not None for basis in problem.column_bases):
        levels = level_rows(own.terms, problem.first_rows, problem.family, len(problem.y))
        own = replace(own, effects=EffectsSystem(own.terms), by_level=levels)
    return GeneralizedSurface(Evaluator(own, nAGQ), terms)
