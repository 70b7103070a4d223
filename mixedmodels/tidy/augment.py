"""One row for each observation of a fit, in the columns of R's broom.mixed: ``augment(m)``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.leverage import leverages_of
from mixedmodels.errors import ControlError, DataError
from mixedmodels.fits.family_quantities import pearson_factor, response_mean, response_slope
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.nonlinear import CurveFit
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.missing import NA
from mixedmodels.prediction.nonlinear import population_mean
from mixedmodels.prediction.predict import predict
from mixedmodels.prediction.request import PredictionRequest
from mixedmodels.tidy.tidy import check_fit


@advises
def augment(
    model: Fit, data: Any = None, newdata: Any = None, *, allow_new_levels: bool = False
) -> pd.DataFrame:
    """Return the data with fitted values, residuals and leverages beside them, as R's broom.mixed.

    Parameters
    ----------
    model : fitted model
        The model.
    data : DataFrame or other table, optional
        The table the model was fitted to, all its columns included; by default the variables of the model.
        Rows that were not used have missing values.
    newdata : DataFrame or other table, optional
        Other rows, which get predictions alone.
    allow_new_levels : bool
        Whether a grouping level of `newdata` that was not in the data is allowed.

    Returns
    -------
    DataFrame
        The table with columns .fitted (linear predictor), .resid (of a generalized model deviance residuals),
        .hat, .cooksd, .fixed (without random effects), .mu, .offset, .sqrtXwt, .sqrtrwt, .weights, .wtres
        and, of a generalized model, .eta. New rows have .fitted, .fixed and .mu.

    Raises
    ------
    ControlError
        If both tables are given.
    DataError
        If `data` does not have the rows of the fit, or new rows cannot be predicted.

    Notes
    -----
    Leverages of a generalized model are those of its last weighted least-squares problem, between 0 and 1;
    lme4's are not, as it says itself.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
    >>> mm.augment(m).columns[:5].tolist()
    ['Yield', 'Batch', '.fitted', '.resid', '.hat']
    """
    check_fit(model, "augment")
    if newdata is not None:
        if data is not None:
            raise ControlError("augment() takes data= or newdata=, not both.")
        return _predicted(model, newdata, allow_new_levels)
    columns = _columns(model)
    if data is None:
        table = used_variables(model.data, model.design)
        columns.index = table.index
    else:
        table = _as_frame(data)
        columns = _at_rows(model, columns, table)
    return pd.concat([table, columns], axis=1)


def _predicted(model: Fit, newdata: Any, allow_new_levels: bool) -> pd.DataFrame:
    """Return new rows with their predictions."""
    table = _as_frame(newdata)
    fitted = np.asarray(predict(model, table, None, PredictionRequest(allow_new_levels=allow_new_levels)))
    new = {".fitted": fitted}
    if isinstance(model, MixedFit):
        new[".fixed"] = np.asarray(predict(model, table, NA, PredictionRequest(allow_new_levels=True)))
    family = model.family()
    new[".mu"] = fitted if family is None else response_mean(family, fitted, model.phi)
    return pd.concat([table, pd.DataFrame(new, index=table.index)], axis=1)


def _as_frame(data: Any) -> pd.DataFrame:
    """Return a table as a DataFrame with all its columns."""
    if isinstance(data, pd.DataFrame):
        return data
    if hasattr(data, "to_pandas"):
        frame: pd.DataFrame = data.to_pandas()
        return frame
    input_frame(data)  # names what is no table
    return pd.DataFrame({name: np.asarray(data[name]) for name in data})


def _columns(model: Fit) -> pd.DataFrame:
    """Return the columns of the rows used."""
    design, weights, family = model.design, model.prior_weights, model.family()
    eta, mean = model.linear_predictor, model.mean
    mu = mean if family is None else family.link.inverse(eta)
    offset = np.zeros(len(eta)) if design.offset is None else design.offset
    root = np.sqrt(weights) if family is None else pearson_factor(family, mu, weights, model.phi)
    slope = np.ones(len(eta)) if family is None else response_slope(family, eta, model.phi)
    hat = leverages_of(model)
    columns = {
        ".fitted": eta,
        ".resid": model._raw_residuals("response" if family is None else "deviance"),
        ".hat": hat,
        ".cooksd": _cooks_distance(model, hat),
    }
    if isinstance(model, CurveFit):
        columns[".fixed"] = population_mean(model)
    elif isinstance(model, MixedFit):
        columns[".fixed"] = design.X @ model.beta + offset
    columns |= {
        ".mu": mean, ".offset": offset, ".sqrtXwt": slope * root, ".sqrtrwt": root,
        ".weights": weights, ".wtres": root * (model.y - mean),
    }  # fmt: skip
    return pd.DataFrame(columns if family is None else columns | {".eta": eta})


def _cooks_distance(model: Fit, hat: FloatArray) -> FloatArray:
    """Return Cook's distances by the formula of lme4, NaN where a row determines its own fit."""
    p = model.design.X.shape[1]
    pearson = model._raw_residuals("pearson")
    left = 1.0 - hat
    ratio = np.divide(pearson, left, out=np.full(len(hat), np.nan), where=left > 0.0)
    dispersion = model.sigma() ** 2
    if p == 0 or dispersion == 0.0:
        return np.full(len(hat), np.nan)
    return np.asarray(ratio**2 * hat / (dispersion * p))


def _at_rows(model: Fit, columns: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns at the rows of a table, missing at those that were not used."""
    design = model.design
    index = design.index
    if len(table) == design.n_rows:
        return columns.set_axis(table.index)
    if len(table) == design.missing.n_input:
        return columns.set_axis(design.missing.kept).reindex(range(len(table))).set_axis(table.index)
    if index.is_unique and table.index.is_unique and index.isin(table.index).all():
        return columns.set_axis(index).reindex(table.index)
    raise DataError(
        f"data has {len(table)} rows and the model was fitted to {design.n_rows} of "
        f"{design.missing.n_input}: give the table of the fit; new rows are newdata=."
    )
