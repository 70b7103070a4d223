"""Least squares of curves that are linear in some parameters, by variable projection.

With y = B(q) c + e, the best c at any q is a linear regression (Golub & Pereyra 1973, SIAM J. Numer. Anal.
10(2)), so that only q is searched for: among candidates all over its range, then from the best of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.levenberg_marquardt import least_squares

#: ``basis(q)``: q of shape (..., d) to the columns B, shape (..., n, m).
Basis = Callable[[FloatArray], FloatArray]

#: Candidates are polished from this many of the best: neighbours on a grid can lead to different minima.
POLISHED = 2
#: Relative step of central differences.
STEP = 1e-5
#: Steps of one search: a start that is not there by then is near enough.
MOST_STEPS = 60
#: Columns whose Gram matrix has a smaller determinant, at unit lengths, are one column.
PARALLEL = 1e-12


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Separable:
    """A separable least-squares problem.

    Attributes
    ----------
    basis : callable
        Columns of the curve at q.
    candidates : ndarray, shape (G, d)
        Places all over the range of q.
    """

    basis: Basis
    candidates: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SeparableFit:
    """The minimum of a separable least-squares problem.

    Attributes
    ----------
    problem : int
        Which of several problems has it.
    q : ndarray, shape (d,)
        Parameters in which the curve is not linear.
    c : ndarray, shape (m,)
        Coefficients.
    rss : float
        Sum of squares.
    """

    problem: int
    q: FloatArray
    c: FloatArray
    rss: float


def solve_separable(problems: Sequence[Separable], y: FloatArray) -> SeparableFit | None:
    """Return the best least-squares fit of some curves; None where no candidate has a finite one.

    Parameters
    ----------
    problems : sequence of Separable
        Curves, among which the better one is looked for.
    y : ndarray, shape (n,)
        Response.
    """
    with np.errstate(all="ignore"):
        found = []
        for i, problem in enumerate(problems):
            rss = _sums_of_squares(problem.basis(problem.candidates), y)
            found += [(float(rss[g]), i, g) for g in np.argsort(rss)[:POLISHED] if np.isfinite(rss[g])]
        fits = [
            _polished(i, problems[i], problems[i].candidates[g], y) for _, i, g in sorted(found)[:POLISHED]
        ]
    best = [fit for fit in fits if fit is not None]
    return min(best, key=lambda fit: fit.rss) if best else None


def _sums_of_squares(B: FloatArray, y: FloatArray) -> FloatArray:
    """Return the residual sum of squares at every candidate, infinite where the columns say nothing."""
    lengths = np.sqrt(np.einsum("gij,gij->gj", B, B))
    unit = B / lengths[:, None, :]
    projections = np.einsum("gij,i->gj", unit, y)
    if B.shape[2] == 1:
        explained = projections[:, 0] ** 2
    else:
        cosine = np.einsum("gi,gi->g", unit[:, :, 0], unit[:, :, 1])
        sine2 = 1.0 - cosine * cosine
        a, b = projections[:, 0], projections[:, 1]
        explained = np.where(sine2 > PARALLEL, (a * a + b * b - 2.0 * cosine * a * b) / sine2, np.nan)
    rss = float(y @ y) - explained
    return np.asarray(np.where(np.isfinite(rss), rss, np.inf))


def _polished(i: int, problem: Separable, q: FloatArray, y: FloatArray) -> SeparableFit | None:
    """Return the minimum that a search finds from q; None where the curve there is not finite."""
    found = least_squares(lambda at: _residuals_and_slopes(problem.basis, at, y), q, MOST_STEPS)
    if not np.isfinite(found.rss):
        return None
    c = np.linalg.lstsq(problem.basis(found.at), y, rcond=None)[0]
    return SeparableFit(i, found.at, np.asarray(c), found.rss)


def _residuals_and_slopes(basis: Basis, q: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the residuals at q, shape (n,), and their central differences, shape (n, d)."""
    step = STEP * np.maximum(np.abs(q), STEP)
    places = np.concatenate([q[None], q + np.diag(step), q - np.diag(step)])
    B = basis(places)
    if not np.isfinite(B).all():
        return np.full(len(y), np.inf), np.full((len(y), len(q)), np.nan)
    Q = np.linalg.qr(B)[0]
    residuals = y - (Q @ (y @ Q)[..., None])[..., 0]
    d = len(q)
    return residuals[0], ((residuals[1 : d + 1] - residuals[d + 1 :]) / (2.0 * step[:, None])).T
