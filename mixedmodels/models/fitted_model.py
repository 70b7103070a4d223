"""What users ask of any fitted model: tables, texts, comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.term_covariance import covariance_to_correlation
from mixedmodels.errors import ControlError
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.inference import wald
from mixedmodels.inference.anova import AnovaTable, anova
from mixedmodels.inference.drop1 import drop1
from mixedmodels.inference.summary import Summary
from mixedmodels.reports.fit_text import print_text, rank_message
from mixedmodels.reports.html import preformatted
from mixedmodels.reports.numbers import percent_names


class FittedModel(Fit):
    """A fitted model as users hold it."""

    p_values = True

    def vcov(self) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects."""
        return self._labelled(self._fixed_covariance())

    def standard_errors(self) -> pd.Series:
        """Return the standard errors of the fixed effects."""
        return pd.Series(
            self._standard_errors(), index=list(self.design.x_names), name="Std. Error", dtype=float
        )

    def _test_df(self) -> float | None:
        """Return the degrees of freedom of the t tests of the summary; None for normal tests."""
        return None

    @property
    def statistic(self) -> str:
        """Name of the ratio of estimate and standard error in the summary, ``"t value"`` or ``"z value"``."""
        return "z value" if self._test_df() is None and self.p_values else "t value"

    def fitted(self) -> pd.Series:
        """Return the fitted means, the random effects at their conditional modes."""
        return self.by_row(self.mean, "fitted")

    def residuals(self, type: ResidualType | None = None, scaled: bool = False) -> pd.Series:
        """Return residuals.

        Parameters
        ----------
        type : {"response", "pearson", "deviance", "working"}, optional
            By default response for a linear model and deviance for a generalized one.
        scaled : bool
            Whether to divide by sigma.

        Raises
        ------
        ControlError
            If `type` is none of these.
        """
        allowed = get_args(ResidualType)
        chosen = type or ("response" if self.family() is None else "deviance")
        if chosen not in allowed:
            raise ControlError(f"type must be one of {', '.join(map(repr, allowed))}, not {type!r}.")
        values = self._raw_residuals(chosen)
        return self.by_row(values / self.sigma() if scaled else values, "residuals")

    def weights(self) -> pd.Series:
        """Return the prior weights; the numbers of trials included for a binomial."""
        return self.by_row(self.prior_weights, "weights")

    def confint(
        self, parm: str | list[str] | None = None, level: float = 0.95, method: Literal["Wald"] = "Wald"
    ) -> pd.DataFrame:
        """Return confidence intervals.

        Parameters
        ----------
        parm : str or list of str, optional
            Names of parameters; ``"beta_"`` for the fixed effects, ``"theta_"`` for the others.
        level : float
            Confidence level.
        method : {"Wald"}
            Normal intervals of the fixed effects; the covariance parameters have none (NaN).

        Raises
        ------
        ControlError
            If `method` or a name in `parm` is unknown.
        """
        if str(method).lower() != "wald":
            raise ControlError(f"method must be 'Wald', not {method!r}.")
        lower, upper = percent_names(level)
        se = self._standard_errors()
        table = pd.DataFrame(
            wald.wald_intervals(self.beta, se, level), index=list(self.design.x_names), columns=[lower, upper]
        )
        extra = pd.DataFrame(np.nan, index=self._covariance_names(), columns=table.columns)
        return _select(pd.concat([extra, table]) if len(extra) else table, parm, len(extra))

    def _covariance_names(self) -> list[str]:
        """Return R's names of the covariance parameters: ``.sig01``, ``.sigma``."""
        return []

    def model_frame(self) -> pd.DataFrame:
        """Return the variables of the model at the rows used."""
        return used_variables(self.data, self.design)

    def summary(self, correlation: bool | None = None) -> Summary:
        """Summarise the fit: ``print(m.summary())`` gives lme4's text.

        Parameters
        ----------
        correlation : bool, optional
            Whether to print the correlations of the fixed effects; by default for up to 12 coefficients.
        """
        covariance = self._fixed_covariance()
        df = self._test_df()
        table = wald.wald_table(self.beta, self._standard_errors(), self.p_values, df)
        letter = self.statistic[0]
        columns = ["Estimate", "Std. Error", self.statistic, *([f"Pr(>|{letter}|)"] * self.p_values)]
        return Summary(
            description=self._describe(),
            coefficients=pd.DataFrame(table, index=list(self.design.x_names), columns=columns),
            fixed_correlation=covariance_to_correlation(covariance),
            scaled_residuals=self._raw_residuals("pearson") / self.sigma(),
            show_correlation=correlation,
        )

    def anova(
        self, *others: FittedModel, refit: bool = True, model_names: Sequence[str] | None = None
    ) -> AnovaTable:
        """Compare this model with others, or tabulate its terms; see :func:`mixedmodels.anova`."""
        return anova(self, *others, refit=refit, model_names=model_names)

    def drop1(self) -> AnovaTable:
        """Test each fixed-effects term that no other one contains; see :func:`mixedmodels.drop1`."""
        return drop1(self)

    def __repr__(self) -> str:
        return print_text(self._describe(), self.design.x_names, self.beta)

    def _repr_html_(self) -> str:
        return preformatted(repr(self))

    # How texts and tables are put together.

    def _labelled(self, matrix: FloatArray) -> pd.DataFrame:
        names = list(self.design.x_names)
        return pd.DataFrame(matrix, index=names, columns=names)

    def _notes(self) -> tuple[str, ...]:
        """Return what the text says about rows that do not count."""
        dropped = self.design.missing.n_dropped
        zero = len(self.y) - self.nobs()
        notes = []
        if dropped:
            notes.append(f"{dropped} observation{'s' * (dropped > 1)} deleted due to missingness")
        if zero:
            notes.append(f"{zero} observation{'s' * (zero > 1)} with zero weight")
        return tuple(notes)

    def _fit_warnings(self) -> tuple[str, ...]:
        dropped = self.design.dropped
        return (rank_message(len(dropped)),) if dropped else ()

    def _likelihood_criteria(self) -> Mapping[str, float]:
        loglik = self.loglik()
        return {
            "AIC": self.aic(),
            "BIC": self.bic(),
            "logLik": loglik,
            "-2*log(L)": -2.0 * loglik,
            "df.resid": float(self.df_residual()),
        }


def _select(table: pd.DataFrame, parm: str | list[str] | None, n_covariance: int) -> pd.DataFrame:
    """Return the rows of `table` that `parm` names."""
    if parm is None:
        return table
    if parm == "beta_":
        return table.iloc[n_covariance:]
    if parm == "theta_":
        return table.iloc[:n_covariance]
    names = [parm] if isinstance(parm, str) else list(parm)
    unknown = [name for name in names if name not in table.index]
    if unknown:
        raise ControlError(
            f"parm {unknown[0]!r} is not a parameter of this model; parameters are "
            f"{', '.join(map(str, table.index))}, or 'beta_' and 'theta_' for all of a kind."
        )
    return table.loc[names]
