"""Simulated responses of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray
from mixedmodels.control import whole_number
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.linear_predictor import contribution
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.missing import NAType
from mixedmodels.prediction.draws import (
    Seed,
    draw_gaussian,
    draw_new_levels,
    draw_random_effects,
    generator,
)
from mixedmodels.prediction.new_weights import new_weights
from mixedmodels.prediction.predict import (
    Rows,
    new_labels,
    new_rows,
    refuse_new_levels,
    select_effects,
    training_rows,
)
from mixedmodels.prediction.re_form import ReForm
from mixedmodels.prediction.structured import drawn_residuals, refuse_new_draws, relative_sd


class Unset(NAType):
    """The type of the default of `re_form`, to tell it from NA given by the caller."""

    def __repr__(self) -> str:
        return "NA"


UNSET = Unset()


def simulate(
    model: Fit,
    nsim: int,
    seed: Seed,
    use_u: bool,
    re_form: ReForm,
    newdata: Any,
    allow_new_levels: bool,
) -> pd.DataFrame:
    """Simulate; see the method of that name."""
    if use_u and not isinstance(re_form, Unset):
        raise ControlError("should specify only one of 'use_u' and 're_form'.")
    family = model.family()
    if family is not None and family.is_quasi:
        raise NotAvailableError(f"the {family.name} family has no distribution to simulate from.")
    nsim = whole_number("nsim", nsim, 1)
    rng = generator(seed)
    # 1. Which effects stay at their modes, and the rows.
    masks = select_effects(model.design, None if use_u else re_form)
    rows = training_rows(model) if newdata is None else new_rows(model, newdata, True)
    if newdata is not None and not allow_new_levels:
        everything = [np.ones_like(mask) for mask in masks]
        refuse_new_levels(model, rows.random, everything, newdata)
    # 2. What is the same in every draw: fixed effects, offset, the effects that stay.
    fixed = rows.X @ model.beta + rows.offset
    for (Z, codes), b, mask in zip(rows.random, model.b, masks, strict=True):
        fixed = fixed + contribution(Z * mask, codes, b)
    weights = model.prior_weights if newdata is None else new_weights(model, newdata, len(fixed))
    if newdata is not None and model.has_structured_residuals:
        refuse_new_draws(model)
        weights = weights / relative_sd(model, newdata, fixed) ** 2
    fresh = [None] * len(masks) if newdata is None else _fresh_levels(model, rows, newdata)
    # 3. The draws: other effects and levels not seen afresh, then the observations.
    draws = [_draw(model, rng, rows, fresh, fixed, masks, weights) for _ in range(nsim)]
    columns = [f"sim_{i + 1}" for i in range(nsim)]
    if newdata is None:
        return pd.concat([model.by_row(d, c) for d, c in zip(draws, columns, strict=True)], axis=1)
    return pd.DataFrame(np.column_stack(draws), index=rows.index, columns=columns)


def _fresh_levels(model: Fit, rows: Rows, newdata: Any) -> list[CodeArray | None]:
    """Return, by term, codes that number the new levels on after those of the fit; None where all are known.

    Terms on one grouping factor share the numbers; a missing level is a level of its own.
    """
    found: list[CodeArray | None] = []
    for term, recipe, (_, codes) in zip(model.random, model.design.recipe.random, rows.random, strict=True):
        if (codes >= 0).all():
            found.append(None)
            continue
        labels = new_labels(model.design.recipe, recipe.group, newdata, codes)
        keys = [label if label is not None else i for i, label in enumerate(labels)]
        number = {key: term.n_levels + k for k, key in enumerate(dict.fromkeys(keys))}
        extended = codes.copy()
        extended[codes < 0] = [number[key] for key in keys]
        found.append(extended)
    return found


def _draw(
    model: Fit,
    rng: np.random.Generator,
    rows: Rows,
    fresh: Sequence[CodeArray | None],
    fixed: FloatArray,
    masks: Sequence[BoolArray],
    weights: FloatArray,
) -> FloatArray:
    """Draw one response: the effects that are not conditioned on, then the observations."""
    eta = fixed
    if any(codes is not None for codes in fresh) or not all(mask.all() for mask in masks):
        eta = fixed + _drawn_effects(model, rng, rows, fresh, masks)
    family = model.family()
    if family is None and isinstance(model, StructuredResiduals) and rows.is_training:
        return eta + drawn_residuals(model, rng)
    if family is None:
        return draw_gaussian(rng, eta, model.sigma(), weights)
    y = family.simulate(rng, family.link.inverse(eta), weights, model.drawn_phi)
    counts = model.design.response.kind == "cbind"
    return np.round(y * weights) if counts else y


def _drawn_effects(
    model: Fit,
    rng: np.random.Generator,
    rows: Rows,
    fresh: Sequence[CodeArray | None],
    masks: Sequence[BoolArray],
) -> FloatArray:
    """Return the contribution of freshly drawn random effects to each row."""
    scale, theta = model.random_scale, model.theta_values
    drawn = draw_random_effects(rng, model.random, theta, scale)
    total = np.zeros(len(rows.X))
    parts = (theta[part] for part in theta_slices(model.random))
    for term, part, (Z, codes), extended, b, mask in zip(
        model.random, parts, rows.random, fresh, drawn, masks, strict=True
    ):
        if extended is None:
            total += contribution(Z * ~mask, codes, b)
            continue
        n_new = int(extended.max()) + 1 - term.n_levels
        effects = np.vstack([b, draw_new_levels(rng, term, part, scale, n_new)])
        # The effects of a new level are drawn even where those of known levels are kept.
        drawn_columns = (codes < 0)[:, None] | ~mask
        total += contribution(Z * drawn_columns, extended, effects)
    return total
