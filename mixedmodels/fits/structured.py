"""The fit of a linear model with structured residuals: arrays and the engine's form of the design."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.control import Information, one_of
from mixedmodels.engines.residual.cells import RowCovariances, row_covariances
from mixedmodels.engines.residual.estimates import ResidualEstimates
from mixedmodels.engines.residual.information import CovarianceInformation, covariance_information
from mixedmodels.engines.residual.model import ResidualRows
from mixedmodels.engines.residual.objective import Evaluation, evaluation
from mixedmodels.engines.residual.printed_parameters import is_linear
from mixedmodels.engines.residual.problem import ResidualProblem, residual_problem
from mixedmodels.engines.residual.verdict import parameter_names
from mixedmodels.fits.call import Call
from mixedmodels.fits.criteria import akaike, schwarz
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import Design
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport

#: Whose count of parameters and observations an information criterion has.
Convention = Literal["R", "lme4", "SAS", "SPSS"]


def residual_rows(design: Design, fitted: FloatArray | None = None) -> ResidualRows:
    """Return what the residual covariance of a design is made of, row by row.

    Parameters
    ----------
    design : Design
        The design.
    fitted : ndarray, shape (n,), optional
        Fitted values, for variance functions of them.
    """
    n = design.n_rows
    residual, terms = design.residual, list(design.dispersion)
    if residual is not None and residual.variance is not None:
        terms.insert(0, residual.variance)
    columns = tuple(
        term.columns.with_values(fitted) if term.uses_fitted and fitted is not None else term.columns
        for term in terms
    )
    functions = tuple(term.function for term in terms)
    if residual is None or residual.structure.n_parameters == 0:
        alone = np.arange(n)
        return ResidualRows(None, alone, alone, np.zeros(n, dtype=np.intp), functions, columns)
    arms = residual.arms[residual.codes]
    return ResidualRows(residual.parameters, residual.codes, residual.positions, arms, functions, columns)


def correlation_of_rows(design: Design, rho: FloatArray, rows: IntArray) -> FloatArray:
    """Return the correlations of the residuals of some rows, shape (m, m)."""
    C, residual = np.eye(len(rows)), design.residual
    if residual is None or residual.structure.n_parameters == 0:
        return C
    for code in np.unique(residual.codes[rows]).tolist():
        own = np.flatnonzero(residual.codes[rows] == code)
        at = rho[residual.parameters.of_arm(int(residual.arms[code]))]
        C[np.ix_(own, own)] = residual.structure.correlation(at, residual.positions[rows[own]][None])[0]
    return C


class StructuredResiduals(Fit):
    """What every fit with structured residuals has, with random effects or without."""

    @property
    def residual_estimates(self) -> ResidualEstimates:
        """What the engine of structured residuals found."""
        raise NotImplementedError

    @property
    def residual_problem(self) -> ResidualProblem:
        """That engine's form of the design."""
        raise NotImplementedError

    @property
    def has_structured_residuals(self) -> bool:
        """True: residuals are correlated or of unequal variances."""
        return True

    @property
    def n_covariance_parameters(self) -> int:
        """Number of covariance parameters, sigma included."""
        return len(self.residual_estimates.free) + 1

    @property
    def residual_parameters(self) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Names and values of correlation parameters and of those of variance functions, sigma left out."""
        model, at = self.residual_problem.model, self.residual_estimates.parameters
        names = parameter_names(model)[model.n_theta :]
        return names, tuple(np.concatenate([at.rho, *at.delta]).tolist())

    @property
    def npar(self) -> int:
        """Number of fixed effects and covariance parameters, sigma included."""
        return len(self.beta) + self.n_covariance_parameters

    @property
    def is_reml(self) -> bool:
        """Whether the model was fitted by REML."""
        return self.residual_estimates.REML

    def loglik(self) -> float:
        """Return the log-likelihood; for a REML fit, minus half the REML criterion."""
        return -0.5 * self.residual_estimates.objective

    def deviance(self) -> float:
        """Return -2 log-likelihood at the estimates; of a REML fit, the ML value at the REML estimates."""
        e, n = self.residual_estimates, self.nobs()
        log_weights = float(np.log(self.prior_weights[self.prior_weights > 0]).sum())
        return e.log_det_V - log_weights + n * (1.0 + float(np.log(2.0 * np.pi * e.rss / n)))

    @cached_property
    def row_covariances(self) -> RowCovariances:
        """Covariances of the rows, cluster by cluster."""
        return row_covariances(self.residual_problem, self.residual_estimates.free)

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        difference = self.y - self.mean
        if type in ("response", "working"):
            return difference
        return np.sqrt(self.prior_weights) * difference / self.relative_sd

    @property
    def default_ddf(self) -> Literal["satterthwaite", "residual"]:
        """The degrees of freedom of tests where none are asked for."""
        return "residual"

    @property
    def information_kind(self) -> Information:
        """Which information Kenward and Roger's method takes."""
        chosen: Information = self.call.arguments.get("information", "observed")
        return chosen

    @cached_property
    def residual_evaluation(self) -> Evaluation:
        """The engine's objective at the estimates."""
        return evaluation(self.residual_problem, self.residual_estimates.free, self.is_reml)

    @cached_property
    def observed_covariance_information(self) -> CovarianceInformation:
        """How well covariance parameters are known, from the observed information."""
        return covariance_information(
            self.residual_problem, self.residual_estimates.free, self.is_reml, False
        )

    @cached_property
    def expected_covariance_information(self) -> CovarianceInformation:
        """The same from the expected information about the restricted likelihood."""
        return covariance_information(self.residual_problem, self.residual_estimates.free, self.is_reml, True)

    @property
    def is_linear_covariance(self) -> bool:
        """Whether the covariance is linear in the variances and covariances that SAS prints."""
        residual = self.design.residual
        own = not self.design.dispersion
        if residual is None:
            return is_linear(self.residual_problem.model, True, own)
        n_cells = 1 if residual.variance is None else residual.variance.function.n_parameters + 1
        return is_linear(self.residual_problem.model, n_cells <= len(residual.arm_names), own)

    @property
    def relative_sd(self) -> FloatArray:
        """Residual standard deviations over sigma, prior weights left out, shape (n,)."""
        sd = np.ones(len(self.y))
        sd[self.residual_problem.kept] = self.row_covariances.sd
        return sd

    def residual_covariance(self, weights: FloatArray, rows: IntArray) -> FloatArray:
        """Return the covariance of the residuals of some rows over sigma^2, shape (m, m)."""
        scale = self.relative_sd[rows] / np.sqrt(weights[rows])
        return correlation_of_rows(self.design, self.residual_estimates.parameters.rho, rows) * np.outer(
            scale, scale
        )

    def normalized(self) -> FloatArray:
        """Return residuals over their Cholesky factor, uncorrelated and of variance 1, shape (n,).

        That of a group is of its rows in order of time. NaN at rows of weight zero.
        """
        values = np.full(len(self.y), np.nan)
        problem = self.residual_problem
        e = problem.root_weights * (self.y - self.mean)[problem.kept]
        values[problem.kept] = self.row_covariances.whitened(e[:, None])[:, 0] / self.sigma()
        return values

    # Criteria by convention.

    def aic(self, convention: Convention | None = None) -> float:
        """Return Akaike's information criterion.

        Parameters
        ----------
        convention : {"R", "lme4", "SAS", "SPSS"}, optional
            Whose count of parameters: nlme (R) and lme4 count fixed effects too, SAS and SPSS under REML the
            covariance parameters alone. By default that of the call.
        """
        return akaike(self.loglik(), self.counted_parameters(convention))

    def bic(self, convention: Convention | None = None) -> float:
        """Return Schwarz's information criterion.

        Parameters
        ----------
        convention : {"R", "lme4", "SAS", "SPSS"}, optional
            Whose count of parameters, as for :meth:`aic`, and of observations: lme4 takes their number, nlme
            (R) and SPSS under REML less that of fixed effects, SAS that of subjects.
        """
        return schwarz(self.loglik(), self.counted_parameters(convention), self._counted(convention))

    @property
    def convention(self) -> Convention:
        """The convention of the criteria of this kind of fit."""
        return "R"

    def _checked(self, convention: Convention | None) -> Convention:
        """Return a convention, the default where none is given."""
        one_of("convention", convention, (None, *get_args(Convention)))
        return self.convention if convention is None else convention

    def counted_parameters(self, convention: Convention | None) -> int:
        """Return the number of parameters that AIC and BIC count."""
        own = self._checked(convention)
        return self.n_covariance_parameters if own in ("SAS", "SPSS") and self.is_reml else self.npar

    def _counted(self, convention: Convention | None) -> int:
        """Return the number of observations that BIC counts."""
        own = self._checked(convention)
        if own == "SAS" and self.design.residual is not None:
            return self.n_subjects
        return self.nobs() - len(self.beta) * (self.is_reml and own != "lme4")

    @property
    def n_subjects(self) -> int:
        """Number of residual groups that were read, those without a response included, as SAS counts.

        Without residual groups every row is a subject.
        """
        residual, missing = self.design.residual, self.design.missing
        if residual is None:
            return missing.n_input
        names = residual.group_name.split(":")
        if self.data is None or not missing.n_dropped or not all(name in self.data for name in names):
            return len(residual.groups)
        table = pd.DataFrame({name: self.data[name] for name in names})
        if missing.input_index is not None and table.index.is_unique:
            table = table.loc[missing.input_index]
        return len(table.dropna().drop_duplicates())


