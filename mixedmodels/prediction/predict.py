"""Predictions of a fit, at the rows of the data or at new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray
from mixedmodels.errors import ControlError, DataError, FormulaError, NotAvailableError, listed
from mixedmodels.fits.columns import column_terms
from mixedmodels.fits.family_dispersion import family_at, row_dispersions
from mixedmodels.fits.family_quantities import response_mean, response_slope
from mixedmodels.fits.fit import Fit, RandomRows
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.linear_predictor import contribution
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.model_terms import random_effects_matrix
from mixedmodels.formula.design.new_data import fixed_matrix, group_labels, random_matrices
from mixedmodels.formula.design.random_effects import group_name
from mixedmodels.formula.design.recipe import Recipe
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.language.syntax_tree import Node, names_in
from mixedmodels.formula.language.terms import expand_terms
from mixedmodels.prediction.intervals import (
    confidence_limits,
    drawn_rows,
    fixed_variances,
    left_at_places,
    noise_weights,
    prediction_limits,
    relative_variances,
)
from mixedmodels.prediction.new_weights import new_weights
from mixedmodels.prediction.re_form import ReForm, named_effects, plain_re_form
from mixedmodels.prediction.request import NewNaAction, PredictionRequest
from mixedmodels.prediction.structured import relative_sd
from mixedmodels.prediction.theta_uncertainty import (
    Spread,
    conditions_on_effects,
    predicted_rows,
    spread,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to predict at.

    Attributes
    ----------
    X : ndarray, shape (m, p)
        Fixed-effects rows.
    offset : ndarray, shape (m,)
        Known part of the linear predictor.
    random : tuple of (Z, codes)
        Random-effects rows by term, codes -1 where a level was not in the data.
    index : pandas.Index
        Labels of the rows.
    is_training : bool
        Whether these are the rows of the fit.
    """

    X: FloatArray
    offset: FloatArray
    random: tuple[RandomRows, ...]
    index: pd.Index
    is_training: bool = False


def training_rows(model: Fit) -> Rows:
    """Return the rows of the fit."""
    design = model.design
    offset = np.zeros(design.n_rows) if design.offset is None else design.offset
    return Rows(design.X, offset, tuple((t.Z, t.codes) for t in design.random), design.index, True)


def fixed_rows(
    model: Fit, newdata: Any, warn: bool = True, offset: Any = None
) -> tuple[FloatArray, FloatArray, pd.Index]:
    """Return the fixed-effects matrix, the offset and the labels of new rows.

    `offset` stands in place of the offset argument of the fit.

    Raises
    ------
    DataError
        If a variable is missing, or the fit had an offset given as an array, which new rows cannot have.
    """
    if isinstance(newdata, str):
        raise DataError(
            f"newdata must be a table, not the text {newdata!r}; the scale of a prediction is "
            f"type={newdata!r}."
        )
    if model.design.recipe.offset_is_array and offset is None:
        raise DataError(
            "the model has an offset given as an array, which newdata cannot supply; give the offset of the "
            "new rows as offset=, or fit the model with the offset as a column name or an offset() term."
        )
    X, total = fixed_matrix(model.design, newdata, warn, offset)
    return X, np.zeros(len(X)) if total is None else total, row_labels(newdata, len(X))


def row_labels(newdata: Any, n_rows: int) -> pd.Index:
    """Return the labels of new rows: those of a pandas frame, else 0, 1, 2, ..."""
    index = getattr(newdata, "index", None)
    return index if isinstance(index, pd.Index) else pd.RangeIndex(n_rows)


def new_rows(
    model: Fit,
    newdata: Any,
    needs_random: bool,
    warn: bool = True,
    offset: Any = None,
    interpolates: bool = True,
) -> Rows:
    """Return new rows; without random effects their grouping factors need not be there.

    Processes over places are those of the conditional mean at new ones, or these are refused.

    Raises
    ------
    DataError
        As `fixed_rows`, and if a grouping factor is missing.
    """
    X, total, labels = fixed_rows(model, newdata, warn, offset)
    if needs_random:
        random = _random_rows(model, newdata, interpolates)
    else:
        absent = np.zeros(len(X), dtype=np.int32)
        random = tuple((np.zeros((len(X), term.size)), absent) for term in model.random)
    return Rows(X, total, random, labels)


