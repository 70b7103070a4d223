"""Simulated responses of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.arrays import BoolArray, CodeArray, FloatArray, IntArray
from mixedmodels.control import true_or_false, whole_number
from mixedmodels.errors import ControlError
from mixedmodels.families.family import Family
from mixedmodels.families.modelled_dispersion import rows_of
from mixedmodels.fits.family_dispersion import family_at
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.linear_predictor import contribution, contributions
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.fits.specified import parameters_of, with_parameters
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.missing import UNSET, Unset
from mixedmodels.prediction.draws import (
    Seed,
    draw_new_levels,
    draw_observed,
    draw_random_effects,
    generator,
)
from mixedmodels.prediction.given_parameters import read_parameters
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
from mixedmodels.prediction.structured import drawn_residuals, new_residual_factors, relative_sd

#: Numbers of one block of draws: 16 MB.
MOST_VALUES = 2**21


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """What is asked of a simulation.

    Attributes
    ----------
    use_u : bool
        Whether to keep the random effects at their conditional modes.
    re_form
        Random effects to keep so; the others are drawn.
    newdata : table or None
        Rows to simulate at; None for those of the fit.
    allow_new_levels : bool
        Whether levels that were not in the data are allowed.
    newparams : mapping or None
        Parameters in place of those of the fit.
    weights, offset : optional
        In place of those of the fit, at new rows.

    Raises
    ------
    ControlError
        If two of these contradict each other.
    """

    use_u: bool = False
    re_form: ReForm = UNSET
    newdata: Any = None
    allow_new_levels: bool = False
    newparams: Mapping[str, Any] | None = None
    weights: Any = None
    offset: Any = None

    def __post_init__(self) -> None:
        true_or_false(use_u=self.use_u, allow_new_levels=self.allow_new_levels)
        if self.use_u and not isinstance(self.re_form, Unset):
            raise ControlError("should specify only one of 'use_u' and 're_form'.")
        if self.newparams is not None and not isinstance(self.newparams, Mapping):
            raise ControlError(
                "newparams must be a dict such as {'beta': {'x': 0.5}, 'sigma': 2}, not "
                f"{shown(self.newparams)}."
            )
        for name, given in (("offset", self.offset), ("weights", self.weights)):
            if given is not None and self.newdata is None:
                raise ControlError(
                    f"{name}= is for new rows; those of the fit have their own. Give newdata=."
                )


def simulate(model: Fit, nsim: int, rng: np.random.Generator, request: SimulationRequest) -> pd.DataFrame:
    """Simulate; see the method of that name."""
    nsim = whole_number("nsim", nsim, 1)
    simulation = prepared_simulation(model, request)
    values = simulation.draw(rng, nsim)
    columns = [f"sim_{i + 1}" for i in range(nsim)]
    if request.newdata is not None:
        return pd.DataFrame(values, index=simulation.rows.index, columns=columns)
    missing = model.design.missing
    if missing.action != "exclude" or not missing.n_dropped:
        return pd.DataFrame(values, index=model.design.index, columns=columns)
    padded = np.full((missing.n_input, nsim), np.nan)
    padded[missing.kept] = values
    return pd.DataFrame(padded, index=missing.input_index, columns=columns)


def one_generator(seed: Seed, rng: Seed) -> np.random.Generator:
    """Return the generator of a call that may name its seed in two ways.

    Raises
    ------
    ControlError
        If it has both.
    """
    if seed is not None and rng is not None:
        raise ControlError("seed and rng are two names of one argument; give one of them.")
    return generator(seed if rng is None else rng)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is the same in every simulated response.

    Attributes
    ----------
    model : Fit
        The model, with the parameters to draw from.
    rows : Rows
        The rows.
    fresh : sequence of ndarray or None
        By term, codes that number new levels on after those of the fit; None where all are known.
    fixed : ndarray, shape (m,)
        Fixed effects, offset and the random effects that are kept; NaN where a variable is missing.
    masks : sequence of ndarray
        By term, which of its coefficients are kept.
    weights : ndarray, shape (m,)
        Prior weights.
    family : Family or None
        The family at the rows.
    correlated : tuple of (ndarray of int, ndarray)
        New rows whose residuals are correlated, and the Cholesky factor of their correlation.
    """

    model: Fit
    rows: Rows
    fresh: Sequence[CodeArray | None]
    fixed: FloatArray
    masks: Sequence[BoolArray]
    weights: FloatArray
    family: Family | None
    correlated: tuple[tuple[IntArray, FloatArray], ...] = ()

    def draw(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Draw responses on the scale that a new response is given in, one a column, shape (m, count)."""
        largest = max(len(self.fixed), *(term.n_levels * term.size for term in self.model.random), 1)
        block = max(MOST_VALUES // largest, 1)
        blocks = [self._draw_block(rng, min(block, count - first)) for first in range(0, count, block)]
        return blocks[0] if len(blocks) == 1 else np.column_stack(blocks)

    def _draw_block(self, rng: np.random.Generator, count: int) -> FloatArray:
        eta = np.broadcast_to(self.fixed[:, None], (len(self.fixed), count))
        if any(codes is not None for codes in self.fresh) or not all(mask.all() for mask in self.masks):
            eta = eta + _drawn_effects(self.model, rng, self.rows, self.fresh, self.masks, count)
        if isinstance(self.model, StructuredResiduals) and self.rows.is_training:
            return eta + np.column_stack([drawn_residuals(self.model, rng) for _ in range(count)])
        if self.correlated:
            return eta + self._new_residuals(rng, eta.shape)
        known = np.isfinite(eta).all(axis=1)
        if known.all():
            return draw_observed(self.model, rng, eta, self.weights, self.family)
        y = np.full(eta.shape, np.nan)
        family = None if self.family is None else rows_of(self.family, np.flatnonzero(known))
        y[known] = draw_observed(self.model, rng, eta[known], self.weights[known], family)
        return y

    def _new_residuals(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Draw residuals of new rows with their correlation, NaN where a variable of it is missing."""
        drawn, noise = np.full(shape, np.nan), rng.standard_normal(shape)
        for rows, L in self.correlated:
            drawn[rows] = L @ noise[rows]
        scale = self.model.sigma() / np.sqrt(np.where(self.weights > 0.0, self.weights, 1.0))
        return np.asarray(scale[:, None] * drawn)


def prepared_simulation(model: Fit, request: SimulationRequest) -> Simulation:
    """Return what is the same in every simulated response.

    Raises
    ------
    NotAvailableError
        If the family is a quasi family.
    ControlError, DataError
        If parameters or rows are at fault.
    """
    refuse_nonlinear(model, "a study of power")
    family, newdata = model.family(), request.newdata
    model.refuse_draws()
    if request.newparams is not None:
        model = with_parameters(
            model, read_parameters(model.design, family, request.newparams, parameters_of(model))
        )
    # 1. Which effects stay at their modes, and the rows.
    masks = select_effects(model.design, None if request.use_u else request.re_form)
    rows = (
        training_rows(model)
        if newdata is None
        else new_rows(model, newdata, True, offset=request.offset, interpolates=False)
    )
    if newdata is not None and not request.allow_new_levels:
        everything = [np.ones_like(mask) for mask in masks]
        refuse_new_levels(model, rows.random, everything, newdata)
    # 2. What is the same in every draw: fixed effects, offset, the effects that stay.
    fixed = rows.X @ model.beta + rows.offset
    for (Z, codes), b, mask in zip(rows.random, model.b, masks, strict=True):
        fixed = fixed + contribution(Z * mask, codes, b)
    weights = (
        model.prior_weights if newdata is None else new_weights(model, newdata, len(fixed), request.weights)
    )
    if newdata is not None and model.has_structured_residuals:
        weights = weights / relative_sd(model, newdata, fixed) ** 2
    fresh = [None] * len(masks) if newdata is None else _fresh_levels(model, rows, newdata)
    correlated = () if newdata is None else new_residual_factors(model, newdata)
    return Simulation(model, rows, fresh, fixed, masks, weights, family_at(model, newdata), correlated)


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


def _drawn_effects(
    model: Fit,
    rng: np.random.Generator,
    rows: Rows,
    fresh: Sequence[CodeArray | None],
    masks: Sequence[BoolArray],
    count: int,
) -> FloatArray:
    """Return the contribution of freshly drawn random effects to each row, shape (m, count)."""
    scale, theta = model.random_scale, model.theta_values
    drawn = draw_random_effects(rng, model.random, theta, scale, count)
    total = np.zeros((len(rows.X), count))
    parts = (theta[part] for part in theta_slices(model.random))
    for term, part, (Z, codes), extended, b, mask in zip(
        model.random, parts, rows.random, fresh, drawn, masks, strict=True
    ):
        if extended is None:
            total += contributions(Z * ~mask, codes, b)
            continue
        n_new = int(extended.max()) + 1 - term.n_levels
        effects = np.vstack([b, draw_new_levels(rng, term, part, scale, n_new, count)])
        # The effects of a new level are drawn even where those of known levels are kept.
        drawn_columns = (codes < 0)[:, None] | ~mask
        total += contributions(Z * drawn_columns, extended, effects)
    return total
