"""The likelihood of a nonlinear mixed model around its optimum."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.column_basis import column_basis
from mixedmodels.engines.generalized.quadrature_grid import quadrature_grid
from mixedmodels.errors import ConvergenceError, NotAvailableError
from mixedmodels.fits.nonlinear import CurveFit, NonlinearFit, problem_of
from mixedmodels.fits.nonlinear_family import NonlinearFamilyFit
from mixedmodels.inference.profile.curve import CurvePoint
from mixedmodels.inference.profile.held import Held, HeldCovariance, HeldLinear
from mixedmodels.inference.profile.landscape import (
    Landscape,
    boundary_sizes,
    covariance_coordinates,
    hessian_at,
    inverse_of,
    refuse_no_optimum,
)
from mixedmodels.inference.profile.nonlinear_surface import (
    CurveSurface,
    FamilyCurveSurface,
    with_any_triangle,
)
from mixedmodels.inference.profile.parameters import Parameter, parameters_of
from mixedmodels.inference.profile.surfaces import n_covariance, with_term_held


@dataclass(frozen=True, slots=True)
class NonlinearLandscape(Landscape):
    """The same as for other models, of one whose predictor is a curve."""

    @property
    def curved(self) -> CurveSurface | FamilyCurveSurface:
        """The likelihood."""
        assert isinstance(self.surface, (CurveSurface, FamilyCurveSurface))
        return self.surface

    @property
    def order(self) -> int:
        """Effects of the largest cluster."""
        return int(self.curved.u.shape[1])

    def held(self, parameter: Parameter) -> Held:
        """Return the likelihood with a parameter held."""
        if parameter.hold is not None:
            return HeldCovariance(parameter, self.surface)
        functional = self.functional(parameter)
        along = self.inverse_hessian @ functional
        return HeldLinear(parameter, self.surface, functional, along / float(functional @ along))

    def functional(self, parameter: Parameter) -> FloatArray:
        """Return the coefficients of a parameter whose place is linear in x."""
        functional, B, start = np.zeros(len(self.x)), self.curved.B, n_covariance(self.surface)
        if parameter.kind == "fixed":
            functional[start : start + len(B)] = B[parameter.index]
        else:
            functional[start + len(B) + parameter.index] = 1.0
        return functional

    def way_out(self, held: Held, point: CurvePoint) -> str:
        """Return what to do where a point of a profile is lower than the fit."""
        names = self.fit.design.x_names
        start = dict(zip(names, self._fixed_at(held, point).tolist(), strict=True))
        return f"Fit the model again with start={start}."

    def _fixed_at(self, held: Held, point: CurvePoint) -> FloatArray:
        start, B = n_covariance(self.surface), self.curved.B
        return np.asarray(B @ point.x[start : start + len(B)])


def nonlinear_landscape(fit: CurveFit, needs_optimum: bool = True) -> NonlinearLandscape:
    """Return the likelihood of a nonlinear mixed model around its optimum.

    Raises
    ------
    NotAvailableError
        If the fit maximises no likelihood in all its parameters.
    ConvergenceError
        If the fit is not at an optimum.
    """
    _refuse(fit)
    report = fit.convergence()
    if needs_optimum:
        refuse_no_optimum(report)
    if report.verdict == "not identified":
        raise ConvergenceError(
            f"The parameters have no profile: {' '.join(report.reasons)} Leave out what the data do not tell."
        )
    B = np.asarray(np.linalg.cholesky(fit._fixed_covariance()), dtype=np.float64)
    surface, tail = _described(fit, B)
    x = np.concatenate([*covariance_coordinates(fit), np.linalg.solve(B, fit.beta), tail])
    sizes = np.concatenate([boundary_sizes(fit), np.zeros(len(x) - len(fit.theta_values))])
    objective, hessian = with_term_held(surface, x)[0], hessian_at(surface, x, sizes)
    bases = tuple(column_basis(term.Z).C for term in fit.random)
    H = inverse_of(hessian, sizes)
    return NonlinearLandscape(fit, surface, x, objective, hessian, H, sizes, bases, parameters_of(fit))


def _described(fit: CurveFit, B: FloatArray) -> tuple[CurveSurface | FamilyCurveSurface, FloatArray]:
    """Return the surface, and the coordinates of the optimum after those of the fixed effects."""
    if isinstance(fit, NonlinearFamilyFit):
        estimates, rows = fit.estimates, with_any_triangle(fit.problem.rows)
        problem, u = replace(fit.problem, rows=rows), rows.by_cluster(fit.estimates.u)
        grid = quadrature_grid(estimates.nAGQ, rows.shape[1]) if estimates.nAGQ > 1 else None
        return FamilyCurveSurface(problem, fit.random, B, grid, u), fit.family().phi_to_free(fit.phi)
    assert isinstance(fit, NonlinearFit)
    rows, nAGQ = with_any_triangle(problem_of(fit.nonlinear, fit.y)), fit.estimates.nAGQ
    grid = quadrature_grid(nAGQ, rows.shape[1]) if nAGQ > 1 else None
    surface = CurveSurface(rows, fit.random, B, grid, rows.by_cluster(fit.estimates.u))
    return surface, np.array([math.log(fit.sigma())])


def maximises_likelihood(fit: CurveFit) -> bool:
    """Tell whether a nonlinear fit is at the maximum of a likelihood whose gradient is exact."""
    if isinstance(fit, NonlinearFamilyFit):
        return True
    return isinstance(fit, NonlinearFit) and fit.estimates.method == "laplace" and not fit.estimates.observed


def _refuse(fit: CurveFit) -> None:
    """Refuse a fit that maximises no such likelihood."""
    if maximises_likelihood(fit):
        return
    if isinstance(fit, NonlinearFit) and fit.estimates.observed:
        raise NotAvailableError(
            "profiles go by the exact gradient, which hessian='observed' has none of: fit with the default "
            "hessian, or with nAGQ= for quadrature."
        )
    raise NotAvailableError(
        "the alternation of Lindstrom and Bates maximises no one likelihood, so that there is none to "
        "profile: fit with method='laplace', or use confint(method='Wald')."
    )
