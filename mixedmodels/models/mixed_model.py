"""What users ask of any fitted mixed model: everything about the random effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pandas as pd

from mixedmodels.control import one_of
from mixedmodels.diagnostics.leverage import leverages
from mixedmodels.diagnostics.singular import SINGULAR_TOLERANCE, is_singular
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.mixed_model_equations import joint_covariance
from mixedmodels.inference.anova import AnovaTable
from mixedmodels.inference.fixed_effects import Ddf, fixed_effects
from mixedmodels.inference.get_me import get_me
from mixedmodels.inference.profile.profile import profile
from mixedmodels.inference.profile.result import Profile, ProfileScale
from mixedmodels.inference.ranef import RandomEffects, coefficients_by_group, tables_by_group
from mixedmodels.inference.ranova import ranova
from mixedmodels.inference.robust import RobustType
from mixedmodels.inference.summary import Summary, with_tests
from mixedmodels.inference.varcorr import VarCorr
from mixedmodels.inference.wald import table_of_tests
from mixedmodels.models.fitted_model import FittedModel
from mixedmodels.prediction.averaged import predict_average
from mixedmodels.prediction.draws import Seed
from mixedmodels.prediction.predict import new_random_matrix, predict
from mixedmodels.prediction.re_form import ReForm
from mixedmodels.prediction.simulate import UNSET, simulate
from mixedmodels.reports.fit_text import SINGULAR_NOTE


class MixedModel(FittedModel, MixedFit):
    """A model with random effects; see :class:`LinearMixedModel` and :class:`GeneralizedLinearMixedModel`."""

    # Random effects and their covariance.

    def VarCorr(self) -> VarCorr:
        """Return variances, standard deviations and correlations of the random effects."""
        return VarCorr(self.term_covariances(), self.residual_sd)

    def ranef(self) -> RandomEffects:
        """Return the conditional modes of the random effects, with their conditional variances."""
        return RandomEffects(self.random, self.b, self._conditional_covariances())

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return fixed plus random effects of each level, one table per grouping factor."""
        return coefficients_by_group(self.fixef(), tables_by_group(self.random, self.b))

    def is_singular(self, tol: float = SINGULAR_TOLERANCE) -> bool:
        """Tell whether a variance, or a combination of random effects, is zero.

        Parameters
        ----------
        tol : float
            A diagonal element of T counts as zero below it, on the scale of a predictor of unit root
            mean square and of rows of unit information, so that the unit of prior weights does not matter.
        """
        return is_singular(self, tol)

    def profile(
        self,
        which: str | int | Sequence[str | int] | None = None,
        alphamax: float = 0.01,
        REML: bool = False,
        scale: ProfileScale = "sd",
        signames: bool = True,
    ) -> Profile:
        """Profile the likelihood of every parameter; see :func:`mixedmodels.profile`."""
        return profile(self, which, alphamax=alphamax, REML=REML, scale=scale, signames=signames)

    def ranova(self, reduce_terms: bool = True) -> AnovaTable:
        """Test each random-effects term by a likelihood ratio; see :func:`mixedmodels.ranova`."""
        return ranova(self, reduce_terms=reduce_terms)

    # Matrices.

    def model_matrix(
        self,
        type: Literal["fixed", "random"] = "fixed",
        newdata: Any = None,
    ) -> Any:
        """Return the model matrix.

        Parameters
        ----------
        type : {"fixed", "random"}
            X as a DataFrame, or Z of all terms as a sparse array.
        newdata : DataFrame or other table, optional
            Rows to build it for; by default those of the fit.

        Raises
        ------
        ControlError
            If `type` is neither.
        DataError
            If a variable is missing in the new rows, or a level of a grouping factor is new.
        """
        one_of("type", type, ("fixed", "random"), "; new rows are newdata=")
        if type == "fixed":
            return self._fixed_matrix(newdata)
        return get_me(self, "Z") if newdata is None else new_random_matrix(self, newdata)

    def getME(self, name: str | list[str]) -> Any:
        """Return an internal quantity by lme4's name, or a dictionary for a list of names.

        Raises
        ------
        ControlError
            If there is no such quantity; the message lists all names.
        """
        if not isinstance(name, (list, tuple)):
            return get_me(self, name)
        return {key: get_me(self, key) for key in name}

    def vcov(self, type: RobustType | None = None, cluster: Any = None, full: bool = False) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        type, cluster : optional
            A cluster-robust covariance, as for :meth:`FittedModel.vcov`.
        full : bool
            Whether to return the joint covariance of prediction errors of (b, beta) instead, dense.
        """
        return self._joint_vcov() if full else super().vcov(type, cluster)

    def _joint_vcov(self) -> pd.DataFrame:
        names = [
            f"{term.label}.{level}.{column}"
            for term in self.random
            for level in term.levels
            for column in term.columns
        ] + list(self.design.x_names)
        values = self.random_scale**2 * joint_covariance(self.joint_system())
        return pd.DataFrame(values, index=names, columns=names)

    def hatvalues(self) -> pd.Series:
        """Return the leverages of the rows at the estimated covariance parameters.

        For a generalized model, those of the last weighted least-squares problem.
        """
        return self.by_row(leverages(self.design, self.theta_values, self.row_information), "hat")

    # Prediction.

    def predict(
        self,
        newdata: Any = None,
        re_form: ReForm = None,
        type: Literal["link", "response"] = "link",
        allow_new_levels: bool = False,
        se_fit: bool = False,
        random_only: bool = False,
    ) -> pd.Series | pd.DataFrame:
        """Predict at the rows of the data or at new rows.

        Parameters
        ----------
        newdata : DataFrame or other table, optional
            Rows to predict; by default those of the fit.
        re_form : None, mm.NA, False, "~0", "average" or a formula such as "~(1 | g)"
            Random effects to condition on: all of them (None), none (NA, ``pd.NA``, NaN, False, 0, ``"~0"``),
            or those named. ``"average"`` averages the mean over the distribution of the random effects: the
            prediction for a population, of which that at random effects of zero is the median.
        type : {"link", "response"}
            Scale of the prediction.
        allow_new_levels : bool
            Whether a grouping level that was not in the data is allowed; its random effects are zero.
        se_fit : bool
            Whether to return a DataFrame with columns fit and se_fit.
        random_only : bool
            Whether to return the contribution of the random effects alone.

        Raises
        ------
        DataError
            If a column is missing, or a level is new and not allowed.
        FormulaError
            If `re_form` names random effects that the model does not have.
        """
        if isinstance(re_form, str) and re_form == "average":
            one_of("type", type, ("link", "response"))
            return predict_average(self, newdata, type, se_fit)
        return predict(self, newdata, re_form, type, allow_new_levels, se_fit, random_only)

    def simulate(
        self,
        nsim: int = 1,
        seed: Seed = None,
        use_u: bool = False,
        re_form: ReForm = UNSET,
        newdata: Any = None,
        allow_new_levels: bool = False,
    ) -> pd.DataFrame:
        """Simulate responses.

        Parameters
        ----------
        nsim : int
            Number of simulated responses.
        seed : int or numpy Generator, optional
            Seed of the random numbers.
        use_u : bool
            Whether to keep the random effects at their conditional modes; by default they are drawn.
        re_form : None, mm.NA, False, "~0" or a formula such as "~(1 | g)"
            Random effects to keep at their conditional modes, the others are drawn.
        newdata : DataFrame or other table, optional
            Rows to simulate at, with the columns that prior weights and numbers of trials are made of; by
            default those of the fit.
        allow_new_levels : bool
            Whether a grouping level that was not in the data is allowed; its random effects are drawn.

        Returns
        -------
        DataFrame
            Columns sim_1, sim_2, ...; numbers of successes for a ``cbind`` response.

        Raises
        ------
        ControlError
            If both `use_u` and `re_form` are given.
        """
        return simulate(self, nsim, seed, use_u, re_form, newdata, allow_new_levels)

    # Text.

    def summary(
        self, correlation: bool | None = None, ddf: Ddf | None = "default", vcov: Any = None
    ) -> Summary:
        """Summarise the fit: ``print(m.summary())`` gives lmerTest's text of a linear model, else lme4's.

        Parameters
        ----------
        correlation : bool, optional
            Whether to print the correlations of the fixed effects; by default for up to 12 coefficients.
        ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z", None}
            Degrees of freedom of the tests. By default Satterthwaite's for a linear mixed model; None gives
            lme4's table, which has no p-values for it.
        vcov : {"CR0", ..., "CR3"} or array of shape (p, p), optional
            Another covariance of the fixed effects; a robust one brings its own degrees of freedom.

        Raises
        ------
        ControlError
            If `ddf` is none of these.
        NotAvailableError
            If the method does not exist for this kind of model.
        """
        plain = super().summary(correlation)
        if vcov is None and (ddf is None or (ddf == "default" and self._with_p_values)):
            return plain
        fixed = fixed_effects(self, ddf or "default", vcov)
        return replace(
            plain, description=with_tests(plain.description, fixed), coefficients=table_of_tests(fixed)
        )

    def _messages(self) -> tuple[str, ...]:
        """Return what the text says about convergence; nothing when all is well."""
        report = self.convergence()
        if not report.is_optimum:
            return report.reasons or ("the optimum was not reached",)
        if report.verdict == "not identified":
            return report.reasons
        return (SINGULAR_NOTE,) if self.is_singular() else ()
