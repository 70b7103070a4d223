"""New rows of a model with structured residuals: standard deviations, and what their group tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import DataError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.formula.design.new_residual import new_residual, new_variance_columns

#: Share of its variance below which what is left of a new row is rounding: the row was observed.
NOTHING_LEFT = 1e-12


@dataclass(frozen=True, slots=True)
class Carried:
    """What the residuals of the groups of new rows tell of them.

    Attributes
    ----------
    shift : ndarray, shape (m,)
        Expected residuals.
    X : ndarray, shape (m, p)
        Fixed-effects rows less what residuals owe to the estimates of the fixed effects.
    variance : ndarray, shape (m,)
        Variance of the residuals given those observed.
    """

    shift: FloatArray
    X: FloatArray
    variance: FloatArray


def relative_sd(model: Fit, newdata: Any, mean: FloatArray) -> FloatArray:
    """Return the residual standard deviations of rows over sigma, prior weights left out, shape (m,).

    Parameters
    ----------
    model : Fit
        The fit.
    newdata : table or None
        New rows; None for those of the fit.
    mean : ndarray, shape (m,)
        Their means, for variances that go by fitted values.
    """
    if not isinstance(model, StructuredResiduals):
        return np.ones(len(mean))
    if newdata is None:
        return model.relative_sd
    return new_relative_sd(model, newdata, mean, model.residual_estimates.parameters.delta)


def new_relative_sd(
    model: StructuredResiduals, newdata: Any, mean: FloatArray, deltas: Sequence[FloatArray]
) -> FloatArray:
    """Return the residual standard deviations of new rows over sigma at parameters of them, shape (m,)."""
    design = model.design
    terms, log_sd = list(design.dispersion), np.zeros(len(mean))
    if design.residual is not None and design.residual.variance is not None:
        terms.insert(0, design.residual.variance)
    for term, delta in zip(terms, deltas, strict=True):
        if term.uses_fitted:
            columns = term.columns.take(np.zeros(len(mean), dtype=np.intp)).with_values(mean)
        else:
            columns = new_variance_columns(design, term, newdata)
        log_sd += term.function.log_sd(delta, columns)
    return np.exp(log_sd)


def carried(
    model: StructuredResiduals, newdata: Any, X: FloatArray, mean: FloatArray, weights: FloatArray
) -> Carried:
    """Return what the residuals observed in the groups of new rows tell of them.

    ``e_m = R_mo R_oo^-1 e_o``, its errors and the variance that is left, by the estimated covariance.

    Parameters
    ----------
    model : StructuredResiduals
        The fit.
    newdata : table
        New rows.
    X, mean, weights : ndarray
        Their fixed-effects rows (m, p), means and prior weights (m,).
    """
    sd = model.sigma() * relative_sd(model, newdata, mean) / np.sqrt(weights)
    found = Carried(np.zeros(len(mean)), X.copy(), sd**2)
    own_sd = (
        model.sigma()
        * model.relative_sd
        / np.sqrt(np.where(model.prior_weights > 0, model.prior_weights, 1.0))
    )
    e = model.y - model.mean
    for new, known, C in joint_correlations(model, newdata, model.residual_estimates.parameters.rho):
        o = len(known)
        A = np.linalg.solve(C[:o, :o], C[:o, o:]).T * (sd[new][:, None] / own_sd[known])
        found.shift[new] = A @ e[known]
        found.X[new] -= A @ model.design.X[known]
        left = 1.0 - np.einsum("ij,ji->i", C[o:, :o], np.linalg.solve(C[:o, :o], C[:o, o:]))
        found.variance[new] *= np.where(left > NOTHING_LEFT, left, 0.0)
    return found


def joint_correlations(
    model: StructuredResiduals, newdata: Any, rho: FloatArray
) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
    """Yield new rows and rows of the fit of each group that both are in, with their joint correlations."""
    residual = model.design.residual
    if residual is None or residual.structure.n_parameters == 0:
        return
    placed = new_residual(model.design, newdata)
    counted = model.prior_weights > 0.0
    for code in np.unique(placed.codes[placed.codes >= 0]).tolist():
        new = np.flatnonzero(placed.codes == code)
        known = np.flatnonzero((residual.codes == code) & counted)
        at = rho[residual.parameters.of_arm(int(residual.arms[code]))]
        positions = np.concatenate([residual.positions[known], placed.positions[new]])
        yield new, known, residual.structure.correlation(at, positions[None])[0]


def drawn_residuals(model: StructuredResiduals, rng: np.random.Generator) -> FloatArray:
    """Draw residuals with the covariance of the fit at its rows, shape (n,).

    Rows of weight zero get those of weight 1, uncorrelated with the others.
    """
    noise = rng.standard_normal(len(model.y))
    problem = model.residual_problem
    drawn = noise.copy()
    coloured = model.row_covariances.coloured(noise[problem.kept][:, None])[:, 0]
    drawn[problem.kept] = coloured / problem.root_weights
    return model.sigma() * drawn


def new_residual_factors(model: Fit, newdata: Any) -> tuple[tuple[IntArray, FloatArray], ...]:
    """Return the rows of each residual group of new data, and the factor of their correlation.

    Raises
    ------
    DataError
        If rows of a group are at one place, in an arm that the fit has not seen, or positions are the order
        of the rows of the fit.
    """
    residual = model.design.residual
    if not isinstance(model, StructuredResiduals) or residual is None or not residual.structure.n_parameters:
        return ()
    placed = new_residual(model.design, newdata, numbers_groups=True)
    rho, found = model.residual_estimates.parameters.rho, []
    for code in np.unique(placed.codes[placed.codes >= 0]).tolist():
        rows = np.flatnonzero(placed.codes == code)
        arm = int(placed.arms[rows[0]])
        if arm < 0:
            raise DataError(
                f"row {int(rows[0])} of newdata is in an arm of {residual.text} that is not known"
            )
        at = rho[residual.parameters.of_arm(arm)]
        C = residual.structure.correlation(at, placed.positions[rows][None])[0]
        try:
            found.append((rows, np.linalg.cholesky(C)))
        except np.linalg.LinAlgError:
            raise DataError(
                f"rows {int(rows[0])} and others of newdata are in one group of {residual.text} and at one "
                "place: their residuals would be the same. Leave one of them out."
            ) from None
    return tuple(found)
