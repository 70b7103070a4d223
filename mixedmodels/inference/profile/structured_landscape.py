"""The likelihood of a model with structured residuals around its optimum, and that of any fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.column_basis import column_basis
from mixedmodels.engines.residual.start import LEAST_INFORMATION
from mixedmodels.errors import ConvergenceError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.nonlinear import CurveFit
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.inference.profile.curve import Curve, CurvePoint
from mixedmodels.inference.profile.held import Held, HeldCovariance, HeldLinear
from mixedmodels.inference.profile.landscape import (
    Landscape,
    boundary_sizes,
    covariance_coordinates,
    hessian_at,
    inverse_of,
    landscape,
    refuse_no_optimum,
)
from mixedmodels.inference.profile.nonlinear_landscape import nonlinear_landscape
from mixedmodels.inference.profile.parameters import Parameter
from mixedmodels.inference.profile.structured_held import HeldJoint, HeldStructuredFixed
from mixedmodels.inference.profile.structured_parameters import structured_parameters
from mixedmodels.inference.profile.structured_surface import (
    ResidualBlock,
    StructuredSurface,
    structured_surface,
)
from mixedmodels.inference.profile.surfaces import n_covariance, with_term_held

#: Longest first step along a coordinate of a parameter with bounds: such coordinates are of order one, and
#: near a bound, where the likelihood is flat in them, a standard error is no guide.
LONGEST_STEP = 2.0
#: Longest step of a difference along such a coordinate, for the same reason.
LONGEST_DIFFERENCE = 1e-2


@dataclass(frozen=True, slots=True)
class StructuredLandscape(Landscape):
    """The same as for other models, of one with structured residuals."""

    @property
    def structured(self) -> StructuredSurface:
        """The likelihood."""
        assert isinstance(self.surface, StructuredSurface)
        return self.surface

    @property
    def order(self) -> int:
        """Rows of the largest cluster whose covariance is factored."""
        return max((batch.size for batch in self.structured.problem.batches), default=0)

    def held(self, parameter: Parameter) -> Held:
        """Return the likelihood with a parameter held."""
        if parameter.hold is not None:
            return HeldCovariance(parameter, self.surface)
        if parameter.kind == "fixed":
            return HeldStructuredFixed(parameter, self.structured)
        if parameter.kind == "joint":
            return self._joint(parameter)
        functional = self.functional(parameter)
        along = self.inverse_hessian @ functional
        return HeldLinear(parameter, self.surface, functional, along / float(functional @ along))

    def _block(self, parameter: Parameter) -> tuple[ResidualBlock, int]:
        """Return the parameters of the residuals that one is among, and its number there."""
        place = n_covariance(self.surface) + parameter.index
        block = next(b for b in self.structured.blocks if b.part.start <= place < b.part.stop)
        return block, place - block.part.start

    def _joint(self, parameter: Parameter) -> HeldJoint:
        (block, number), H = self._block(parameter), self.inverse_hessian
        held = HeldJoint(parameter, self.structured, block, number, H, np.zeros(len(H)))
        return replace(held, direction=H @ held.rates(self.x))

    def functional(self, parameter: Parameter) -> FloatArray:
        """Return the coefficients of a parameter whose place is linear in x."""
        functional = np.zeros(len(self.x))
        if parameter.kind == "sigma":
            functional[-1] = 1.0
        else:
            block, number = self._block(parameter)
            functional[block.part.start + number] = block.sign(number)
        return functional

    def place(self, parameter: Parameter, x: FloatArray) -> float:
        """Return where a parameter is at x, on the scale it is followed on; not of a fixed effect."""
        if parameter.kind == "joint":
            return self._joint(parameter).place(x)
        return Landscape.place(self, parameter, x)

    def rates(self, parameter: Parameter) -> FloatArray:
        """Return the derivatives of a parameter's place in x at the optimum."""
        if parameter.kind == "joint":
            return self._joint(parameter).rates(self.x)
        return Landscape.rates(self, parameter)

    def curve(self, parameter: Parameter) -> Curve:
        """Return the profile of a parameter."""
        if parameter.kind != "fixed":
            curve = Landscape.curve(self, parameter)
            ends = parameter.scale.ends
            is_bounded = ends is not None and math.isfinite(ends[0])
            return replace(curve, step=min(curve.step, LONGEST_STEP)) if is_bounded else curve
        beta, variances = self.structured.fixed_effects(self.x)
        place, step = float(beta[parameter.index]), math.sqrt(float(variances[parameter.index]))
        still = np.zeros(len(self.x))
        origin = CurvePoint(place, self.objective, 0.0, 0.0, self.x, self.inverse_hessian, still)
        return Curve(self.held(parameter), origin, step, self.sizes, self.bases)

    def way_out(self, held: Held, point: CurvePoint) -> str:
        """Return what to do where a point of a profile is lower than the fit."""
        return "The likelihood has several optima; a simpler structure of the residuals has fewer."

    def _fixed_at(self, held: Held, point: CurvePoint) -> FloatArray:
        surface = held.at(point.place) if isinstance(held, HeldStructuredFixed) else self.structured
        return surface.fixed_effects(point.x)[0]


def landscape_of(fit: Fit, needs_optimum: bool = True) -> Landscape:
    """Return the likelihood of any fit around its optimum; arguments and errors as for :func:`landscape`."""
    if isinstance(fit, CurveFit):
        return nonlinear_landscape(fit, needs_optimum)
    return (
        structured_landscape(fit) if isinstance(fit, StructuredResiduals) else landscape(fit, needs_optimum)
    )


def structured_landscape(fit: StructuredResiduals) -> StructuredLandscape:
    """Return the likelihood of a fit with structured residuals around its optimum; errors as above."""
    _refuse(fit)
    surface = structured_surface(fit.residual_problem, fit.random, fit.is_reml)
    estimates, n_theta = fit.residual_estimates, len(fit.theta_values)
    covariance = covariance_coordinates(fit) if fit.random else []
    x = np.concatenate([*covariance, estimates.free[n_theta:], [math.log(estimates.sigma)]])
    random_sizes = boundary_sizes(fit) if fit.random else np.empty(0)
    sizes = np.concatenate([random_sizes, np.zeros(len(x) - len(random_sizes))])
    longest = np.where(np.arange(len(x)) < n_covariance(surface), math.inf, LONGEST_DIFFERENCE)
    hessian = hessian_at(surface, x, sizes, longest)
    # Near a bound the likelihood is flat in the coordinates of the residuals, which are of order one.
    flat = np.maximum(LEAST_INFORMATION - hessian.diagonal(), 0.0)
    flat[: n_covariance(surface)] = 0.0
    hessian = hessian + np.diag(flat)
    return StructuredLandscape(
        fit,
        surface,
        x,
        with_term_held(surface, x)[0],
        hessian,
        inverse_of(hessian, sizes),
        sizes,
        tuple(column_basis(term.Z).C for term in surface.terms),
        structured_parameters(fit, surface),
    )


def _refuse(fit: StructuredResiduals) -> None:
    """Refuse a fit that maximises no likelihood, or is not at a maximum of it."""
    if any(term.uses_fitted for term in fit.design.dispersion):
        raise NotAvailableError(
            "a variance function of the fitted values has no profile: the fit goes by the fitted values of "
            "the step before and maximises no likelihood in the fixed effects; use confint(method='Wald')."
        )
    report = fit.residual_estimates.convergence
    refuse_no_optimum(report)
    if report.verdict == "not identified":
        raise ConvergenceError(
            f"The parameters have no profile: {' '.join(report.reasons)} confint('beta_', method='Wald') has "
            "intervals of the fixed effects."
        )
