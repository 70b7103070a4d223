"""What users ask of models without random effects: the linear and the generalized linear model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd

from mixedmodels.deferred import on_first_use
from mixedmodels.models.fitted_model import FittedModel

with on_first_use():
    from mixedmodels.prediction import predict, request, simulate

if TYPE_CHECKING:
    from mixedmodels.prediction.draws import Seed
    from mixedmodels.prediction.request import DfOfLimits, IntervalType, NewNaAction, PredictionType


class FixedEffectsModel(FittedModel):
    """A model without random effects; see :class:`LinearModel` and :class:`GeneralizedLinearModel`."""

    def coef(self) -> pd.Series[float]:
        """Return the coefficients: without random effects, the fixed effects."""
        return self.fixef()

    @overload
    def predict(
        self,
        newdata: Any = None,
        type: PredictionType = "link",
        se_fit: Literal[False] = False,
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
        type: PredictionType = "link",
        se_fit: bool = False,
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
        type: PredictionType = "link",
        *,
        se_fit: Literal[True],
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
        type : {"link", "response"}
            Scale of the prediction.
        se_fit : bool
            Whether to return standard errors; with ``type="response"`` by the delta method.
        offset : number, array_like or str, optional
            Offset of the new rows in place of the offset argument of the fit: one number, one a row, a column
            or an expression. ``offset()`` terms of the formula count always.
        interval : {None, "confidence", "prediction"}
            Limits to return: of the mean, or of a response yet to be seen.
        level : float
            Probability of the limits.
        df : float or "satterthwaite", optional
            Degrees of freedom of t quantiles; by default those of the tests of the summary, normal limits
            where it has none.
        weights : number, array_like or str, optional
            Prior weights of the new rows for prediction limits, numbers of trials included, in place of those
            that the columns of the fit's weights give.
        na_action : {"pass", "exclude", "omit", "fail"}
            New rows with missing values: NaN ("pass", "exclude"), left out, or refused.

        Returns
        -------
        Series or DataFrame
            ``fit``, and where asked for ``se_fit``, ``lower`` and ``upper``, by the labels of the rows.
            Confidence limits are symmetric on the scale of the linear predictor; prediction limits of a
            generalized model are quantiles of 4000 responses simulated at each row, proportions for trials.

        Raises
        ------
        ControlError
            If a choice is unknown, or `offset` or `weights` is given without new rows.
        DataError
            If a variable is missing in the new rows, the offset of the fit was an array and none is given, or
            a row is missing with "fail".
        """
        asked = request.PredictionRequest(
            type,
            offset=offset,
            weights=weights,
            se_fit=se_fit,
            interval=interval,
            level=level,
            df=df,
            na_action=na_action,
        )
        return predict.predict(self, newdata, None, asked)

    def simulate(
        self,
        nsim: int = 1,
        seed: Seed = None,
        newdata: Any = None,
        *,
        newparams: Mapping[str, Any] | None = None,
        weights: Any = None,
        offset: Any = None,
        rng: Seed = None,
    ) -> pd.DataFrame:
        """Simulate responses, with the dispersion of the summary.

        Parameters
        ----------
        nsim : int
            Number of simulated responses.
        seed : int or numpy Generator, optional
            Seed of the random numbers.
        newdata : DataFrame or other table, optional
            Rows to simulate at; by default those of the fit.
        newparams : mapping, optional
            Parameters in place of the estimates, by name or in order: ``{"beta": {"x": 5}, "sigma": 2}``;
            "phi" of the family. What is not named stays.
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
        NotAvailableError
            If the family is a quasi family, which has no distribution.
        ControlError
            If a parameter is unknown or impossible.
        """
        asked = simulate.SimulationRequest(
            re_form=None, newdata=newdata, newparams=newparams, weights=weights, offset=offset
        )
        return simulate.simulate(self, nsim, simulate.one_generator(seed, rng), asked)