def _random_rows(
    model: Fit, newdata: Any, interpolates: bool = False
) -> tuple[tuple[FloatArray, CodeArray], ...]:
    """Return the random-effects rows of new data, or say how to do without them."""
    try:
        return random_matrices(model.design, newdata, model.theta_values if interpolates else None)
    except DataError as error:
        groups = {name.name for random in model.design.recipe.random for name in names_in(random.group)}
        absent = sorted(groups - set(input_frame(newdata).names) - model.design.recipe.env.keys())
        if not absent:
            raise
        raise DataError(
            f"{error}. Without {' and '.join(absent)}, re_form=mm.NA predicts for the population: the fixed "
            "effects alone."
        ) from None


def new_random_matrix(model: Fit, newdata: Any) -> scipy.sparse.csc_array:
    """Return Z of new rows, all terms side by side, shape (m, q).

    Raises
    ------
    DataError
        If a variable is missing, or a grouping factor has a level that was not in the data.
    """
    rows = _random_rows(model, newdata)
    everything = [np.ones(term.size, dtype=bool) for term in model.random]
    refuse_new_levels(model, rows, everything, newdata)
    terms = tuple(replace(t, Z=Z, codes=codes) for t, (Z, codes) in zip(model.random, rows, strict=True))
    return random_effects_matrix(terms, len(rows[0][0]))


def select_effects(design: Design, re_form: ReForm) -> tuple[BoolArray, ...]:
    """Return, for each term, which of its coefficients a prediction conditions on.

    Raises
    ------
    ControlError
        If `re_form` is neither a formula with random effects nor a way to say all or none.
    FormulaError
        If `re_form` names random effects that are not in the model.
    """
    # 1. All, or none.
    asked_for = plain_re_form(re_form)
    if asked_for is None:
        return tuple(np.ones(term.size, dtype=bool) for term in design.random)
    masks = tuple(np.zeros(term.size, dtype=bool) for term in design.random)
    if asked_for is False:
        return masks
    # 2. Those named: each bar picks columns of the terms on its grouping factor.
    for bar in named_effects(asked_for):
        asked = expand_terms(bar.lhs, asked_for)
        wanted = {*asked.labels, *(["(Intercept)"] if asked.intercept else [])}
        found: set[str] = set()
        for term, recipe, mask in zip(design.random, design.recipe.random, masks, strict=True):
            if term.group == group_name(bar.group):
                labels = column_terms(recipe.matrix)
                matched = [labels[k] in wanted for k in recipe.selected]
                mask |= np.array(matched) if recipe.places is None else all(matched)
                found |= {labels[k] for k in recipe.selected}
                if recipe.places is not None and all(matched):
                    found.add("(Intercept)")  # coordinates have none
        if wanted - found:
            raise FormulaError(
                f"re_form asks for ({bar}), but the model has no random effect "
                f"{', '.join(sorted(wanted - found))} of {group_name(bar.group)}; its terms are "
                f"{', '.join(f'({term.expression})' for term in design.random)}.",
                asked_for,
                bar.position,
            )
    return masks


def predict(
    model: Fit, newdata: Any, re_form: ReForm, request: PredictionRequest
) -> pd.Series | pd.DataFrame:
    """Predict; see the method of that name."""
    if newdata is None:
        refuse_for_training_rows(request)
    if request.type == "disp":
        values = row_dispersions(model, newdata)
        index = model.design.index if newdata is None else row_labels(newdata, len(values))
        return labelled(model, {"fit": values}, index, newdata is None, request.na_action)
    # 1. The rows, and which random effects they condition on.
    masks = select_effects(model.design, re_form)
    needs_random = any(mask.any() for mask in masks)
    warn = not request.random_only
    rows = (
        training_rows(model)
        if newdata is None
        else new_rows(model, newdata, needs_random, warn, request.offset)
    )
    if newdata is not None:
        rows = _known_groups(model, rows, masks, newdata, request)
    # 2. The linear predictor, and its variance where that is asked for.
    eta = np.zeros(len(rows.X)) if request.random_only else rows.X @ model.beta + rows.offset
    for (Z, codes), b, mask in zip(rows.random, model.b, masks, strict=True):
        if mask.any():
            eta = eta + contribution(Z[:, mask], codes, b[:, mask])
    columns = {"fit": eta if request.type == "link" else response_values(model, eta, newdata)}
    if request.se_fit or request.interval is not None:
        variances = _variances(model, rows, masks, request.random_only)
        columns |= _uncertainty(model, newdata, rows, masks, eta, variances, request)
    # 3. A table by row.
    return labelled(model, columns, rows.index, newdata is None, request.na_action)


