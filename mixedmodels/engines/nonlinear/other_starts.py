"""Starts that lead to a lower sum of squares than where a search has ended: curves have many optima.

All rows are taken together, without random effects. The parameters in which the mean is not linear are moved
over a grid, one at a time and, where the mean is periodic, two; those in which it is linear are least squares
at each place (Golub & Pereyra 1973). Only where a place of the grid fits better is a search begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.engines.nonlinear.pooled import pooled_least_squares, population_parameters
from mixedmodels.formula.design.nonlinear import MeanFunction
from mixedmodels.formula.evaluation.mean import BoundMean

#: Steps of the grid, in units of a change that moves the curve by as much as it varies, to either side.
NEAR = 0.75 * np.arange(1.0, 7.0)
#: The same of a parameter of a periodic mean: over several periods, and not past any optimum of a frequency.
FAR = 0.9 * np.arange(1.0, 41.0)
#: Places of a second parameter of a periodic mean, a phase as it may be.
PHASES = (-2.0, -1.0, 1.0, 2.0)
#: Places that are tried at most, and rows that they are tried on.
MOST_PLACES, MOST_ROWS = 2000, 150
#: Places of functions that take them one by one, on all rows: as many as a fit itself looks at.
MOST_ONE_BY_ONE = 24
#: Share of the least sum of squares known by which another one is lower, and not the same optimum.
LOWER = 0.01
#: Share of the gain that a place may lack, if it is nearer.
NEARLY = 0.3
#: Share of the trace that keeps columns that are one from an infinite coefficient.
TINY = 1e-10

#: Maps fixed effects (G, p) to means (G, n) and their derivatives in the fixed effects (G, n, p).
Curves = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


def other_start(
    mean: MeanFunction,
    X: FloatArray,
    fixed_parameter: IntArray,
    y: FloatArray,
    beta: FloatArray,
    weights: FloatArray | None = None,
) -> FloatArray | None:
    """Return fixed effects whose curve fits better than the best one near beta, or None if none is seen.

    Parameters
    ----------
    mean, X, fixed_parameter, y, weights
        As for :func:`mixedmodels.engines.nonlinear.pooled.pooled_least_squares`.
    beta : ndarray, shape (p,)
        Where a search has ended.
    """
    with np.errstate(all="ignore"):
        bent = _bent(mean, X, fixed_parameter, beta)
        places = _places(mean, X, fixed_parameter, beta, bent)
        if not len(places):
            return None
        rows = np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST_ROWS)).astype(np.intp))
        root = np.ones(len(rows)) if weights is None else np.sqrt(weights[rows])
        curves = _curves(mean, X, fixed_parameter, rows)
        if _repeated(mean, rows, 1) is None:
            places = places[:MOST_ONE_BY_ONE]
        found, rss = _projected(curves, np.concatenate([beta[None], places]), ~bent, y[rows], root)
        # Of places nearly as good as the best, as those around a frequency and its negative are, the nearest.
        best = int(np.argmax(rss <= rss.min() + NEARLY * (rss[0] - rss.min())))
    if not rss[best] < (1.0 - LOWER) * rss[0]:
        return None
    own, other = (
        pooled_least_squares(mean, X, fixed_parameter, y, start, weights) for start in (beta, found[best])
    )
    return other.at if other.rss < (1.0 - LOWER) * own.rss else None


def _bent(mean: MeanFunction, X: FloatArray, fixed_parameter: IntArray, beta: FloatArray) -> BoolArray:
    """Return the fixed effects in which the mean is not linear when all others are held, shape (p,).

    Of two whose product stands in the mean, the first counts as one of them.
    """
    K = len(mean.parameters)
    _, _, H = mean.hessian(population_parameters(X, fixed_parameter, K, beta))
    curved = np.nan_to_num(np.abs(H)).max(axis=2) > 0.0
    bent = np.diagonal(curved).copy()
    for k in range(K):
        bent[k] |= bool((curved[k] & ~bent)[k + 1 :].any())
    return np.asarray(bent[fixed_parameter])


def _places(
    mean: MeanFunction,
    X: FloatArray,
    fixed_parameter: IntArray,
    beta: FloatArray,
    bent: BoolArray,
) -> FloatArray:
    """Return the places of the grid, shape (G, p)."""
    value, J = mean.jacobian(population_parameters(X, fixed_parameter, len(mean.parameters), beta))
    moved = np.sqrt(np.mean((J[fixed_parameter].T * X) ** 2, axis=0))
    unit = value.std() / moved
    which = np.flatnonzero(bent & np.isfinite(unit) & (unit > 0.0)).tolist()
    found = list(_grid(beta, unit, which, isinstance(mean, BoundMean) and mean.is_periodic))
    # Of each block the nearest first, so that a few places are of all parameters.
    places = [block[k : k + 2] for k in range(0, 2 * len(FAR), 2) for block in found]
    return np.concatenate([np.empty((0, len(beta))), *places])[:MOST_PLACES]


def _grid(beta: FloatArray, unit: FloatArray, which: list[int], periodic: bool) -> Iterator[FloatArray]:
    """Yield the places that have one parameter moved, nearest first, then those that have two."""
    one_side = FAR if periodic else NEAR
    steps = np.column_stack([one_side, -one_side]).ravel()
    others = permutations(which, 2) if periodic else ()
    for j, m, phase in [*((j, j, 0.0) for j in which), *((j, m, p) for j, m in others for p in PHASES)]:
        places = np.tile(beta, (len(steps), 1))
        places[:, m] += unit[m] * phase
        places[:, j] += unit[j] * steps
        yield places


def _curves(mean: MeanFunction, X: FloatArray, fixed_parameter: IntArray, rows: IntArray) -> Curves:
    """Return the curves of some rows at many fixed effects, all at once where the mean can be repeated."""
    n, K = len(rows), len(mean.parameters)

    def at(betas: FloatArray) -> tuple[FloatArray, FloatArray]:
        G = len(betas)
        many = _repeated(mean, rows, G)
        if many is None:
            each = [mean.jacobian(population_parameters(X, fixed_parameter, K, b)) for b in betas]
            value = np.array([v[rows] for v, _ in each])
            J = np.array([d[:, rows] for _, d in each])
        else:
            phi = np.stack([population_parameters(X[rows], fixed_parameter, K, b) for b in betas], axis=1)
            flat, derivatives = many.jacobian(phi.reshape(K, G * n))
            value, J = flat.reshape(G, n), derivatives.reshape(K, G, n).transpose(1, 0, 2)
        return value, J[:, fixed_parameter].transpose(0, 2, 1) * X[rows]

    return at


def _repeated(mean: MeanFunction, rows: IntArray, times: int) -> MeanFunction | None:
    """Return the mean on some rows several times over; None where it has no such form."""
    return mean.repeated(rows, times) if isinstance(mean, BoundMean) else None


def _projected(
    curves: Curves,
    betas: FloatArray,
    linear: BoolArray,
    y: FloatArray,
    root: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return fixed effects with the linear ones at least squares, (G, p), and sums of squares (G,)."""
    value, J = curves(betas)
    r, betas = root * (y - value), betas.copy()
    if linear.any():
        B = root[:, None] * J[:, :, linear]
        normal, side = B.transpose(0, 2, 1) @ B, np.einsum("gnl,gn->gl", B, r)
        trace = np.trace(normal, axis1=1, axis2=2)
        normal = normal + (TINY * trace + np.finfo(np.float64).tiny)[:, None, None] * np.eye(normal.shape[1])
        known = np.isfinite(normal).all(axis=(1, 2)) & np.isfinite(side).all(axis=1)
        step = np.zeros_like(side)
        step[known] = np.linalg.solve(normal[known], side[known][:, :, None])[:, :, 0]
        betas[:, linear] += step
        r = r - np.einsum("gnl,gl->gn", B, step)
    rss = np.einsum("gn,gn->g", r, r)
    return betas, np.where(np.isfinite(rss), rss, np.inf)
