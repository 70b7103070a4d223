"""What users ask of any fitted model: tables, texts, comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.advice import unknown_attribute
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.deferred import first_used, on_first_use
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.models.shown_names import shown_names

with on_first_use():
    from mixedmodels.covariance import term_covariance
    from mixedmodels.diagnostics import leverage, residuals
    from mixedmodels.formula.design import new_data
    from mixedmodels.inference import (
        anova,
        confint,
        drop1,
        fixed_effects,
        hypotheses,
        linear_hypothesis,
        robust,
        summary,
        wald,
    )
    from mixedmodels.inference.emmeans import means, term_tests, trends
    from mixedmodels.models import stripped
    from mixedmodels.plots import overview
    from mixedmodels.prediction import predict
    from mixedmodels.reports import fit_text, page
    from mixedmodels.tidy import augment, glance, maketables, report, tidy

if TYPE_CHECKING:
    from mixedmodels.diagnostics.residuals import LeverageType
    from mixedmodels.inference.anova import AnovaTable
    from mixedmodels.inference.bootstrap_intervals import IntervalType
    from mixedmodels.inference.confint import ConfidenceIntervals
    from mixedmodels.inference.fixed_effects import Ddf
    from mixedmodels.inference.hypotheses import Convention
    from mixedmodels.inference.hypothesis_tables import Hypotheses
    from mixedmodels.inference.linear_hypothesis import LinearHypothesis
    from mixedmodels.inference.robust import RobustType
    from mixedmodels.inference.summary import Summary
    from mixedmodels.models.stripped import StrippedModel
    from mixedmodels.prediction.draws import Seed

#: Accessors whose answers a model without its data keeps.
KEPT_ANSWERS = (
    "fixef", "vcov", "standard_errors", "VarCorr", "ranef", "coef", "theta", "sigma", "family", "formula",
    "terms", "ngrps", "nobs", "df_residual", "convergence", "is_singular", "family_parameters",
    "glance", "tidy",
)  # fmt: skip


@lru_cache(maxsize=64)
def _index_of(names: tuple[str, ...]) -> pd.Index:
    """Return names as an index, which takes pandas longer to make than a small matrix to compute."""
    return pd.Index(names)


class FittedModel(Fit):
    """A fitted model as users hold it."""

    _with_p_values = True

    # Type checkers know the names by themselves, and would take any other one for granted.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what to write in place of a name that models do not have."""
            if hasattr(type(self), name):  # a property that failed: let its own error be seen
                return object.__getattribute__(self, name)
            raise unknown_attribute(self, name)

    def __dir__(self) -> list[str]:
        """List what users ask for; arrays of the fit are there as well, and documented, but not listed."""
        return shown_names(type(self), super().__dir__())

    def vcov(self, type: RobustType | None = None, cluster: Any = None) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        type : {"CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3"}, optional
            A cluster-robust covariance (:func:`mixedmodels.inference.robust.robust_covariance`); by default
            that of the model.
        cluster : str or array_like, optional
            Clusters of a robust covariance.

        Returns
        -------
        DataFrame, shape (p, p)
            By name of coefficient.

        Raises
        ------
        ControlError, DataError, NotAvailableError
            If `type` or `cluster` is unknown, or the clusters are not independent.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.vcov().loc["Days"].round(3).tolist()
        [-1.451, 2.389]
        """
        if type is not None or cluster is not None:
            return robust.robust_covariance(self, type or "CR2", cluster)
        return self._labelled(self._fixed_covariance())

    def standard_errors(self) -> pd.Series[float]:
        """Return the standard errors of the fixed effects.

        Returns
        -------
        Series

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.standard_errors().round(3).tolist()
        [6.825, 1.546]
        """
        return pd.Series(
            self._standard_errors(), index=list(self.design.x_names), name="Std. Error", dtype=float
        )

    @property
    def statistic(self) -> str:
        """Name of the ratio of estimate and standard error in the summary, ``"t value"`` or ``"z value"``."""
        return "z value" if self.test_df is None and self._with_p_values else "t value"

    def fitted(self) -> pd.Series[float]:
        """Return the fitted means, the random effects at their conditional modes.

        Returns
        -------
        Series
            By the labels of the rows.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.fitted().head(3).round(2).tolist()
        [253.66, 273.33, 293.0]
        """
        return self.by_row(self.mean, "fitted")

    def residuals(
        self, type: ResidualType | LeverageType | None = None, scaled: bool = False
    ) -> pd.Series[float]:
        """Return residuals.

        Parameters
        ----------
        type : {"response", "pearson", "deviance", "working", "standardized", "studentized"}, optional
            By default response for a linear model and deviance for a generalized one.
        scaled : bool
            Whether to divide by sigma.

        Returns
        -------
        Series
            By the labels of the rows.

        Raises
        ------
        ControlError
            If `type` is none of these.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.residuals().head(3).round(2).tolist()
        [-4.1, -14.63, -42.2]
        >>> m.residuals("pearson", scaled=True).head(3).round(2).tolist()
        [-0.16, -0.57, -1.65]
        """
        return self.by_row(residuals.residuals(self, type, scaled), "residuals")

    def rstandard(self) -> pd.Series[float]:
        """Return deviance residuals divided by their standard deviations; NaN where the leverage is 1.

        Returns
        -------
        Series
            By the labels of the rows.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.rstandard().head(3).round(3).tolist()
        [-0.183, -0.627, -1.764]
        """
        return self.by_row(residuals.rstandard(self), "rstandard")

    def rstudent(self) -> pd.Series[float]:
        """Return studentized residuals as lme4 or, without random effects, R; NaN where the leverage is 1.

        Those of a mixed model have the sigma of the fit; ``influence(m)`` refits without each row.

        Returns
        -------
        Series
            By the labels of the rows.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.rstudent().head(3).round(3).tolist()
        [-0.183, -0.627, -1.764]
        """
        return self.by_row(residuals.rstudent(self), "rstudent")

    def hatvalues(self) -> pd.Series[float]:
        """Return the leverages of the rows at the estimated covariance parameters.

        For a generalized model, those of the last weighted least-squares problem.

        Returns
        -------
        Series
            By the labels of the rows.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.hatvalues().head(3).round(3).tolist()
        [0.229, 0.17, 0.127]
        """
        return self.by_row(leverage.leverages_of(self), "hat")

    def cooks_distance(self) -> pd.Series[float]:
        """Return Cook's distance of each row from its leverage, the covariance parameters as they are.

        That of refits without rows or groups is ``influence(m, groups).cooks_distance()``.

        Returns
        -------
        Series
            By the labels of the rows.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.cooks_distance().idxmax()
        59
        """
        return self.by_row(residuals.cooks_distances(self), "cooks_distance")

    def weights(self) -> pd.Series[float]:
        """Return the prior weights; the numbers of trials included for a binomial.

        Returns
        -------
        Series
            By the labels of the rows.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> ticks = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> m = mm.glmer(ticks, mm.load_dataset("cbpp"), "binomial")
        >>> m.weights().head(3).tolist()
        [14.0, 12.0, 9.0]
        """
        return self.by_row(np.array(self.prior_weights), "weights")

    def confint(
        self,
        parm: str | int | Sequence[str | int] | None = None,
        level: float = 0.95,
        method: Literal["profile", "Wald", "boot"] | None = None,
        signames: bool = True,
        *,
        nsim: int | None = None,
        rng: Seed = None,
        type: IntervalType | None = None,
        n_jobs: int = 1,
        progress: bool | None = None,
    ) -> ConfidenceIntervals:
        """Return confidence intervals of the parameters.

        Parameters
        ----------
        parm : str, int or sequence of them, optional
            Names, or numbers counted from 0; ``"beta_"`` is all fixed effects, ``"theta_"`` all others.
        level : float
            Confidence level.
        method : {"profile", "Wald", "boot"}, optional
            Where -2 log-likelihood (of maximum likelihood, also for a REML fit, as in lme4) has risen by the
            quantile of chi-squared, all other parameters refitted: the default of a mixed model. Or estimate
            and standard error, with quantiles of the normal distribution, or of t where the summary has t
            tests with p-values; standard deviations on the logarithmic scale, correlations on Fisher's z. Or
            from the replicates of a parametric :func:`~mixedmodels.bootstrap`, which has more kinds.
        signames : bool
            Whether covariance parameters are named ``.sig01``, ``.sigma``, or else at length,
            ``sd_(Intercept)|Subject``.
        nsim, rng, n_jobs : optional
            As for :func:`~mixedmodels.bootstrap`, by default 1,000 replicates.
        progress : bool, optional
            Whether to draw a bar; by default where tqdm is installed and a terminal or notebook is there, of
            a profile after three seconds. Ctrl-C returns the limits that are found, with a warning.
        type : {"percentile", "basic", "bca", "shortest"}, optional
            How limits are read from replicates, by default as their quantiles.

        Returns
        -------
        ConfidenceIntervals
            A DataFrame of limits; its ``notes`` name the intervals that end at a bound.

        Raises
        ------
        ControlError
            If `method` or a name in `parm` is unknown, or `nsim` is given to a method without replicates.
        NotAvailableError
            If the fit has no likelihood of the parameters asked for.
        ConvergenceError
            If the fit is not at its optimum.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.confint(parm="beta_", method="Wald").round(2).loc["Days"].tolist()
        [7.44, 13.5]
        """
        options = confint.BootOptions(nsim, rng, type, n_jobs, progress)
        return confint.confint(self, parm, level, method, signames, options)

    def model_matrix(self, type: Literal["fixed"] = "fixed", newdata: Any = None) -> pd.DataFrame:
        """Return the fixed-effects model matrix, X, as a DataFrame.

        Parameters
        ----------
        type : {"fixed"}
            There is no other.
        newdata : DataFrame or other table, optional
            Rows to build it for; by default those of the fit.

        Raises
        ------
        ControlError
            If `type` is something else.
        DataError
            If a variable is missing in the new rows.
        """
        one_of("type", type, ("fixed",), "; new rows are newdata=")
        return self._fixed_matrix(newdata)

    def _fixed_matrix(self, newdata: Any) -> pd.DataFrame:
        X, index = self.design.X, self.design.index
        if newdata is not None:
            X, _ = new_data.fixed_matrix(self.design, newdata)
            index = predict.row_labels(newdata, len(X))
        return pd.DataFrame(X, index=index, columns=list(self.design.x_names))

    def model_frame(self) -> pd.DataFrame:
        """Return the variables of the model at the rows used.

        Returns
        -------
        DataFrame

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> list(m.model_frame().columns)
        ['Reaction', 'Days', 'Subject']
        """
        return used_variables(self.data, self.design)

    def summary(
        self, correlation: bool | None = None, ddf: Ddf | None = "default", vcov: Any = None
    ) -> Summary:
        """Summarise the fit: ``print(m.summary())`` gives lmerTest's text of a linear mixed model, else R's.

        Parameters
        ----------
        correlation : bool, optional
            Whether to print the correlations of the fixed effects; by default for up to 12 coefficients. Not
            used by the text of a linear model.
        ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z", None}
            Degrees of freedom of the tests. By default Satterthwaite's for a linear mixed model; None gives
            lme4's table, which has no p-values for it.
        vcov : {"CR0", ..., "CR3"} or array of shape (p, p), optional
            Another covariance of the fixed effects; a robust one brings its own degrees of freedom.

        Returns
        -------
        Summary
            Prints itself; `coefficients` is its table.

        Raises
        ------
        ControlError
            If `ddf` or `vcov` is none of these.
        NotAvailableError
            If the method does not exist for this kind of model.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.summary().coefficients.loc["Days"].round(3).to_dict()
        {'Estimate': 10.467, 'Std. Error': 1.546, 'df': 17.0, 't value': 6.771, 'Pr(>|t|)': 0.0}
        """
        plain = self._plain_summary(correlation)
        own = ddf is None or (isinstance(ddf, str) and ddf == "default" and self._with_p_values)
        if vcov is None and own:
            return plain
        fixed = fixed_effects.fixed_effects(self, "default" if ddf is None else ddf, vcov)
        return summary.tested_by(plain, fixed, own_covariance=vcov is None)

    def _scaled_residuals(self) -> FloatArray | None:
        """Return the residuals whose quantiles a summary shows; None for a fit that has none."""
        return self._raw_residuals("pearson") / self.sigma()

    def _plain_summary(self, correlation: bool | None) -> Summary:
        return summary.Summary(
            description=self._describe(),
            coefficients=self._coefficient_table(),
            fixed_correlation=term_covariance.covariance_to_correlation(self._fixed_covariance()),
            scaled_residuals=self._scaled_residuals(),
            show_correlation=correlation,
        )

    def _coefficient_table(self) -> pd.DataFrame:
        """Return estimates, standard errors and tests of the fixed effects."""
        table = wald.wald_table(self.beta, self._standard_errors(), self._with_p_values, self.test_df)
        letter = self.statistic[0]
        columns = ["Estimate", "Std. Error", self.statistic, *([f"Pr(>|{letter}|)"] * self._with_p_values)]
        return pd.DataFrame(table, index=list(self.design.x_names), columns=columns)

    def anova(
        self,
        *others: FittedModel,
        refit: bool = True,
        model_names: Sequence[str] | None = None,
        type: object = None,
        ddf: Ddf | None = "default",
        test: Literal["F", "Chisq"] | None = None,
        vcov: Any = None,
        bounds: bool = False,
    ) -> AnovaTable:
        """Compare this model with others, or test its terms; see :func:`mixedmodels.anova`."""
        return anova.anova(
            self, *others, refit=refit, model_names=model_names, type=type, ddf=ddf, test=test, vcov=vcov,
            bounds=bounds,
        )  # fmt: skip

    def drop1(
        self, test: Literal["Chisq", "F"] = "Chisq", ddf: Ddf = "default", vcov: Any = None
    ) -> AnovaTable:
        """Test each fixed-effects term that no other one contains; see :func:`mixedmodels.drop1`."""
        return drop1.drop1(self, test=test, ddf=ddf, vcov=vcov)

    def hypotheses(self, type: object = 3, convention: Convention = "lmerTest") -> Hypotheses:
        """Return the hypothesis that each term is tested by; see :func:`mixedmodels.hypotheses`."""
        return hypotheses.hypotheses(self, type, convention)

    def linear_hypothesis(
        self,
        hypotheses: Any,
        rhs: Any = None,
        test: Literal["F", "Chisq"] | None = None,
        ddf: Ddf = "default",
        vcov: Any = None,
    ) -> LinearHypothesis:
        """Test linear hypotheses about the fixed effects; see :func:`mixedmodels.linear_hypothesis`."""
        return linear_hypothesis.linear_hypothesis(self, hypotheses, rhs=rhs, test=test, ddf=ddf, vcov=vcov)

    # Functions that take a model first are methods as they stand.
    emmeans = first_used(lambda: means.emmeans)
    emtrends = first_used(lambda: trends.emtrends)
    joint_tests = first_used(lambda: term_tests.joint_tests)
    tidy = first_used(lambda: tidy.tidy)
    glance = first_used(lambda: glance.glance)
    augment = first_used(lambda: augment.augment)
    report = first_used(lambda: report.report)
    plot = first_used(lambda: overview.plot)

    def strip(self) -> StrippedModel:
        """Return the results without the data: kilobytes when pickled, predictions at new rows included.

        What would need the data says so.
        """
        answers: dict[str, Any] = {}
        for name in KEPT_ANSWERS:
            with suppress(NotAvailableError):  # what this fit cannot say, it does not keep
                if hasattr(type(self), name):
                    answers[name] = getattr(self, name)()
        return stripped.StrippedModel(self, answers, (repr(self), repr(self.summary())))

    # The protocol of the package maketables.

    @property
    def __maketables_coef_table__(self) -> pd.DataFrame:
        return maketables.coefficient_frame(self)

    @property
    def __maketables_depvar__(self) -> str:
        return self.design.response.text

    @property
    def __maketables_vcov_info__(self) -> dict[str, Any]:
        return {"vcov_type": "model-based"}

    @property
    def __maketables_default_stat_keys__(self) -> list[str]:
        return list(maketables.statistics_of(self))

    @property
    def __maketables_stat_labels__(self) -> dict[str, str]:
        return maketables.statistic_labels(maketables.statistics_of(self))

    def __maketables_stat__(self, key: str) -> float | int | None:
        return maketables.statistics_of(self).get(key)

    def __repr__(self) -> str:
        return fit_text.print_text(self._describe(), self.design.x_names, self.beta)

    def _repr_html_(self) -> str:
        return page.html_of(repr(self))

    # How texts and tables are put together.

    def _labelled(self, matrix: FloatArray) -> pd.DataFrame:
        names = _index_of(self.design.x_names)
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
        return (fit_text.rank_message(len(dropped)),) if dropped else ()

    def _likelihood_criteria(self) -> Mapping[str, float]:
        loglik = self.loglik()
        return {
            "AIC": self.aic(),
            "BIC": self.bic(),
            "logLik": loglik,
            "-2*log(L)": -2.0 * loglik,
            "df.resid": float(self.df_residual()),
        }
