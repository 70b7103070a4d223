"""Simulated responses of a fitted mixed model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.errors import ControlError
from mixedmodels.missing import NAType
from mixedmodels.models.predict import (
    ReForm,
    Rows,
    new_rows,
    refuse_new_levels,
    select_effects,
    training_rows,
)
from mixedmodels.prediction.linear_predictor import contribution
from mixedmodels.prediction.simulate import (
    Seed,
    draw_gaussian,
    draw_new_levels,
    draw_random_effects,
    generator,
)

if TYPE_CHECKING:
    from mixedmodels.models.mixed_model import MixedModel


class Unset(NAType):
    """The type of the default of `re_form`, to tell it from NA given by the caller."""

    def __repr__(self) -> str:
        return "NA"


UNSET = Unset()


def simulate(
    model: MixedModel,
    nsim: int,
    seed: Seed,
    use_u: bool,
    re_form: ReForm,
    newdata: Any,
    allow_new_levels: bool,
) -> pd.DataFrame:
    """Simulate; see :meth:`MixedModel.simulate`."""
    if use_u and not isinstance(re_form, Unset):
        raise ControlError("should specify only one of 'use_u' and 're_form'.")
    if not isinstance(nsim, (int, np.integer)) or nsim < 1:
        raise ControlError(f"nsim must be a whole number, 1 or more, not {nsim!r}.")
    rng = generator(seed)
    masks = select_effects(model.design, None if use_u else re_form)
    rows = training_rows(model) if newdata is None else new_rows(model, newdata, True)
    if newdata is not None and not allow_new_levels:
        everything = [np.ones_like(mask) for mask in masks]
        refuse_new_levels(model, rows, everything, newdata)
    fixed = rows.X @ model.beta + rows.offset
    for (Z, codes), b, mask in zip(rows.random, model.b, masks, strict=True):
        fixed = fixed + contribution(Z * mask, codes, b)
    weights = model.prior_weights if newdata is None else np.ones(len(fixed))
    draws = [_draw(model, rng, rows, fixed, masks, weights) for _ in range(nsim)]
    columns = [f"sim_{i + 1}" for i in range(nsim)]
    if newdata is None:
        return pd.concat([model.by_row(d, c) for d, c in zip(draws, columns, strict=True)], axis=1)
    return pd.DataFrame(np.column_stack(draws), index=rows.index, columns=columns)


def _draw(
    model: MixedModel,
    rng: np.random.Generator,
    rows: Rows,
    fixed: FloatArray,
    masks: Sequence[BoolArray],
    weights: FloatArray,
) -> FloatArray:
    """Draw one response: the effects that are not conditioned on, then the observations."""
    eta = fixed
    new_level = any((codes < 0).any() for _, codes in rows.random)
    if new_level or not all(mask.all() for mask in masks):
        scale, theta = model.random_scale, model.theta().to_numpy()
        drawn = draw_random_effects(rng, model.random, theta, scale)
        offset = 0
        for term, (Z, codes), b, mask in zip(model.random, rows.random, drawn, masks, strict=True):
            part = theta[offset : offset + term.structure.n_theta]
            offset += term.structure.n_theta
            effects, position = b, codes
            if (codes < 0).any():
                fresh = draw_new_levels(rng, term, part, scale, int((codes < 0).sum()))
                effects = np.vstack([b, fresh])
                position = np.where(codes < 0, len(b) + np.cumsum(codes < 0) - 1, codes).astype(np.int32)
            # The effects of a new level are drawn even where those of known levels are kept.
            drawn_columns = (codes < 0)[:, None] | ~mask
            eta = eta + contribution(Z * drawn_columns, position, effects)
    family = model.family()
    if family is None:
        return draw_gaussian(rng, eta, model.sigma(), weights)
    y = family.simulate(rng, family.link.inverse(eta), weights, model.phi)
    counts = model.design.response.kind == "cbind"
    return np.round(y * weights) if counts else y
