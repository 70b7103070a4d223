"""Linear mixed models with structured residuals, as fitted by ``lmer(..., residual=, dispersion=)``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, Self

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import warn_unless_converged
from mixedmodels.engines.residual.estimates import ResidualEstimates
from mixedmodels.engines.residual.iterated import fit_rows
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.engines.residual.whitened import (
    linear_form,
    solved,
)
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.linear_predictor import linear_predictor, random_effects
from mixedmodels.fits.structured import Convention, residual_rows
from mixedmodels.fits.structured_mixed import StructuredMixedFit
from mixedmodels.formula.design.design import Design
from mixedmodels.inference.fixed_effects import fixed_effects
from mixedmodels.inference.residual_covariance import group_covariance
from mixedmodels.inference.robust import RobustType
from mixedmodels.inference.sas_parameters import sas_parameters
from mixedmodels.models.mixed_model import MixedModel
from mixedmodels.models.structure_lines import structure_lines
from mixedmodels.models.structured_refits import StructuredRefits
from mixedmodels.reports.fit_text import FitDescription


class StructuredLinearMixedModel(StructuredRefits, MixedModel, StructuredMixedFit):
    """A fitted linear mixed model with correlated or heteroscedastic residuals.

    Made by :func:`mixedmodels.lmer` with ``residual=`` or ``dispersion=``.

    Parameters
    ----------
    design : Design
        Arrays of the model.
    y : ndarray, shape (n,)
        Response.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    estimates : StructuredMixedEstimates
        The fit.
    residual_problem, problem : optional
        The engines' forms of the design; rebuilt when needed, after unpickling for one.
    """

    _with_p_values = False

    @property
    def default_ddf(self) -> Literal["satterthwaite", "residual"]:
        """Satterthwaite's, as of every linear mixed model."""
        return "satterthwaite"

    @property
    def convention(self) -> Convention:
        """Criteria are those of lme4."""
        return "lme4"

    def covariance_parameters(self, level: float = 0.95) -> pd.DataFrame:
        """Return the covariance parameters as SAS prints them, with standard errors and limits.

        Parameters
        ----------
        level : float
            Confidence level of the limits: of a chi-square distribution for variances and ranges, normal for
            covariances and correlations.

        Returns
        -------
        DataFrame
            By SAS's name, ``UN(2,1)``, ``AR(1)``, ``Var(1)``: group, estimate, std.error, lower, upper.
        """
        return sas_parameters(self, level)

    def vcov(
        self,
        type: RobustType | Literal["kenward-roger"] | None = None,
        cluster: Any = None,
        full: bool = False,
    ) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        type, cluster : optional
            A cluster-robust covariance, as for :meth:`FittedModel.vcov`; or ``"kenward-roger"``, adjusted for
            the variances being estimates.
        full : bool
            Whether to return the joint covariance of prediction errors of (b, beta) instead, dense.
        """
        if type == "kenward-roger":
            return self._labelled(fixed_effects(self, type).covariance)
        return super().vcov(type, cluster, full)

    def REMLcrit(self) -> float:
        """Return the REML criterion at convergence.

        Raises
        ------
        NotAvailableError
            If the model was fitted by maximum likelihood.
        """
        if not self.is_reml:
            raise NotAvailableError(
                "The model was fitted by maximum likelihood and has no REML criterion; "
                "fit it with REML=True, or use deviance()."
            )
        return self.residual_estimates.objective

    def covariance(self, group: Any) -> pd.DataFrame:
        """Return the covariance of the responses of one residual group, as nlme's ``getVarCov``.

        Raises
        ------
        ControlError
            If there is no such group.
        NotAvailableError
            If the residuals have no groups.
        """
        return group_covariance(self, group)

    # Related fits.

    @classmethod
    def fitted_to(cls, design: Design, y: FloatArray, call: Any, data: Any, REML: bool) -> Self:
        """Return the model fitted to a design and a response."""
        problem, found = fit_rows(
            y, design.X, partial(residual_rows, design), any(t.uses_fitted for t in design.dispersion),
            REML and design.X.shape[1] > 0, design.random, design.weights, design.offset,
            partial(_fitted, design, y),
        )  # fmt: skip
        linear = linear_form(problem, found.free, design, y)
        warn_unless_converged(found.convergence)
        return cls(design, y, call, data, solved(problem, linear, found), problem, linear)

    # Text.

    def _describe(self) -> FitDescription:
        method = "REML" if self.is_reml else "maximum likelihood "
        criteria: Mapping[str, float] = (
            {"REML": self.residual_estimates.objective} if self.is_reml else self._likelihood_criteria()
        )
        return FitDescription(
            title=f"Linear mixed model fit by {method}",
            class_name="lmerMod",
            formula=self.formula(),
            criteria=criteria,
            terms=self.term_covariances(),
            residual_sd=self.residual_sd,
            nobs=self.nobs(),
            ngrps=self.ngrps(),
            call=self.call.lines(),
            notes=self._notes(),
            warnings=self._fit_warnings(),
            optimizer=self.optimization.method,
            messages=self._messages(),
            converged=self.convergence().is_optimum,
            structure=structure_lines(self.design, self.residual_estimates.parameters),
        )


def _fitted(design: Design, y: FloatArray, problem: ResidualProblem, found: ResidualEstimates) -> FloatArray:
    """Return fitted values with the random effects at their modes, shape (n,)."""
    at = solved(problem, linear_form(problem, found.free, design, y), found)
    b = random_effects(design.random, at.theta, at.u)
    return linear_predictor(design.X, at.beta, design.offset, design.random, b)
