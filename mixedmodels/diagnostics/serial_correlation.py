"""Correlation that residuals still have within groups, by lag and by distance: acf(), variogram()."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.control import one_of, real_number
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.diagnostics.residuals import residuals
from mixedmodels.errors import ControlError, DataError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.new_data import variables_on
from mixedmodels.formula.design.positions import coordinate_positions, row_positions
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import deparse, sum_operands

ResidualKind = Literal["normalized", "pearson", "response"]
Collapse = Literal["quantiles", "fixed", "none"]
#: Two-sided 95 percent of the normal distribution: twice the standard error of a correlation of none.
NORMAL_95 = 1.959963984540054
#: More pairs than this do not fit into memory beside each other.
MOST_PAIRS = 50_000_000
#: Constants of the robust variogram of Cressie and Hawkins (1980).
ROBUST = (0.457, 0.494)


@advises
def acf(model: Any, max_lag: int | None = None, type: ResidualKind | None = None) -> pd.DataFrame:
    """Return the autocorrelation of residuals within groups, as nlme's ``ACF()``.

    Groups and the order of their rows are those of ``residual=``, where lags count levels or steps of its
    variable of time; without it those of the finest grouping factor in the order of the data, and without
    random effects all rows are one series.

    Parameters
    ----------
    model : fitted model
        The model.
    max_lag : int, optional
        The largest lag; by default nlme's, ``10 log10`` of the length of the longest group.
    type : {"normalized", "pearson", "response"}, optional
        Which residuals. Normalized ones, the default for linear models, have no correlation left where the
        model is right; ``"pearson"`` is nlme's default.

    Returns
    -------
    DataFrame
        lag, acf, n (how many pairs) and limit: an acf beyond it is not chance, at the 5 percent level.

    Raises
    ------
    ControlError
        If `max_lag` is no lag, or `type` none of these.
    NotAvailableError
        If the model is none, or no group has two rows.

    References
    ----------
    Pinheiro & Bates (2000), Mixed-effects models in S and S-PLUS, section 5.3.3.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.acf(m, max_lag=2).round(3)
       lag    acf    n  limit
    0    0  1.000  180  0.146
    1    1  0.383  162  0.154
    2    2  0.089  144  0.163
    """
    fit = a_fit(model, "acf")
    r = _values(fit, type)
    codes, steps = _series(fit)
    counted = fit.prior_weights > 0
    r, codes, steps = r[counted], codes[counted], steps[counted]
    longest = int(np.max(_spans(codes, steps)))
    if longest == 0:
        raise NotAvailableError("acf() needs groups of two rows or more; every group has one.")
    largest = min(longest, int(10 * np.log10(longest + 1)) if max_lag is None else _lag(max_lag))
    products, counts = _lagged(r, codes, steps, largest)
    seen = counts > 0
    means = products[seen] / counts[seen]
    return pd.DataFrame(
        {
            "lag": np.flatnonzero(seen),
            "acf": means / means[0],
            "n": counts[seen],
            "limit": NORMAL_95 / np.sqrt(counts[seen]),
        }
    )


def _lag(given: int) -> int:
    if isinstance(given, (bool, np.bool_)) or not isinstance(given, (int, np.integer)) or given < 0:
        raise ControlError(f"max_lag must be a whole number, zero or more, not {given!r}.")
    return int(given)


def residual_kind(fit: Fit, type: ResidualKind | None) -> ResidualKind:
    """Return the type of residuals asked for, by default that without correlation where the model is right.

    Raises
    ------
    ControlError
        If there is no such type.
    """
    one_of("type", type, (None, *get_args(ResidualKind)))
    if type is not None:
        return type
    return "normalized" if fit.family() is None else "pearson"


def _values(fit: Fit, type: ResidualKind | None) -> FloatArray:
    """Return residuals of a type, those of Pearson over their standard deviations."""
    chosen, linear = residual_kind(fit, type), fit.family() is None
    divide = chosen == "pearson" and linear and not fit.has_structured_residuals
    return np.asarray(residuals(fit, chosen, scaled=divide))


def _series(fit: Fit) -> tuple[IntArray, IntArray]:
    """Return the group of each row, and its level, step or place in the order of the group.

    Places are counted among rows of positive weight; others have none, and 0 stands for it.
    """
    residual = fit.design.residual
    codes = groups_of(fit)
    if residual is not None and residual.positions.ndim == 1:
        return codes, residual.positions
    order = np.arange(len(codes)) if residual is None else residual.in_order()
    order = order[fit.prior_weights[order] > 0]
    places = np.zeros(len(codes), dtype=np.intp)
    places[order] = row_positions(codes[order])
    return codes, places


def groups_of(fit: Fit) -> IntArray:
    """Return the group within which residuals of each row may be correlated."""
    if fit.design.residual is not None:
        return fit.design.residual.codes
    if fit.design.random:
        return fit.design.random[0].codes.astype(np.intp)
    return np.zeros(fit.design.n_rows, dtype=np.intp)


def _spans(codes: IntArray, steps: IntArray) -> IntArray:
    """Return how many steps the first and the last row of each group are apart."""
    n_groups = int(codes.max()) + 1
    first = np.full(n_groups, np.iinfo(np.intp).max)
    last = np.full(n_groups, np.iinfo(np.intp).min)
    np.minimum.at(first, codes, steps)
    np.maximum.at(last, codes, steps)
    occurs = np.bincount(codes, minlength=n_groups) > 0
    return np.asarray(last[occurs] - first[occurs])


def _lagged(r: FloatArray, codes: IntArray, steps: IntArray, largest: int) -> tuple[FloatArray, IntArray]:
    """Return sums of products of residuals k steps apart, and how many there are, for k = 0 to `largest`."""
    places = codes * (int(steps.max()) + largest + 1) + steps  # no step leads from one group into the next
    order = np.argsort(places)
    places, values = places[order], r[order]
    products, counts = np.zeros(largest + 1), np.zeros(largest + 1, dtype=np.intp)
    for k in range(largest + 1):
        at = np.minimum(np.searchsorted(places, places + k), len(places) - 1)
        there = places[at] == places + k
        products[k] = values[there] @ values[at[there]]
        counts[k] = np.count_nonzero(there)
    return products, counts


@advises
def variogram(
    model: Any,
    over: str | None = None,
    type: ResidualKind | None = None,
    *,
    max_distance: float | None = None,
    bins: int = 20,
    collapse: Collapse = "quantiles",
    robust: bool = False,
) -> pd.DataFrame:
    """Return the semivariogram of residuals within groups, as nlme's ``Variogram()``.

    Half the squared difference of two residuals, by the distance between their rows. One that rises with
    distance speaks of correlation that the model leaves; that of normalized residuals of a right model is
    level at one.

    Parameters
    ----------
    model : fitted model
        The model.
    over : str, optional
        Coordinates by which rows are apart, ``"time"`` or ``"x + y"``; by default those of ``residual=``, or
        the order of the rows in each group.
    type : {"normalized", "pearson", "response"}, optional
        Which residuals; by default normalized ones of linear models. ``"pearson"`` is nlme's default.
    max_distance : float, optional
        Pairs that are farther apart are left out.
    bins : int
        Number of classes of distances, where there are more distances than that.
    collapse : {"quantiles", "fixed", "none"}
        Classes of equally many pairs or of equal width; or every pair by itself.
    robust : bool
        Whether to take the estimator of Cressie and Hawkins, which single large differences move little.

    Returns
    -------
    DataFrame
        distance (the median of the class), variogram and n_pairs.

    Raises
    ------
    ControlError
        If an argument is out of its range.
    DataError
        If a coordinate is no number.
    NotAvailableError
        If the model is none, or no group has two rows.

    References
    ----------
    Pinheiro & Bates (2000), Mixed-effects models in S and S-PLUS, section 5.3.2; Cressie & Hawkins (1980).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("distance ~ age + (1 | Subject)", mm.load_dataset("Orthodont"))
    >>> mm.variogram(m, over="age").round(4)
       distance  variogram  n_pairs
    0       2.0     0.9589       81
    1       4.0     0.8781       54
    2       6.0     1.2930       27
    """
    fit = a_fit(model, "variogram")
    one_of("collapse", collapse, get_args(Collapse))
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ControlError(f"bins must be a whole number of classes, one or more, not {bins!r}.")
    if over is not None and not isinstance(over, str):
        raise ControlError(f"over must be an expression of columns, such as 'time' or 'x + y', not {over!r}.")
    if max_distance is not None:
        real_number("max_distance", max_distance)
    distance, half_square = _pairs(fit, over, _values(fit, type))
    if max_distance is not None:
        near = distance <= max_distance
        distance, half_square = distance[near], half_square[near]
    if len(distance) == 0:
        raise NotAvailableError("variogram() needs two rows of one group, and max_distance leaves none.")
    return in_classes(distance, half_square, bins, collapse, robust)


def coordinates_of(fit: Fit, over: str | None) -> FloatArray:
    """Return where each row is, shape (n, d)."""
    residual = fit.design.residual
    if over is not None:
        return _evaluated(fit, over)
    if residual is not None and residual.positions.ndim == 2:
        return np.asarray(residual.positions)
    _, steps = _series(fit)
    scale = 1.0 if residual is None else residual.step
    return np.asarray(steps[:, None] * scale, dtype=np.float64)


def _evaluated(fit: Fit, over: str) -> FloatArray:
    """Return expressions of the data at the rows of the fit."""
    nodes = [node for _, node, _ in sum_operands(parse_expression(over))]
    names = [deparse(node) for node in nodes]
    columns = variables_on(fit.design, fit.data, dict(zip(names, nodes, strict=True)), ())
    found = coordinate_positions([columns[name] for name in names], names, "variogram")
    index = fit.design.index
    if len(found) == len(index):
        return found
    labels = fit.data.index if isinstance(fit.data, pd.DataFrame) else pd.RangeIndex(len(found))
    if not labels.is_unique:
        raise DataError(
            f"rows of the data have the same label, so those of the fit cannot be found for over={over!r}; "
            "fit the model to data.reset_index(drop=True)"
        )
    return found[labels.get_indexer(index)]


def pairs_of_groups(fit: Fit, over: str | None) -> Iterator[tuple[IntArray, IntArray, IntArray, FloatArray]]:
    """Yield rows of positive weight of each group; first, second and distance of each two among them.

    Raises
    ------
    NotAvailableError
        If no group has two rows, or all pairs do not fit into memory.
    """
    coordinates = coordinates_of(fit, over)
    counted = np.flatnonzero(fit.prior_weights > 0)
    codes = groups_of(fit)[counted]
    sizes = np.bincount(codes)
    n_pairs = int(np.sum(sizes * (sizes - 1) // 2))
    if n_pairs == 0:
        raise NotAvailableError("variogram() needs groups of two rows or more; every group has one.")
    if n_pairs > MOST_PAIRS:
        raise NotAvailableError(
            f"variogram() would take {n_pairs} pairs of rows of one group, more than {MOST_PAIRS}."
        )
    order = counted[np.argsort(codes, kind="stable")]
    for rows in np.split(order, np.cumsum(sizes)[:-1]):
        first, second = np.triu_indices(len(rows), 1)
        apart = coordinates[rows[first]] - coordinates[rows[second]]
        yield rows, first, second, np.sqrt(np.sum(apart**2, axis=1))


def _pairs(fit: Fit, over: str | None, r: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return distance and half the squared difference of each two rows of one group."""
    distances, halves = [], []
    for rows, first, second, distance in pairs_of_groups(fit, over):
        distances.append(distance)
        halves.append(0.5 * (r[rows[first]] - r[rows[second]]) ** 2)
    distance, half = np.concatenate(distances), np.concatenate(halves)
    known = ~np.isnan(distance)
    return np.asarray(distance[known], dtype=np.float64), np.asarray(half[known], dtype=np.float64)


