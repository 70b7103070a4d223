"""The nonlinear mixed model, as fitted by ``nlmer``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import check_response_varies, identified, warn_unless_converged
from mixedmodels.control import one_of, true_or_false
from mixedmodels.engines.linear.reml import evaluate
from mixedmodels.engines.nonlinear.estimates import Method, NonlinearEstimates
from mixedmodels.engines.nonlinear.fit import fit_nonlinear
from mixedmodels.engines.nonlinear.lindstrom_bates import Criterion, fit_linearised, independent_step
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.call import Call
from mixedmodels.fits.new_response import response_values
from mixedmodels.fits.nonlinear import NonlinearFit, problem_of
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.nonlinear import NonlinearDesign
from mixedmodels.inference.fixed_effects import Ddf
from mixedmodels.inference.robust import RobustType
from mixedmodels.inference.summary import Summary
from mixedmodels.missing import NA
from mixedmodels.models.mixed_model import MixedModel
from mixedmodels.prediction.draws import Seed
from mixedmodels.prediction.nonlinear import predict_nonlinear, simulate_nonlinear
from mixedmodels.prediction.re_form import ReForm
from mixedmodels.prediction.request import (
    DfOfLimits,
    IntervalType,
    NewNaAction,
    PredictionRequest,
    PredictionType,
)
from mixedmodels.prediction.simulate import one_generator
from mixedmodels.reports.fit_text import FitDescription

VcovMethod = Literal["hessian", "rx"]


def estimated(
    nonlinear: NonlinearDesign,
    y: FloatArray,
    beta: FloatArray,
    *,
    method: Method,
    REML: Criterion = False,
    nAGQ: int = 1,
    observed: bool = False,
    theta: FloatArray | None = None,
    u: tuple[FloatArray, ...] | None = None,
) -> NonlinearEstimates:
    """Return the estimates of a nonlinear design with a response; arguments as for the two engines."""
    problem = problem_of(nonlinear, y)
    if method == "lindstrom-bates":
        step = independent_step(nonlinear.design.weights, REML)
        return fit_linearised(problem, beta, step, REML is not False)
    return fit_nonlinear(problem, beta, theta, nAGQ=nAGQ, observed=observed, u=u)


class NonlinearMixedModel(MixedModel, NonlinearFit):
    """A fitted nonlinear mixed model.

    Made by :func:`mixedmodels.nlmer`. Estimates and design are stored; everything else is derived.

    Parameters
    ----------
    nonlinear : NonlinearDesign
        Arrays of the model, and its mean.
    y : ndarray, shape (n,)
        Response.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    estimates : NonlinearEstimates
        The fit.
    """

    _with_p_values = False

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
            A cluster-robust covariance of the linear model around the estimates, as for
            :meth:`FittedModel.vcov`.
        full : bool
            Whether to return the joint covariance of prediction errors of (b, beta) instead, dense.
        method : {"hessian", "rx"}, optional
            From the Hessian of the likelihood in fixed effects and covariance parameters (the default), or
            from the linear model around the estimates, theta as known: what lme4 falls back on, and what nlme
            has, whose method="lindstrom-bates" has no other.

        Returns
        -------
        DataFrame

        Raises
        ------
        ControlError
            If `method` is neither.
        NotAvailableError
            If the Hessian is asked for and there is none, or it is not positive definite.
        """
        one_of("method", method, (None, "hessian", "rx"))
        if full or type is not None or cluster is not None:
            return super().vcov(type, cluster, full)
        if method == "hessian" and self.estimates.covariance is None:
            raise NotAvailableError(
                "there is no positive definite Hessian of the likelihood; vcov(method='rx') is the "
                "covariance of the linear model around the estimates."
            )
        return self._labelled(
            self.sigma() ** 2 * self.unscaled_vcov if method == "rx" else self._fixed_covariance()
        )

    def summary(self, correlation: bool | None = None, ddf: Ddf | None = None, vcov: Any = None) -> Summary:
        """Summarise the fit: ``print(m.summary())`` gives lme4's text, without p-values unless asked for.

        Parameters
        ----------
        correlation : bool, optional
            Whether to print the correlations of the fixed effects; by default for up to 12 coefficients.
        ddf : {None, "z", "residual"}
            Degrees of freedom of tests, None for lme4's table of t values alone.
        vcov : {"CR0", ..., "CR3"} or array of shape (p, p), optional
            Another covariance of the fixed effects.
        """
        return super().summary(correlation, ddf, vcov)

    def deviance(self) -> float:
        """Return -2 log-likelihood.

        Raises
        ------
        NotAvailableError
            If the REML criterion was taken.
        """
        if self.is_reml:
            raise NotAvailableError("a REML fit has no deviance; see REMLcrit(), or fit with REML=False.")
        return self.estimates.objective

    def REMLcrit(self) -> float:
        """Return the REML criterion of the linear model around the estimates.

        Raises
        ------
        NotAvailableError
            If the model was fitted by maximum likelihood.
        """
        return self.estimates.objective if self.is_reml else super().REMLcrit()

    def _fixed_matrix(self, newdata: Any) -> pd.DataFrame:
        if newdata is not None:
            raise NotAvailableError(
                "the model matrix of a nonlinear mixed model has the derivatives of its mean at the "
                "estimates, at the rows of the fit alone: leave out newdata=."
            )
        return super()._fixed_matrix(newdata)

    # Prediction.

    def predict(  # type: ignore[override]
        self,
        newdata: Any = None,
        re_form: ReForm = None,
        type: PredictionType = "response",
        allow_new_levels: bool = False,
        se_fit: bool = False,
        *,
        interval: IntervalType | None = None,
        level: float = 0.95,
        df: DfOfLimits = None,
        weights: Any = None,
        na_action: NewNaAction = "pass",
    ) -> pd.Series | pd.DataFrame:
        """Predict means, of groups or of the population.

        Parameters
        ----------
        newdata : DataFrame or other table, optional
            New rows; by default those of the fit.
        re_form : None, mm.NA, False, "~0" or a formula such as "~(Asym | Tree)"
            Random effects to condition on: all (None), none (the curve of a group whose effects are zero), or
            those named.
        type : {"response", "link"}
            The same: there is no link.
        allow_new_levels : bool
            Whether levels that were not in the data are allowed, their random effects zero.
        se_fit : bool
            Whether to return standard errors, by the delta method, beside the means.
        interval : {"confidence", "prediction"}, optional
            Limits of the means, or of new responses, to first order.
        level : float
            Their probability.
        df : float, optional
            Degrees of freedom of t quantiles, by default normal ones.
        weights : number, array_like or str, optional
            Prior weights of new rows, in place of those that the columns of the fit give.
        na_action : {"pass", "exclude", "omit", "fail"}
            New rows with missing values: NaN, left out, or refused.

        Returns
        -------
        Series or DataFrame
            ``fit``, and where asked for ``se_fit``, ``lower`` and ``upper``, by the labels of the rows.

        Raises
        ------
        DataError
            If a column is missing, or a level is new and not allowed.
        FormulaError
            If `re_form` names random effects that the model does not have.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> curve = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"
        >>> m = mm.nlmer(curve, mm.load_dataset("Orange"))
        >>> m.predict({"age": [500, 1000], "Tree": ["1", "1"]}).round(1).tolist()
        [55.6, 111.5]
        """
        request = PredictionRequest(
            type, allow_new_levels, False, None, weights, se_fit, interval, level, df, na_action
        )
        if df == "satterthwaite":
            raise NotAvailableError("df='satterthwaite' is for linear mixed models; give a number.")
        return predict_nonlinear(self, newdata, re_form, request)

    def simulate(  # type: ignore[override]
        self,
        nsim: int = 1,
        seed: Seed = None,
        use_u: bool = False,
        re_form: ReForm = NA,
        newdata: Any = None,
        allow_new_levels: bool = False,
        *,
        weights: Any = None,
        rng: Seed = None,
    ) -> pd.DataFrame:
        """Simulate responses.

        Parameters
        ----------
        nsim : int
            Number of simulated responses.
        seed, rng : int or numpy Generator, optional
            Seed of the random numbers.
        use_u : bool
            Whether to keep the random effects at their conditional modes; by default they are drawn.
        re_form : None, mm.NA, False, "~0" or a formula
            Random effects to keep at their conditional modes.
        newdata : DataFrame or other table, optional
            Rows to simulate at.
        allow_new_levels : bool
            Whether a level that was not in the data is allowed; its effects are drawn.
        weights : number, array_like or str, optional
            Prior weights of new rows.

        Returns
        -------
        DataFrame
            Columns sim_1, sim_2, ...

        Raises
        ------
        ControlError
            If both `use_u` and `re_form` are given.
        """
        true_or_false(use_u=use_u, allow_new_levels=allow_new_levels)
        if use_u and re_form is not NA:
            raise ControlError("should specify only one of 'use_u' and 're_form'.")
        kept: ReForm = None if use_u else re_form
        return simulate_nonlinear(
            self, nsim, one_generator(seed, rng), newdata, kept, allow_new_levels, weights
        )

    # Related fits.

    @classmethod
    def judged(
        cls, nonlinear: NonlinearDesign, y: FloatArray, call: Call, data: Any, estimates: NonlinearEstimates
    ) -> Self:
        """Return the model with the verdict on whether design and data identify its parameters, and warn.

        What random effects can be told apart is asked of the linear model around the estimates.
        """
        model = cls(nonlinear, y, call, data, estimates)
        verdict = identified(
            estimates.convergence, model.design, estimates.theta, model.design.weights,
            REML=False, residual=True, objective=partial(evaluate, model.problem, REML=False),
        )  # fmt: skip
        model.estimates = replace(estimates, convergence=verdict)
        warn_unless_converged(verdict)
        return model

    def refit(self, newresp: Any) -> Self:
        """Fit the same model to another response.

        Parameters
        ----------
        newresp : array_like, shape (n,)
            New values of the response at the rows used, or at all input rows.

        Raises
        ------
        DataError
            If the length is wrong or a value is not finite.
        """
        y = response_values(newresp, self.nonlinear.design)
        check_response_varies(y, self.design.response.text)
        return self._fitted_to(self.nonlinear, y)

    def refitML(self) -> Self:
        """Fit the same model by maximum likelihood."""
        return self._fitted_to(self.nonlinear, self.y, REML=False) if self.is_reml else self

    def with_design(self, design: Design) -> Self:
        """Refuse: the columns of a nonlinear model belong to parameters of its mean."""
        raise NotAvailableError(
            "terms of a nonlinear mixed model are not dropped one by one; fit the other model with nlmer() "
            "and compare the two with anova()."
        )

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> Self:
        """Refuse: rows of a nonlinear model are rows of its mean, which a design does not hold."""
        raise NotAvailableError(
            "refits of a nonlinear mixed model without some of its rows are fits of nlmer() with subset=."
        )

    def _fitted_to(self, nonlinear: NonlinearDesign, y: FloatArray, REML: bool | None = None) -> Self:
        e = self.estimates
        theta = None if self.is_singular() else e.theta
        found = estimated(
            nonlinear, y, e.beta, method=e.method, REML=e.REML if REML is None else REML, nAGQ=e.nAGQ,
            observed=e.observed, theta=theta,
        )  # fmt: skip
        return type(self).judged(nonlinear, y, self.call, self.data, found)

    # Text.

    def _describe(self) -> FitDescription:
        e = self.estimates
        method = "REML" if self.is_reml else "maximum likelihood "
        criteria: Mapping[str, float] = {"REML": e.objective} if self.is_reml else self._likelihood_criteria()
        return FitDescription(
            title=f"Nonlinear mixed model fit by {method}{_approximation(e)}",
            class_name="nlmerMod",
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
        )


def _approximation(estimates: NonlinearEstimates) -> str:
    """Return how the likelihood is approximated, where that is not lme4's way."""
    if estimates.method == "lindstrom-bates":
        return " (Lindstrom-Bates)" if estimates.REML else "(Lindstrom-Bates)"
    return f"(Adaptive Gauss-Hermite Quadrature, nAGQ = {estimates.nAGQ})" if estimates.nAGQ > 1 else ""
