"""The likelihood of a fitted model around its optimum: where every profile starts from."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.column_basis import column_basis
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.some_columns import can_leave_out, with_column_held
from mixedmodels.engines.linear.vanishing import is_small
from mixedmodels.errors import ConvergenceError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import boundaries, column_scales, theta_slices
from mixedmodels.inference.profile.coordinates import absolute_free, scaled_parameters
from mixedmodels.inference.profile.curve import Curve, CurvePoint
from mixedmodels.inference.profile.held import Held, HeldCovariance, HeldFixedEffect, HeldLinear
from mixedmodels.inference.profile.parameters import (
    Parameter,
    numeric_rates,
    parameters_of,
)
from mixedmodels.inference.profile.surfaces import (
    GeneralizedSurface,
    LinearSurface,
    ShiftedResponse,
    Surface,
    generalized_surface,
    n_covariance,
    relative_theta,
    term_parts,
    with_term_held,
)
from mixedmodels.optimization.report import ConvergenceReport

#: Steps of central differences in units of a standard error, and, before it is known, of a coordinate's size.
STEP, FIRST_STEP = 1e-3, 1e-4
#: A step is taken again if the curvature it finds asks for one so many times as long or as short.
WRONG_STEP = 5.0
#: Least eigenvalue of the Hessian scaled to unit diagonal.
LEAST_CURVATURE = 1e-8


@dataclass(frozen=True, slots=True)
class Landscape:
    """The likelihood of a model, its optimum, the curvature there and its parameters.

    Attributes
    ----------
    fit : Fit
        The model, fitted by the criterion of the surface.
    surface : Surface
        The likelihood.
    x : ndarray, shape (m,)
        Coordinates of the optimum.
    objective : float
        Its objective.
    hessian : ndarray, shape (m, m)
        Second derivatives there.
    inverse_hessian : ndarray, shape (m, m)
        Their inverse, positive definite.
    sizes : ndarray, shape (m,)
        Size of every coordinate that has its boundary at zero, 0 for others.
    bases : tuple of ndarray, each (S, S)
        Of each term what makes its columns orthogonal.
    parameters : tuple of Parameter
        In the order of tables.
    """

    fit: Fit
    surface: Surface
    x: FloatArray
    objective: float
    hessian: FloatArray
    inverse_hessian: FloatArray
    sizes: FloatArray
    bases: tuple[FloatArray, ...]
    parameters: tuple[Parameter, ...]

    @property
    def order(self) -> int:
        """Order of the dense part of the factorization, for the choice of threads."""
        surface = self.surface
        if isinstance(surface, LinearSurface):
            return surface.problem.pattern.n_tail
        assert isinstance(surface, GeneralizedSurface)
        return surface.evaluator.problem.system.pattern.n_tail

    def named(self, name: str) -> Parameter:
        """Return the parameter of a name."""
        return next(p for p in self.parameters if p.name == name)

    def held(self, parameter: Parameter) -> Held:
        """Return the likelihood with a parameter held."""
        if parameter.hold is not None:
            return HeldCovariance(parameter, self.surface)
        if parameter.kind == "fixed" and isinstance(self.surface, LinearSurface):
            value = float(self.fit.beta[parameter.index])
            shifted = without_column(self.fit, parameter.index)
            return HeldFixedEffect(parameter, self.surface, shifted, value)
        functional = self.functional(parameter)
        along = self.inverse_hessian @ functional
        return HeldLinear(parameter, self.surface, functional, along / float(functional @ along))

    def functional(self, parameter: Parameter) -> FloatArray:
        """Return the coefficients of a parameter whose place is linear in x."""
        functional = np.zeros(len(self.x))
        start = n_covariance(self.surface)
        if parameter.kind == "fixed":
            assert isinstance(self.surface, GeneralizedSurface)
            unscale = self.surface.evaluator.problem.unscale
            functional[start : start + len(unscale)] = unscale[parameter.index]
        elif parameter.kind == "phi":
            assert isinstance(self.surface, GeneralizedSurface)
            problem = self.surface.evaluator.problem
            own = np.eye(problem.n_phi) if problem.phi_unscale is None else problem.phi_unscale
            functional[start + problem.n_fixed :] = own[parameter.index]
        else:
            functional[-1] = 1.0
        return functional

    def place(self, parameter: Parameter, x: FloatArray) -> float:
        """Return where a parameter is at x, on the scale it is followed on; not of a linear model's beta."""
        if parameter.read is not None:
            return parameter.read(x[term_parts(self.surface)[parameter.index]])
        return float(self.functional(parameter) @ x)

    def rates(self, parameter: Parameter) -> FloatArray:
        """Return the derivatives of a parameter's place in x at the optimum."""
        if parameter.read is None:
            return self.functional(parameter)
        steps = FIRST_STEP * np.maximum(np.abs(self.x), np.where(self.sizes > 0.0, self.sizes, 1.0))
        # A deviation is the length of a vector, which has no derivative where that is zero but beside it.
        beside = np.where((self.x == 0.0) & (self.sizes > 0.0), 2.0 * steps, self.x)
        return numeric_rates(lambda x: self.place(parameter, x), beside, steps)

    def curve(self, parameter: Parameter) -> Curve:
        """Return the profile of a parameter."""
        held = self.held(parameter)
        H, tangent = self.inverse_hessian, np.zeros(len(self.x))
        if isinstance(held, HeldFixedEffect):
            place = held.estimate
            step = float(np.sqrt(self.fit._fixed_covariance()[parameter.index, parameter.index]))
        else:
            place, a = self.place(parameter, self.x), self.rates(parameter)
            variance = float(a @ H @ a)
            step = math.sqrt(2.0 * variance)
            tangent = H @ a / variance
            H = H - np.multiply.outer(H @ a, tangent)
        origin = CurvePoint(place, self.objective, 0.0, 0.0, self.x, H, tangent)
        ceiling = self._ceiling(parameter) if parameter.kind == "cor" else None
        return Curve(held, origin, step, self.sizes, self.bases, ceiling)

    def _ceiling(self, parameter: Parameter) -> CurvePoint | None:
        """Return the lowest point at which a correlation has no meaning; None if none can be found."""
        points = []
        for p in self.parameters:
            if p.kind == "sd" and p.index == parameter.index and p.rows[0] in parameter.rows:
                curve = self.curve(p)
                with suppress(np.linalg.LinAlgError, ConvergenceError):
                    points.append(curve.at(0.0, curve.origin))
        return min(points, key=lambda point: point.objective, default=None)

    def values(self, held: Held, point: CurvePoint) -> FloatArray:
        """Return all parameters at a point of the profile of one of them, in the order of the table."""
        beta = self._fixed_at(held, point)
        values = []
        for p in self.parameters:
            if p is held.parameter:
                values.append(p.scale.value(point.place))
            elif p.kind == "fixed":
                values.append(float(beta[p.index]))
            else:
                values.append(p.scale.value(self.place(p, point.x)))
        return np.array(values)

    def start_values(self, held: Held, point: CurvePoint) -> dict[str, list[float]]:
        """Return starting values of a fit at a point of a profile, as fits take them."""
        surface = self.surface
        if isinstance(surface, LinearSurface):
            return {"theta": relative_theta(self.fit.random, point.x, math.exp(point.x[-1])).tolist()}
        theta = relative_theta(self.fit.random, point.x, 1.0).tolist()
        return {"theta": theta, "fixef": self._fixed_at(held, point).tolist()}

    def way_out(self, held: Held, point: CurvePoint) -> str:
        """Return what to do where a point of a profile is lower than the fit."""
        return f"Fit the model again with start={self.start_values(held, point)}."

    def _fixed_at(self, held: Held, point: CurvePoint) -> FloatArray:
        surface = self.surface
        if isinstance(held, HeldFixedEffect):
            others = held.at(point.place).solution(point.x).beta
            return np.insert(others, held.parameter.index, point.place)
        if isinstance(surface, LinearSurface):
            return surface.solution(point.x).beta
        assert isinstance(surface, GeneralizedSurface)
        start, unscale = n_covariance(surface), surface.evaluator.problem.unscale
        return np.asarray(unscale @ point.x[start : start + len(unscale)])


