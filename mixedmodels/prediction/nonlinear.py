"""Predictions and simulated responses of a nonlinear mixed model, at the rows of the fit or new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.control import whole_number
from mixedmodels.errors import FormulaError, NotAvailableError
from mixedmodels.fits.family_quantities import response_slope
from mixedmodels.fits.fit import RandomRows
from mixedmodels.fits.linear_predictor import contributions
from mixedmodels.fits.nonlinear import CurveFit
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.formula.design.new_data import fixed_matrix, random_matrices
from mixedmodels.formula.design.new_nonlinear import mean_on
from mixedmodels.formula.design.nonlinear import MeanFunction
from mixedmodels.formula.design.random_effects import group_name
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.formula.language.terms import expand_terms
from mixedmodels.prediction.draws import draw_new_levels, draw_observed, draw_random_effects
from mixedmodels.prediction.intervals import (
    confidence_limits,
    drawn_rows,
    fixed_variances,
    prediction_limits,
    relative_variances,
)
from mixedmodels.prediction.new_weights import new_weights
from mixedmodels.prediction.predict import (
    labelled,
    new_labels,
    refuse_new_levels,
    response_values,
    row_labels,
    select_effects,
)
from mixedmodels.prediction.re_form import ReForm, named_effects, plain_re_form
from mixedmodels.prediction.request import PredictionRequest
from mixedmodels.prediction.structured import drawn_residuals, relative_sd


@dataclass(frozen=True, slots=True)
class NonlinearRows:
    """Rows to predict at.

    Attributes
    ----------
    mean : MeanFunction
        The mean there.
    X : ndarray, shape (m, p)
        Columns of the fixed effects.
    random : tuple of (Z, codes)
        Random-effects rows by term, codes -1 where a level was not in the data.
    index : pandas.Index
        Labels.
    """

    mean: MeanFunction
    X: FloatArray
    random: tuple[RandomRows, ...]
    index: pd.Index


def nonlinear_rows(fit: CurveFit, newdata: Any, needs_random: bool) -> NonlinearRows:
    """Return the rows of the fit, or new ones, which need no grouping factors for the population.

    Raises
    ------
    DataError
        If a variable is missing.
    """
    design = fit.nonlinear.design
    if newdata is None:
        random = tuple((term.Z, term.codes) for term in design.random)
        return NonlinearRows(fit.nonlinear.mean, design.X, random, design.index)
    mean, (X, _) = mean_on(fit.nonlinear, newdata), fixed_matrix(design, newdata)
    absent = np.zeros(len(X), dtype=np.int32)
    random = (
        random_matrices(design, newdata)
        if needs_random
        else tuple((np.zeros((len(X), term.size)), absent) for term in design.random)
    )
    return NonlinearRows(mean, X, random, row_labels(newdata, len(X)))


def parameters_at(fit: CurveFit, rows: NonlinearRows, b: Sequence[FloatArray]) -> FloatArray:
    """Return the parameters of the mean, (K, m, R), with random effects b of each term, (levels, S, R)."""
    phi = np.zeros((len(rows.mean.parameters), len(rows.X), b[0].shape[2] if b else 1))
    for j, k in enumerate(fit.nonlinear.fixed_parameter.tolist()):
        phi[k] += (fit.beta[j] * rows.X[:, j])[:, None]
    for (Z, codes), effects, owner in zip(rows.random, b, fit.nonlinear.random_parameter, strict=True):
        for k in np.unique(owner).tolist():
            own = owner == k
            phi[k] += contributions(Z[:, own], codes, effects[:, own])
    return phi


def population_mean(fit: CurveFit) -> FloatArray:
    """Return the curve of the rows of the fit at random effects of zero, shape (n,)."""
    rows = nonlinear_rows(fit, None, needs_random=False)
    return rows.mean.value(parameters_at(fit, rows, [np.zeros((*b.shape, 1)) for b in fit.b])[:, :, 0])


def parameter_effects(fit: CurveFit, re_form: ReForm) -> tuple[BoolArray, ...]:
    """Return, for each term, which coefficients a prediction conditions on: of the parameters named.

    Raises
    ------
    FormulaError
        If `re_form` names parameters without random effects.
    """
    design, parameters = fit.nonlinear.design, fit.nonlinear.mean.parameters
    asked_for = plain_re_form(re_form)
    if not isinstance(asked_for, str):
        return select_effects(design, asked_for)
    masks = tuple(np.zeros(term.size, dtype=bool) for term in design.random)
    for bar in named_effects(asked_for):
        asked = expand_terms(bar.lhs, asked_for)
        # A 1 beside names is the intercept that (Asym | g) implies; alone, it names no parameter.
        wanted = {label.replace("`", "") for label in asked.labels} or {"1"}
        found: set[str] = set()
        for term, owner, mask in zip(design.random, fit.nonlinear.random_parameter, masks, strict=True):
            if term.group == group_name(bar.group):
                names = [parameters[k] for k in owner.tolist()]
                mask |= np.array([name in wanted for name in names])
                found |= {*names}
        if wanted - found:
            raise FormulaError(
                f"re_form asks for ({bar}), but the model has no random effect of "
                f"{', '.join(sorted(wanted - found))} by {group_name(bar.group)}; its terms are "
                f"{', '.join(f'({term.expression})' for term in design.random)}.",
                asked_for,
                bar.position,
            )
    return masks


def predict_nonlinear(
    fit: CurveFit, newdata: Any, re_form: ReForm, request: PredictionRequest
) -> pd.Series | pd.DataFrame:
    """Predict means; see :meth:`NonlinearMixedModel.predict`."""
    if request.random_only or request.offset is not None:
        raise NotAvailableError(
            "random effects act inside the mean of a nonlinear model, which has no offset: predictions have "
            "neither random_only= nor offset=."
        )
    masks = parameter_effects(fit, re_form)
    needs_random = any(mask.any() for mask in masks)
    rows = nonlinear_rows(fit, newdata, needs_random)
    if newdata is not None and not request.allow_new_levels:
        refuse_new_levels(fit, rows.random, masks, newdata)
    b = [np.where(mask, effects, 0.0)[:, :, None] for effects, mask in zip(fit.b, masks, strict=True)]
    phi = parameters_at(fit, rows, b)[:, :, 0]
    with np.errstate(all="ignore"):
        curve, family = rows.mean.value(phi), fit.family()
        linked = family is not None and request.type == "response"
        columns = {"fit": response_values(fit, curve) if linked else curve}
        if request.se_fit or request.interval is not None:
            columns |= _uncertainty(fit, rows, phi, masks, newdata, request, curve)
    return labelled(fit, columns, rows.index, newdata is None, request.na_action)


def _uncertainty(
    fit: CurveFit,
    rows: NonlinearRows,
    phi: FloatArray,
    masks: Sequence[BoolArray],
    newdata: Any,
    request: PredictionRequest,
    curve: FloatArray,
) -> dict[str, FloatArray]:
    """Return se_fit and limits by the delta method, from the derivatives of the mean at these rows."""
    _, G = rows.mean.jacobian(phi)
    known = np.isfinite(curve)
    X = np.where(known[:, None], rows.X * G[fit.nonlinear.fixed_parameter].T, 0.0)
    random = [
        (np.where(known[:, None] & mask, Z * G[owner].T, 0.0), codes)
        for (Z, codes), mask, owner in zip(rows.random, masks, fit.nonlinear.random_parameter, strict=True)
    ]
    conditional = any(mask.any() for mask in masks)
    variances = fit.prediction_variances(X, random) if conditional else fixed_variances(fit, X)
    se, family, columns = np.sqrt(variances), fit.family(), {}
    if request.se_fit:
        linked = family is not None and request.type == "response"
        factor = np.abs(response_slope(family, curve, fit.phi)) if family is not None and linked else 1.0
        columns["se_fit"] = np.where(known, se * factor, np.nan)
    if request.interval == "confidence":
        columns["lower"], columns["upper"] = confidence_limits(fit, curve, se, request)
    elif request.interval == "prediction":
        weights = fit.prior_weights if newdata is None else new_weights(fit, newdata, len(X), request.weights)
        if fit.has_structured_residuals:
            weights = weights / relative_sd(fit, newdata, curve) ** 2
        variances = variances + _drawn(fit, rows, G, masks, newdata)
        columns["lower"], columns["upper"] = prediction_limits(fit, curve, variances, weights, request)
    return columns


def _drawn(
    fit: CurveFit, rows: NonlinearRows, G: FloatArray, masks: Sequence[BoolArray], newdata: Any
) -> FloatArray | float:
    """Return, to first order, the variances of the random effects that are not conditioned on, shape (m,)."""
    others = drawn_rows(fit, newdata, rows.random, masks)
    sloped = [
        (Z * G[owner].T, codes)
        for (Z, codes), owner in zip(others, fit.nonlinear.random_parameter, strict=False)
    ]
    return fit.random_scale**2 * relative_variances(fit, sloped, fit.theta_values)


def simulate_nonlinear(
    fit: CurveFit,
    nsim: int,
    rng: np.random.Generator,
    newdata: Any,
    re_form: ReForm,
    allow_new_levels: bool,
    weights: Any,
) -> pd.DataFrame:
    """Simulate responses; see :meth:`NonlinearMixedModel.simulate`."""
    nsim = whole_number("nsim", nsim, 1)
    masks = parameter_effects(fit, re_form)
    rows = nonlinear_rows(fit, newdata, needs_random=True)
    if newdata is not None and not allow_new_levels:
        refuse_new_levels(fit, rows.random, [np.ones_like(mask) for mask in masks], newdata)
    if newdata is None:
        y = drawn_responses(fit, rng, nsim, masks)
        return pd.DataFrame({f"sim_{i + 1}": fit.by_row(values, "y") for i, values in enumerate(y.T)})
    rows, b = _with_new_levels(fit, rows, newdata, _drawn_effects(fit, nsim, rng, masks), rng)
    if fit.has_structured_residuals:
        raise NotAvailableError(
            "structured residuals are simulated at the rows of the fit: leave out newdata=."
        )
    prior = new_weights(fit, newdata, len(rows.X), weights)
    y = draw_observed(fit, rng, _curves(fit, rows, b), prior, fit.family())
    return pd.DataFrame(y, index=rows.index, columns=[f"sim_{i + 1}" for i in range(nsim)])


def _curves(fit: CurveFit, rows: NonlinearRows, b: Sequence[FloatArray]) -> FloatArray:
    """Return the curves at random effects b of each term, (levels, S, R), shape (m, R)."""
    phi = parameters_at(fit, rows, b)
    with np.errstate(all="ignore"):
        return np.column_stack([rows.mean.value(phi[:, :, r]) for r in range(phi.shape[2])])


def drawn_responses(
    fit: CurveFit, rng: np.random.Generator, count: int, masks: Sequence[BoolArray]
) -> FloatArray:
    """Draw responses at the rows of the fit, (n, count), random effects kept at their modes by `masks`."""
    rows = nonlinear_rows(fit, None, needs_random=True)
    curves = _curves(fit, rows, _drawn_effects(fit, count, rng, masks))
    if isinstance(fit, StructuredResiduals):
        return np.asarray(curves + np.column_stack([drawn_residuals(fit, rng) for _ in range(count)]))
    return draw_observed(fit, rng, curves, fit.prior_weights, fit.family())


def _drawn_effects(
    fit: CurveFit, nsim: int, rng: np.random.Generator, masks: Sequence[BoolArray]
) -> list[FloatArray]:
    """Return random effects of each term, drawn but where they are kept, each (levels, S, nsim)."""
    drawn = draw_random_effects(rng, fit.random, fit.theta_values, fit.random_scale, nsim)
    return [
        np.where(mask[:, None], modes[:, :, None], effects)
        for effects, modes, mask in zip(drawn, fit.b, masks, strict=True)
    ]


def _with_new_levels(
    fit: CurveFit, rows: NonlinearRows, newdata: Any, b: list[FloatArray], rng: np.random.Generator
) -> tuple[NonlinearRows, list[FloatArray]]:
    """Return rows and effects with levels that were not in the data, theirs drawn."""
    recipe, random, effects = fit.design.recipe, [], []
    parts = theta_slices(fit.random)
    for term, own, part, (Z, codes), known in zip(
        fit.random, recipe.random, parts, rows.random, b, strict=True
    ):
        unseen = np.flatnonzero(codes < 0)
        labels = new_labels(recipe, own.group, newdata, codes) if len(unseen) else []
        number = {label: k for k, label in enumerate(dict.fromkeys(labels))}
        codes = codes.copy()
        codes[unseen] = [term.n_levels + number[label] for label in labels]
        new = draw_new_levels(
            rng, term, fit.theta_values[part], fit.random_scale, len(number), known.shape[2]
        )
        random.append((Z, codes))
        effects.append(np.vstack([known, new]))
    return replace(rows, random=tuple(random)), effects
