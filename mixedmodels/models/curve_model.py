"""What users ask of any fitted curve with random effects: predictions, and what it refuses."""

from __future__ import annotations

from typing import Any, Literal, Self, overload

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.control import true_or_false
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.nonlinear import CurveFit
from mixedmodels.formula.design.design import Design
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


class CurveModel(MixedModel, CurveFit):
    """A nonlinear mixed model; see :class:`NonlinearMixedModel`."""

    def _fixed_matrix(self, newdata: Any) -> pd.DataFrame:
        if newdata is not None:
            raise NotAvailableError(
                "the model matrix of a nonlinear mixed model has the derivatives of its mean at the "
                "estimates, at the rows of the fit alone: leave out newdata=."
            )
        return super()._fixed_matrix(newdata)

    # Prediction.

    @overload  # type: ignore[override]
    def predict(
        self,
        newdata: Any = None,
        re_form: ReForm = None,
        type: PredictionType = "response",
        allow_new_levels: bool = False,
        se_fit: Literal[False] = False,
        *,
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
        type: PredictionType = "response",
        allow_new_levels: bool = False,
        se_fit: bool = False,
        *,
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
        type: PredictionType = "response",
        allow_new_levels: bool = False,
        *,
        se_fit: Literal[True],
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
        type: PredictionType = "response",
        allow_new_levels: bool = False,
        se_fit: bool = False,
        *,
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
        type: PredictionType = "response",
        allow_new_levels: bool = False,
        se_fit: bool = False,
        *,
        interval: IntervalType | None = None,
        level: float = 0.95,
        df: DfOfLimits = None,
        weights: Any = None,
        na_action: NewNaAction = "pass",
    ) -> pd.Series[float] | pd.DataFrame:
        """Predict means, of groups or of the population.

        Parameters
        ----------
        newdata : DataFrame or other table, optional
            New rows; by default those of the fit.
        re_form : None, mm.NA, False, "~0" or a formula such as "~(Asym | Tree)"
            Random effects to condition on: all (None), none (the curve of a group whose effects are zero), or
            those named.
        type : {"response", "link"}
            Means, or the curve, which is the link of the mean; without a family they are the same.
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