def refuse_for_training_rows(request: PredictionRequest) -> None:
    """Raise ControlError for arguments that only new rows have."""
    for name, given in (("offset", request.offset), ("weights", request.weights)):
        if given is not None:
            raise ControlError(
                f"{name}= is for new rows; those of the fit have their own. Give newdata= as well."
            )


def response_values(model: Fit, eta: FloatArray, newdata: Any = None) -> FloatArray:
    """Return the means of the response at a linear predictor of the fit's rows, or of new ones."""
    family = family_at(model, newdata)
    return eta if family is None else response_mean(family, eta, model.phi)


def _known_groups(
    model: Fit, rows: Rows, masks: Sequence[BoolArray], newdata: Any, request: PredictionRequest
) -> Rows:
    """Return new rows, their levels known or allowed; rows without one become missing if that is asked."""
    random = []
    for recipe, (Z, codes), mask in zip(model.design.recipe.random, rows.random, masks, strict=True):
        if request.na_action != "pass" and mask.any() and (codes < 0).any():
            unseen = np.flatnonzero(codes < 0)
            labels = new_labels(model.design.recipe, recipe.group, newdata, codes)
            missing = unseen[[label is None for label in labels]]
            Z, codes = Z.copy(), codes.copy()
            Z[missing], codes[missing] = np.nan, 0
        random.append((Z, codes))
    if not request.allow_new_levels:
        refuse_new_levels(model, random, masks, newdata)
    return replace(rows, random=tuple(random))


def _uncertainty(
    model: Fit,
    newdata: Any,
    rows: Rows,
    masks: Sequence[BoolArray],
    eta: FloatArray,
    variances: FloatArray,
    request: PredictionRequest,
) -> dict[str, FloatArray]:
    """Return the columns se_fit, lower and upper that are asked for."""
    owed = None
    if request.df == "satterthwaite":
        owed = _owed_to_theta(model, newdata, rows, masks, request)
        variances = variances + (0.0 if owed is None else owed.added)
    df = None if owed is None else owed.df
    se, family = np.sqrt(variances), family_at(model, newdata)
    columns = {}
    if request.se_fit:
        columns["se_fit"] = se
        if request.type == "response" and family is not None:
            columns["se_fit"] = se * np.abs(response_slope(family, eta, model.phi))
    if request.interval == "confidence":
        lower, upper = confidence_limits(model, eta, se, request, df, family)
        columns |= {"lower": lower, "upper": upper}
    elif request.interval == "prediction":
        weights = _weights(model, newdata, len(eta), request)
        if model.has_structured_residuals:
            weights = weights / relative_sd(model, newdata, eta) ** 2
        others = drawn_rows(model, newdata, rows.random, masks)
        drawn = model.random_scale**2 * relative_variances(model, others, model.theta_values)
        lower, upper = prediction_limits(model, eta, variances + drawn, weights, request, df, family)
        columns |= {"lower": lower, "upper": upper}
    return columns


def _weights(model: Fit, newdata: Any, n: int, request: PredictionRequest) -> FloatArray:
    """Return the prior weights of the rows, shape (n,)."""
    return model.prior_weights if newdata is None else new_weights(model, newdata, n, request.weights)


def _owed_to_theta(
    model: Fit, newdata: Any, rows: Rows, masks: Sequence[BoolArray], request: PredictionRequest
) -> Spread | None:
    """Return what the limits owe to estimated variances; None of a linear model without random effects.

    Raises
    ------
    NotAvailableError
        If the model is of another kind.
    """
    if model.is_least_squares:
        return None
    if not isinstance(model, LinearFit):
        raise NotAvailableError(
            "df='satterthwaite' is for linear models, of lmer() and lm(); limits of others are normal, or of "
            "t with a number given as df."
        )
    X, random, _ = _complete(rows, masks, request.random_only)
    of_response = request.interval == "prediction"
    drawn = drawn_rows(model, newdata, rows.random, masks) if of_response else []
    weights = noise_weights(_weights(model, newdata, len(X), request)) if of_response else np.inf

    def others(theta: FloatArray) -> FloatArray:
        return np.asarray(relative_variances(model, drawn, theta) + 1.0 / weights)

    predicted = predicted_rows(model, X, random, masks, others)
    return spread(model, predicted, conditions_on_effects(random, len(X)))


