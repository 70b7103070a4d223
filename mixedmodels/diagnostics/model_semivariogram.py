"""The semivariogram that a model says its residuals have, beside that which they have."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.diagnostics.serial_correlation import (
    Collapse,
    ResidualKind,
    in_classes,
    pairs_of_groups,
    residual_kind,
)
from mixedmodels.fits.fit import Fit


def model_semivariogram(
    fit: Fit,
    over: str | None,
    type: ResidualKind | None,
    max_distance: float | None,
    bins: int,
    collapse: Collapse,
) -> FloatArray:
    """Return the mean of what the model says, in each class of :func:`~mixedmodels.variogram`.

    Half the variance of the difference of two residuals, given the random effects: ``1 - correlation`` for
    those of Pearson, 1 for normalized ones. NaN of generalized models, whose residuals have no such law.

    Parameters
    ----------
    fit : Fit
        The fit.
    over, type, max_distance, bins, collapse
        As for :func:`~mixedmodels.variogram`.
    """
    kind, distances, expected = residual_kind(fit, type), [], []
    for rows, first, second, distance in pairs_of_groups(fit, over):
        distances.append(distance)
        expected.append(_half_variances(fit, kind, rows, first, second))
    distance, half = np.concatenate(distances), np.concatenate(expected)
    kept = ~np.isnan(distance) if max_distance is None else distance <= max_distance
    return in_classes(distance[kept], half[kept], bins, collapse)["variogram"].to_numpy()


def _half_variances(
    fit: Fit, kind: ResidualKind, rows: IntArray, first: IntArray, second: IntArray
) -> FloatArray:
    """Return half the variance of the difference of residuals of each two rows of one group."""
    if fit.family() is not None:
        return np.full(len(first), np.nan)
    if kind == "normalized":
        return np.ones(len(first))
    R = fit.residual_covariance(fit.prior_weights, rows)
    if kind == "pearson":
        sd = np.sqrt(np.diag(R))
        R = R / np.outer(sd, sd)
    else:
        R = fit.sigma() ** 2 * R
    variance = np.diag(R)
    return np.asarray(0.5 * (variance[first] + variance[second]) - R[first, second])
