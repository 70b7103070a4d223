"""The generalized linear mixed model, as fitted by ``glmer``."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import check_response_varies, warn_unless_converged
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.generalized.problem_from_data import (
    conditional_covariances,
    generalized_problem,
    vcov_hessian,
)
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.families import initialize, log_constant
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_quantities import response_scale
from mixedmodels.fits.new_response import new_response
from mixedmodels.formula.design.design import Design
from mixedmodels.models.mixed_model import MixedModel
from mixedmodels.models.with_family import WithFamily
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport
from mixedmodels.reports.blocks_text import block_table
from mixedmodels.reports.family_text import family_label, family_note
from mixedmodels.reports.fit_text import FitDescription
from mixedmodels.reports.printed import Printed

VcovMethod = Literal["hessian", "rx"]


class GeneralizedLinearMixedModel(WithFamily[GeneralizedEstimates], MixedModel):
    """A fitted generalized linear mixed model.

    Made by :func:`mixedmodels.glmer`. Estimates and design are stored; everything else is derived.

    Parameters
    ----------
    design : Design
        Arrays of the model.
    y, prior_weights : ndarray, shape (n,)
        Response and weights as the family reads them.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    family : Family
        Distribution of the response.
    estimates : GeneralizedEstimates
        The fit.
    observed : bool
        Whether log|L| takes the observed information.
    problem : GeneralizedProblem, optional
        The engine's form of the design; rebuilt when needed, after unpickling for one.
    """

    def __init__(
        self,
        design: Design,
        y: FloatArray,
        prior_weights: FloatArray,
        call: Call,
        data: Any,
        family: Family,
        estimates: GeneralizedEstimates,
        observed: bool = False,
        problem: GeneralizedProblem | None = None,
    ) -> None:
        super().__init__(design, y, prior_weights, call, data, family, estimates)
        self.observed = observed
        if problem is not None:
            self.problem = problem

    @cached_property
    def problem(self) -> GeneralizedProblem:
        """The engine's form of the design."""
        return self._arranged(self.design, self.y, self.prior_weights)

    # Estimates.

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.estimates.beta

    @property
    def phi(self) -> FloatArray:
        """Parameters of the family, shape (n_phi,)."""
        return self.estimates.phi

    @property
    def spherical(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by term, each (q, S)."""
        return self.estimates.u

    @property
    def theta_values(self) -> FloatArray:
        """Covariance parameters, shape (k,)."""
        return self.estimates.theta

    @property
    def npar(self) -> int:
        """Number of fixed effects, covariance parameters and parameters of the family."""
        return len(self.beta) + len(self.theta_values) + len(self.phi)

    @property
    def unscaled_vcov(self) -> FloatArray:
        """``(R_X' R_X)^-1``, the dispersion taken out, shape (p, p)."""
        return self.estimates.vcov_rx / self.sigma() ** 2

    @property
    def random_scale(self) -> float:
        """1: theta is on the scale of the linear predictor."""
        return 1.0

    @property
    def residual_sd(self) -> float | None:
        """None: there is no residual row."""
        return None

    @property
    def row_information(self) -> FloatArray:
        """Information of each row about eta at the mode, as it enters L."""
        at = self._family.evaluate(
            self.y, self.estimates.eta, self.prior_weights, self.phi, observed=self.observed
        )
        return at.information

    def sigma(self) -> float:
        """Return the square root of the dispersion; 1 for families without one."""
        return response_scale(self._family, self.phi)

    @cached_property
    def hessian_covariance(self) -> FloatArray | None:
        """Covariance of (theta, beta, phi) from the Hessian of the objective; None if that is singular."""
        return vcov_hessian(self.problem, self.estimates)

    def vcov(self, full: bool = False, method: VcovMethod | None = None) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        full : bool
            Whether to return the joint covariance of prediction errors of (b, beta) instead, dense.
        method : {"hessian", "rx"}, optional
            From the Hessian of the maximised objective (the default), or from the penalized least-squares
            factor, which ignores that theta was estimated (the default of an nAGQ = 0 fit).

        Raises
        ------
        ControlError
            If `method` is neither.
        NotAvailableError
            If the Hessian is asked for and not positive definite.
        """
        if method not in (None, "hessian", "rx"):
            raise ControlError(f"method must be 'hessian' or 'rx', not {method!r}.")
        if full:
            return self._joint_vcov()
        if method == "hessian" and self.hessian_covariance is None:
            raise NotAvailableError(
                "The Hessian of the objective is not positive definite: the data do not determine all "
                "parameters. vcov(method='rx') takes the covariance matrix as known."
            )
        return self._labelled(self.estimates.vcov_rx if method == "rx" else self._fixed_covariance())

    def _fixed_covariance(self) -> FloatArray:
        if self.estimates.nAGQ == 0 or self.hessian_covariance is None:
            return self.estimates.vcov_rx
        fixed = slice(len(self.theta_values), len(self.theta_values) + len(self.beta))
        return self.hessian_covariance[fixed, fixed]

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        return conditional_covariances(self.problem, self.estimates)

    def convergence(self) -> ConvergenceReport:
        """Return the verdict on the fit, with its reasons."""
        return self.estimates.convergence

    @property
    def optimization(self) -> OptimizationReport:
        """How the optimum was found: evaluations, seconds, gradient norm, path."""
        return self.estimates.optimization

    @property
    def factorization(self) -> Printed:
        """The blocks of the factorization and how each is handled, as a table."""
        problem, n = self.problem, len(self.y)
        table = block_table(problem.system.pattern, len(self.beta))
        equal = "" if len(problem.y) == n else f"\n{n} rows of {len(problem.y)} kinds, equal rows fitted once"
        return Printed(table + equal)

    def quadrature_sequence(self) -> pd.DataFrame:
        """Return the fits of ``nAGQ="auto"``: nodes, -2 log-likelihood, largest move in standard errors."""
        steps = self.estimates.quadrature_sequence
        rows = [(step.nAGQ, step.objective, step.largest_move) for step in steps]
        return pd.DataFrame(rows, columns=["nAGQ", "-2*log(L)", "largest move"])

    # Criteria.

    def loglik(self) -> float:
        """Return the log-likelihood with its full normalising constant."""
        return -0.5 * self.estimates.objective

    def deviance(self) -> float:
        """Return the sum of squared deviance residuals given the random effects, as lme4."""
        return float((self._raw_residuals("deviance") ** 2).sum())

    # Related fits.

    def refit(self, newresp: Any) -> GeneralizedLinearMixedModel:
        """Fit the same model to another response.

        Parameters
        ----------
        newresp : array_like
            New response at the rows used (or at all input rows): numbers of successes for a ``cbind``
            response (or two columns), proportions where weights are trials, else values on the scale of y.

        Raises
        ------
        DataError, FamilyError
            If the length is wrong or a value is outside the range of the family.
        """
        response = new_response(newresp, self.design)
        y, weights = initialize(response, self.design.weights, self._family)
        check_response_varies(y, response.text)
        constant = log_constant(self.design, y, weights, self._family)
        same = np.array_equal(weights, self.prior_weights)
        problem = self.problem.with_response(y, constant) if same else self._arranged(self.design, y, weights)
        return self._sibling(self.design, y, weights, problem, self.estimates)

    def with_design(self, design: Design) -> GeneralizedLinearMixedModel:
        """Fit the same kind of model to another design with the same response and random effects."""
        problem = self._arranged(design, self.y, self.prior_weights)
        return self._sibling(design, self.y, self.prior_weights, problem)

    def _arranged(self, design: Design, y: FloatArray, weights: FloatArray) -> GeneralizedProblem:
        return generalized_problem(
            y, weights, design.X, design.random, design.offset, self._family, self.observed,
            log_constant(design, y, weights, self._family),
        )  # fmt: skip

    def _sibling(
        self,
        design: Design,
        y: FloatArray,
        weights: FloatArray,
        problem: GeneralizedProblem,
        near: GeneralizedEstimates | None = None,
    ) -> GeneralizedLinearMixedModel:
        estimates = fit_generalized(problem, self.estimates.nAGQ, near=near)
        warn_unless_converged(estimates.convergence)
        return GeneralizedLinearMixedModel(
            design, y, weights, self.call, self.data, self._family, estimates, self.observed, problem
        )

    # Text.

    def _describe(self) -> FitDescription:
        return FitDescription(
            title=f"Generalized linear mixed model fit by maximum likelihood ({self._approximation()})",
            class_name="glmerMod",
            formula=self.formula(),
            criteria=self._likelihood_criteria(),
            terms=self.term_covariances(),
            residual_sd=None,
            nobs=self.nobs(),
            ngrps=self.ngrps(),
            family=(family_label(self._family, self.phi), self._family.link.name),
            call=self.call.lines(),
            notes=(*self._notes(), *family_note(self._family, self.phi)),
            warnings=self._fit_warnings(),
            optimizer=self.optimization.method,
            messages=self._messages(),
            converged=self.convergence().is_optimum,
        )

    def _approximation(self) -> str:
        nodes = self.estimates.nAGQ
        if nodes == 1:
            return "Laplace Approximation"
        return f"Adaptive Gauss-Hermite Quadrature, nAGQ = {nodes}"
