"""Responses and rows as a bootstrap draws them.

parametric      new random effects and errors from their normal distributions (or responses of the family)
semiparametric  estimated effects and residuals drawn with replacement, each first centred and stretched to
                the variance that the model estimates, which shrunken effects lack (Carpenter, Goldstein &
                Rasbash 2003, Appl. Stat. 52)
wild            residuals about the fixed effects, over the root of one less their leverage, with one random
                sign for each cluster (Modugno & Giannerini 2015, Commun. Stat. 44)
cluster         clusters drawn with replacement, with all their rows
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.orthonormal import orthonormalize
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.families.modelled_dispersion import rows_of
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.gee import GeeFit
from mixedmodels.fits.linear_predictor import contributions
from mixedmodels.fits.nonlinear import CurveFit
from mixedmodels.formula.design.design import Design, MissingRows, RandomTerm
from mixedmodels.formula.design.rows import residual_of_copies
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.inference.clusters import clusters_of
from mixedmodels.prediction.draws import draw_gaussian, draw_random_effects
from mixedmodels.prediction.nonlinear import drawn_responses

Kind = Literal["parametric", "semiparametric", "cluster", "wild"]

#: Share of the largest eigenvalue below which estimated effects have no variance along a direction.
NO_VARIANCE = 1e-10
#: A leverage of one leaves no residual to stretch.
LARGEST_LEVERAGE = 1.0 - 1e-8


def check_kind(fit: Fit, kind: Kind, use_u: bool) -> None:
    """Raise unless a fit can be resampled this way.

    Raises
    ------
    ControlError
        If `use_u` means nothing for it.
    NotAvailableError
        If the model has no errors, no clusters or no distribution to draw.
    """
    family = fit.family()
    if use_u and kind in ("cluster", "wild"):
        raise ControlError(f"use_u=True keeps random effects that kind={kind!r} does not draw; leave it out.")
    if use_u and not fit.random:
        raise ControlError("use_u=True keeps random effects, and the model has none; leave it out.")
    if kind == "parametric" and isinstance(fit, GeeFit):
        fit.refuse_draws()
    if kind == "parametric" and family is not None and family.is_quasi:
        raise NotAvailableError(
            f"the {family.name} family has no distribution to draw from; kind='cluster' draws rows."
        )
    if kind in ("semiparametric", "wild") and family is not None:
        raise NotAvailableError(
            f"a {family.name} model has no residuals that could be exchanged, as kind={kind!r} does; use "
            "kind='parametric', or kind='cluster'."
        )
    if kind != "parametric" and isinstance(fit, CurveFit):
        raise NotAvailableError(
            f"kind={kind!r} is for linear predictors; a nonlinear mixed model has kind='parametric'."
        )
    if kind == "semiparametric" and any(term.relationship is not None for term in fit.random):
        raise NotAvailableError("levels with a known covariance are not exchangeable; use kind='parametric'.")
    if kind in ("cluster", "wild"):
        try:
            clusters_of(fit)
        except NotAvailableError as error:
            raise NotAvailableError(
                f"kind={kind!r} draws independent clusters of rows, and there are none: {error} "
                "kind='parametric' needs none."
            ) from None


def draw_responses(fit: Fit, kind: Kind, use_u: bool, rng: np.random.Generator, count: int) -> FloatArray:
    """Draw responses for the rows of a fit, one a column, shape (n, count)."""
    if isinstance(fit, CurveFit):
        return drawn_responses(fit, rng, count, [np.full(term.size, use_u) for term in fit.random])
    if kind == "wild":
        return _wild(fit, rng, count)
    eta = fixed_part(fit)[:, None]
    if use_u:
        eta = eta + random_part(fit.random, [b[:, :, None] for b in fit.b])
    elif fit.random:
        effects = normal_effects if kind == "parametric" else _resampled_effects
        eta = eta + random_part(fit.random, effects(fit, rng, count))
    eta = np.broadcast_to(eta, (len(eta), count))
    if kind == "semiparametric":
        return np.asarray(eta + _resampled_residuals(fit, rng, count))
    return observed(fit, rng, eta)


def fixed_part(fit: Fit) -> FloatArray:
    """Return ``X beta`` and the offset, shape (n,)."""
    eta = fit.design.X @ fit.beta
    return eta if fit.design.offset is None else eta + fit.design.offset


def observed(fit: Fit, rng: np.random.Generator, eta: FloatArray) -> FloatArray:
    """Draw observations about linear predictors, shape (n, count), on the scale of a new response."""
    family, weights = fit.family(), fit.prior_weights
    if family is None:
        return draw_gaussian(rng, eta, fit.sigma(), weights)
    n, count = eta.shape
    of_draws = rows_of(family, np.tile(np.arange(n), count))
    mu = family.link.inverse(eta.ravel("F"))
    drawn = of_draws.simulate(rng, mu, np.tile(weights, count), fit.drawn_phi)
    Y = drawn.reshape((n, count), order="F")
    return np.round(Y * weights[:, None]) if fit.design.response.kind == "cbind" else Y


def random_part(terms: Sequence[RandomTerm], effects: Sequence[FloatArray]) -> FloatArray:
    """Return ``Z b`` of effects b, each (q, S, count), summed over the terms, shape (n, count)."""
    parts = [contributions(term.Z, term.codes, b) for term, b in zip(terms, effects, strict=True)]
    return np.asarray(np.sum(parts, axis=0))


def normal_effects(fit: Fit, rng: np.random.Generator, count: int) -> Sequence[FloatArray]:
    """Draw ``b ~ N(0, Lambda Lambda')`` on its scale, each (q, S, count)."""
    return draw_random_effects(rng, fit.random, fit.theta_values, fit.random_scale, count)


def _resampled_effects(fit: Fit, rng: np.random.Generator, count: int) -> Sequence[FloatArray]:
    """Draw levels with replacement; effects of terms on one factor stay together."""
    chosen: dict[str, IntArray] = {}
    effects = []
    factors = term_factors(fit.random, fit.theta_values)
    for term, T, b in zip(fit.random, factors, fit.b, strict=True):
        if term.group not in chosen:
            chosen[term.group] = rng.integers(term.n_levels, size=(term.n_levels, count))
        stretched = _stretched(b, fit.random_scale * T)
        effects.append(stretched[chosen[term.group]].transpose(0, 2, 1))
    return effects


def _stretched(b: FloatArray, root: FloatArray) -> FloatArray:
    """Return effects, shape (q, S), centred and with covariance ``root root'`` where they vary."""
    b = b - b.mean(axis=0)
    values, vectors = np.linalg.eigh(b.T @ b / len(b))
    varies = values > NO_VARIANCE * max(float(values[-1]), np.finfo(np.float64).tiny)
    inverse_root = (vectors[:, varies] / np.sqrt(values[varies])) @ vectors[:, varies].T
    values, vectors = np.linalg.eigh(root @ root.T)
    symmetric = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return np.asarray(b @ inverse_root @ symmetric)


def _resampled_residuals(fit: Fit, rng: np.random.Generator, count: int) -> FloatArray:
    """Draw weighted residuals with replacement, centred and of variance sigma^2, shape (n, count)."""
    weights = fit.prior_weights
    counted = np.flatnonzero(weights > 0.0)
    root = np.sqrt(np.where(weights > 0.0, weights, 1.0))
    e = (root * (fit.y - fit.mean))[counted]
    e = e - e.mean()
    e *= fit.sigma() / np.sqrt(np.mean(e**2))
    return np.asarray(e[rng.integers(len(e), size=(len(root), count))] / root[:, None])


def _wild(fit: Fit, rng: np.random.Generator, count: int) -> FloatArray:
    fixed, weights = fixed_part(fit), fit.prior_weights
    Q = orthonormalize(fit.design.X, np.sqrt(weights)).Q
    leverage = np.minimum(np.einsum("ij,ij->i", Q, Q), LARGEST_LEVERAGE)
    residuals = (fit.y - fixed) / np.sqrt(1.0 - leverage)
    clusters = clusters_of(fit)
    signs = rng.choice([-1.0, 1.0], size=(clusters.size, count))
    return np.asarray(fixed[:, None] + residuals[:, None] * signs[clusters.codes])


def drawn_clusters(fit: Fit, chosen: IntArray) -> Fit:
    """Fit the model to the rows of clusters, in which one that is chosen twice counts as two."""
    rows_of = clusters_of(fit).rows()
    pieces = [rows_of[c] for c in chosen]
    rows = np.concatenate(pieces)
    copy = np.repeat(np.arange(len(chosen)), [len(piece) for piece in pieces])
    design = _design_of_rows(fit.design, rows, copy)
    return fit.with_rows(design, fit.y[rows], fit.prior_weights[rows])


def _design_of_rows(design: Design, rows: IntArray, copy: IntArray) -> Design:
    """Return a design of some rows; levels in different copies of a cluster are different."""
    old, n = design.response, len(rows)
    failures = None if old.failures is None else old.failures[rows]
    return replace(
        design,
        response=replace(old, values=old.values[rows], failures=failures),
        fixed=design.fixed.at(rows),
        random=tuple(_term_of_rows(term, rows, copy) for term in design.random),
        weights=None if design.weights is None else design.weights[rows],
        offset=None if design.offset is None else design.offset[rows],
        index=pd.RangeIndex(n),
        missing=MissingRows("omit", n, None),
        residual=None if design.residual is None else residual_of_copies(design.residual, rows, copy),
        dispersion=tuple(replace(term, columns=term.columns.take(rows)) for term in design.dispersion),
    )


def _term_of_rows(term: RandomTerm, rows: IntArray, copy: IntArray) -> RandomTerm:
    keys, codes = np.unique(copy * term.n_levels + term.codes[rows], return_inverse=True)
    levels = tuple(f"{term.levels[key % term.n_levels]}.{key // term.n_levels + 1}" for key in keys)
    return replace(term, Z=term.Z[rows], codes=codes.astype(np.int32).ravel(), levels=levels)
