"""Mixed models as scikit-learn estimators: ``from mixedmodels.sklearn import MixedModelRegressor``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.control import GlmerControl, LmerControl
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.formula import parse_formula
from mixedmodels.formula.language.parse import parse_tilde
from mixedmodels.formula.language.syntax_tree import Name, deparse, quote_name
from mixedmodels.glm import glm
from mixedmodels.glmer import glmer
from mixedmodels.lm import lm
from mixedmodels.lmer import lmer
from mixedmodels.prediction.predict import predict
from mixedmodels.prediction.re_form import ReForm
from mixedmodels.prediction.request import PredictionRequest, PredictionType

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import (
        _check_sample_weight,
        assert_all_finite,
        check_consistent_length,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise NotAvailableError(
        "mixedmodels.sklearn needs scikit-learn 1.6 or later: pip install 'mixedmodels[sklearn]'."
    ) from error

#: What the response is called where the formula names none.
RESPONSE = "y"


class _MixedModelEstimator(BaseEstimator):
    """What the two estimators have in common: tables, formulas and predictions."""

    formula: str | None
    re_form: ReForm
    allow_new_levels: bool
    model_: Any

    def _training_table(self, X: Any, y: Any, numeric: bool) -> tuple[pd.DataFrame, Any]:
        """Return the columns as a table and the response as an array, both checked."""
        if y is None:
            raise ControlError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None."
            )
        if not _has_columns(X):
            X, y = validate_data(self, X, y, y_numeric=numeric, dtype="numeric")
            return _numbered(X), y
        validate_data(self, X, skip_check_array=True)
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        assert_all_finite(y, input_name="y")
        return _as_pandas(X), np.asarray(y, dtype=np.float64) if numeric else y

    def _table(self, X: Any) -> pd.DataFrame:
        """Return new rows as a table."""
        check_is_fitted(self)
        if not _has_columns(X):
            return _numbered(validate_data(self, X, reset=False, dtype="numeric"))
        validate_data(self, X, reset=False, skip_check_array=True)
        return _as_pandas(X)

    def _whole_formula(self, table: pd.DataFrame) -> tuple[str, str]:
        """Return the formula with a response, and the name of that response."""
        response = RESPONSE
        while response in table.columns:
            response += "."
        if self.formula is None:
            names = " + ".join(quote_name(str(name)) for name in table.columns)
            return f"{response} ~ {names or '1'}", response
        left, right = parse_tilde(self.formula if "~" in self.formula else f"~ {self.formula}")
        if left is None:
            return f"{response} ~ {deparse(right)}", response
        if not isinstance(left, Name):
            raise ControlError(
                f"the left side of formula={self.formula!r} must be a name, which y gets; transform y "
                "itself, as sklearn.compose.TransformedTargetRegressor does."
            )
        return self.formula, left.name

    def _predicted(self, X: Any, type: PredictionType) -> FloatArray:
        """Return predictions at new rows."""
        table = self._table(X)
        request = PredictionRequest(type, allow_new_levels=self.allow_new_levels, na_action="fail")
        found = predict(self.model_, table, self.re_form, request)
        return np.asarray(found, dtype=np.float64).reshape(-1)


class MixedModelRegressor(RegressorMixin, _MixedModelEstimator):
    """A linear or generalized linear mixed model as a scikit-learn regressor.

    Parameters
    ----------
    formula : str, optional
        lme4 formula in the columns of X, ``"~ x + (1 | g)"``; a name on its left side is what y is called.
        Without bars the model has no random effects. By default all columns of X, without random effects.
    family : str or Family, optional
        Family of a generalized model; its predictions are means of the response.
    REML : bool
        Whether a linear mixed model is fitted by REML.
    nAGQ : int
        Quadrature nodes of a generalized mixed model.
    re_form : optional
        Random effects that predictions condition on: None for all, ``"0"`` for none, as in :meth:`predict` of
        a model.
    allow_new_levels : bool
        Whether predictions at groups that were not in the training data have random effects of zero, as
        cross-validation by group needs; otherwise such groups are an error.
    contrasts : mapping, optional
        Coding of factors.
    control : LmerControl, GlmerControl or mapping, optional
        Options of the search.

    Attributes
    ----------
    model_ : fitted model
        What :func:`mixedmodels.lmer`, :func:`mixedmodels.glmer`, :func:`mixedmodels.lm` or
        :func:`mixedmodels.glm` returned, with all its methods.
    formula_ : str
        The formula with its response.
    n_features_in_, feature_names_in_
        Number and names of the columns of X.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> from mixedmodels.sklearn import MixedModelRegressor
    >>> d = mm.load_dataset("sleepstudy")
    >>> m = MixedModelRegressor("~ Days + (Days | Subject)").fit(d[["Days", "Subject"]], d["Reaction"])
    >>> m.predict(d[["Days", "Subject"]]).round(2)[:2].tolist()
    [253.66, 273.33]
    """

    def __init__(
        self,
        formula: str | None = None,
        *,
        family: Any = None,
        REML: bool = True,
        nAGQ: int = 1,
        re_form: ReForm = None,
        allow_new_levels: bool = True,
        contrasts: Mapping[str, Any] | None = None,
        control: LmerControl | GlmerControl | Mapping[str, Any] | None = None,
    ) -> None:
        self.formula = formula
        self.family = family
        self.REML = REML
        self.nAGQ = nAGQ
        self.re_form = re_form
        self.allow_new_levels = allow_new_levels
        self.contrasts = contrasts
        self.control = control

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : DataFrame or array
            Predictors and grouping factors. Columns of an array are called x0, x1, ...
        y : array_like
            Response.
        sample_weight : array_like, optional
            Prior weights.
        """
        table, y = self._training_table(X, y, numeric=True)
        self.formula_, response = self._whole_formula(table)
        data, weights = _weighted(table.assign(**{response: y}), sample_weight)
        self.model_ = self._fitted(data, weights)
        return self

    def _fitted(self, data: pd.DataFrame, weights: FloatArray | None) -> Fit:
        """Fit the model that the arguments describe."""
        given: dict[str, Any] = {"weights": weights, "na_action": "fail", "contrasts": self.contrasts}
        has_bars = bool(parse_formula(self.formula_).bars)
        if has_bars:
            given["control"] = self.control
        if self.family is not None:
            if not has_bars:
                return glm(self.formula_, data, self.family, **given)
            model: Fit = glmer(self.formula_, data, self.family, self.nAGQ, **given)
            return model
        if has_bars:
            fitted: Fit = lmer(self.formula_, data, self.REML, **given)
            return fitted
        return lm(self.formula_, data, **given)

    def predict(self, X: Any) -> FloatArray:
        """Return predicted means of the response, shape (m,)."""
        return self._predicted(X, "response")