def landscape(fit: Fit, needs_optimum: bool = True) -> Landscape:
    """Return the likelihood of a fit around its optimum.

    Parameters
    ----------
    fit : Fit
        The fit.
    needs_optimum : bool
        Whether to refuse a fit that did not converge.

    Raises
    ------
    NotAvailableError
        If the fit has no likelihood in all its parameters.
    ConvergenceError
        If the fit is not at an optimum.
    """
    if not isinstance(fit, (LinearFit, GeneralizedFit)):
        raise NotAvailableError(
            "profiles and their intervals need the likelihood of a mixed model or of one with structured "
            "residuals; use confint(method='Wald')."
        )
    if needs_optimum:
        refuse_no_optimum(fit.convergence())
        _refuse_small_residual(fit)
    surface, x = _described(fit)
    sizes = np.concatenate([boundary_sizes(fit), np.zeros(len(x) - len(fit.theta_values))])
    objective = with_term_held(surface, x)[0]
    hessian = hessian_at(surface, x, sizes)
    bases = tuple(column_basis(term.Z).C for term in surface.terms)
    H = inverse_of(hessian, sizes)
    return Landscape(fit, surface, x, objective, hessian, H, sizes, bases, parameters_of(fit))


def _described(fit: LinearFit | GeneralizedFit) -> tuple[Surface, FloatArray]:
    """Return the surface and the coordinates of the optimum."""
    terms, sigma = fit.random, fit.random_scale
    covariance = covariance_coordinates(fit)
    if isinstance(fit, LinearFit):
        return LinearSurface(fit.problem, fit.is_reml), np.concatenate([*covariance, [math.log(sigma)]])
    if fit.estimates.nAGQ == 0:
        raise NotAvailableError(
            "a fit with nAGQ=0 maximises no likelihood in the fixed effects and has no profile; "
            "fit with nAGQ=1, or use confint(method='Wald')."
        )
    gamma = solve_triangular(fit.problem.unscale, fit.beta) if len(fit.beta) else fit.beta
    free = fit.family().phi_to_free(fit.problem.own_phi(fit.phi)) if len(fit.phi) else fit.phi
    x = np.concatenate([*covariance, gamma, free])
    return generalized_surface(fit.problem, terms, fit.estimates.nAGQ), x


