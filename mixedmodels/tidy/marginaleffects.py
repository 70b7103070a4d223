"""A fitted model for the package marginaleffects: ``avg_slopes(mm.marginaleffects_model(m))``."""

from __future__ import annotations

import importlib
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.errors import MixedModelsWarning, NotAvailableError, listed, warn
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.formula.language.syntax_tree import Name
from mixedmodels.inference.fixed_effects import fixed_effects
from mixedmodels.inference.marginal_coefs import fixed_variables, variable_levels
from mixedmodels.prediction.predict import fixed_rows, predict, response_values, select_effects
from mixedmodels.prediction.re_form import ReForm
from mixedmodels.prediction.request import PredictionRequest, PredictionType
from mixedmodels.tidy.tidy import check_fit

#: Version of marginaleffects that is older than Polars 2.
NOT_WITH_POLARS_2 = "0.6.0"
#: A family of marginaleffects that has the link; of a mean nothing else of the family is used.
FAMILY_OF_LINK = {
    "identity": "gaussian", "log": "poisson", "logit": "binomial", "probit": "binomial",
    "cloglog": "binomial", "inverse": "gamma", "sqrt": "poisson",
}  # fmt: skip


@advises
def marginaleffects_model(model: Fit, re_form: ReForm = "0", type: PredictionType = "response") -> Any:
    """Return a model as the package marginaleffects takes it, to predict, compare and differentiate.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    re_form : optional
        Random effects that predictions condition on, as in :meth:`predict`: ``"0"`` for none, predictions for
        a group whose random effects are zero; None for all, which are then taken as known.
    type : {"response", "link"}
        Scale of the predictions.

    Returns
    -------
    ModelAbstract
        Of marginaleffects; every function of that package takes it. Its standard errors are by the delta
        method from the covariance of the fixed effects, ``vcov="CR2"`` and the like from a robust one, and
        ``vcov="kenward-roger"`` from Kenward and Roger's; tests are normal.

    Raises
    ------
    ControlError
        If `model` is no fitted model, or `type` none of these.
    NotAvailableError
        If marginaleffects is not installed, or the model has an offset given as an array.

    Notes
    -----
    Standard errors of slopes are differences of differences there, with about three digits; a larger step,
    ``eps_vcov=1e-5``, gives more. A generalized mixed model's mean at random effects of zero is not its mean
    over the groups; :func:`mixedmodels.average_marginal_effects` averages over the random effects.

    References
    ----------
    Arel-Bundock, Greifer & Heiss (2024), J. Stat. Softw. 111(9).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> import marginaleffects
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> slopes = marginaleffects.avg_slopes(mm.marginaleffects_model(m), variables="Days")
    >>> round(slopes["estimate"][0], 3)
    10.467
    """
    refuse_nonlinear(model, "marginaleffects_model()")
    check_fit(model, "marginaleffects_model")
    one_of("type", type, ("response", "link"))
    if model.design.recipe.offset_is_array:
        raise NotAvailableError(
            "marginaleffects predicts at new rows, which have no offset where it was given as an array; fit "
            "the model with the offset as a column name or an offset() term."
        )
    adapter = _adapter_class()(model, re_form, type)
    _warn_of_polars([name for name in fixed_variables(model) if adapter._levels[name] is not None])
    return adapter


class _Adapter:
    """What marginaleffects asks of a model, on top of its own abstract class."""

    model: Fit
    vault: Any

    def __init__(self, model: Fit, re_form: ReForm, type: PredictionType) -> None:
        self._re_form, self._type = re_form, type
        conditional = any(mask.any() for mask in select_effects(model.design, re_form))
        self._has_more = conditional or model.design.offset is not None
        self._frame = used_variables(model.data, model.design).reset_index(drop=True)
        self._levels = {str(name): _levels(model, self._frame, str(name)) for name in self._frame.columns}
        predictors = fixed_variables(model)
        vault = _package("marginaleffects.classes.model").ModelVault(
            coef=np.array(model.beta),
            coefnames=np.array(model.design.x_names, dtype=object),
            formula=_plain_formula(model, predictors),
            modeldata=_as_polars(self._frame, self._levels),
            package="mixedmodels",
            variable_names=[model.design.response.text, *predictors],
        )
        vault.variables_type = {name: _type(self._frame[name], known) for name, known in self._levels.items()}
        super().__init__(model, vault)  # type: ignore[call-arg]

    def validation(self) -> None:
        """Check nothing: coefficients, columns and their types are those of a model that was fitted."""
        self.coef, self.formula = self.vault.coef, self.vault.formula
        self.response_name = self.vault.variable_names[0]

    def get_vcov(self, vcov: Any = True) -> FloatArray | None:
        """Return the covariance of the fixed effects: the model's, a robust one, or none."""
        if vcov is False or vcov is None:
            return None
        if vcov is True:
            return np.asarray(fixed_effects(self.model, "z").covariance)
        if isinstance(vcov, str) and vcov.lower() == "kenward-roger":
            return np.asarray(fixed_effects(self.model, "kenward-roger").covariance)
        return np.asarray(fixed_effects(self.model, vcov=vcov).covariance)

    def get_exog(self, newdata: Any) -> FloatArray:
        """Return the fixed-effects matrix of new rows, and beside it what else the predictor holds."""
        frame = _as_pandas(newdata, self._frame, self._levels)
        X, _, _ = fixed_rows(self.model, frame)
        eta = predict(self.model, frame, self._re_form, PredictionRequest("link"))
        known = np.asarray(eta, dtype=np.float64).ravel() - X @ self.model.beta
        return np.column_stack([X, known]) if self._has_more else X

    def get_predict(self, params: FloatArray, newdata: FloatArray) -> Any:
        """Return predictions with other coefficients at rows of :meth:`get_exog`."""
        beta = np.append(params, 1.0) if self._has_more else np.asarray(params)
        eta = newdata @ beta
        values = eta if self._type == "link" else response_values(self.model, eta)
        rows = np.arange(len(values), dtype=np.int32)
        return _package("polars").DataFrame({"rowid": rows, "estimate": values})

    def get_autodiff_args(self) -> dict[str, str | None] | None:
        """Return how predictions follow from the coefficients, for exact derivatives, where that is known.

        marginaleffects compares what follows from it with the predictions, and takes differences otherwise.
        """
        family = self.model.family()
        if self._has_more:
            return None
        if family is None or self._type == "link":
            return {"model_type": "linear", "family": None, "link": None}
        name = family.link.name
        if name not in FAMILY_OF_LINK:
            return None
        return {"model_type": "glm", "family": FAMILY_OF_LINK[name], "link": name}


