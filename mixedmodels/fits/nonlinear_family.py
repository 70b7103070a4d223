"""The fit of a nonlinear mixed model whose response has a family: linear around its estimates."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.linearised import linearised
from mixedmodels.engines.nonlinear_family.estimates import NonlinearFamilyEstimates
from mixedmodels.engines.nonlinear_family.laplace import evaluate
from mixedmodels.engines.nonlinear_family.problem import FamilyProblem
from mixedmodels.families import log_constant
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_fit import FamilyFit
from mixedmodels.fits.family_quantities import response_scale
from mixedmodels.fits.linear_predictor import random_effects
from mixedmodels.fits.nonlinear import CurveFit, rows_problem
from mixedmodels.formula.design.nonlinear import NonlinearDesign
from mixedmodels.reports.printed import Printed


def family_problem(
    nonlinear: NonlinearDesign, y: FloatArray, weights: FloatArray, family: Family, observed: bool
) -> FamilyProblem:
    """Return the engine's form of a nonlinear design with a response as its family reads it."""
    constant = log_constant(nonlinear.design, y, weights, family)
    return FamilyProblem(rows_problem(nonlinear, y, weights), family, constant, observed)


class NonlinearFamilyFit(FamilyFit[NonlinearFamilyEstimates], CurveFit):
    """Such a model, fitted; parameters as for :class:`mixedmodels.GeneralizedNonlinearMixedModel`.

    ``design`` is that of the generalized linear model around the estimates: X and Z are derivatives of the
    curve in fixed and random effects. What is said of leverages is said of that model.
    """

    estimates: NonlinearFamilyEstimates

    def __init__(
        self,
        nonlinear: NonlinearDesign,
        y: FloatArray,
        prior_weights: FloatArray,
        call: Call,
        data: Any,
        family: Family,
        estimates: NonlinearFamilyEstimates,
    ) -> None:
        b = random_effects(nonlinear.design.random, estimates.theta, estimates.u)
        rows = linearised(rows_problem(nonlinear, y, prior_weights), estimates.beta, b)
        super().__init__(rows.of(nonlinear.design), y, prior_weights, call, data, family, estimates)
        self.nonlinear = nonlinear

    @cached_property
    def problem(self) -> FamilyProblem:
        """The engine's form of the model."""
        return family_problem(
            self.nonlinear, self.y, self.prior_weights, self._family, self.estimates.observed
        )

    @property
    def phi(self) -> FloatArray:
        """Parameters of the family, shape (n_phi,)."""
        return self.estimates.phi

    @property
    def residual_sd(self) -> float | None:
        """None: there is no residual row."""
        return None

    @property
    def unscaled_vcov(self) -> FloatArray:
        """``(R_X' R_X)^-1`` of the model around the estimates, the dispersion taken out, shape (p, p)."""
        return self.estimates.vcov_rx / self.sigma() ** 2

    @property
    def row_information(self) -> FloatArray:
        """Information of each row about the curve at the mode."""
        return self.problem.evaluate(self.estimates.eta, self.phi).information

    @property
    def factorization(self) -> Printed:
        """The clusters that the random effects are found in, as a line."""
        clusters, most = self.problem.rows.shape
        return Printed(f"{clusters} clusters of at most {most} random effects")

    @property
    def approximation(self) -> str:
        """Arguments that chose how the likelihood is approximated."""
        e = self.estimates
        return f"nAGQ={e.nAGQ}, hessian={'observed' if e.observed else 'expected'!r}"

    def sigma(self) -> float:
        """Return the square root of the dispersion; 1 for families without one."""
        return response_scale(self._family, self.phi)

    def loglik(self) -> float:
        """Return the log-likelihood with its full normalising constant."""
        return -0.5 * self.estimates.objective

    def _fixed_covariance(self) -> FloatArray:
        covariance, k = self.estimates.covariance, len(self.theta_values)
        if covariance is None:
            return self.estimates.vcov_rx
        return covariance[k : k + len(self.beta), k : k + len(self.beta)]

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        e, rows = self.estimates, self.problem.rows
        at = evaluate(self.problem, e.theta, e.beta, e.phi, rows.by_cluster(e.u))
        inverse, q = np.linalg.inv(at.curvature), rows.shape[1]
        found = []
        for places, own in zip(rows.term_places, rows.columns, strict=True):
            cluster, place, T = places // q, places % q, at.place.T[own, own]
            of_u = inverse[cluster[:, :, None], place[:, :, None], place[:, None, :]]
            found.append(np.asarray(T @ of_u @ T.T))
        return tuple(found)
