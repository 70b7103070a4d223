"""Locally weighted regression, the smooth line through a scatter of points (Cleveland 1979)."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray

#: Places at which the line is computed; between them it is straight.
PLACES = 80
#: Rounds in which outlying points lose their weight.
ROBUST_ROUNDS = 3
#: Residuals of this size, beside the response, are rounding, and no point lies further out than another.
ROUNDING = 1e-12
#: Points that the line is computed from, evenly along x where there are more: it is drawn, not tested.
MOST_POINTS = 20_000


def lowess(
    x: FloatArray, y: FloatArray, span: float = 2.0 / 3.0, rounds: int = ROBUST_ROUNDS
) -> tuple[FloatArray, FloatArray]:
    """Return places along x and the smooth line there.

    At each place a straight line is fitted to the nearest points, their weights falling by the tricube of the
    distance; points far from the line lose weight by the bisquare of their residual in further rounds.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        The points, all finite.
    span : float
        Share of the points that each local line is fitted to.
    rounds : int
        Rounds in which outlying points lose their weight; of skewed points the line is their mean by none.

    Returns
    -------
    tuple of ndarray, each (m,)
        At most 80 places, increasing, and the line.

    References
    ----------
    Cleveland (1979), J. Am. Stat. Assoc. 74, 829-836.

    Examples
    --------
    >>> at, line = lowess(np.arange(9.0), 2.0 * np.arange(9.0) + 1.0)
    >>> bool(np.allclose(line, 2.0 * at + 1.0))
    True
    """
    order = np.argsort(x, kind="stable")
    if len(order) > MOST_POINTS:
        order = order[np.linspace(0, len(order) - 1, MOST_POINTS).astype(np.intp)]
    x, y = x[order], y[order]
    distinct = np.unique(x)
    if len(distinct) < 2:
        return distinct, np.full(len(distinct), y.mean() if len(y) else np.nan)
    at = distinct if len(distinct) <= PLACES else np.quantile(x, np.linspace(0.0, 1.0, PLACES))
    at = np.unique(at)
    nearest = min(max(int(span * len(x) + 1e-7), 2), len(x))
    distance = np.abs(at[:, None] - x[None, :])
    reach = np.partition(distance, nearest - 1, axis=1)[:, nearest - 1]
    tricube = (1.0 - np.minimum(distance / _positive(reach, distance)[:, None], 1.0) ** 3) ** 3
    line = _local_lines(tricube, x, y, at)
    for _ in range(rounds):
        residual = np.abs(y - np.interp(x, at, line))
        spread = 6.0 * float(np.median(residual))
        if spread <= ROUNDING * float(np.abs(y).max()):
            break
        weights = tricube * np.maximum(1.0 - (residual / spread) ** 2, 0.0) ** 2
        # Where all points nearby are outlying, they are what there is.
        is_empty = weights.sum(axis=1) == 0.0
        weights[is_empty] = tricube[is_empty]
        line = _local_lines(weights, x, y, at)
    return at, line


def _positive(reach: FloatArray, distance: FloatArray) -> FloatArray:
    """Return how far each local line reaches; where ties leave no distance, to the next value."""
    beyond = np.where(distance > 0.0, distance, np.inf).min(axis=1)
    return np.where(reach > 0.0, reach, beyond) * (1.0 + 1e-9)


def _local_lines(W: FloatArray, x: FloatArray, y: FloatArray, at: FloatArray) -> FloatArray:
    """Return weighted straight lines at places, one row of weights each; the mean where x has no spread."""
    middle = float(np.median(x))
    x, at = x - middle, at - middle  # no digits are lost in squares
    total = W.sum(axis=1)
    x_mean, y_mean = W @ x / total, W @ y / total
    spread = W @ x**2 / total - x_mean**2
    slope = np.divide(
        W @ (x * y) / total - x_mean * y_mean,
        spread,
        out=np.zeros(len(at)),
        where=spread > 1e-10 * float(np.ptp(x)) ** 2,
    )
    return np.asarray(y_mean + slope * (at - x_mean))