def covariance_coordinates(fit: Fit) -> list[FloatArray]:
    """Return the coordinates of every random-effects term at the estimates."""
    terms = fit.random
    return [
        absolute_free(term, fit.theta_values[part], fit.random_scale)
        for term, part in zip(terms, theta_slices(terms), strict=True)
    ]


def refuse_no_optimum(report: ConvergenceReport) -> None:
    """Refuse a fit whose search has not come to an end."""
    if report.verdict == "not converged":
        raise ConvergenceError(
            "The fit is not at an optimum, and there is no profile of the likelihood to speak of: "
            f"{' '.join(report.reasons)} confint(method='Wald') needs none."
        )


def _refuse_small_residual(fit: LinearFit | GeneralizedFit) -> None:
    if isinstance(fit, LinearFit) and is_small(fit.problem, fit.sigma() ** 2):
        raise NotAvailableError(
            "The random effects reproduce the response but for a residual too small for the profile of the "
            "likelihood; confint('beta_', method='Wald') has intervals of the fixed effects."
        )


def boundary_sizes(fit: Fit) -> FloatArray:
    """Return the size of the coordinates of the terms that have their boundary at zero, 0 for others."""
    scale = fit.random_scale
    sizes = [
        term.structure.to_free(
            np.where(scaled_parameters(term.structure), 1.0, 0.0) * _relative_sizes(term) * scale
        )
        for term in fit.random
    ]
    return np.concatenate([np.empty(0), *sizes]) * boundaries(fit.random)


