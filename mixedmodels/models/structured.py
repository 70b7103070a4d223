"""Linear models with structured residuals, as fitted by ``gls`` and ``mmrm``."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Self, overload

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import warn_unless_converged
from mixedmodels.covariance.term_covariance import covariance_to_correlation
from mixedmodels.engines.residual.iterated import fit_rows
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.structured import Convention, StructuredFit, residual_rows
from mixedmodels.formula.design.design import Design
from mixedmodels.inference.residual_covariance import group_covariance, level_covariances
from mixedmodels.inference.sas_parameters import sas_parameters
from mixedmodels.inference.summary import Summary
from mixedmodels.models.fixed_effects_model import FixedEffectsModel
from mixedmodels.models.structure_lines import structure_lines
from mixedmodels.models.structured_refits import StructuredRefits
from mixedmodels.prediction.conditional import predict_conditional
from mixedmodels.prediction.request import (
    DfOfLimits,
    IntervalType,
    NewNaAction,
    PredictionRequest,
    PredictionType,
)
from mixedmodels.reports.fit_text import FitDescription
from mixedmodels.reports.gls_text import GlsDescription, gls_print_text, gls_summary_text


class GlsModel(StructuredRefits, FixedEffectsModel, StructuredFit):
    """A fitted linear model with correlated or heteroscedastic residuals.

    Made by :func:`mixedmodels.gls`.

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
    estimates : ResidualEstimates
        The fit.
    problem : ResidualProblem, optional
        The engine's form of the design; rebuilt when needed, after unpickling for one.
    """

    @property
    def test_df(self) -> float | None:
        """Residual degrees of freedom."""
        return float(self.df_residual())

    @property
    def default_type(self) -> int:
        """Sequential tests, as nlme's."""
        return 1

    @property
    def covariance_factor(self) -> float:
        """The factor n / (n - p) for maximum likelihood, as nlme has it; 1 for REML."""
        return 1.0 if self.is_reml else self.nobs() / self.df_residual()

    # Criteria.

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
        return self.estimates.objective

    # Covariance of the residuals.

    def VarCorr(self) -> pd.DataFrame | dict[str, pd.DataFrame]:
        """Return the covariance matrix of the residuals at all levels of time, by arm where there are arms.

        Raises
        ------
        NotAvailableError
            If residuals do not go by levels of time.
        """
        found = level_covariances(self)
        return found if len(found) > 1 else next(iter(found.values()))

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

    # Prediction.

    @overload
    def predict(
        self,
        newdata: Any = None,
        type: PredictionType = "link",
        se_fit: Literal[False] = False,
        *,
        conditional: bool = False,
        offset: Any = None,
        interval: None = None,
        level: float = 0.95,
        df: DfOfLimits = None,
        weights: Any = None,
        na_action: NewNaAction = "pass",
    ) -> pd.Series[float]: ...
    @overload
    def predict(
        self,
        newdata: Any = None,
        type: PredictionType = "link",
        se_fit: bool = False,
        *,
        conditional: bool = False,
        offset: Any = None,
        interval: IntervalType,
        level: float = 0.95,
        df: DfOfLimits = None,
        weights: Any = None,
        na_action: NewNaAction = "pass",
    ) -> pd.DataFrame: ...
    @overload
    def predict(
        self,
        newdata: Any = None,
        type: PredictionType = "link",
        *,
        se_fit: Literal[True],
        conditional: bool = False,
        offset: Any = None,
        interval: IntervalType | None = None,
        level: float = 0.95,
        df: DfOfLimits = None,
        weights: Any = None,
        na_action: NewNaAction = "pass",
    ) -> pd.DataFrame: ...
    @overload
    def predict(
        self,
        newdata: Any = None,
        type: PredictionType = "link",
        se_fit: bool = False,
        *,
        conditional: bool = False,
        offset: Any = None,
        interval: IntervalType | None = None,
        level: float = 0.95,
        df: DfOfLimits = None,
        weights: Any = None,
        na_action: NewNaAction = "pass",
    ) -> pd.Series[float] | pd.DataFrame: ...
    def predict(
        self,
        newdata: Any = None,
        type: PredictionType = "link",
        se_fit: bool = False,
        *,
        conditional: bool = False,
        offset: Any = None,
        interval: IntervalType | None = None,
        level: float = 0.95,
        df: DfOfLimits = None,
        weights: Any = None,
        na_action: NewNaAction = "pass",
    ) -> pd.Series | pd.DataFrame:
        """Predict at the rows of the data or at new rows.

        Parameters
        ----------
        conditional : bool
            Whether new rows are predicted from the residuals of their group too, as SAS's ``outpred=`` and
            R's mmrm with that argument do: ``X beta + R_mo R_oo^-1 e_o``. By default the mean is, as by nlme.
            Standard errors are larger with ``df="kenward-roger"``: the covariance is estimated (Prasad & Rao
            1990).
        newdata, type, se_fit, offset, interval, level, df, weights, na_action
            As for :meth:`FixedEffectsModel.predict`.

        Raises
        ------
        ControlError, DataError
            As there, and if a conditional prediction is asked for without new rows.
        """
        if not conditional:
            return super().predict(
                newdata, type, se_fit, offset=offset, interval=interval, level=level, df=df,
                weights=weights, na_action=na_action,
            )  # fmt: skip
        request = PredictionRequest(
            type, offset=offset, weights=weights, se_fit=se_fit, interval=interval, level=level, df=df,
            na_action=na_action, conditional=True,
        )  # fmt: skip
        return predict_conditional(self, newdata, request)

    # Related fits.

    @classmethod
    def fitted_to(cls, design: Design, y: FloatArray, call: Any, data: Any, REML: bool) -> Self:
        """Return the model fitted to a design and a response."""
        problem, estimates = fit_rows(
            y, design.X, partial(residual_rows, design), any(t.uses_fitted for t in design.dispersion),
            REML and design.X.shape[1] > 0, (), design.weights, design.offset,
        )  # fmt: skip
        warn_unless_converged(estimates.convergence)
        return cls(design, y, call, data, estimates, problem)

    # Text.

    def _plain_summary(self, correlation: bool | None) -> Summary:
        return GlsSummary(
            description=self._describe(),
            coefficients=self._coefficient_table(),
            fixed_correlation=covariance_to_correlation(self._fixed_covariance()),
            scaled_residuals=self._raw_residuals("pearson") / self.sigma(),
            show_correlation=correlation,
            gls=self._gls_description(),
        )

    def __repr__(self) -> str:
        return gls_print_text(self._gls_description(), self.beta)

    def _describe(self) -> FitDescription:
        return FitDescription(
            title=f"{self._title} fit by {self._method}",
            class_name="gls",
            formula=self.formula(),
            criteria=self._likelihood_criteria(),
            terms=(),
            residual_sd=self.sigma(),
            nobs=self.nobs(),
            ngrps={},
            call=self.call.lines(),
            notes=self._notes(),
            warnings=self._fit_warnings(),
        )

    _title = "Generalized least squares"

    @property
    def _method(self) -> str:
        return "REML" if self.is_reml else "maximum likelihood"

    def _gls_description(self) -> GlsDescription:
        design, verdict = self.design, self.convergence()
        told = verdict.reasons if verdict.verdict != "converged" else ()
        return GlsDescription(
            title=f"{self._title} fit by {self._method}",
            formula=self.formula(),
            data=self.call.data,
            is_reml=self.is_reml,
            aic=self.aic(),
            bic=self.bic(),
            loglik=self.loglik(),
            structure=self._structure_lines(),
            names=tuple(design.x_names),
            residuals=self._raw_residuals("pearson") / self.sigma(),
            sigma=self.sigma(),
            n=self.nobs(),
            df_residual=self.df_residual(),
            notes=self._notes(),
            warnings=(*self._fit_warnings(), *told),
        )

    def _structure_lines(self) -> tuple[str, ...]:
        """Return the text of residual correlation and variance functions."""
        return structure_lines(self.design, self.estimates.parameters)