def in_classes(
    distance: FloatArray, half_square: FloatArray, bins: int, collapse: Collapse, robust: bool = False
) -> pd.DataFrame:
    """Return one row a class of distances, nlme's: each open at its lower end, the first too."""
    if collapse == "none":
        return pd.DataFrame({"distance": distance, "variogram": half_square, "n_pairs": 1})
    distinct = np.unique(distance)
    if bins < len(distinct):
        edges = (
            np.unique(np.quantile(distance, np.linspace(0.0, 1.0, bins + 1)))
            if collapse == "quantiles"
            else np.linspace(distinct[0], distinct[-1], bins + 1)
        )
        classes = np.searchsorted(edges, distance, side="left")
    else:
        classes = np.searchsorted(distinct, distance) + 1
    rows = []
    for k in np.unique(classes[classes > 0]):
        own = classes == k
        rows.append((np.median(distance[own]), _mean(half_square[own], robust), np.count_nonzero(own)))
    return pd.DataFrame(rows, columns=["distance", "variogram", "n_pairs"])


def _mean(half_square: FloatArray, robust: bool) -> float:
    """Return the mean, or the estimator of Cressie and Hawkins, which works on fourth roots."""
    if not robust:
        return float(np.mean(half_square))
    return float(np.mean(half_square**0.25) ** 4 / (ROBUST[0] + ROBUST[1] / len(half_square)))
