"""Arguments of the tests of scaled residuals, checked and made ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, DataError


def checked_quantiles(quantiles: Any) -> tuple[float, ...]:
    """Return quantiles as numbers, or raise ControlError."""
    values = [quantiles] if isinstance(quantiles, float) else quantiles
    is_list = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) and len(values) > 0
    if not is_list or not all(isinstance(tau, float | np.floating) and 0.0 < tau < 1.0 for tau in values):
        raise ControlError(f"quantiles must be numbers between 0 and 1, not {shown(quantiles)}.")
    return tuple(float(tau) for tau in values)


def checked_distances(distances: Any, m: int) -> FloatArray:
    """Return distances as a matrix, or raise DataError."""
    try:
        matrix = np.asarray(distances, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"distances must be a matrix of numbers, not {shown(distances)}.") from None
    if matrix.shape != (m, m) or not (matrix >= 0.0).all() or not np.array_equal(matrix, matrix.T):
        raise DataError(
            f"distances must be a symmetric matrix of numbers, not negative, of shape ({m}, {m}), one row "
            f"for each residual; this has shape {matrix.shape}."
        )
    return matrix


def scaled_ranks(x: FloatArray) -> FloatArray:
    """Return ranks from 0 to 1; those of equal numbers are their mean."""
    _, codes, counts = np.unique(x, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - 0.5 * (counts + 1)
    return np.asarray((middle / max(len(x) - 1, 1))[codes])
