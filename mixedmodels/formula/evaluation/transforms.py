"""Transformations that remember the data they were trained on: poly, scale, center, cut, bs, ns."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.formula.evaluation.arguments import BoundCall
from mixedmodels.formula.evaluation.columns import Factor, Matrix, Numeric, Value
from mixedmodels.formula.language.syntax_tree import deparse

with on_first_use():
    from mixedmodels.formula.evaluation import splines

if TYPE_CHECKING:
    from mixedmodels.formula.evaluation.splines import SplineKnots


def _numbered(values: FloatArray) -> Matrix:
    """Return a matrix whose columns are named by their number."""
    return Matrix(np.asarray(values, dtype=np.float64), tuple(str(k + 1) for k in range(values.shape[1])))


def poly(bound: BoundCall) -> Value:
    """Return orthogonal or raw polynomials, R's ``poly``."""
    from formulaic.transforms.poly import poly as formulaic_poly  # deferred: 0.1 s, for those who use it

    x = bound.vector("x")
    degree = bound.count("degree", 1) or 0
    if degree < 1:
        bound.fail("the degree of poly() must be at least 1", "degree")
    if bound.flag("raw", False):
        return _numbered(x[:, None] ** np.arange(1, degree + 1))

    def train() -> dict[str, Any]:
        known = x[~np.isnan(x)]
        if len(np.unique(known)) <= degree:
            bound.fail(f"poly() of degree {degree} needs more than {degree} distinct values", "x")
        state: dict[str, Any] = {}
        formulaic_poly(known, degree, _state=state)
        return state

    return _numbered(np.asarray(formulaic_poly(x, degree, _state=dict(bound.state(train)))))


def scale(bound: BoundCall) -> Value:
    """Return ``(x - mean) / sd`` with R's options: FALSE leaves a step out, a number replaces it."""
    x = bound.vector("x")

    def train() -> tuple[float, float]:
        known = x[~np.isnan(x)]
        centre = _option(bound, "center", lambda: float(np.mean(known)), 0.0)
        rest = known - centre
        # Without centring R divides by the root mean square with n - 1 in the denominator.
        width = _option(bound, "scale", lambda: float(np.sqrt(np.sum(rest**2) / max(len(rest) - 1, 1))), 1.0)
        return centre, width

    centre, width = bound.state(train)
    with np.errstate(all="ignore"):
        return Numeric((x - centre) / width)


def _option(bound: BoundCall, name: str, estimate: Any, absent: float) -> float:
    """Return TRUE -> an estimate, FALSE -> `absent`, a number -> itself."""
    value = bound.value(name)
    if value is None or value is True:
        return float(estimate())
    if value is False:
        return absent
    if isinstance(value, float):
        return value
    bound.fail(f"argument '{name}' must be TRUE, FALSE or a number", name)


def center(bound: BoundCall) -> Value:
    """Return ``x - mean(x)``."""
    x = bound.vector("x")
    return Numeric(x - bound.state(lambda: float(np.nanmean(x)) if not np.isnan(x).all() else np.nan))


def cut(bound: BoundCall) -> Value:
    """Return a factor of intervals, R's ``cut``."""
    x = bound.vector("x")
    breaks = bound.numbers("breaks")
    if breaks is None:
        bound.fail("cut() needs breaks: a number of intervals or c(0, 10, 20)")
    edges = bound.state(lambda: _edges(bound, x, breaks or ()))
    right = bound.flag("right", True)
    lowest = bound.flag("include.lowest", False)
    codes = np.searchsorted(edges, x, side="left" if right else "right") - 1
    if lowest:
        codes = np.where(x == (edges[0] if right else edges[-1]), 0 if right else len(edges) - 2, codes)
    outside = (codes < 0) | (codes >= len(edges) - 1) | np.isnan(x)
    codes = np.where(outside, -1, codes)
    if bound.has("labels") and bound.value("labels") is False:
        return Numeric(np.where(codes < 0, np.nan, codes + 1.0))
    labels = bound.strings("labels") or _interval_labels(edges, right, lowest, bound.count("dig.lab", 3) or 3)
    if len(labels) != len(edges) - 1:
        bound.fail(f"{len(labels)} labels for {len(edges) - 1} intervals", "labels")
    return Factor(codes.astype(np.int32), labels, ordered=bound.flag("ordered_result", False))


