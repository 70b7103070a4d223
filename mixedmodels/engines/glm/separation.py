"""Separation: coefficients whose maximum likelihood estimate is infinite.

The estimate of a binomial model does not exist when some direction d moves every fitted probability
towards its response (Albert & Anderson 1984, Biometrika 71, 1-10): x'd >= 0 where successes occur,
x'd <= 0 where failures occur, not all zero. For counts only the zeros can be left behind: x'd <= 0 where
y = 0, x'd = 0 where y > 0. Whether there is such a d, and which coefficients it moves, is a linear program
(Konis 2007, DPhil thesis, Oxford). Random effects and offsets change neither the condition nor the answer:
the fixed part alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.families.family import Family
from mixedmodels.optimization.report import ConvergenceReport

# A mean this close to the end of its range, or a coefficient of this many units of eta per standard
# deviation of its column, calls for the exact test; neither proves anything by itself.
SUSPICIOUS_MEAN = 1e-4
SUSPICIOUS_EFFECT = 8.0
# Solutions of the linear program are exact to about 1e-9 on columns scaled to 1.
ACTIVE = 1e-7
# The words every finding holds.
NO_ESTIMATE = "no finite estimate"

_BINOMIAL = ("binomial", "quasibinomial", "betabinomial")
_COUNTS = ("poisson", "quasipoisson", "Negative Binomial", "nbinom1", "nbinom2")


@dataclass(frozen=True, slots=True)
class Separation:
    """One finding: coefficients that run to infinity together.

    Attributes
    ----------
    kind : {"constant", "complete", "quasi-complete", "empty"}
        Constant response; complete or quasi-complete separation of a binomial response; rows of a count
        response that are all zero.
    columns : tuple of str
        Names of the coefficients without a finite estimate.
    message : str
        One sentence naming what is wrong in the data.
    """

    kind: Literal["constant", "complete", "quasi-complete", "empty"]
    columns: tuple[str, ...]
    message: str


def find_separation(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray,
    names: Sequence[str],
    family: Family,
    mu: FloatArray | None = None,
    beta: FloatArray | None = None,
    factors: Mapping[str, Sequence[object]] | None = None,
) -> tuple[Separation, ...]:
    """Return what keeps coefficients of a binomial or count model from having finite estimates.

    Parameters
    ----------
    y, weights : ndarray, shape (n,)
        Response and prior weights as ``initialize`` returns them.
    X : ndarray, shape (n, p)
        Fixed-effects matrix of full column rank.
    names : sequence of str
        Names of its columns.
    family : Family
        Other families than binomial and counts are never separated.
    mu : ndarray, shape (n,), optional
        Fitted means of the fixed part; with `beta` they decide cheaply whether to look at all.
    beta : ndarray, shape (p,), optional
        Fitted coefficients.
    factors : mapping of str to sequence, optional
        Categorical variables of the fixed part, one label a row: levels responsible are then named by
        variable and level instead of by column.

    Returns
    -------
    tuple of Separation
        Empty when every coefficient has a finite estimate, or the fit gives no reason to doubt it.

    References
    ----------
    Albert & Anderson (1984), Biometrika 71, 1-10; Konis (2007), DPhil thesis, University of Oxford.

    Examples
    --------
    >>> import numpy as np
    >>> from mixedmodels.families import binomial
    >>> X = np.column_stack([np.ones(4), [0.0, 0.0, 1.0, 1.0]])
    >>> found = find_separation(
    ...     np.array([0.0, 1.0, 1.0, 1.0]), np.ones(4), X, ("(Intercept)", "drug"), binomial()
    ... )
    >>> found[0].message
    'drug has no finite estimate: there is no failure where drug = 1.'
    """
    used = weights > 0.0
    kind = _kind(family)
    if kind is None or X.shape[1] == 0 or not used.any():
        return ()
    y, X = y[used], X[used]
    constant = _constant_response(y, names, kind)
    if constant is not None:
        return (constant,)
    if beta is not None and not is_suspicious(X, beta, None if mu is None else mu[used], kind):
        return ()
    direction = separating_direction(y, X, kind)
    if direction is None:
        return ()
    labels = {name: np.asarray(values, dtype=str)[used] for name, values in (factors or {}).items()}
    return (_explain(y, X, names, direction, kind, labels),)


def judged(convergence: ConvergenceReport, findings: Sequence[Separation]) -> ConvergenceReport:
    """Return the verdict on a fit whose data are separated: not converged, for the reasons found.

    They replace what the engine, which knows columns only by their number, has said of the same.
    """
    if not findings:
        return convergence
    others = (reason for reason in convergence.reasons if NO_ESTIMATE not in reason)
    reasons = (*(found.message for found in findings), *others)
    return ConvergenceReport("not converged", convergence.decrement, reasons)


def is_suspicious(X: FloatArray, beta: FloatArray, mu: FloatArray | None, kind: str) -> bool:
    """Return whether a fit shows the marks of separation: extreme means or huge standardised effects."""
    spread = X.std(axis=0)
    spread = np.where(spread > 0.0, spread, np.abs(X).max(axis=0))
    if np.any(np.abs(beta) * spread > SUSPICIOUS_EFFECT):
        return True
    if mu is None:
        return False
    extreme = mu < SUSPICIOUS_MEAN
    return bool(np.any(extreme if kind == "counts" else extreme | (mu > 1.0 - SUSPICIOUS_MEAN)))


def separating_direction(y: FloatArray, X: FloatArray, kind: str) -> FloatArray | None:
    """Return the direction d along which the likelihood never falls and somewhere rises, or None.

    Of all such directions with |d| <= 1 (columns scaled to a largest value of 1) the one that moves the
    rows the farthest in sum.
    """
    scale = np.abs(X).max(axis=0)
    scale[scale == 0.0] = 1.0
    towards, held = _signed_rows(y, X / scale, kind)
    if not len(towards):
        return None
    # SciPy's optimisers take a tenth of a second to import, and only doubtful fits come here.
    from scipy.optimize import linprog

    rows, fixed = np.unique(towards, axis=0), np.unique(held, axis=0)
    found = linprog(
        c=-towards.sum(axis=0),
        A_ub=-rows,
        b_ub=np.zeros(len(rows)),
        A_eq=fixed if len(fixed) else None,
        b_eq=np.zeros(len(fixed)) if len(fixed) else None,
        bounds=(-1.0, 1.0),
        method="highs",
    )
    if found.status != 0 or float(towards.sum(axis=0) @ found.x) < ACTIVE:
        return None
    return np.asarray(found.x / scale)


def is_complete(y: FloatArray, X: FloatArray) -> bool:
    """Return whether some direction moves every row of a binomial response towards its value."""
    scale = np.abs(X).max(axis=0)
    scale[scale == 0.0] = 1.0
    towards, held = _signed_rows(y, X / scale, "binomial")
    if len(held):
        return False
    from scipy.optimize import linprog

    rows = np.unique(towards, axis=0)
    # Maximise the margin t with rows d >= t.
    found = linprog(
        c=np.append(np.zeros(X.shape[1]), -1.0),
        A_ub=np.column_stack([-rows, np.ones(len(rows))]),
        b_ub=np.zeros(len(rows)),
        bounds=[(-1.0, 1.0)] * X.shape[1] + [(0.0, 1.0)],
        method="highs",
    )
    return found.status == 0 and found.x is not None and bool(found.x[-1] > ACTIVE)


def _signed_rows(y: FloatArray, X: FloatArray, kind: str) -> tuple[FloatArray, FloatArray]:
    """Return the rows that may move, signed so that moving is positive, and those that must not."""
    if kind == "counts":
        return -X[y == 0.0], X[y > 0.0]
    mixed = (y > 0.0) & (y < 1.0)
    sign = np.where(y == 1.0, 1.0, -1.0)
    return (X * sign[:, None])[~mixed], X[mixed]


def _kind(family: Family) -> Literal["binomial", "counts"] | None:
    """Return how the family can be separated: only links whose ends lie at infinity can."""
    if family.name in _BINOMIAL and family.link.maps_to_unit_interval:
        return "binomial"
    if family.name.startswith(_COUNTS) and family.link.name == "log":
        return "counts"
    return None


def _constant_response(y: FloatArray, names: Sequence[str], kind: str) -> Separation | None:
    """Return the finding that the response is all zero (or all one), if it is."""
    what = _missing(y, np.ones(len(y), dtype=bool), kind)
    if not what:
        return None
    return Separation("constant", tuple(names), f"{_joined(names)} have {NO_ESTIMATE}s: {what}.")


def _explain(
    y: FloatArray,
    X: FloatArray,
    names: Sequence[str],
    direction: FloatArray,
    kind: str,
    labels: Mapping[str, np.ndarray],
) -> Separation:
    """Return the finding for a direction of separation, in the words of the data where they are simple."""
    reach = np.abs(X).max(axis=0) * np.abs(direction)
    active = reach > ACTIVE * reach.max()
    columns = tuple(name for name, moves in zip(names, active, strict=True) if moves)
    found: Literal["complete", "quasi-complete", "empty"] = "empty"
    if kind == "binomial":
        found = "complete" if is_complete(y, X) else "quasi-complete"
    reasons = _empty_levels(y, labels, kind) or _empty_pairs(y, labels, kind)
    reasons = reasons or _single_columns(y, X[:, active], columns, kind)
    what = "; ".join(reasons) if reasons else _combination(kind, found)
    estimates = f"has {NO_ESTIMATE}" if len(columns) == 1 else f"have {NO_ESTIMATE}s"
    return Separation(found, columns, f"{_joined(columns)} {estimates}: {what}.")


def _empty_levels(y: FloatArray, labels: Mapping[str, np.ndarray], kind: str) -> list[str]:
    """Return the levels without a success, without a failure, or with nothing but zero counts."""
    reasons = []
    for name, values in labels.items():
        for level in np.unique(values):
            what = _missing(y, values == level, kind)
            reasons += [f"{what} in {name} = {level}"] if what else []
    return reasons


def _empty_pairs(y: FloatArray, labels: Mapping[str, np.ndarray], kind: str) -> list[str]:
    """Return the pairs of levels of two variables without a success, a failure or a count."""
    reasons = []
    for (one, first), (two, second) in combinations(labels.items(), 2):
        levels, codes = np.unique(np.column_stack([first, second]), axis=0, return_inverse=True)
        for k in _suspects(y, codes.ravel(), len(levels)):
            what = _missing(y, codes.ravel() == k, kind)
            reasons += [f"{what} in {one} = {levels[k, 0]}, {two} = {levels[k, 1]}"] if what else []
    return reasons


def _suspects(y: FloatArray, codes: IntArray, n_cells: int) -> IntArray:
    """Return the cells whose responses are all alike."""
    total = np.bincount(codes, minlength=n_cells)
    zeros = np.bincount(codes, weights=y == 0.0, minlength=n_cells)
    ones = np.bincount(codes, weights=y == 1.0, minlength=n_cells)
    return np.flatnonzero((zeros == total) | (ones == total))


def _single_columns(y: FloatArray, X: FloatArray, names: Sequence[str], kind: str) -> list[str]:
    """Return the columns that explain the separation alone: an empty value, or a cut on a variable."""
    reasons = []
    for name, column in zip(names, X.T, strict=True):
        values = np.unique(column)
        if len(values) == 2:
            for value in values:
                what = _missing(y, column == value, kind)
                reasons += [f"{what} where {name} = {value:g}"] if what else []
        elif len(values) > 2 and kind == "binomial":
            reasons += _cut(y, column, name)
    return reasons


def _missing(y: FloatArray, rows: BoolArray, kind: str) -> str:
    """Return what is missing among these rows, or nothing."""
    if np.all(y[rows] == 0.0):
        return "all counts are zero" if kind == "counts" else "there is no success"
    return "there is no failure" if kind == "binomial" and np.all(y[rows] == 1.0) else ""


def _cut(y: FloatArray, column: FloatArray, name: str) -> list[str]:
    """Return the value of a numeric column that divides successes from failures, if there is one."""
    success, failure = column[y > 0.0], column[y < 1.0]
    if failure.max() <= success.min():
        above, below = f">= {success.min():g}", f"<= {failure.max():g}"
    elif success.max() <= failure.min():
        above, below = f"<= {success.max():g}", f">= {failure.min():g}"
    else:
        return []
    return [f"all successes have {name} {above} and all failures {name} {below}"]


def _combination(kind: str, found: str) -> str:
    if kind == "counts":
        return "a combination of them singles out rows whose counts are all zero"
    where = "" if found == "complete" else " in some of the rows"
    return f"a combination of them separates successes from failures{where}"


def _joined(columns: Sequence[str]) -> str:
    return columns[0] if len(columns) == 1 else f"{', '.join(columns[:-1])} and {columns[-1]}"