class MixedModelClassifier(ClassifierMixin, _MixedModelEstimator):
    """A logistic mixed model as a scikit-learn classifier of two classes.

    Parameters
    ----------
    formula : str, optional
        lme4 formula in the columns of X, ``"~ x + (1 | g)"``; a name on its left side is what y is called.
        Without bars the model has no random effects. By default all columns of X, without random effects.
    nAGQ : int
        Quadrature nodes; 1 is the Laplace approximation.
    re_form : optional
        Random effects that predictions condition on, as for :class:`MixedModelRegressor`.
    allow_new_levels : bool
        Whether groups that were not in the training data have random effects of zero.
    contrasts : mapping, optional
        Coding of factors.
    control : GlmerControl or mapping, optional
        Options of the search.

    Attributes
    ----------
    model_ : fitted model
        The fit, with all its methods; its response is 1 for the second class.
    classes_ : ndarray, shape (2,)
        The classes, in order.
    formula_ : str
        The formula with its response.
    n_features_in_, feature_names_in_
        Number and names of the columns of X.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> from mixedmodels.sklearn import MixedModelClassifier
    >>> d = mm.load_dataset("VerbAgg")
    >>> X = d[["Anger", "situ", "id"]]
    >>> m = MixedModelClassifier("~ Anger + situ + (1 | id)").fit(X, d["r2"])
    >>> m.classes_.tolist(), round(m.score(X, d["r2"]), 2)
    (['N', 'Y'], 0.71)
    """

    def __init__(
        self,
        formula: str | None = None,
        *,
        nAGQ: int = 1,
        re_form: ReForm = None,
        allow_new_levels: bool = True,
        contrasts: Mapping[str, Any] | None = None,
        control: GlmerControl | Mapping[str, Any] | None = None,
    ) -> None:
        self.formula = formula
        self.nAGQ = nAGQ
        self.re_form = re_form
        self.allow_new_levels = allow_new_levels
        self.contrasts = contrasts
        self.control = control

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Fit the model; arguments as of :meth:`MixedModelRegressor.fit`, y of two classes."""
        table, y = self._training_table(X, y, numeric=False)
        check_classification_targets(y)
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) != 2:
            kind = type_of_target(y, input_name="y", raise_unknown=True)
            raise ControlError(
                f"Only binary classification is supported. The type of the target is {kind}, with "
                f"{len(self.classes_)} class{'es' * (len(self.classes_) != 1)}."
            )
        self.formula_, response = self._whole_formula(table)
        data, weights = _weighted(table.assign(**{response: codes.astype(np.float64)}), sample_weight)
        self.model_ = self._fitted(data, weights)
        return self

    def _fitted(self, data: pd.DataFrame, weights: FloatArray | None) -> Fit:
        """Fit the model that the arguments describe."""
        given: dict[str, Any] = {"weights": weights, "na_action": "fail", "contrasts": self.contrasts}
        if not parse_formula(self.formula_).bars:
            return glm(self.formula_, data, "binomial", **given)
        model: Fit = glmer(self.formula_, data, "binomial", self.nAGQ, control=self.control, **given)
        return model

    def decision_function(self, X: Any) -> FloatArray:
        """Return the log-odds of the second class, shape (m,)."""
        return self._predicted(X, "link")

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the probabilities of the two classes, shape (m, 2)."""
        log_odds = self.decision_function(X)
        return np.column_stack([special.expit(-log_odds), special.expit(log_odds)])

    def predict_log_proba(self, X: Any) -> FloatArray:
        """Return the logarithms of the probabilities, shape (m, 2)."""
        log_odds = self.decision_function(X)
        return np.column_stack([special.log_expit(-log_odds), special.log_expit(log_odds)])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the more probable class of each row, shape (m,)."""
        is_second = self.decision_function(X) > 0.0
        return np.asarray(self.classes_[is_second.astype(np.intp)])


def _has_columns(X: Any) -> bool:
    """Tell whether X is a table with names, of pandas or another package."""
    return hasattr(X, "columns") or hasattr(X, "column_names")


def _as_pandas(X: Any) -> pd.DataFrame:
    """Return a table of any package as one of pandas, with a plain index."""
    return pd.DataFrame(nw.from_native(X, eager_only=True).to_pandas()).reset_index(drop=True)


def _numbered(X: npt.NDArray[Any]) -> pd.DataFrame:
    """Return an array as a table with the columns x0, x1, ..."""
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])


def _weighted(data: pd.DataFrame, sample_weight: Any) -> tuple[pd.DataFrame, FloatArray | None]:
    """Return the rows that count and their weights; None where none were given.

    A row of weight zero is as good as absent, the levels that it alone has included.
    """
    if sample_weight is None:
        return data, None
    weights = np.asarray(_check_sample_weight(sample_weight, np.empty((len(data), 1)), dtype=np.float64))
    counts = weights != 0.0
    return data.loc[counts].reset_index(drop=True), weights[counts]
