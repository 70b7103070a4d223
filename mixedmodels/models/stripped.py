"""A fitted model without its data: what ``m.strip()`` returns."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.errors import DataError, NotAvailableError, UnknownNameError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.nonlinear import NonlinearFit
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.nonlinear import NonlinearDesign
from mixedmodels.formula.evaluation.columns import Column, Numeric
from mixedmodels.inference.ranef import coefficients_by_group
from mixedmodels.prediction.nonlinear import predict_nonlinear
from mixedmodels.prediction.predict import predict
from mixedmodels.prediction.re_form import ReForm
from mixedmodels.prediction.request import PredictionRequest
from mixedmodels.reports.page import html_of


class StrippedModel:
    """Results of a fitted model, which holds neither its data nor arrays of their length.

    Made by ``m.strip()``. It answers what a model is asked without arguments (estimates, tests, random
    effects, criteria, the printed summary) and predicts at new rows. What needs the data says so.

    Parameters
    ----------
    fit : fitted model
        The model.
    answers : mapping of str to object
        By name of an accessor, what the model answers.
    texts : tuple of str
        What the model and its summary print.
    """

    def __init__(self, fit: Fit, answers: Mapping[str, Any], texts: tuple[str, str]) -> None:
        self._fit = without_rows(fit)
        self._answers = dict(answers)
        # A column for each fixed effect and level: fixed and random effects, which are added when asked for.
        self._has_levels = isinstance(self._answers.get("coef"), dict) and "ranef" in self._answers
        if self._has_levels:
            self._answers["coef"] = None
        self._texts = texts

    def predict(
        self,
        newdata: Any,
        re_form: ReForm = None,
        type: Literal["link", "response"] = "link",
        allow_new_levels: bool = False,
    ) -> pd.Series[float]:
        """Predict at new rows; arguments as of the model's own method.

        Raises
        ------
        DataError
            If a column is missing, or a level is new and not allowed.
        """
        if newdata is None:
            raise DataError("a model that was stripped of its data predicts at new rows: give newdata=.")
        request = PredictionRequest(type, allow_new_levels)
        if isinstance(self._fit, NonlinearFit):
            found = predict_nonlinear(self._fit, newdata, re_form, request)
        else:
            found = predict(self._fit, newdata, re_form, request)
        return found if isinstance(found, pd.Series) else found.iloc[:, 0]

    def summary(self) -> str:
        """Return the text of the summary."""
        return self._texts[1]

    def __getattr__(self, name: str) -> Any:
        """Return the accessor of an answer that was kept.

        Raises
        ------
        UnknownNameError
            If the model has none of that name.
        NotAvailableError
            If it would need the data.
        """
        if name.startswith("__") or "_answers" not in self.__dict__:
            raise AttributeError(name)
        if name in self._answers:
            return Answer(
                name, self._by_level() if name == "coef" and self._has_levels else self._answers[name]
            )
        if hasattr(type(self._fit), name):
            raise StrippedError(
                f"{name} needs the data, of which the model was stripped; ask before strip(). It still has "
                f"{', '.join(['predict', 'summary', *self._answers])}."
            )
        raise UnknownNameError(f"a stripped model has no {name!r}.")

    def _by_level(self) -> dict[str, pd.DataFrame]:
        """Return the coefficients of each level."""
        return coefficients_by_group(self._answers["fixef"], self._answers["ranef"])

    def __dir__(self) -> list[str]:
        """List the accessors."""
        return sorted({*super().__dir__(), *self._answers})

    def __repr__(self) -> str:
        return self._texts[0]

    def _repr_html_(self) -> str:
        return html_of(repr(self))


class StrippedError(NotAvailableError, AttributeError):
    """What needs the data was asked of a model without them."""


class Answer:
    """An accessor that returns what was kept, and takes no arguments.

    Parameters
    ----------
    name : str
        Name of the accessor.
    value : object
        What it returns.
    """

    def __init__(self, name: str, value: Any) -> None:
        self._name, self._value = name, value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the answer.

        Raises
        ------
        NotAvailableError
            If there are arguments.
        """
        if args or kwargs:
            raise NotAvailableError(
                f"{self._name}() with arguments needs the data, of which the model was stripped."
            )
        return copy.deepcopy(self._value)


advises(StrippedModel)


def without_rows(fit: Fit) -> Fit:
    """Return a fit that has the recipe for new rows, and none of its own."""
    bare = object.__new__(type(fit))
    kept = ("design", "y", "prior_weights", "call", "data", "estimates", "_family")
    bare.__dict__ = {name: value for name, value in fit.__dict__.items() if name in kept}
    bare.design, bare.y, bare.prior_weights, bare.data = (
        _without_rows(fit.design), np.empty(0), np.empty(0), None
    )  # fmt: skip
    bare.call = replace(fit.call, arguments={})
    bare.__dict__["estimates"] = _short(fit.__dict__["estimates"], fit.design.n_rows)
    if isinstance(fit, NonlinearFit):
        bare.__dict__["nonlinear"] = _curve_without_rows(fit.nonlinear)
    return bare


def _short(estimates: Any, n: int) -> Any:
    """Return estimates without what has a row for each observation, and without the search."""
    values = {f.name: getattr(estimates, f.name) for f in fields(estimates) if f.init}
    long = {
        name: value[:0]
        for name, value in values.items()
        if name != "beta" and isinstance(value, np.ndarray) and value.ndim and len(value) == n
    }
    return replace(estimates, **long, **{name: None for name in ("optimization",) if name in values})


def _without_rows(design: Design) -> Design:
    random = tuple(replace(term, Z=term.Z[:0], codes=term.codes[:0]) for term in design.random)
    response = replace(
        design.response,
        values=design.response.values[:0],
        failures=None if design.response.failures is None else design.response.failures[:0],
    )
    missing = replace(design.missing, n_input=0, some=None, input_index=None)
    none = ColumnMatrix.of(np.empty((0, len(design.x_names))))
    return replace(
        design, fixed=none, random=random, response=response, index=design.index[:0],
        missing=missing, weights=None, offset=None,
    )  # fmt: skip


def _curve_without_rows(nonlinear: NonlinearDesign) -> NonlinearDesign:
    """Return a nonlinear design whose mean is bound to no row."""
    expression = nonlinear.expression
    assert expression is not None, "a mean made by hand has no expression"
    none: dict[str, Column] = {name: Numeric(np.empty(0)) for name in expression.variables}
    return replace(
        nonlinear, design=_without_rows(nonlinear.design), self_start=None,
        mean=expression.bound(none, 0, nonlinear.design.recipe.env),
    )  # fmt: skip
