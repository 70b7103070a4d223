"""What users ask of any fitted mixed model: everything about the random effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd
from scipy import sparse

from mixedmodels.control import one_of
from mixedmodels.deferred import on_first_use
from mixedmodels.diagnostics.singular import SINGULAR_TOLERANCE, is_singular
from mixedmodels.errors import ControlError
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.missing import UNSET
from mixedmodels.models.fitted_model import FittedModel

with on_first_use():
    from mixedmodels.fits import mixed_model_equations
    from mixedmodels.inference import get_me, ranef, ranova, varcorr
    from mixedmodels.inference.profile import profile
    from mixedmodels.prediction import averaged, predict, request, simulate
    from mixedmodels.reports import fit_text

if TYPE_CHECKING:
    from mixedmodels.inference.anova import AnovaTable
    from mixedmodels.inference.profile.result import Profile, ProfileScale
    from mixedmodels.inference.ranef import RandomEffects
    from mixedmodels.inference.robust import RobustType
    from mixedmodels.inference.varcorr import VarCorr
    from mixedmodels.prediction.draws import Seed
    from mixedmodels.prediction.re_form import ReForm
    from mixedmodels.prediction.request import DfOfLimits, IntervalType, NewNaAction, PredictionType


class MixedModel(FittedModel, MixedFit):
    """A model with random effects; see :class:`LinearMixedModel` and :class:`GeneralizedLinearMixedModel`."""

    # Random effects and their covariance.

    def VarCorr(self) -> VarCorr:
        """Return variances, standard deviations and correlations of the random effects.

        Returns
        -------
        VarCorr
            Prints itself; `to_frame()` is its table.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.VarCorr()
         Groups   Name        Std.Dev. Corr
         Subject  (Intercept) 24.7405
                  Days         5.9221  0.066
         Residual             25.5918
        """
        return varcorr.VarCorr(self.term_covariances(), self.residual_sd)

    def ranef(self) -> RandomEffects:
        """Return the conditional modes of the random effects, with their conditional variances.

        Returns
        -------
        RandomEffects
            Tables by grouping factor; `to_frame()` is one long table with standard deviations.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.ranef()["Subject"].loc["308"].round(3).tolist()
        [2.259, 9.199]
        """
        return ranef.RandomEffects(self.random, self.b, self._conditional_covariances())

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return fixed plus random effects of each level, one table per grouping factor."""
        return ranef.coefficients_by_group(self.fixef(), ranef.tables_by_group(self.random, self.b))

    def is_singular(self, tol: float = SINGULAR_TOLERANCE) -> bool:
        """Tell whether a variance, or a combination of random effects, is zero.

        Parameters
        ----------
        tol : float
            A diagonal element of T counts as zero below it, on the scale of a predictor of unit root
            mean square and of rows of unit information, so that the unit of prior weights does not matter.

        Returns
        -------
        bool

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.is_singular()
        False
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
        return profile.profile(self, which, alphamax=alphamax, REML=REML, scale=scale, signames=signames)

    def ranova(self, reduce_terms: bool = True) -> AnovaTable:
        """Test each random-effects term by a likelihood ratio; see :func:`mixedmodels.ranova`."""
        return ranova.ranova(self, reduce_terms=reduce_terms)

    # Matrices.

    @overload
    def model_matrix(self, type: Literal["fixed"] = "fixed", newdata: Any = None) -> pd.DataFrame: ...
    @overload
    def model_matrix(self, type: Literal["random"], newdata: Any = None) -> sparse.csc_array: ...
    def model_matrix(
        self, type: Literal["fixed", "random"] = "fixed", newdata: Any = None
    ) -> pd.DataFrame | sparse.csc_array:
        """Return the model matrix.

        Parameters
        ----------
        type : {"fixed", "random"}
            X as a DataFrame, or Z of all terms as a sparse array.
        newdata : DataFrame or other table, optional
            Rows to build it for; by default those of the fit.

        Returns
        -------
        DataFrame or sparse array
            Shape (n, p) or (n, q).

        Raises
        ------
        ControlError
            If `type` is neither.
        DataError
            If a variable is missing in the new rows, or a level of a grouping factor is new.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.model_matrix().head(2).to_numpy().tolist()
        [[1.0, 0.0], [1.0, 1.0]]
        >>> m.model_matrix("random").shape
        (180, 36)
        """
        one_of("type", type, ("fixed", "random"), "; new rows are newdata=")
        if type == "fixed":
            return self._fixed_matrix(newdata)
        return sparse.csc_array(
            get_me.get_me(self, "Z") if newdata is None else predict.new_random_matrix(self, newdata)
        )

    def getME(self, name: str | list[str]) -> Any:
        """Return an internal quantity by lme4's name, or a dictionary for a list of names.

        Parameters
        ----------
        name : str or list of str
            lme4's name.

        Returns
        -------
        object
            An array, a sparse array, a number or a text; of a list of names a dict of these.

        Raises
        ------
        ControlError
            If there is no such quantity; the message lists all names.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.getME("theta").round(3).tolist()
        [0.967, 0.015, 0.231]
        """
        if not isinstance(name, (list, tuple)):
            return get_me.get_me(self, name)
        return {key: get_me.get_me(self, key) for key in name}

    def vcov(self, type: RobustType | None = None, cluster: Any = None, full: bool = False) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        type, cluster : optional
            A cluster-robust covariance, as for :meth:`FittedModel.vcov`.
        full : bool
            Whether to return the joint covariance of prediction errors of (b, beta) instead, dense.

        Returns
        -------
        DataFrame
        """
        return self._joint_vcov() if full else super().vcov(type, cluster)

    def _joint_vcov(self) -> pd.DataFrame:
        names = [
            f"{term.label}.{level}.{column}"
            for term in self.random
            for level in term.levels
            for column in term.columns
        ] + list(self.design.x_names)
        values = self.random_scale**2 * mixed_model_equations.joint_covariance(self.joint_system())
        return pd.DataFrame(values, index=names, columns=names)

    # Prediction.

    @overload
    def predict(
        self,
        newdata: Any = None,
        re_form: ReForm = None,
        type: PredictionType = "link",
        allow_new_levels: bool = False,
        se_fit: Literal[False] = False,
        random_only: bool = False,
        *,
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
        re_form: ReForm = None,
        type: PredictionType = "link",
        allow_new_levels: bool = False,
        se_fit: bool = False,
        random_only: bool = False,
        *,
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
        re_form: ReForm = None,
        type: PredictionType = "link",
        allow_new_levels: bool = False,
        *,
        se_fit: Literal[True],
        random_only: bool = False,
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
        re_form: ReForm = None,
        type: PredictionType = "link",
        allow_new_levels: bool = False,
        se_fit: bool = False,
        random_only: bool = False,
        *,
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
        re_form: ReForm = None,
        type: PredictionType = "link",
        allow_new_levels: bool = False,
        se_fit: bool = False,
        random_only: bool = False,
        *,
        offset: Any = None,
        interval: IntervalType | None = None,
        level: float = 0.95,
        df: DfOfLimits = None,
        weights: Any = None,
        na_action: NewNaAction = "pass",
    ) -> pd.Series[float] | pd.DataFrame:
        """Predict at the rows of the data or at new rows.

        Parameters
        ----------
        newdata : DataFrame or other table, optional
            Rows to predict; by default those of the fit.
        re_form : None, mm.NA, False, "~0", "average" or a formula such as "~(1 | g)"
            Random effects to condition on: all of them (None), none (NA, ``pd.NA``, NaN, False, 0, ``"~0"``),
            or those named. ``"average"`` averages the mean over the distribution of the random effects: the
            prediction for a population, of which that at random effects of zero is the median.
        type : {"link", "response", "disp"}
            Scale of the prediction; ``"disp"``, of ``glmer(dispersion=)``, is the dispersion parameter of
            each row, as ``m.row_dispersions()``.
        allow_new_levels : bool
            Whether a grouping level that was not in the data is allowed; its random effects are zero and
            add their variance.
        se_fit : bool
            Whether to return standard errors, from the joint covariance of fixed and random effects at the
            estimated covariance parameters; with ``type="response"`` by the delta method.
        random_only : bool
            Whether to return the contribution of the random effects alone.
        offset : number, array_like or str, optional
            Offset of the new rows in place of the offset argument of the fit: one number, one a row, a column
            or an expression. ``offset()`` terms of the formula count always.
        interval : {None, "confidence", "prediction"}
            Limits to return: of the mean, or of a response yet to be seen: random
            effects that the prediction does not condition on vary in it, as do residuals by their weights.
        level : float
            Probability of the limits.
        df : float or "satterthwaite", optional
            Degrees of freedom of t quantiles; by default limits are normal and theta counts as known.
            ``"satterthwaite"``, of linear models, counts that theta and sigma are estimates: each row has
            degrees of freedom of its own, and its standard error what the random effects owe to theta.
        weights : number, array_like or str, optional
            Prior weights of the new rows for prediction limits, numbers of trials included, in place of those
            that the columns of the fit's weights give.
        na_action : {"pass", "exclude", "omit", "fail"}
            New rows with missing values: NaN ("pass", "exclude"), left out, or refused. "pass"
            asks for `allow_new_levels` where a grouping factor is missing.

        Returns
        -------
        Series or DataFrame
            ``fit``, and where asked for ``se_fit``, ``lower`` and ``upper``, by the labels of the rows.
            Confidence limits are symmetric on the scale of the linear predictor; prediction limits of a
            generalized model are quantiles of 4000 responses simulated at each row, proportions for trials.

        Raises
        ------
        ControlError
            If a choice is unknown, `offset` or `weights` is given without new rows, or `random_only` is asked
            for of an average.
        DataError
            If a column is missing, a level is new and not allowed, or a row is missing with "fail".
        FormulaError
            If `re_form` names random effects that the model does not have.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> new = {"Days": [10, 10], "Subject": ["308", "309"]}
        >>> m.predict(new).round(1).tolist()
        [450.3, 229.5]
        >>> m.predict(new, re_form=mm.NA).round(1).tolist()
        [356.1, 356.1]
        """
        asked = request.PredictionRequest(
            type, allow_new_levels, random_only, offset, weights, se_fit, interval, level, df, na_action
        )
        if isinstance(re_form, str) and re_form == "average":
            if random_only:
                raise ControlError(
                    "random_only=True gives the random effects alone, which re_form='average' averages over: "
                    "leave out one of them."
                )
            return averaged.predict_average(self, newdata, asked)
        return predict.predict(self, newdata, re_form, asked)

    def simulate(
        self,
        nsim: int = 1,
        seed: Seed = None,
        use_u: bool = False,
        re_form: ReForm = UNSET,
        newdata: Any = None,
        allow_new_levels: bool = False,
        *,
        newparams: Mapping[str, Any] | None = None,
        weights: Any = None,
        offset: Any = None,
        rng: Seed = None,
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
        newparams : mapping, optional
            Parameters in place of the estimates, by name or in order: ``{"beta": {"Days": 5}, "sigma": 20}``;
            of the random effects "theta", or "sd" and "cor" by term, ``{"sd": {"Subject": [25, 6]}}``; "phi"
            of the family. What is not named stays, random effects that are kept included.
        weights, offset : number, array_like or str, optional
            Of the new rows, in place of those that the columns of the fit give.
        rng : int or numpy Generator, optional
            The same as `seed`.

        Returns
        -------
        DataFrame
            Columns sim_1, sim_2, ...; numbers of successes for a ``cbind`` response; NaN at new rows with a
            missing value.

        Raises
        ------
        ControlError
            If both `use_u` and `re_form` are given, or a parameter is unknown or impossible.
        DataError
            If a level is new and not allowed, or a drawn mean is none that the family can have.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
        >>> m.simulate(2, seed=1).shape
        (180, 2)
        """
        asked = simulate.SimulationRequest(
            use_u, re_form, newdata, allow_new_levels, newparams, weights, offset
        )
        return simulate.simulate(self, nsim, simulate.one_generator(seed, rng), asked)

    # Text.

    def _messages(self) -> tuple[str, ...]:
        """Return what the text says about convergence; nothing when all is well."""
        report = self.convergence()
        if not report.is_optimum:
            return report.reasons or ("the optimum was not reached",)
        if report.verdict == "not identified":
            return report.reasons
        return (fit_text.SINGULAR_NOTE,) if self.is_singular() else ()