def _relative_sizes(term: RandomTerm) -> FloatArray:
    """Return the typical size of every element of theta, shape (n_theta,)."""
    structure = term.structure
    return structure.from_free(structure.scales(column_scales(term)))


def hessian_at(
    surface: Surface, x: FloatArray, sizes: FloatArray, longest: FloatArray | None = None
) -> FloatArray:
    """Return the Hessian at x by central differences of the exact gradient, steps up to the `longest`."""
    longest = np.full(len(x), math.inf) if longest is None else longest
    typical = np.maximum(np.abs(x), np.where(sizes > 0.0, sizes, 1.0))
    rows = [
        _hessian_row(surface, x, k, FIRST_STEP * float(typical[k]), float(longest[k])) for k in range(len(x))
    ]
    hessian = np.array(rows)
    return np.asarray(0.5 * (hessian + hessian.T))


def _hessian_row(surface: Surface, x: FloatArray, k: int, step: float, longest: float) -> FloatArray:
    """Return one row, the step being in proportion to the standard error that it finds."""
    shift = np.zeros(len(x))
    for _ in range(2):
        shift[k] = step
        up, down = with_term_held(surface, x + shift)[1], with_term_held(surface, x - shift)[1]
        row = (up - down) / (2.0 * step)
        wanted = min(STEP * math.sqrt(2.0 / row[k]), longest) if row[k] > 0.0 else step
        if step / WRONG_STEP < wanted < step * WRONG_STEP:
            break
        step = wanted
    return np.asarray(row)


def inverse_of(hessian: FloatArray, sizes: FloatArray) -> FloatArray:
    """Return the inverse of a Hessian, directions without curvature being given a little."""
    diagonal = np.diagonal(hessian)
    scale = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0 / np.where(sizes > 0.0, sizes, 1.0) ** 2))
    values, vectors = np.linalg.eigh(hessian / np.multiply.outer(scale, scale))
    root = vectors / scale[:, None] / np.sqrt(np.maximum(values, LEAST_CURVATURE))
    return np.asarray(root @ root.T)


def without_column(fit: Fit, k: int) -> ShiftedResponse:
    """Return a linear model without column k of X, its part of the response being taken out."""
    if isinstance(fit, LinearFit) and fit.summed is not None:
        problem, of_column, held = fit.summed.held(k, float(fit.beta[k]))
        return ShiftedResponse(problem, of_column, held.products, held.projection)
    if isinstance(fit, LinearFit) and len(fit.beta) > 1 and can_leave_out(fit.problem):
        one = with_column_held(fit.problem, k, float(fit.beta[k]))
        return ShiftedResponse(one.problem, one.column, one.products, one.projection)
    design, column = fit.design, fit.design.X[:, k]
    others = np.ascontiguousarray(np.delete(design.X, k, axis=1))
    y = fit.y - float(fit.beta[k]) * column
    problem = linear_problem(y, others, design.random, design.weights, design.offset)
    alone = replace(problem, offset=None).with_response(column)
    # Only what the other columns leave of either counts, and they leave both with nothing of themselves.
    residual, own = _residual(problem, y), _residual(replace(problem, offset=None), column)
    products = (float(residual @ own), float(own @ own))
    return ShiftedResponse(problem, alone.equations.rhs, products, alone.projection)


def _residual(problem: LinearProblem, y: FloatArray) -> FloatArray:
    """Return the weighted least-squares residual of a response."""
    e = y.copy() if problem.offset is None else y - problem.offset
    if problem.root_weights is not None:
        e *= problem.root_weights
    basis = problem.fixed_basis
    basis.take_out(e, basis.take_out(e, basis.project(e)))  # the second time what rounding left
    return e
