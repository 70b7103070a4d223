"""Predictions of a fit, at the rows of the data or at new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray
from mixedmodels.errors import ControlError, DataError, FormulaError, listed
from mixedmodels.fits.columns import column_terms
from mixedmodels.fits.family_quantities import response_mean, response_slope
from mixedmodels.fits.fit import Fit, RandomRows
from mixedmodels.fits.linear_predictor import contribution
from mixedmodels.formula import fixed_matrix, random_matrices
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.model_terms import random_effects_matrix
from mixedmodels.formula.design.new_data import group_labels
from mixedmodels.formula.design.random_effects import group_name
from mixedmodels.formula.design.recipe import Recipe
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.language.syntax_tree import Node, names_in
from mixedmodels.formula.language.terms import expand_terms
from mixedmodels.prediction.re_form import ReForm, named_effects, plain_re_form


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
    """

    X: FloatArray
    offset: FloatArray
    random: tuple[RandomRows, ...]
    index: pd.Index


def training_rows(model: Fit) -> Rows:
    """Return the rows of the fit."""
    design = model.design
    offset = np.zeros(design.n_rows) if design.offset is None else design.offset
    return Rows(design.X, offset, tuple((t.Z, t.codes) for t in design.random), design.index)


def fixed_rows(model: Fit, newdata: Any, warn: bool = True) -> tuple[FloatArray, FloatArray, pd.Index]:
    """Return the fixed-effects matrix, the offset and the labels of new rows.

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
    if model.design.recipe.offset_is_array:
        raise DataError(
            "the model has an offset given as an array, which newdata cannot supply; fit it with the offset "
            "as a column name or an offset() term to predict at new rows."
        )
    X, offset = fixed_matrix(model.design, newdata, warn)
    return X, np.zeros(len(X)) if offset is None else offset, row_labels(newdata, len(X))


def row_labels(newdata: Any, n_rows: int) -> pd.Index:
    """Return the labels of new rows: those of a pandas frame, else 0, 1, 2, ..."""
    index = getattr(newdata, "index", None)
    return index if isinstance(index, pd.Index) else pd.RangeIndex(n_rows)


def new_rows(model: Fit, newdata: Any, needs_random: bool, warn: bool = True) -> Rows:
    """Return new rows; without random effects their grouping factors need not be there.

    Raises
    ------
    DataError
        As `fixed_rows`, and if a grouping factor is missing.
    """
    X, offset, labels = fixed_rows(model, newdata, warn)
    if needs_random:
        random = _random_rows(model, newdata)
    else:
        absent = np.zeros(len(X), dtype=np.int32)
        random = tuple((np.zeros((len(X), term.size)), absent) for term in model.random)
    return Rows(X, offset, random, labels)


def _random_rows(model: Fit, newdata: Any) -> tuple[tuple[FloatArray, CodeArray], ...]:
    """Return the random-effects rows of new data, or say how to do without them."""
    try:
        return random_matrices(model.design, newdata)
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
                mask |= np.array(matched)
                found |= {labels[k] for k in recipe.selected}
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
    model: Fit,
    newdata: Any,
    re_form: ReForm,
    type: Literal["link", "response"],
    allow_new_levels: bool,
    se_fit: bool,
    random_only: bool,
) -> pd.Series | pd.DataFrame:
    """Predict; see the method of that name."""
    if type not in ("link", "response"):
        raise ControlError(f"type must be 'link' or 'response', not {type!r}.")
    masks = select_effects(model.design, re_form)
    needs_random = any(mask.any() for mask in masks)
    rows = (
        training_rows(model) if newdata is None else new_rows(model, newdata, needs_random, not random_only)
    )
    if needs_random and not allow_new_levels and newdata is not None:
        refuse_new_levels(model, rows.random, masks, newdata)
    eta = np.zeros(len(rows.X)) if random_only else rows.X @ model.beta + rows.offset
    for (Z, codes), b, mask in zip(rows.random, model.b, masks, strict=True):
        if mask.any():
            eta = eta + contribution(Z[:, mask], codes, b[:, mask])
    family = model.family()
    value = eta if type == "link" or family is None else response_mean(family, eta, model.phi)
    fit = label_rows(model, value, rows.index, newdata is None)
    if not se_fit:
        return fit
    se = np.sqrt(_variances(model, rows, masks, random_only))
    if type == "response" and family is not None:
        se = se * np.abs(response_slope(family, eta, model.phi))
    return pd.DataFrame({"fit": fit, "se_fit": label_rows(model, se, rows.index, newdata is None)})


def _variances(model: Fit, rows: Rows, masks: Sequence[BoolArray], random_only: bool) -> FloatArray:
    """Return the variances of the predictions, NaN where a variable is missing."""
    X = np.zeros_like(rows.X) if random_only else rows.X
    random = [(Z * mask, codes) for (Z, codes), mask in zip(rows.random, masks, strict=True)]
    missing = np.isnan(np.hstack([X, *(Z for Z, _ in random)]).sum(axis=1))
    known = [(np.where(missing[:, None], 0.0, Z), codes) for Z, codes in random]
    variances = model.prediction_variances(np.where(missing[:, None], 0.0, X), known)
    return np.where(missing, np.nan, variances)


def label_rows(model: Fit, values: FloatArray, index: pd.Index, training: bool) -> pd.Series:
    """Label predictions by row, padded as fitted values are when they are for the rows of the fit."""
    if training:
        return model.by_row(values, "fit")
    return pd.Series(values, index=index, name="fit")


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
                    "effects at zero."
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