def _warn_of_polars(factors: list[str]) -> None:
    """Warn where marginaleffects cannot compare levels: 0.6.0 calls what Polars 2 has removed."""
    polars, own = (metadata.version(name) for name in ("polars", "marginaleffects"))
    if factors and own == NOT_WITH_POLARS_2 and int(polars.split(".")[0]) >= 2:
        warn(
            f"marginaleffects {own} cannot compare the levels of {listed(factors)} with Polars {polars}, or "
            "take them in new rows; it can with Polars 1: pip install 'polars<2'.",
            MixedModelsWarning,
        )


@cache
def _adapter_class() -> Any:
    """Return the adapter as a subclass of marginaleffects' own class."""
    abstract = _package("marginaleffects.classes.model").ModelAbstract
    return type("MixedModelsAdapter", (_Adapter, abstract), {"__doc__": _Adapter.__doc__})


def _package(name: str) -> Any:
    """Return a module of marginaleffects, or of a package that it needs.

    Raises
    ------
    NotAvailableError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotAvailableError(
            "marginaleffects_model() needs the package marginaleffects: pip install "
            "'mixedmodels[marginaleffects]'."
        ) from error


def _plain_formula(model: Fit, predictors: list[str]) -> str:
    """Return a formula of bare names, from which marginaleffects reads which columns matter."""
    tree = model.design.formula.response
    response = tree.name if isinstance(tree, Name) else "response"
    return f"`{response}` ~ {' + '.join(f'`{name}`' for name in predictors) or '1'}"


def _levels(model: Fit, frame: pd.DataFrame, name: str) -> list[Any] | None:
    """Return the levels of a column that is no number to the model; None of numbers and truth values."""
    if pd.api.types.is_bool_dtype(frame[name]):
        return None
    return variable_levels(model, frame, name)


def _type(column: pd.Series, levels: list[Any] | None) -> str:
    """Return what marginaleffects calls the type of a column."""
    if levels is not None:
        return "character"
    if pd.api.types.is_bool_dtype(column):
        return "boolean"
    if column.isin([0, 1]).all():
        return "binary"
    return "integer" if pd.api.types.is_integer_dtype(column) else "numeric"


def _as_polars(frame: pd.DataFrame, levels: dict[str, list[Any] | None]) -> Any:
    """Return a table of polars, its factors with their levels in order."""
    pl = _package("polars")
    columns = {}
    for name, known in levels.items():
        values = frame[name]
        if known is None:
            columns[name] = pl.Series(values.to_numpy())
        else:
            columns[name] = pl.Series(values.astype(str).tolist(), dtype=pl.Enum(list(map(str, known))))
    return pl.DataFrame(columns)


def _as_pandas(newdata: Any, frame: pd.DataFrame, levels: dict[str, list[Any] | None]) -> pd.DataFrame:
    """Return new rows with columns of the types that the model was fitted to."""
    columns = {}
    for name in (n for n in newdata.columns if n in levels):
        known = levels[name]
        if known is None:
            columns[name] = newdata[name].to_numpy()
            continue
        value_of = {str(level): level for level in known}
        values = [
            value_of.get(text, text) for text in newdata[name].cast(_package("polars").String).to_list()
        ]
        columns[name] = pd.Series(values).astype(frame[name].dtype)
    return pd.DataFrame(columns)