class MmrmModel(GlsModel):
    """A fitted mixed model for repeated measures; made by :func:`mixedmodels.mmrm`.

    Parameters as for :class:`GlsModel`.
    """

    _title = "Mixed model for repeated measures"

    @property
    def covariance_factor(self) -> float:
        """1: covariances are those of SAS and R's mmrm."""
        return 1.0

    @property
    def convention(self) -> Convention:
        """Criteria are those of SAS."""
        return "SAS"

    @property
    def default_ddf(self) -> Literal["satterthwaite", "residual"]:
        """Satterthwaite's, as R's mmrm has them."""
        return "satterthwaite"

    @property
    def default_type(self) -> int:
        """Type III, as SAS."""
        return 3

    _with_p_values = False


@dataclass(frozen=True, slots=True, repr=False)
class GlsSummary(Summary):
    """Summary of a model with structured residuals; printing it gives nlme's text.

    Attributes
    ----------
    gls : GlsDescription
        The fit.
    """

    gls: GlsDescription = field(kw_only=True)

    def __repr__(self) -> str:
        columns = list(self.coefficients.columns)
        text = gls_summary_text(
            self.gls, self.coefficients.to_numpy(), columns, self.fixed_correlation, self.show_correlation
        )
        return f"{text}\n{self.tests}\n" if self.tests else text
