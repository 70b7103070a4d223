"""The generalized linear mixed model, as fitted by ``glmer``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.checks import check_response_varies, warn_unless_converged
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.families import initialize, log_constant
from mixedmodels.fits.family_dispersion import dispersion_name, row_dispersions, with_dispersion_of
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.new_response import new_response
from mixedmodels.formula.design.design import Design
from mixedmodels.models.mixed_model import MixedModel

with on_first_use():
    from mixedmodels.engines.generalized import some_columns
    from mixedmodels.inference import dispersion_tests
    from mixedmodels.prediction import predict
    from mixedmodels.reports import family_text, fit_text

if TYPE_CHECKING:
    from mixedmodels.inference.robust import RobustType
    from mixedmodels.inference.summary import Summary
    from mixedmodels.reports.fit_text import FitDescription

VcovMethod = Literal["hessian", "rx"]


class GeneralizedLinearMixedModel(MixedModel, GeneralizedFit):
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

    # Estimates.

    def vcov(
        self,
        type: RobustType | None = None,
        cluster: Any = None,
        full: bool = False,
        method: VcovMethod | None = None,
    ) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        type, cluster : optional
            A cluster-robust covariance, as for :meth:`FittedModel.vcov`.
        full : bool
            Whether to return the joint covariance of prediction errors of (b, beta) instead, dense.
        method : {"hessian", "rx"}, optional
            From the Hessian of the maximised objective (the default), or from the penalized least-squares
            factor, which ignores that theta was estimated (the default of an nAGQ = 0 fit).

        Returns
        -------
        DataFrame

        Raises
        ------
        ControlError
            If `method` is neither.
        NotAvailableError
            If the Hessian is asked for and not positive definite.
        """
        if method not in (None, "hessian", "rx"):
            raise ControlError(f"method must be 'hessian' or 'rx', not {method!r}.")
        if full or type is not None or cluster is not None:
            return super().vcov(type, cluster, full)
        if method == "hessian" and self.hessian_covariance is None:
            raise NotAvailableError(
                "The Hessian of the objective is not positive definite: the data do not determine all "
                "parameters. vcov(method='rx') takes the covariance matrix as known."
            )
        return self._labelled(self.estimates.vcov_rx if method == "rx" else self._fixed_covariance())

    def quadrature_sequence(self) -> pd.DataFrame:
        """Return the fits of ``nAGQ="auto"``: nodes, -2 log-likelihood, largest move in standard errors."""
        steps = self.estimates.quadrature_sequence
        rows = [(step.nAGQ, step.objective, step.largest_move) for step in steps]
        return pd.DataFrame(rows, columns=["nAGQ", "-2*log(L)", "largest move"])

    def dispersion_coefficients(self) -> pd.DataFrame:
        """Return the coefficients of the dispersion model, with standard errors and z tests.

        The logarithm of the family's dispersion parameter is linear in them.

        Raises
        ------
        NotAvailableError
            If the model was fitted without ``dispersion=``.
        """
        return dispersion_tests.dispersion_coefficients(self)

    def row_dispersions(self, newdata: Any = None) -> pd.Series:
        """Return the family's dispersion parameter at each row, of the fit or of `newdata`.

        Raises
        ------
        NotAvailableError
            If the model was fitted without ``dispersion=``.
        DataError
            If a predictor of the dispersion is missing in the new rows.
        """
        values = row_dispersions(self, newdata)
        index = self.design.index if newdata is None else predict.row_labels(newdata, len(values))
        return pd.Series(values, index=index, name=dispersion_name(self))

    # Criteria.

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
        """Fit the same kind of model to another design with the same response."""
        problem = self._arranged(design, self.y, self.prior_weights)
        return self._sibling(design, self.y, self.prior_weights, problem)

    def loglik_with_columns(self, kept: IntArray) -> float | None:
        """Return the log-likelihood of the fit with some columns of X, from where it is expected."""
        if not len(kept) or self.convergence().verdict != "converged":
            return None
        names = tuple(self.design.x_names[k] for k in kept)
        design = replace(self.design, fixed=self.design.fixed.take(kept), x_names=names)
        problem = self._arranged(design, self.y, self.prior_weights)
        near = some_columns.estimates_near(self.problem, self.estimates, problem, kept)
        return self._sibling(design, self.y, self.prior_weights, problem, near).loglik()

    def with_rows(
        self, design: Design, y: FloatArray, prior_weights: FloatArray
    ) -> GeneralizedLinearMixedModel:
        """Fit the same kind of model to another design and response."""
        problem = self._arranged(design, y, prior_weights)
        near = self.estimates if problem.n_fixed == len(self.beta) else None
        return self._sibling(design, y, prior_weights, problem, near)

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
            design,
            y,
            weights,
            self.call,
            self.data,
            with_dispersion_of(design, self._family),
            estimates,
            self.observed,
            problem,
        )

    # Text.

    def _describe(self) -> FitDescription:
        return fit_text.FitDescription(
            title=f"Generalized linear mixed model fit by maximum likelihood ({self._approximation()})",
            class_name="glmerMod",
            formula=self.formula(),
            criteria=self._likelihood_criteria(),
            terms=self.term_covariances(),
            residual_sd=None,
            nobs=self.nobs(),
            ngrps=self.ngrps(),
            family=(family_text.family_label(self._family, self.phi), self._family.link.name),
            call=(*self.call.lines(), *(("Dispersion:", term.text) for term in self.design.dispersion)),
            notes=(*self._notes(), *family_text.family_note(self._family, self.phi)),
            warnings=self._fit_warnings(),
            optimizer=self.optimization.method,
            messages=self._messages(),
            converged=self.convergence().is_optimum,
            dispersion=dispersion_tests.dispersion_table(self, with_tests=False),
        )

    def _plain_summary(self, correlation: bool | None) -> Summary:
        plain = super()._plain_summary(correlation)
        if not self.design.dispersion:
            return plain
        with_tests = replace(
            plain.description, dispersion=dispersion_tests.dispersion_table(self, with_tests=True)
        )
        return replace(plain, description=with_tests)

    def _approximation(self) -> str:
        nodes = self.estimates.nAGQ
        if nodes == 1:
            return "Laplace Approximation"
        return f"Adaptive Gauss-Hermite Quadrature, nAGQ = {nodes}"
