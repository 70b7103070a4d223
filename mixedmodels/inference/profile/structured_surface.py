"""The likelihood of a model with structured residuals in absolute factors and what else it has.

What follows the terms in x are the free coordinates of residual correlation and of variance functions,
and the logarithm of sigma. Fixed effects are profiled out in closed form, one of them being held at a value
where that is asked for: with ``a'gamma = c`` the sum of squares rises by ``(c - a'gamma)^2 / a'S_QQ^-1 a``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.by_group import ByGroup
from mixedmodels.covariance.residual.structure import VarianceFunction
from mixedmodels.covariance.triangle import lower_triangle
from mixedmodels.covariance.unstructured import Unstructured
from mixedmodels.engines.residual.model import Parameters
from mixedmodels.engines.residual.objective import Evaluation, evaluation_at, natural_slopes
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.inference.profile.coordinates import free_factor
from mixedmodels.inference.profile.surfaces import Value

#: Sigma whose square is as good as zero to the arithmetic.
TINY = 1e-150


@dataclass(frozen=True, slots=True)
class ResidualBlock:
    """The parameters of the residual correlation, or of one variance function.

    Attributes
    ----------
    form : ByGroup or VarianceFunction
        The way from coordinates to parameters.
    part : slice
        Where the coordinates stand in x.
    """

    form: ByGroup | VarianceFunction
    part: slice

    def natural(self, x: FloatArray) -> FloatArray:
        """Return the parameters at x."""
        return self.form.from_free(x[self.part])

    def sign(self, k: int) -> float:
        """Return -1 if parameter k falls as its own coordinate grows, else 1."""
        return -1.0 if slopes_somewhere(self.form, k)[k] < 0.0 else 1.0

    def gradient(self, x: FloatArray, k: int) -> FloatArray:
        """Return the derivatives of parameter k of the block in x, shape (m,)."""
        chosen = np.zeros(self.form.n_parameters)
        chosen[k] = 1.0
        gradient = np.zeros(len(x))
        gradient[self.part] = self.form.free_pullback(x[self.part], chosen)
        return gradient


def slopes_somewhere(form: ByGroup | VarianceFunction, k: int) -> FloatArray:
    """Return the derivatives of parameter k in all coordinates, at a point with nothing special."""
    chosen = np.zeros(form.n_parameters)
    chosen[k] = 1.0
    return form.free_pullback(np.linspace(0.1, 0.3, form.n_parameters), chosen)


@dataclass(frozen=True, slots=True)
class StructuredSurface:
    """A linear model with structured residuals.

    Attributes
    ----------
    problem : ResidualProblem
        The model, the factor of every term any lower triangle.
    terms : tuple of RandomTerm
        The terms with the structures they have.
    REML : bool
        Which criterion.
    held : (int, float) or None
        A fixed effect and the value that it is held at.
    """

    problem: ResidualProblem
    terms: tuple[RandomTerm, ...]
    REML: bool
    held: tuple[int, float] | None = None

    @property
    def blocks(self) -> list[ResidualBlock]:
        """Residual correlation and variance functions, in the order of their parameters."""
        model, found = self.problem.model, []
        if model.structure is not None:
            found.append(ResidualBlock(model.structure, self._in_x(model.rho_part)))
        pairs = zip(model.variances, model.delta_parts, strict=True)
        return found + [ResidualBlock(f, self._in_x(part)) for f, part in pairs]

    def _in_x(self, part: slice) -> slice:
        """Return a part of the engine's coordinates as one of x, whose terms have other coordinates."""
        shift = sum(term.structure.n_theta for term in self.terms) - self.problem.model.n_theta
        return slice(part.start + shift, part.stop + shift)

    def holding(self, k: int, value: float) -> StructuredSurface:
        """Return the likelihood with fixed effect k held."""
        return replace(self, held=(k, value))

    def evaluate(self, factors: Sequence[FloatArray], tail: FloatArray) -> Value:
        """Return the objective and its derivatives at absolute factors and the rest of x.

        Raises
        ------
        numpy.linalg.LinAlgError, ConvergenceError
            Where a covariance matrix is not positive definite, or out of range.
        """
        problem, sigma = self.problem, math.exp(tail[-1])
        if not TINY < sigma < 1.0 / TINY:
            raise np.linalg.LinAlgError("sigma is out of range")
        relative = [T / sigma for T in factors]
        found = self._evaluation(relative, tail)
        df = problem.df(self.REML)
        profiled = df * (math.log(found.sigma2) + 1.0)
        at = replace(self._constrained(found), sigma2=sigma**2)
        objective = found.objective - profiled + 2.0 * df * float(tail[-1]) + at.rss / sigma**2
        slopes = natural_slopes(problem, at, self.REML)
        by_log_sigma, dT = 2.0 * (df - at.rss / sigma**2), []
        for basis, T, own in zip(problem.model.bases, relative, slopes.factors, strict=True):
            d = np.tril(basis.C.T @ own)
            by_log_sigma -= float(np.vdot(d, T))
            dT.append(d / sigma)
        naturals = [slopes.rho, *slopes.delta] if problem.model.structure is not None else slopes.delta
        gradient = [
            block.form.free_pullback(self._of_tail(block, tail), own)
            for block, own in zip(self.blocks, naturals, strict=True)
        ]
        return objective, dT, np.concatenate([*gradient, [by_log_sigma]])

    def _of_tail(self, block: ResidualBlock, tail: FloatArray) -> FloatArray:
        """Return the coordinates of a block from what follows the terms in x."""
        shift = sum(term.structure.n_theta for term in self.terms)
        return tail[block.part.start - shift : block.part.stop - shift]

    def _evaluation(self, relative: Sequence[FloatArray], tail: FloatArray) -> Evaluation:
        """Return the engine's evaluation at factors relative to sigma, all fixed effects profiled out."""
        theta = np.concatenate([np.empty(0), *(T[lower_triangle(len(T))] for T in relative)])
        naturals = [block.form.from_free(self._of_tail(block, tail)) for block in self.blocks]
        rho = naturals.pop(0) if self.problem.model.structure is not None else np.empty(0)
        return evaluation_at(self.problem, Parameters(theta, rho, tuple(naturals)), self.REML, tail)

    def _constrained(self, found: Evaluation) -> Evaluation:
        """Return fixed effects and sum of squares with the one held where it is held."""
        if self.held is None:
            return found
        k, value = self.held
        a = self.problem.basis.R_inverse[k]
        missing = value - float(a @ (self.problem.projection + found.gamma))
        solved = found.root @ a
        square = float(solved @ solved)
        gamma = found.gamma + found.root.T @ solved * (missing / square)
        return replace(found, gamma=gamma, rss=found.rss + missing**2 / square)

    def fixed_effects(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the best fixed effects at x, and their variances."""
        sigma, count = math.exp(x[-1]), sum(term.structure.n_theta for term in self.terms)
        relative = [
            free_factor(term.structure, x[part]).T / sigma
            for term, part in zip(self.terms, theta_slices(self.terms), strict=True)
        ]
        found = self._evaluation(relative, x[count:])
        at, R_inverse = self._constrained(found), self.problem.basis.R_inverse
        variances = sigma**2 * np.sum((found.root @ R_inverse.T) ** 2, axis=0)
        return R_inverse @ (self.problem.projection + at.gamma), variances


def structured_surface(
    problem: ResidualProblem, terms: tuple[RandomTerm, ...], REML: bool
) -> StructuredSurface:
    """Return the surface of a model: its problem with any lower triangle as the factor of a term."""
    model = problem.model
    free = tuple(replace(term, structure=Unstructured(term.size)) for term in model.terms)
    return StructuredSurface(replace(problem, model=replace(model, terms=free)), terms, REML)