def _edges(bound: BoundCall, x: FloatArray, breaks: tuple[float, ...]) -> FloatArray:
    """Return the edges of the intervals; a single number asks for that many of equal width."""
    if len(breaks) > 1:
        edges = np.unique(breaks)
        if len(edges) < len(breaks):
            bound.fail("the breaks of cut() must differ", "breaks")
        return edges
    count = bound.count("breaks", None) or 0
    if count < 2:
        bound.fail("cut() needs at least two intervals", "breaks")
    low, high = float(np.nanmin(x)), float(np.nanmax(x))
    width = high - low or abs(low) or 1.0
    if high == low:
        return np.linspace(low - width / 1000, high + width / 1000, count + 1)
    edges = np.linspace(low, high, count + 1)
    edges[[0, -1]] = low - width / 1000, high + width / 1000
    return edges


def _interval_labels(edges: FloatArray, right: bool, lowest: bool, digits: int) -> tuple[str, ...]:
    """Return ``(a,b]`` with as many digits as tell the edges apart."""
    texts: list[str] = []
    for significant in range(digits, max(12, digits) + 1):
        texts = [f"{edge:.{significant}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    opening, closing = ("(", "]") if right else ("[", ")")
    labels = [f"{opening}{a},{b}{closing}" for a, b in pairwise(texts)]
    if lowest and right:
        labels[0] = "[" + labels[0][1:]
    if lowest and not right:
        labels[-1] = labels[-1][:-1] + "]"
    return tuple(labels)


def bs(bound: BoundCall) -> Value:
    """Return B-splines, R's ``bs``."""
    x = bound.vector("x")
    degree = bound.count("degree", 3) or 0
    intercept = bound.flag("intercept", False)
    knots: SplineKnots = bound.state(lambda: _train_knots(bound, x, degree + intercept))
    return _numbered(splines.b_spline(x, knots, degree)[:, 0 if intercept else 1 :])


def ns(bound: BoundCall) -> Value:
    """Return natural cubic splines, R's ``ns``."""
    x = bound.vector("x")
    intercept = bound.flag("intercept", False)
    knots: SplineKnots = bound.state(lambda: _train_knots(bound, x, 1 + intercept))
    low, high = knots.boundary
    if any(not low <= knot < high for knot in knots.inner):
        bound.fail(
            f"ns() needs its knots between the boundary knots {low:g} and {high:g}; where "
            f"{deparse(bound.nodes['x'])} has few different values, use a smaller df or give knots",
            "df",
        )
    return _numbered(splines.natural_spline(x, knots, intercept))


def _train_knots(bound: BoundCall, x: FloatArray, columns_without_knots: int) -> SplineKnots:
    """Return given knots, or as many quantiles as the degrees of freedom leave over."""
    boundary = bound.numbers("Boundary.knots")
    if boundary is not None and (len(boundary) != 2 or boundary[0] >= boundary[1]):
        bound.fail("Boundary.knots must be two increasing numbers", "Boundary.knots")
    inner = bound.numbers("knots")
    if not np.isfinite([*(inner or ()), *(boundary or ())]).all():
        bound.fail(f"{deparse(bound.call)} cannot be computed: its knots must be finite numbers", "knots")
    count = 0
    if inner is None and bound.has("df"):
        count = (bound.count("df", None) or 0) - columns_without_knots
        if count < 0:
            bound.fail(f"df must be at least {columns_without_knots} here", "df")
    known = x[~np.isnan(x)]
    if len(known) == 0 or (boundary is None and known.min() == known.max()):
        bound.fail(f"{bound.call.function}() needs a variable with different values", "x")
    return splines.spline_knots(known, inner, count, boundary)