def _complete(
    rows: Rows, masks: Sequence[BoolArray], random_only: bool
) -> tuple[FloatArray, list[RandomRows], BoolArray]:
    """Return the rows, zero where nothing is conditioned on or a variable is missing, and which these are."""
    X = np.zeros_like(rows.X) if random_only else rows.X
    random = [(np.where(mask, Z, 0.0), codes) for (Z, codes), mask in zip(rows.random, masks, strict=True)]
    missing = np.asarray(np.isnan(X).any(axis=1))
    for Z, _ in random:
        missing |= np.isnan(Z).any(axis=1)
    if missing.any():
        X = np.where(missing[:, None], 0.0, X)
        random = [(np.where(missing[:, None], 0.0, Z), codes) for Z, codes in random]
    return X, random, missing


def _variances(model: Fit, rows: Rows, masks: Sequence[BoolArray], random_only: bool) -> FloatArray:
    """Return the variances of the predictions, NaN where a variable is missing."""
    X, random, missing = _complete(rows, masks, random_only)
    if any(mask.any() for mask in masks):
        variances = model.prediction_variances(X, random)
        if not rows.is_training:
            left = left_at_places(model.random, random, model.theta_values)
            variances = variances + model.random_scale**2 * left
    else:
        variances = fixed_variances(model, X)
    return np.where(missing, np.nan, variances)


def labelled(
    model: Fit, columns: dict[str, FloatArray], index: pd.Index, training: bool, na_action: NewNaAction
) -> pd.Series | pd.DataFrame:
    """Return columns of predictions by row: a Series of one column, a table of several.

    Those of the rows of the fit are padded as fitted values are; of new rows those that are missing stay, are
    left out or refused.

    Raises
    ------
    DataError
        If a new row is missing and `na_action` is "fail".
    """
    if training:
        table = pd.DataFrame({name: model.by_row(values, name) for name, values in columns.items()})
        return table if len(columns) > 1 else table["fit"]
    missing = np.isnan(columns["fit"])
    if na_action == "fail" and missing.any():
        raise DataError(
            f"newdata has missing values at {int(missing.sum())} row(s), the first is row "
            f"{int(np.argmax(missing))} (counting from 0); na_action='exclude' predicts NaN there, 'omit' "
            "leaves them out."
        )
    table = pd.DataFrame(columns, index=index)
    if na_action == "omit":
        table = table[~missing]
    return table if len(columns) > 1 else table["fit"]


def refuse_new_levels(
    model: Fit, rows: Sequence[RandomRows], masks: Sequence[BoolArray], newdata: Any
) -> None:
    """Raise DataError, naming factor and levels, if a term in use meets a level that was not in the data."""
    for term, recipe, (_, codes), mask in zip(
        model.random, model.design.recipe.random, rows, masks, strict=True
    ):
        if mask.any() and (codes < 0).any():
            levels = unseen_levels(model.design.recipe, recipe.group, newdata, codes)
            if not levels:
                raise DataError(
                    f"the grouping factor {term.group} is missing (NA) in newdata at "
                    f"{int((codes < 0).sum())} row(s); allow_new_levels=True predicts there with its random "
                    "effects at zero, na_action='exclude' or 'omit' does not predict there."
                )
            raise DataError(
                f"new levels detected in newdata: {listed(levels)} of the grouping factor {term.group}; "
                "allow_new_levels=True predicts there with the random effects at zero."
            )


def unseen_levels(recipe: Recipe, group: Node, newdata: Any, codes: CodeArray) -> list[str]:
    """Return the distinct levels of a grouping factor at rows of code -1, missing ones left out."""
    return list(
        dict.fromkeys(label for label in new_labels(recipe, group, newdata, codes) if label is not None)
    )


def new_labels(recipe: Recipe, group: Node, newdata: Any, codes: CodeArray) -> list[str | None]:
    """Return the level of a grouping factor at each row of code -1, None where it is missing."""
    labels = group_labels(recipe, group, newdata)
    return [labels[row] for row in np.flatnonzero(codes < 0)]
