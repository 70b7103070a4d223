"""The fit of a marginal model by generalized estimating equations: arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.gee.correlation.structure import WorkingCorrelation
from mixedmodels.engines.gee.covariance import GeeScores, gee_scores, group_information
from mixedmodels.engines.gee.estimates import GeeEstimates, GeeSolution
from mixedmodels.engines.gee.problem import GeeProblem, gee_problem
from mixedmodels.errors import NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_fit import FamilyFit
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.residual import ResidualDesign
from mixedmodels.optimization.report import ConvergenceReport

NO_LIKELIHOOD = (
    "estimating equations have no likelihood: compare models by Wald tests, anova(m1, m2), or by "
    "qic(m1, m2); anova(m, type=2) tests the terms of one."
)


@dataclass(frozen=True, slots=True)
class GeeOptions:
    """What was asked for.

    Attributes
    ----------
    corr : str or matrix
        The working correlation.
    scale : float or None
        The scale; None where it is estimated.
    cov_type : str
        Kind of the covariance of the coefficients.
    """

    corr: Any
    scale: float | None
    cov_type: str


class GeeFit(FamilyFit[GeeEstimates]):
    """A marginal model, fitted; parameters as for :class:`mixedmodels.GeeModel`."""

    def __init__(
        self,
        design: Design,
        y: FloatArray,
        prior_weights: FloatArray,
        call: Call,
        data: Any,
        family: Family,
        estimates: GeeEstimates,
        correlation: WorkingCorrelation,
        options: GeeOptions,
    ) -> None:
        super().__init__(design, y, prior_weights, call, data, family, estimates)
        self.correlation = correlation
        self.options = options

    @property
    def fixed_scale(self) -> float | None:
        """The scale where it was given."""
        return self.options.scale

    @property
    def cov_type(self) -> str:
        """Kind of the covariance of the coefficients."""
        return self.options.cov_type

    @cached_property
    def problem(self) -> GeeProblem:
        """The rows, in the order of their groups."""
        groups, design = self.groups, self.design
        return gee_problem(
            self.y,
            self.prior_weights,
            design.X,
            design.offset,
            self._family,
            groups.codes,
            groups.positions,
        )

    @cached_property
    def scores(self) -> GeeScores:
        """Score and information of the coefficients at the solution."""
        return gee_scores(self.problem, self.correlation, self.solution)

    @cached_property
    def group_information(self) -> FloatArray:
        """Information of each group about the coefficients, shape (m, p, p)."""
        return group_information(self.problem, self.scores)

    @property
    def groups(self) -> ResidualDesign:
        """Groups, and the positions of rows within them."""
        assert self.design.residual is not None
        return self.design.residual

    @property
    def solution(self) -> GeeSolution:
        """Coefficients, working correlation and scale."""
        return self.estimates.solution

    @property
    def beta(self) -> FloatArray:
        """Coefficients, shape (p,)."""
        return self.solution.beta

    @property
    def phi(self) -> FloatArray:
        """The scale where the family has a dispersion, else nothing."""
        return np.array([self.solution.phi]) if self._family.has_dispersion else np.empty(0)

    @property
    def npar(self) -> int:
        """Number of coefficients, correlations and scale that were estimated."""
        return len(self.beta) + len(self.solution.alpha) + (self.fixed_scale is None)

    @property
    def n_groups(self) -> int:
        """Number of groups with a row of positive weight."""
        return self.problem.n_groups

    def ngrps(self) -> dict[str, int]:
        """Return the number of groups, by the name of their variable."""
        return {self.groups.group_name: self.n_groups}

    def df_residual(self) -> int:
        """Return the number of groups minus the number of coefficients: the degrees of freedom of t tests."""
        return self.n_groups - len(self.beta)

    def sigma(self) -> float:
        """Return the square root of the scale."""
        return float(np.sqrt(self.solution.phi))

    def dispersion(self) -> float:
        """Return the scale: the weighted mean of squared Pearson residuals, or what was given."""
        return self.solution.phi

    @property
    def has_likelihood(self) -> bool:
        """False: there are estimating equations alone."""
        return False

    @property
    def has_distribution(self) -> bool:
        """False: there are means, variances and correlations alone."""
        return False

    def refuse_draws(self) -> NoReturn:
        """Raise NotAvailableError: there is no distribution to draw responses from."""
        raise NotAvailableError(
            "estimating equations give means, variances and correlations, and no distribution to draw from; "
            "bootstrap(m, kind='cluster') draws groups, and a mixed model has a distribution."
        )

    def loglik(self) -> NoReturn:
        """Refuse: there is no likelihood.

        Raises
        ------
        NotAvailableError
            Always, saying how models are compared.
        """
        raise NotAvailableError(NO_LIKELIHOOD)

    def deviance(self) -> NoReturn:
        """Refuse: there is no likelihood.

        Raises
        ------
        NotAvailableError
            Always, saying how models are compared.
        """
        raise NotAvailableError(NO_LIKELIHOOD)

    def convergence(self) -> ConvergenceReport:
        """Return the verdict on the fit, with its reasons."""
        return self.solution.convergence

    def _fixed_covariance(self) -> FloatArray:
        return self.estimates.vcov
