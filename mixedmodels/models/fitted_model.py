"""What linear, generalized and plain generalized models have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError
from mixedmodels.formula.design import Design
from mixedmodels.inference import comparison, wald
from mixedmodels.inference.variance_components import covariance_to_correlation
from mixedmodels.models.call import Call
from mixedmodels.models.columns import column_terms
from mixedmodels.models.data import columns_in_use, used_variables
from mixedmodels.models.summary import Summary
from mixedmodels.reports.fit_text import FitDescription, print_text, rank_message
from mixedmodels.reports.formula_text import shown_formula
from mixedmodels.reports.html import preformatted
from mixedmodels.reports.numbers import percent_names

if TYPE_CHECKING:
    from mixedmodels.families.family import Family
    from mixedmodels.models.anova import AnovaTable

ResidualType = Literal["response", "pearson", "deviance", "working"]


class FittedModel:
    """A fitted model: its design, its response and what follows from its fixed effects.

    Parameters
    ----------
    design : Design
        Arrays of the model.
    y : ndarray, shape (n,)
        Response as the engine saw it.
    prior_weights : ndarray, shape (n,)
        Prior weights; the number of trials included for a binomial.
    call : Call
        How the model was asked for.
    data : table
        The data given, as :func:`mixedmodels.models.data.keep` returns them.
    """

    p_values = True
    design: Design
    y: FloatArray
    prior_weights: FloatArray
    call: Call
    data: Any

    def __init__(
        self, design: Design, y: FloatArray, prior_weights: FloatArray, call: Call, data: Any
    ) -> None:
        self.design = design
        self.y = y
        self.prior_weights = prior_weights
        self.call = call
        self.data = data

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is rebuilt from the design, and columns the model does not use."""
        state = {name: value for name, value in self.__dict__.items() if name != "problem"}
        return state | {"data": columns_in_use(self.data, self.design)}

    # What a kind of model must say about itself.

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        raise NotImplementedError

    @property
    def phi(self) -> FloatArray:
        """Parameters of the family, shape (n_phi,); empty for a linear model."""
        return np.empty(0)

    @property
    def npar(self) -> int:
        """Number of parameters that were estimated."""
        raise NotImplementedError

    @property
    def linear_predictor(self) -> FloatArray:
        """Linear predictor of each row used, offset included, shape (n,)."""
        raise NotImplementedError

    @property
    def mean(self) -> FloatArray:
        """Fitted mean of each row used, shape (n,)."""
        raise NotImplementedError

    def _fixed_covariance(self) -> FloatArray:
        """Return the covariance of beta that summaries use, shape (p, p)."""
        raise NotImplementedError

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        """Return residuals of one type, not divided by sigma, shape (n,)."""
        raise NotImplementedError

    def _describe(self) -> FitDescription:
        """Return what the printed text shows."""
        raise NotImplementedError

    def family(self) -> Family | None:
        """Return the family; None for a linear model."""
        return None

    def sigma(self) -> float:
        """Return the residual standard deviation; 1 for families without a dispersion."""
        raise NotImplementedError

    def loglik(self) -> float:
        """Return the log-likelihood (of a REML fit, minus half the REML criterion)."""
        raise NotImplementedError

    # What follows.

    def formula(self) -> str:
        """Return the formula as R prints it."""
        return shown_formula(self.design.formula)

    def terms(self) -> list[str]:
        """Return the labels of the fixed-effects terms, in R's order."""
        labels = column_terms(self.design.recipe.fixed)
        return list(dict.fromkeys(label for label in labels if label != "(Intercept)"))

    def fixef(self, add_dropped: bool = False) -> pd.Series:
        """Return the fixed effects.

        Parameters
        ----------
        add_dropped : bool
            Whether to list columns dropped from a rank-deficient model matrix, with value NaN.
        """
        values = pd.Series(self.beta, index=list(self.design.x_names), name="Estimate", dtype=float)
        if not add_dropped or not self.design.dropped:
            return values
        return values.reindex([*self.design.x_names, *self.design.dropped])

    def vcov(self) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects."""
        return self._labelled(self._fixed_covariance())

    def standard_errors(self) -> pd.Series:
        """Return the standard errors of the fixed effects."""
        return pd.Series(
            self._standard_errors(), index=list(self.design.x_names), name="Std. Error", dtype=float
        )

    def _standard_errors(self) -> FloatArray:
        return np.sqrt(np.diag(self._fixed_covariance()))

    def _test_df(self) -> float | None:
        """Return the degrees of freedom of the t tests of the summary; None for normal tests."""
        return None

    @property
    def statistic(self) -> str:
        """Name of the ratio of estimate and standard error in the summary, ``"t value"`` or ``"z value"``."""
        return "z value" if self._test_df() is None and self.p_values else "t value"

    def nobs(self) -> int:
        """Return the number of observations, those of zero weight left out."""
        return int(np.count_nonzero(self.prior_weights > 0))

    def df_residual(self) -> int:
        """Return the number of observations minus the number of parameters."""
        return self.nobs() - self.npar

    def aic(self) -> float:
        """Return Akaike's information criterion."""
        return comparison.akaike(self.loglik(), self.npar)

    def bic(self) -> float:
        """Return Schwarz's information criterion, with the number of observations."""
        return comparison.schwarz(self.loglik(), self.npar, self.nobs())

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
        allowed = ("response", "pearson", "deviance", "working")
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
        # The comparison knows all kinds of models, each of which is one of these: import it when asked.
        from mixedmodels.models.anova import anova

        return anova(self, *others, refit=refit, model_names=model_names)

    def drop1(self) -> AnovaTable:
        """Test each fixed-effects term that no other one contains; see :func:`mixedmodels.drop1`."""
        from mixedmodels.models.drop1 import drop1

        return drop1(self)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return print_text(self._describe(), self.design.x_names, self.beta)

    def _repr_html_(self) -> str:
        return preformatted(repr(self))

    # How texts and tables are put together.

    def _labelled(self, matrix: FloatArray) -> pd.DataFrame:
        names = list(self.design.x_names)
        return pd.DataFrame(matrix, index=names, columns=names)

    def by_row(self, values: FloatArray, name: str) -> pd.Series:
        """Label values by the rows of the data; with na_action="exclude", NaN at the rows dropped."""
        missing = self.design.missing
        if missing.action != "exclude" or not missing.n_dropped:
            return pd.Series(values, index=self.design.index, name=name)
        padded = np.full(missing.n_input, np.nan)
        padded[missing.kept] = values
        return pd.Series(padded, index=missing.input_index, name=name)

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
