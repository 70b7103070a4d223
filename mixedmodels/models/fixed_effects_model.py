"""What users ask of models without random effects: the linear and the generalized linear model."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

from mixedmodels.models.fitted_model import FittedModel
from mixedmodels.prediction.draws import Seed
from mixedmodels.prediction.predict import predict
from mixedmodels.prediction.simulate import simulate


class FixedEffectsModel(FittedModel):
    """A model without random effects; see :class:`LinearModel` and :class:`GeneralizedLinearModel`."""

    def coef(self) -> pd.Series:
        """Return the coefficients: without random effects, the fixed effects."""
        return self.fixef()

    def predict(
        self,
        newdata: Any = None,
        type: Literal["link", "response"] = "link",
        se_fit: bool = False,
    ) -> pd.Series | pd.DataFrame:
        """Predict at the rows of the data or at new rows.

        Parameters
        ----------
        newdata : DataFrame or other table, optional
            Rows to predict; by default those of the fit.
        type : {"link", "response"}
            Scale of the prediction.
        se_fit : bool
            Whether to return a DataFrame with columns fit and se_fit.

        Raises
        ------
        ControlError
            If `type` is neither.
        DataError
            If a variable is missing in the new rows, or the offset of the fit was an array.
        """
        return predict(self, newdata, None, type, False, se_fit, False)

    def simulate(
        self,
        nsim: int = 1,
        seed: Seed = None,
        newdata: Any = None,
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

        Returns
        -------
        DataFrame
            Columns sim_1, sim_2, ...; numbers of successes for a ``cbind`` response.

        Raises
        ------
        NotAvailableError
            If the family is a quasi family, which has no distribution.
        """
        return simulate(self, nsim, seed, False, None, newdata, False)
