"""Predictions of responses yet to be seen from those of the same subject that were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.errors import ControlError
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.prediction.carried_uncertainty import estimation_variance
from mixedmodels.prediction.new_weights import new_weights
from mixedmodels.prediction.predict import labelled, new_rows
from mixedmodels.prediction.request import PredictionRequest
from mixedmodels.prediction.structured import carried


def predict_conditional(
    model: StructuredResiduals, newdata: Any, request: PredictionRequest
) -> pd.Series | pd.DataFrame:
    """Predict new rows given the residuals of their groups, ``X beta + R_mo R_oo^-1 e_o``.

    Standard errors and limits are of the responses: the errors of the fixed effects, and what the residuals
    observed leave open. A row that was observed is itself. With ``df="kenward-roger"`` they have what the
    estimated covariance parameters add as well.

    Parameters
    ----------
    model : StructuredResiduals
        A fit without random effects.
    newdata : table
        New rows.
    request : PredictionRequest
        What is asked for.

    Raises
    ------
    ControlError
        If no new rows are given.
    """
    if request.type == "disp":
        raise ControlError("type='disp' is of glmer(dispersion=); leave it out beside conditional=True.")
    if newdata is None:
        raise ControlError(
            "conditional=True predicts new rows from those of the fit, which are what was observed: give "
            "newdata=."
        )
    rows = new_rows(model, newdata, False, offset=request.offset)
    mean = rows.X @ model.beta + rows.offset
    weights = new_weights(model, newdata, len(mean), request.weights)
    found = carried(model, newdata, rows.X, mean, np.where(weights > 0.0, weights, 1.0))
    fit = mean + found.shift
    columns = {"fit": fit}
    of_mean = np.einsum("ij,jk,ik->i", found.X, model._fixed_covariance(), found.X)
    variance = of_mean + found.variance
    if request.df == "kenward-roger":
        variance += estimation_variance(model, newdata, mean, np.where(weights > 0.0, weights, 1.0))
    se = np.sqrt(variance)
    if request.se_fit:
        columns["se_fit"] = se
    if request.interval is not None:
        half = request.quantile(model.test_df) * se
        columns |= {"lower": fit - half, "upper": fit + half}
    return labelled(model, columns, rows.index, False, request.na_action)