class StructuredFit(StructuredResiduals):
    """A linear model with structured residuals, fitted; parameters as for :class:`mixedmodels.GlsModel`."""

    estimates: ResidualEstimates

    def __init__(
        self,
        design: Design,
        y: FloatArray,
        call: Call,
        data: Any,
        estimates: ResidualEstimates,
        problem: ResidualProblem | None = None,
    ) -> None:
        weights = np.ones(len(y)) if design.weights is None else design.weights
        super().__init__(design, y, weights, call, data)
        self.estimates = estimates
        if problem is not None:
            self.problem = problem

    @cached_property
    def problem(self) -> ResidualProblem:
        """The engine's form of the design, fitted values in variance functions as they ended."""
        design = self.design
        rows = residual_rows(design, self.mean)
        return residual_problem(self.y, design.X, rows, (), design.weights, design.offset)

    @property
    def residual_estimates(self) -> ResidualEstimates:
        """The estimates."""
        return self.estimates

    @property
    def residual_problem(self) -> ResidualProblem:
        """The engine's form of the design."""
        return self.problem

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.estimates.beta

    @property
    def linear_predictor(self) -> FloatArray:
        """Fitted values, offset included, shape (n,)."""
        mean = self.design.X @ self.beta
        return mean if self.design.offset is None else mean + self.design.offset

    @property
    def mean(self) -> FloatArray:
        """Fitted values, offset included, shape (n,)."""
        return self.linear_predictor

    def sigma(self) -> float:
        """Return the residual standard deviation where variance functions are 1."""
        return self.estimates.sigma

    def df_residual(self) -> int:
        """Return the number of observations minus the number of fixed effects."""
        return self.nobs() - len(self.beta)

    def convergence(self) -> ConvergenceReport:
        """Return the verdict on the fit, with its reasons."""
        return self.estimates.convergence

    @property
    def optimization(self) -> OptimizationReport:
        """How the optimum was found: evaluations, seconds, gradient norm, path."""
        return self.estimates.optimization

    @property
    def covariance_factor(self) -> float:
        """What ``sigma^2 (X'V^-1 X)^-1`` is multiplied by."""
        return 1.0

    def _fixed_covariance(self) -> FloatArray:
        e = self.estimates
        return self.covariance_factor * e.sigma**2 * e.unscaled_vcov
